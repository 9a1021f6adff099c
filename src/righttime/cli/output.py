"""What a command prints: text for a person, or one JSON object for a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from righttime.store import plain

__all__ = ["Json", "emit"]

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
