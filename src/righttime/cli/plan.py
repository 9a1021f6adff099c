"""``righttime plan``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from righttime.cli.app import (
    EMBEDDING,
    OLD_PRECISIONS,
    READING,
    RUNNING,
    BadRows,
    Cache,
    Device,
    EngineName,
    Fields,
    FormatName,
    GivenSeed,
    MaxRowBytes,
    Memory,
    PositiveExamples,
    Precision,
    RepeatedIds,
    Subsample,
    TargetEmbedder,
    TargetFields,
    TaskField,
    app,
    bytes_in,
    fields_in,
)
from righttime.cli.arrange import weights_in
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit, say
from righttime.errors import SettingsError

if TYPE_CHECKING:
    from righttime.planning import Stage

__all__ = ["plan"]

TUNING = "Tuning"


_MOST = 10**9
"""The largest size that is planned for."""


@app.command(rich_help_panel="Arrange", old_values={"--precision": OLD_PRECISIONS})
def plan(
    pool: Annotated[list[str] | None, typer.Argument(metavar="POOL...", help="As for arrange.")] = None,
    target: Annotated[list[str] | None, typer.Option(metavar="TARGET", help="As for arrange.")] = None,
    rows: Annotated[int | None, typer.Option(help="Without data: pool rows to plan for.")] = None,
    target_rows: Annotated[int | None, typer.Option(help="Without data: target rows to plan for.")] = None,
    dim: Annotated[int | None, typer.Option(help="Without data: dimensions of given vectors.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Plan tuning: a model, of which the configuration alone is read.", rich_help_panel=TUNING),
    ] = None,
    tune: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="With --model: a setting of tuning, named as in an experiment's file; may be repeated.",
            rich_help_panel=TUNING,
        ),
    ] = None,
    row_tokens: Annotated[
        int | None,
        typer.Option(
            help="With --model: tokens of the longest rows.",
            show_default="the most that a row may have",
            rich_help_panel=TUNING,
        ),
    ] = None,
    learnt_tokens: Annotated[
        int | None,
        typer.Option(
            help="With --model: learnt tokens of such a row.", show_default="a quarter", rich_help_panel=TUNING
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="With --model: time some steps of tune, on rows made of --row-tokens, or on those of POOL, an "
            "arrangement; --rows says how many rows the run has.",
            rich_help_panel=TUNING,
        ),
    ] = False,
    shards: Annotated[
        int | None,
        typer.Option(
            help="With --model: processes that share weights, gradients and states (FSDP2); the memory is that of one.",
            show_default="1",
            rich_help_panel=TUNING,
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="As for arrange.")] = "tma",
    distance: Annotated[str | None, typer.Option(help="As for arrange.", show_default="wsd")] = None,
    budget: Annotated[str | None, typer.Option(metavar="ROWS", help="As for arrange.")] = None,
    shape: Annotated[str | None, typer.Option(metavar="NAME[:KEY=VALUE,...]", help="As for arrange.")] = None,
    weave: Annotated[str | None, typer.Option(metavar="SHARE[:POOL]", help="As for arrange.")] = None,
    anneal: Annotated[str | None, typer.Option(metavar="A:B[:POOL]", help="As for arrange.")] = None,
    cap_task: Annotated[str | None, typer.Option(metavar="N|SHARE", help="As for arrange.")] = None,
    cap_source: Annotated[str | None, typer.Option(metavar="N|SHARE", help="As for arrange.")] = None,
    apart: Annotated[float | None, typer.Option(metavar="D", help="As for arrange.")] = None,
    target_weight: Annotated[
        list[str] | None, typer.Option(metavar="NAME=W", help="As for arrange; may be repeated.")
    ] = None,
    each_target: Annotated[bool, typer.Option("--each-target", help="As for arrange.")] = False,
    widen: Annotated[str | None, typer.Option(metavar="POOL:N", help="As for arrange.")] = None,
    guard: Annotated[Literal["report", "remove", "off"], typer.Option(help="As for arrange.")] = "report",
    guard_chunks: Annotated[bool, typer.Option("--guard-chunks", help="As for arrange.")] = False,
    seed: GivenSeed = None,
    subsample: Subsample = None,
    text: Annotated[str, typer.Option(help="As for arrange.", rich_help_panel=EMBEDDING)] = "prompt+response",
    embedder: Annotated[
        str | None, typer.Option(help="As for arrange.", show_default="all-MiniLM-L6-v2", rich_help_panel=EMBEDDING)
    ] = None,
    target_embedder: TargetEmbedder = None,
    max_length: Annotated[int | None, typer.Option(help="As for arrange.", rich_help_panel=EMBEDDING)] = None,
    precision: Precision = "float32",
    device: Device = None,
    format_: FormatName = None,
    target_format: Annotated[str | None, typer.Option(help="As for arrange.", rich_help_panel=READING)] = None,
    bad_rows: BadRows = "stop",
    repeated_ids: RepeatedIds = "stop",
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    fields: Fields = None,
    target_fields: TargetFields = None,
    max_row_bytes: MaxRowBytes = "64MiB",
    engine: EngineName = "auto",
    nodes: Annotated[
        int | None,
        typer.Option(
            help="With --engine ray: machines like this one to plan for.",
            show_default="the cluster of RAY_ADDRESS, or this machine",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    memory: Memory = "1GiB",
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Estimate time, memory and disk.

    Passes over the data, time, memory and disk of each stage of an arrangement, before it is started. With --model:
    the memory that tuning will take, and with --measure its time.
    """
    from righttime.arrangement.budget import read_budget
    from righttime.cli.summary import planned_facts, planned_summary
    from righttime.embedding import DEFAULT_MODEL
    from righttime.ordering import planned_idle_seed
    from righttime.planning import plan as stages_of
    from righttime.planning import plan_sizes
    from righttime.results import Request

    of_tuning = {"--tune": tune, "--row-tokens": row_tokens, "--learnt-tokens": learnt_tokens}
    of_tuning |= {"--measure": measure or None, "--shards": shards}
    if model is None and (alone := [name for name, value in of_tuning.items() if value is not None]):
        raise SettingsError(f"{alone[0]} must go with --model, which is not given. Hint: --model MODEL.")
    if model is not None:
        sizes_of_pool = target is not None or target_rows is not None or dim is not None
        if sizes_of_pool or ((pool or rows is not None) and not measure):
            raise SettingsError(
                "a plan is of tuning (--model) or of an arrangement (POOL, --target, sizes), not of both. Hint: with "
                "--measure, --model also takes an arrangement's folder or --rows."
            )
        if measure and shards is not None:
            raise SettingsError("--shards must go without --measure, which runs one process. Hint: leave one out.")
        stages = _of_tuning(model, tune or (), row_tokens, learnt_tokens, 1 if shards is None else shards)
        if measure:
            stages = (*stages, *_measured(model, tune or (), row_tokens, learnt_tokens, pool or (), rows))
        emit(as_json, lambda: planned_facts(stages), lambda: planned_summary(stages))
        return
    # The request itself refuses what is not among its choices.
    request = Request(
        method=method,
        distance=distance,
        budget=read_budget(budget),
        shape=shape,
        weave=weave,
        anneal=anneal,
        cap_task=cap_task,
        cap_source=cap_source,
        apart=apart,
        target_weight=weights_in(target_weight),
        widen=widen,
        guard=guard,
        guard_chunks=guard_chunks,
        seed=seed,
        subsample=subsample,
        text=cast(Any, text),
        embedder=embedder or DEFAULT_MODEL,
        target_embedder=target_embedder,
        max_length=max_length,
        precision=cast(Any, precision),
        device=device,
        bad_rows=bad_rows,
        repeated_ids=repeated_ids,
        positive_examples=positive_examples,
        task_field=task_field,
        format=format_,
        target_format=target_format,
        fields=fields_in(fields),
        target_fields=fields_in(target_fields, "--target-fields"),
        engine=cast(Any, engine),
        memory=bytes_in(memory),
        max_row_bytes=bytes_in(max_row_bytes),
    )
    for note in planned_idle_seed(request):
        say(f"note: {in_flags(note)}", err=True)
    sizes = (rows, target_rows, dim)
    if any(size is not None and size > _MOST for size in sizes):
        raise SettingsError(f"--rows, --target-rows and --dim must be at most {_MOST:,} each, got more.")
    if not pool and target is None and rows and target_rows and dim:
        if each_target:
            raise SettingsError("--each-target must be planned with data, got sizes. Hint: POOL and each --target.")
        stages = plan_sizes(rows, target_rows, dim, request, nodes)
    elif not pool or target is None or any(size is not None for size in sizes):
        raise SettingsError(
            "a plan needs data (POOL and --target) or sizes (--rows, --target-rows and --dim, each at least 1), all of "
            "the one and none of the other."
        )
    else:
        stages = stages_of(pool, target, request, cache, nodes, each_target=each_target)
    emit(as_json, lambda: planned_facts(stages), lambda: planned_summary(stages))


def _of_tuning(
    model: str, words: Sequence[str], row_tokens: int | None, learnt: int | None, shards: int
) -> tuple[Stage, ...]:
    """The stages of tuning with settings such as `batch_size=8` and `lora.rank=32`."""
    from righttime.experiment.reading import tuning_in
    from righttime.training.estimate import tuning_stages

    return tuning_stages(model, tuning_in(words), row_tokens, learnt, shards)


def _measured(
    model: str,
    words: Sequence[str],
    row_tokens: int | None,
    learnt: int | None,
    pool: Sequence[str],
    rows: int | None,
) -> tuple[Stage, ...]:
    """The stages of tuning that take time, measured on made rows or on those of an arrangement."""
    from righttime.experiment.reading import tuning_in
    from righttime.training.trial import measured_stages

    if len(pool) > 1:
        raise SettingsError(f"--measure takes the rows of one arrangement, got {len(pool)} folders.")
    if rows is not None and not 1 <= rows <= _MOST:
        raise SettingsError(f"--rows must be from 1 to {_MOST:,}, got {rows}.")
    out = Path(pool[0]) if pool else None
    return measured_stages(model, tuning_in(words), out=out, n_rows=rows, row_tokens=row_tokens, learnt=learnt)
