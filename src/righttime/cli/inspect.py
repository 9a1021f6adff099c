"""Commands that look at what is there: show, check, measure, methods, agreement."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import Cache, Out, Overwrite, Target, app
from righttime.errors import SettingsError

__all__ = ["agreement", "check", "measure", "methods", "show"]


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
    from righttime.cli.show import show as describe
    from righttime.lookup import show_row, show_target_row

    if row is not None and target_row is not None:
        raise SettingsError("--row and --target-row show one thing each, got both.")
    if target_row is not None:
        typer.echo(show_target_row(out, target_row, first))
    elif row is not None:
        typer.echo(show_row(out, row, cache))
    else:
        typer.echo(describe(out, 10 if first is None else first, tasks, full))


@app.command()
def check(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `righttime arrange` wrote.")],
    pool: Annotated[
        list[str] | None, typer.Option(metavar="POOL", help="The pool it was made from; may be repeated.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="TARGET", help="The target it was made around; may be repeated.")
    ] = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Check the files alone, without the data.")] = False,
    cache: Cache = None,
) -> None:
    """Verify a result: hashes, permutation, counts; and with the data it was made from every similarity and round.

    Pool and target are found by the manifest; --pool and --target name them where they have moved.
    """
    from righttime.verification.result import DATA
    from righttime.verification.result import check as verify

    findings = verify(out, pool or None, target or None, files_only=no_data, cache=cache, progress=True)
    marks: Mapping[bool | None, str] = {True: "ok     ", False: "FAILED ", None: "unsure "}
    for finding in findings:
        typer.echo(marks[finding.ok] + finding.what + (f": {finding.detail}" if finding.detail else ""))
    failed = sum(finding.ok is False for finding in findings)
    if failed:
        typer.echo(f"{failed} of {len(findings)} checks failed: {out} is not what was written.", err=True)
        raise typer.Exit(1)
    if no_data:
        typer.echo("similarities and rounds not checked: that takes the data")
    elif findings[-1].what == DATA:
        typer.echo(
            "similarities and rounds not checked: that takes the data it was made from. Hint: --pool and --target."
        )


@app.command()
def measure(
    arrangements: Annotated[
        list[Path], typer.Argument(metavar="ARRANGEMENT...", help="Folders that `righttime arrange` wrote.")
    ],
    target: Target,
    out: Out,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure the first so many rows, twice as many, ..., all; default: some 20 points. The paper's: 160.",
        ),
    ] = None,
    per_task: Annotated[bool, typer.Option("--per-task", help="Also one curve for each target task.")] = False,
    embedder: Annotated[
        str | None, typer.Option(help="As for arrange; default: what the arrangements were made with.")
    ] = None,
    target_embedder: Annotated[
        str | None, typer.Option(help="vectors:FILE[#NAME] of the target, where the pool's file does not hold them.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="As for arrange; default: what the arrangements were made with.")
    ] = None,
    kl_over_occurrences: Annotated[
        bool,
        typer.Option(
            "--kl-over-occurrences", help="For comparison only: KL as the paper's code has it, weighted by counts."
        ),
    ] = False,
    cache: Cache = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how near the first n rows of each order are to the target: the paper's nine measures, for growing n."""
    from righttime.cli.summary import measured_summary
    from righttime.measures.curves import measure_folders

    measured = measure_folders(
        arrangements,
        target,
        out=out,
        every=every,
        per_task=per_task,
        kl_over_occurrences=kl_over_occurrences,
        embedder=embedder,
        target_embedder=target_embedder,
        text=text,
        overwrite=overwrite,
        cache=cache,
        progress=True,
    )
    typer.echo(measured_summary(measured, out))


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
    from righttime.measures.agreement import agreement as compare
    from righttime.measures.agreement import agreement_table, read_at

    typer.echo(agreement_table(compare(arrangements, at=read_at(at), rank=rank.value)))
