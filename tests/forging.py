"""Edits of what lies on disk, as a forger makes them: of JSON files, of entries by the names that lead to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Edit = Callable[[Path], None]
"""Changes something in a folder."""


def parsed(name: str, change: Callable[[Any], object]) -> Edit:
    """Change a JSON file."""

    def edit(folder: Path) -> None:
        said = json.loads((folder / name).read_text())
        change(said)
        (folder / name).write_text(json.dumps(said))

    return edit


def put(*path: str | int, value: Any = None, by: Callable[[Any], Any] | None = None) -> Callable[[Any], None]:
    """Set an entry, by the names that lead to it."""

    def change(held: Any) -> None:
        for name in path[:-1]:
            held = held[name]
        held[path[-1]] = by(held[path[-1]]) if by else value

    return change


def each(*edits: Edit) -> Edit:
    """One edit after the other."""

    def edit(folder: Path) -> None:
        for one in edits:
            one(folder)

    return edit
