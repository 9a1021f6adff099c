"""``righttime similarity``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import Cache, Memory, Out, Overwrite, Target, TargetEmbedder, app, bytes_in
from righttime.cli.output import Json, emit

__all__ = ["similarity"]


@app.command(rich_help_panel="Inspect")
def similarity(
    arrangements: Annotated[
        list[Path], typer.Argument(metavar="ARRANGEMENT...", help="Folders that `righttime arrange` wrote.")
    ],
    target: Target,
    out: Out,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="Measure the first ROWS rows, twice as many, ..., all; 160 in the paper.",
            show_default="about 20 points",
        ),
    ] = None,
    per_task: Annotated[bool, typer.Option("--per-task", help="Also measure against each target task alone.")] = False,
    embedder: Annotated[
        str | None, typer.Option(help="As for arrange.", show_default="that of the arrangements")
    ] = None,
    target_embedder: TargetEmbedder = None,
    text: Annotated[str | None, typer.Option(help="As for arrange.", show_default="that of the arrangements")] = None,
    kl_over_occurrences: Annotated[
        bool,
        typer.Option(
            "--kl-over-occurrences", help="KL as in the paper's code, weighted by counts; for comparison only."
        ),
    ] = False,
    cache: Cache = None,
    memory: Memory = "1GiB",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure how near prefixes are to the target.

    The paper's nine data-set measures of the first n rows of each order, for growing n.
    """
    from righttime.cli.summary import measured_facts, measured_summary
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
        memory=bytes_in(memory),
        progress=True,
    )
    emit(as_json, lambda: measured_facts(measured, out), lambda: measured_summary(measured, out))


app.renamed("measure", "similarity", similarity)
