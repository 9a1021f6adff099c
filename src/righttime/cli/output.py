"""What a command prints: text for a person, or one JSON object for a program."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

__all__ = ["Json", "emit", "plain"]

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else; see docs/json.md.")
]


def emit(as_json: bool, facts: Callable[[], Any], text: Callable[[], str]) -> None:
    """Print a result.

    Args:
        as_json: Print the facts, as one JSON object.
        facts: Makes what a program reads: a mapping or a dataclass.
        text: Makes what a person reads.
    """
    typer.echo(json.dumps(plain(facts()), ensure_ascii=False, allow_nan=False) if as_json else text())


def plain(value: Any) -> Any:
    """A value as JSON has it: paths as text, arrays as lists, numbers that are none as null.

    Example:
        >>> plain({"a": (1, float("nan"))})
        {'a': [1, None]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):  # NumPy's
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(entry) for entry in value]
    return value
