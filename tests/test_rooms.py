"""The rooms of the house: every import goes to the same room or to one before it, and no modules import in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import righttime
from syntax_trees import tree

ROOT = Path(righttime.__file__).parent
ROOMS = (
    ("version", "errors", "progress", "choices", "keywords", "quiet", "drawing", "processor", "locks", "strict_json"),
    ("store", "cluster", "crew"),
    ("growing",),
    ("model_files",),
    ("gguf",),
    ("examples",),
    ("rows", "stored", "leaving"),
    ("tokenization",),
    ("formats",),
    ("splits", "sampling", "contamination", "demo"),
    ("filtering",),
    ("similarity",),
    ("neighbours",),
    ("embedding",),
    ("arrangement",),
    ("results",),
    ("inputs", "ordering", "guard", "widening"),
    ("pipeline",),
    ("each_target", "extending"),
    ("api",),
    ("planning", "measures", "exporters"),
    ("training",),
    ("evaluation",),
    ("verification",),
    ("analysis",),
    ("experiment",),
    ("report",),
    ("cli",),
    ("__main__",),
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Every module of righttime that a file imports, wherever in it: at its top, in a function, for types alone."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "righttime":
            module = node.module.partition(".")[2]
            for name in node.names:
                whole = f"{module}.{name.name}".lstrip(".")
                yield whole if whole in known else module
        elif isinstance(node, ast.Import):
            yield from (name.name.partition(".")[2] for name in node.names if name.name.startswith("righttime"))


def arrows() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports(path, known)) - {name} for name, path in known.items() if name}


def test_every_room_has_its_place() -> None:
    assert {name.split(".")[0] for name in modules() if name} == set(RANK)


def test_no_import_goes_to_a_later_room() -> None:
    upward = [
        f"{name} -> {other or 'the package itself'}"
        for name, others in arrows().items()
        for other in others
        if not other or RANK[other.split(".")[0]] > RANK[name.split(".")[0]]
    ]
    assert not upward


def test_no_modules_import_in_a_circle() -> None:
    graph, done, circles = arrows(), set[str](), []

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            circles.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, [*way, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    assert not circles


READS_ROWS = {
    "examples": "a row itself",
    "rows": "rows behind their interface",
    "formats": "makes rows",
    "embedding.gradients": "embeds prompt and response apart",
    "contamination.units": "the parts of a row that may give something away",
    "contamination.agreement": "compares what rows ask and answer",
    "tokenization.counts": "counts a row's tokens",
    "tokenization.masking": "makes a row's tokens",
    "training.preference": "the turns of a preference, with either answer",
    "evaluation.sets": "what is asked of the model, and the right answers",
    "report": "the turns of rows, to be looked at",
}
ASKS_ROWS = {
    "report.texts": "the rows of a page",
    "report.atlas": "the rows of both sides, to be looked at",
    "formats.reading": "hands out all rows as objects, for users",
    "arrangement.arrangement": "hands out the chosen rows, as objects or as a data set",
    "embedding.texts": "what is embedded",
    "widening": "which rows of a side pool say what a target row says",
    "results.widening": "puts rows of a side pool behind the target's",
    "training.beyond": "puts rows of another pool behind an arrangement's",
    "ordering": "the texts of methods that go by texts",
    "results.write": "the chosen rows",
    "contamination.prompts": "compares prompts",
    "contamination.scan": "the parts of rows, some rows at a time",
    "contamination.rarity": "the words of a sample of rows",
    "contamination.texts": "the parts of rows that may be leaks",
    "guard.meaning": "the same, of rows that are near",
    "guard.cutting": "the texts of long rows, one at a time",
    "guard.chunks": "the target rows, and rows that are near",
    "guard.judging": "rows to be judged",
    "guard.guarded": "the rows that are left",
    "tokenization.counts": "counts tokens, some rows at a time",
    "planning.finishing": "how much a sample weighs on disk",
    "planning.losses": "a sample, to be scored",
    "planning.chosen": "a sample, whose lengths are looked at",
    "planning.guard": "how many words the target has",
    "measures.curves": "the bigrams of texts",
    "exporters.data": "rows to take the loss on",
    "training.token_rows": "what is trained on",
    "training.trial": "a few rows, to be trained on for a while",
    "training.preference": "the preferences that TRL trains on",
    "training.rearranger": "what is embedded while a model trains",
    "evaluation.sets": "what is asked of the model",
    "experiment.draws": "what a replicate draws",
    "experiment.prepare": "the same, as files",
    "experiment.cell": "texts of arranged rows and of judge rows, to measure",
    "experiment.estimate": "rows to try",
    "cli.description": "prompts of the target rows shown",
    "cli.lookup": "the one row shown",
}


def taken(names: set[str], *, called: bool) -> dict[str, set[str]]:
    """Of each module the attributes of these names that it takes: those that it calls, or those that it only reads."""
    found: dict[str, set[str]] = {}
    for module, path in modules().items():
        nodes = list(ast.walk(tree(path)))
        calls = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr in names and (id(node) in calls) == called:
                found.setdefault(module, set()).add(node.attr)
    return found


def test_what_a_row_says_is_read_in_few_places() -> None:
    modules_ = set(taken({"messages", "prompt", "response"}, called=False)) - {"cli.lookup_text"}  # a field of its own
    assert {name if name in READS_ROWS else name.split(".")[0] for name in modules_} == set(READS_ROWS)


def test_texts_and_whole_rows_are_asked_for_in_few_places() -> None:
    assert set(taken({"examples", "texts"}, called=True)) - {"rows", "stored"} == set(ASKS_ROWS)


def test_all_rows_as_objects_are_for_users_alone() -> None:
    assert set(taken({"examples"}, called=False)) == {
        "results.finished",
        "report.texts",
    }  # rows that a training file holds
