"""``righttime similarity``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import Cache, Out, Overwrite, Target, app

__all__ = ["similarity"]


@app.command()
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
    """Measure how near prefixes are to the target.

    The paper's nine data-set measures of the first n rows of each order, for growing n.
    """
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


app.renamed("measure", "similarity", similarity)
