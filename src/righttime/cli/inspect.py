"""Commands that look at what is there: show, methods, agreement."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import Cache, app
from righttime.errors import SettingsError

__all__ = ["agreement", "methods", "show"]


@app.command()
def show(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `righttime arrange` wrote.")],
    first: Annotated[
        int | None,
        typer.Option(min=0, help="Places of the order to show, or with --target-row rows; default: 10, all."),
    ] = None,
    tasks: Annotated[int, typer.Option(min=0, help="Tasks to show.")] = 20,
    full: Annotated[bool, typer.Option("--full", help="Show whole texts.")] = False,
    target_row: Annotated[
        str | None, typer.Option(metavar="ID", help="Show this target row and every row it picked, with whole texts.")
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Show this row: its place or why it was left out, and its nearest target rows."
        ),
    ] = None,
    cache: Cache = None,
) -> None:
    """Say what was arranged: counts, rounds, where quality falls, tasks, the first rows and who picked each."""
    from righttime.cli.lookup import show_row, show_target_row
    from righttime.cli.show import show as describe

    if row is not None and target_row is not None:
        raise SettingsError("--row and --target-row show one thing each, got both.")
    if target_row is not None:
        typer.echo(show_target_row(out, target_row, first))
    elif row is not None:
        typer.echo(show_row(out, row, cache))
    else:
        typer.echo(describe(out, 10 if first is None else first, tasks, full))


@app.command()
def methods(
    method: Annotated[str | None, typer.Option(help="Tell all about this one, with its parameters.")] = None,
) -> None:
    """List every method: what it does, what it needs, what it costs, where it comes from."""
    from righttime.cli.show import methods as listed

    typer.echo(listed(method))


class Rank(str, enum.Enum):
    """How orders are compared."""

    spearman = "spearman"
    kendall = "kendall"


@app.command()
def agreement(
    arrangements: Annotated[
        list[Path], typer.Argument(metavar="ARRANGEMENT...", help="Folders of `righttime arrange`, or .parquet files.")
    ],
    at: Annotated[
        str | None,
        typer.Option(
            help="Compare the first rows: shares of the pool (0.01) or counts (500), with commas; default: all."
        ),
    ] = None,
    rank: Annotated[Rank, typer.Option(help="The rank correlation of the rows in common.")] = Rank.spearman,
) -> None:
    """Say how far arrangements of one pool agree: which rows they share, and in which order."""
    from righttime.cli.agreement_tables import agreement_table, read_at
    from righttime.measures.agreement import agreement as compare

    typer.echo(agreement_table(compare(arrangements, at=read_at(at), rank=rank.value)))
