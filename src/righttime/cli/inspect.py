"""Commands that look at what is there: show, agreement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from righttime.cli.app import Cache, Memory, app, bytes_in
from righttime.cli.output import Json, emit
from righttime.errors import SettingsError

__all__ = ["agreement", "show"]


@app.command(rich_help_panel="Inspect")
def show(
    arrangement: Annotated[
        Path, typer.Argument(metavar="ARRANGEMENT", help="A folder that `righttime arrange` wrote.")
    ],
    first: Annotated[
        int | None,
        typer.Option(min=0, help="Rows to show.", show_default="10, with --target-row all"),
    ] = None,
    tasks: Annotated[int, typer.Option(min=0, help="Tasks to show.")] = 20,
    full: Annotated[bool, typer.Option("--full", help="Show whole texts.")] = False,
    target_row: Annotated[
        str | None, typer.Option(metavar="ID", help="Show this target row and every row it picked, in full.")
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Show this row: its position or why it was left out, and its nearest target rows."
        ),
    ] = None,
    cache: Cache = None,
    memory: Memory = "1GiB",
    as_json: Json = False,
) -> None:
    """Describe an arrangement.

    Counts, rounds, where quality falls, tasks, the first rows and what picked each.
    """
    from righttime.cli.description import describe
    from righttime.cli.lookup import find_row, find_target_row
    from righttime.cli.lookup_text import row_text, target_row_text
    from righttime.cli.show import description_text

    if row is not None and target_row is not None:
        raise SettingsError("--row and --target-row show one thing each, got both.")
    if target_row is not None:
        picker = find_target_row(arrangement, target_row, first)
        emit(as_json, lambda: picker, lambda: target_row_text(picker))
    elif row is not None:
        found = find_row(arrangement, row, cache, bytes_in(memory))
        emit(as_json, lambda: found, lambda: row_text(found))
    else:
        whole = describe(arrangement, 10 if first is None else first, tasks)
        emit(as_json, lambda: whole, lambda: description_text(whole, full))


@app.command(rich_help_panel="Inspect")
def agreement(
    arrangements: Annotated[
        list[Path],
        typer.Argument(metavar="ARRANGEMENT...", help="Folders that `righttime arrange` wrote, or .parquet files."),
    ],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS,...",
            help="Compare the first rows: shares of the pool (0.01) or counts (500).",
            show_default="all",
        ),
    ] = None,
    rank: Annotated[
        Literal["spearman", "kendall"], typer.Option(help="The rank correlation of the rows in common.")
    ] = "spearman",
    as_json: Json = False,
) -> None:
    """Compare arrangements with each other.

    Which rows arrangements of one pool share, and how far their orders agree.
    """
    from righttime.cli.agreement_tables import agreement_table, read_at
    from righttime.measures.agreement import agreement as compare

    found = compare(arrangements, at=read_at(at), rank=rank)
    emit(as_json, lambda: found, lambda: agreement_table(found))
