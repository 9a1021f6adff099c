"""The rooms of the house: every import goes to the same room or to one before it, and no modules import in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import righttime

ROOT = Path(righttime.__file__).parent
ROOMS = (
    ("version", "errors", "progress"),
    ("store", "cluster"),
    ("gguf",),
    ("examples",),
    ("tokenization",),
    ("formats",),
    ("splits", "sampling", "contamination", "demo"),
    ("similarity",),
    ("neighbours",),
    ("embedding",),
    ("arrangement",),
    ("results",),
    ("pipeline",),
    ("planning", "measures", "exporters"),
    ("training",),
    ("evaluation",),
    ("verification",),
    ("analysis",),
    ("cli",),
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
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
