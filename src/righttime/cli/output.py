"""What a command prints: text for a person, or one JSON object for a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from righttime.cli.text import printable
from righttime.store import plain

__all__ = ["Json", "emit", "say"]

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
    if as_json:
        made = json.dumps(plain(facts()), ensure_ascii=False, allow_nan=False)
        typer.echo("".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in made))
    else:
        say(text())


def say(text: str, *, err: bool = False) -> None:
    """Print text for a person.

    Args:
        text: The text; what data could steer the terminal by is escaped.
        err: Print it on stderr.
    """
    typer.echo(printable(text), err=err)
