"""README and docs: short lines, plain idiomatic English, and today's names of commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The log is a record: what was written then stays as it is.
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "log.md"),
]
# Turns of phrase that are no idiomatic English, and what to write instead.
UNIDIOMATIC = {
    r"(goes|went|going|go) on(?! (from|screen|the screen)\b)": "resumes, continues",
    r"(goes|went|going|go) on from": "resumes from",
    r"at hand": "available",
    r"told (right|of|apart)": "recognised, about, distinguished",
    r"tells? for each": "says for each",
    r"(is|are|was) (said|told)\b": "is reported; a note says",
    r"said to (be|change)": "marked as",
    r"harm may": "may do harm",
    r"(stands?|stood) for": "represents",
    r"place to be had": "best position",
    r"still there": "remaining",
    r"(made |written |drawn )?anew": "again, re-",
    r"without a word": "silently",
    r"word for word": "verbatim",
    r"for ever\b": "forever",
    r"of like (length|kind)": "of similar length",
    r"by turns": "alternating, in turn",
    r"in other company": "in different batches",
    r"taken away|cut away": "removed, cut off",
    r"passed over": "skipped",
    r"written over": "overwritten",
    r"move up behind|rows behind": "after",
    r"as ever": "as always, still",
    r"is no way": "does not work",
    r"\blest\b": "so that ... not",
    r"every switch|\bswitches\b": "setting",
    r"(a test|tests) holds?\b": "checks, compares",
    r"to the last bit|, to the bit": "bit for bit",
    r"the very (same|tokens|batches)": "the same, exactly the",
    r"somebody who|nobody who": "anyone who",
    r"looks? at no": "uses no",
    r"what is asked": "the question",
}
RENAMED = {
    r"righttime check\b|`check`": "righttime verify",
    r"righttime measure\b|`measure`": "righttime similarity",
    r"tune [^\n]*--run\b|`--run`": "tune --out",
    r"export [^\n]*--dir\b|`--dir`": "export --out",
}


def prose(page: Path) -> str:
    """The page without code blocks and computed tables."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!-- table: .*?<!-- end -->", "", text, flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def found(pattern: str, text: str) -> list[str]:
    return [match.group() for match in re.finditer(pattern, text, re.IGNORECASE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    long = [line for line in prose(page).splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_phrases_are_idiomatic(page: Path) -> None:
    text = " ".join(prose(page).split())
    bad = {phrase: instead for pattern, instead in UNIDIOMATIC.items() for phrase in found(rf"\b{pattern}", text)}
    assert not bad


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_commands_have_their_new_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not {name: new for pattern, new in RENAMED.items() for name in found(pattern, text)}


def test_the_readme_installs_from_what_is_there() -> None:
    """No index has the package before its first release."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    released = re.search(r"^## \d+\.\d+", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert released or not re.search(r"pip install '?righttime", text)
    assert "pip install -c constraints.txt ." in text
