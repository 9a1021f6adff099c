"""Sources as syntax trees, each parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

__all__ = ["parsed", "tree"]

_TRIES = 5


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return parsed(path.read_text(encoding="utf-8"))


def parsed(source: str) -> ast.Module:
    """The syntax tree of a source.

    CPython 3.11 now and then miscounts its recursion depth and raises SystemError for a good source; it is asked again.
    """
    for _ in range(_TRIES - 1):
        try:
            return ast.parse(source)
        except SystemError:
            continue
    return ast.parse(source)
