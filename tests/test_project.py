"""What stands around the code: the workflow, the hooks and the guide name targets and files that are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_workflow_only_calls_make() -> None:
    jobs = loaded(".github/workflows/ci.yml")["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    matrix = jobs["test"]["strategy"]["matrix"]["include"]
    assert len(commands) >= 2
    for command in commands:
        assert re.fullmatch(r"make (\S+|\$\{\{ matrix\.target \}\})", command), command
    named = {command.removeprefix("make ") for command in commands if "$" not in command}
    assert named | {run["target"] for run in matrix} <= TARGETS
    lowest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert lowest is not None
    assert lowest[1] in {run["python"] for run in matrix}, "the lowest Python that is claimed"
    assert {run["os"].split("-")[0] for run in matrix} == {"ubuntu", "macos", "windows"}


def test_types_are_checked_for_the_lowest_python() -> None:
    about = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = re.search(r'requires-python = ">=(3\.\d+)"', about)
    assert lowest is not None
    assert f'\npython_version = "{lowest[1]}"\n' in about


def test_hooks_run_what_make_lint_runs() -> None:
    hooks = [hook["entry"] for repo in loaded(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    for hook in hooks:
        tool = " ".join(hook.removeprefix(".venv/bin/").removesuffix("--force-exclude").split())
        assert f"$(BIN)/{tool}" in recipe, hook


def test_the_guide_names_every_target_that_is_there() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `make ([a-z-]+)` \|", guide, re.MULTILINE)) == TARGETS - {
        "help",
        "clean",
        "bench-quick",
    }
    assert max(map(len, guide.splitlines())) <= 120


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        found = page.parent / link if link else page
        assert found.exists(), link
        assert not anchor or anchor in slugs(found), f"{link}#{anchor}"


def test_the_site_lists_every_page_once() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for part in (entry if isinstance(entry, list) else entry.values()) for page in pages(part)]

    listed = pages(loaded("mkdocs.yml")["nav"])
    there = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert sorted(set(listed)) == sorted(listed)
    assert set(listed) == there
