"""Write the docs' tables of methods, distances, measures and the like from the registries that hold them.

    python tools/registry_tables.py            write them
    python tools/registry_tables.py --check    change nothing, and fail where one is not what the registry says

In README.md, CONTRIBUTING.md and docs/*.md, what stands between `<!-- registry: NAME -->` and `<!-- end -->` is the
table NAME. Tables of measured numbers are those of `benchmarks/tables.py`.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from righttime.arrangement import METHODS, SHAPES, Method
from righttime.embedding import EMBEDDERS, PRECISIONS
from righttime.evaluation import METRICS
from righttime.exporters import TRAINERS
from righttime.formats import FORMATS
from righttime.measures import MEASURES
from righttime.neighbours import ENGINES
from righttime.similarity import DISTANCES

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"(<!-- registry: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SET_NOT_BROUGHT = {"rounds", "distance"}


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in cells])


def code(names: Sequence[str]) -> str:
    """Names as Markdown code, with commas between."""
    return ", ".join(f"`{name}`" for name in names)


def methods() -> str:
    """Every method, with what it needs and costs."""
    rows = [
        [
            f"`{name}`",
            entry.does,
            ", ".join(sorted(entry.needs - _SET_NOT_BROUGHT)).replace("_", " ") or "nothing",
            code(list(entry.params)),
            "yes" if entry.nested else "no",
            entry.cost,
            entry.source,
        ]
        for name, entry in METHODS.items()
    ]
    return grid(["`--method`", "order", "needs", "`--param`", "nested", "cost", "source"], rows)


def methods_short() -> str:
    """The names and what each does."""
    rows = [[f"`{name}`", entry.does, entry.source] for name, entry in METHODS.items()]
    return grid(["`--method`", "order", "source"], rows)


def papers() -> str:
    """For each paper its methods: the command, and what differs."""
    sections: dict[str, list[str]] = {}
    for name, entry in METHODS.items():
        sections.setdefault(entry.paper, []).append(name)
    return "\n\n".join(_paper(paper, names) for paper, names in sections.items())


def _paper(paper: str, names: Sequence[str]) -> str:
    lines = [f"## {METHODS[names[0]].source}", "", *_wrapped(f"{paper}."), ""]
    lines += [f"    righttime arrange POOL --target TARGET --out OUT --method {name}{_options(name)}" for name in names]
    differing: dict[str, list[str]] = {}
    for name in names:
        differing.setdefault(METHODS[name].differs, []).append(name)
    for text, some in differing.items():
        of = "" if len(differing) == 1 else f"{code(some)}: "
        lines += ["", *_wrapped(of + (text or "As in the paper."))]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


def _options(name: str) -> str:
    """The options that the method alone has, at their defaults."""
    entry: Method = METHODS[name]
    given = {key: param.default for key, param in entry.params.items() if param.default is not None}
    distance = f" --distance {next(iter(DISTANCES))}" if "distance" in entry.needs else ""
    return distance + "".join(f" --param {key}={value}" for key, value in given.items())


def distances() -> str:
    """Every distance."""
    rows = [[f"`{name}`", entry.does, entry.source, entry.cost, entry.memory] for name, entry in DISTANCES.items()]
    return grid(["name", "value", "source", "time", "memory"], rows)


def measures() -> str:
    """Every measure of prefixes."""
    return grid(["name", "value", "cost"], [[f"`{name}`", entry.does, entry.cost] for name, entry in MEASURES.items()])


def metrics() -> str:
    """Every metric of an evaluation, and the values it gives."""
    rows = [
        [f"`{name}`", f"`{value}`", does, entry.source]
        for name, entry in METRICS.items()
        for value, does in zip(entry.values, entry.does, strict=True)
    ]
    return grid(["`--metrics`", "value", "is", "source"], rows)


def formats() -> str:
    """Every format, in order of detection."""
    rows = [[f"`{name}`", entry.looks, code(entry.tasks)] for name, entry in FORMATS.items()]
    return grid(["`--format`", "a row looks like", "task"], rows)


def shapes() -> str:
    """Every shape, with its own parameters at their defaults."""
    rows = [
        [
            f"`{name}`",
            entry.does,
            ", ".join(f"`{key}={param.default:g}`: {param.does}" for key, param in entry.params.items()),
            entry.source,
        ]
        for name, entry in SHAPES.items()
    ]
    return grid(["`--shape`", "order", "parameters", "source"], rows)


def trainers() -> str:
    """Every trainer to export to."""
    rows = [
        [f"`{name}`", code([file for file in entry.files if file != "eval.jsonl"]), entry.run]
        for name, entry in TRAINERS.items()
    ]
    return grid(["`--to`", "writes", "run in DIR"], rows)


def embedders() -> str:
    """Every kind of embedder."""
    rows = [[f"`{entry.spelled}`", entry.does, entry.source] for entry in EMBEDDERS.values()]
    return grid(["`--embedder`", "vectors", "source"], rows)


def embedder_options() -> str:
    """Every option of every kind of embedder."""
    rows = [
        [f"`{entry.spelled}`", f"`{option.spelled}`", option.does]
        for entry in EMBEDDERS.values()
        for option in entry.options.values()
    ]
    return grid(["`--embedder`", "option", "does"], rows)


def precisions() -> str:
    """Every precision."""
    return grid(["`--precision`", "vectors"], [[f"`{name}`", entry.does] for name, entry in PRECISIONS.items()])


def engines() -> str:
    """Every engine."""
    return grid(["`--engine`", "looks for neighbours with"], [[f"`{n}`", entry.does] for n, entry in ENGINES.items()])


TABLES: Mapping[str, Callable[[], str]] = {
    "methods": methods,
    "methods-short": methods_short,
    "papers": papers,
    "distances": distances,
    "measures": measures,
    "metrics": metrics,
    "formats": formats,
    "shapes": shapes,
    "trainers": trainers,
    "embedders": embedders,
    "embedder-options": embedder_options,
    "precisions": precisions,
    "engines": engines,
}


def filled(text: str) -> str:
    """A document with every marked table written anew."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def pages() -> list[Path]:
    """Every document that may hold a table."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> None:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    for path in pages():
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if args.check and after != before:
            sys.exit(f"{path.name} is not what the registries say. Hint: python tools/registry_tables.py")
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"wrote the tables of {path}")


if __name__ == "__main__":
    main()
