"""``righttime guard``."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer

from righttime.cli.app import (
    EMBEDDING,
    RUNNING,
    BadRows,
    Cache,
    Device,
    EngineName,
    Fields,
    FormatName,
    Memory,
    Out,
    Overwrite,
    Pools,
    PositiveExamples,
    RepeatedIds,
    Seed,
    Target,
    TargetEmbedder,
    TargetFields,
    TargetFormat,
    TaskField,
    app,
    bytes_in,
    fields_in,
)
from righttime.cli.output import Json, emit, say
from righttime.errors import SettingsError

__all__ = ["guard"]


@app.command(rich_help_panel="Data")
def guard(
    pool: Pools,
    target: Target,
    out: Out,
    remove: Annotated[
        bool, typer.Option("--remove", help="Also write the pool without leaks, each row's original JSON.")
    ] = False,
    fail_on_leak: Annotated[
        bool, typer.Option("--fail-on-leak", help="Exit with code 1 where a leak is found, for pipelines.")
    ] = False,
    meaning: Annotated[
        bool,
        typer.Option(
            "--meaning", help="Also embed both sides, to find target rows in other words.", rich_help_panel=EMBEDDING
        ),
    ] = False,
    chunks: Annotated[
        bool,
        typer.Option(
            "--chunks",
            help="With --meaning: also embed rows longer than the embedder reads in chunks.",
            rich_help_panel=EMBEDDING,
        ),
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="A command that has the last word: gets pairs as JSON lines, answers leak and reason.",
        ),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            help="With --meaning: a sentence-transformers model or folder, or {embedders}.",
            show_default="all-MiniLM-L6-v2",
            rich_help_panel=EMBEDDING,
        ),
    ] = None,
    target_embedder: TargetEmbedder = None,
    text: Annotated[str, typer.Option(help="As for arrange.", rich_help_panel=EMBEDDING)] = "prompt+response",
    max_length: Annotated[
        int | None, typer.Option(help="As for arrange.", show_default="the model's", rich_help_panel=EMBEDDING)
    ] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(help="As for arrange.", rich_help_panel=RUNNING)] = 1,
    format_: FormatName = None,
    target_format: TargetFormat = None,
    bad_rows: BadRows = "stop",
    repeated_ids: RepeatedIds = "stop",
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    fields: Fields = None,
    target_fields: TargetFields = None,
    seed: Seed = 0,
    engine: EngineName = "auto",
    memory: Memory = "1GiB",
    cache: Cache = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find target rows that a pool gives away.

    Pool rows that repeat a target row in whatever writing, hold it, or (with --meaning) say it in other words.

    Writes leaks.parquet to --out, and with --remove the pool without them. The exit code is 0 whatever is found,
    unless --fail-on-leak is given.
    """
    from righttime.cli.guard_text import guarded_facts, guarded_text
    from righttime.embedding import DEFAULT_MODEL
    from righttime.guard import CommandJudge
    from righttime.guard.guarded import guard_into
    from righttime.results import Request

    embedding: dict[str, Any] = {
        "embedder": embedder,
        "target-embedder": target_embedder,
        "chunks": chunks,
        "device": device,
    }
    embedding |= {"text": text != "prompt+response", "max-length": max_length}
    idle = [f"--{name}" for name, given in {**embedding, "engine": engine != "auto"}.items() if given]
    if idle and not meaning:
        raise SettingsError(
            f"{', '.join(idle)} must be given with --meaning, got {'it' if len(idle) == 1 else 'them'} without."
        )
    request = Request(
        seed=seed,
        guard_chunks=chunks,
        embedder=embedder or DEFAULT_MODEL,
        target_embedder=target_embedder,
        text=cast(Any, text),
        max_length=max_length,
        device=device,
        workers=workers,
        engine=cast(Any, engine),
        bad_rows=cast(Any, bad_rows),
        repeated_ids=repeated_ids,
        format=format_,
        target_format=target_format,
        positive_examples=positive_examples,
        task_field=task_field,
        fields=fields_in(fields),
        target_fields=fields_in(target_fields, "--target-fields"),
        memory=bytes_in(memory),
    )
    asked = None if judge is None else CommandJudge(judge)
    how: dict[str, Any] = {"judge": asked, "overwrite": overwrite, "cache": cache, "progress": True}
    done = guard_into(out, pool, target, request, meaning=meaning, remove=remove, **how)
    emit(as_json, lambda: guarded_facts(done, out, remove), lambda: guarded_text(done, out, remove))
    if fail_on_leak and done.leaks.found:
        say(f"{len(done.leaks.pool_rows):,} pool rows leak (--fail-on-leak).", err=True)
        raise typer.Exit(1)
