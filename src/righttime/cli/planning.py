"""``righttime plan``."""

from __future__ import annotations

from typing import Annotated

import typer

from righttime.cli.app import (
    Cache,
    EngineName,
    Fields,
    FormatName,
    GivenSeed,
    Memory,
    Pools,
    Subsample,
    Target,
    TargetFields,
    app,
    bytes_in,
    fields_in,
)

__all__ = ["plan"]


@app.command()
def plan(
    pool: Pools,
    target: Target,
    method: Annotated[str, typer.Option(help="As for arrange.")] = "tma",
    distance: Annotated[str | None, typer.Option(help="As for arrange.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="ROWS", help="As for arrange.")] = None,
    seed: GivenSeed = None,
    subsample: Subsample = None,
    text: Annotated[str, typer.Option(help="As for arrange.")] = "prompt+response",
    embedder: Annotated[str | None, typer.Option(help="As for arrange.")] = None,
    target_embedder: Annotated[str | None, typer.Option(help="As for arrange.")] = None,
    max_length: Annotated[int | None, typer.Option(help="As for arrange.")] = None,
    precision: Annotated[str, typer.Option(help="As for arrange.")] = "float32",
    device: Annotated[str | None, typer.Option(help="As for arrange.")] = None,
    format_: FormatName = None,
    target_format: Annotated[str | None, typer.Option(help="As for arrange.")] = None,
    fields: Fields = None,
    target_fields: TargetFields = None,
    engine: EngineName = "auto",
    memory: Memory = "1GiB",
    cache: Cache = None,
) -> None:
    """Say what an arrangement would take, before it is started: passes, time, memory and disk of each stage."""
    from righttime.arrangement.budget import read_budget
    from righttime.arranging import Request
    from righttime.embedding import DEFAULT_MODEL
    from righttime.planning import plan as stages_of
    from righttime.summary import planned_summary

    request = Request(
        method=method,
        distance=distance,
        budget=read_budget(budget),
        seed=seed,
        subsample=subsample,
        text=text,
        embedder=embedder or DEFAULT_MODEL,
        target_embedder=target_embedder,
        max_length=max_length,
        precision=precision,
        device=device,
        format=format_,
        target_format=target_format,
        fields=fields_in(fields),
        target_fields=fields_in(target_fields, "--target-fields"),
        engine=engine,
        memory=bytes_in(memory),
    )
    typer.echo(planned_summary(stages_of(pool, target, request, cache)))
