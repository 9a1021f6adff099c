"""``righttime arrange``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from righttime.cli.app import (
    EMBEDDING,
    OLD_PRECISIONS,
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
    Out,
    Overwrite,
    Pools,
    PositiveExamples,
    Precision,
    RepeatedIds,
    Subsample,
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

__all__ = ["arrange", "weights_in"]


SELECTION = "Selection"
_WITH_EXTEND = (
    *("extend", "pool", "out", "overwrite", "embedder", "target_embedder", "device", "workers", "engine", "memory"),
    *("cache", "as_json"),
)
"""What may be given with --extend; all else is what the arrangement was made with."""


@app.command(rich_help_panel="Arrange", old_values={"--precision": OLD_PRECISIONS})
def arrange(
    ctx: typer.Context,
    pool: Pools,
    out: Out,
    target: Target | None = None,
    method: Annotated[
        str,
        typer.Option(
            help="How to select and order: {methods}; `righttime methods` says what each does.",
            rich_help_panel=SELECTION,
        ),
    ] = "tma",
    distance: Annotated[
        str | None,
        typer.Option(
            help="For methods that rank by distance: {distances}.",
            show_default="wsd",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS",
            help="Rows to take: a number, or a share such as 10%.",
            show_default="all",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Leave out rows whose most similar target row is less similar than this.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    rounds: Annotated[
        str | None,
        typer.Option(
            metavar="I:J",
            help="Keep rounds I to J - 1 of TMA only.",
            show_default="all",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    within_round: Annotated[
        str,
        typer.Option(
            help="Order inside a round: similarity, index (as in the paper's code) or random.",
            rich_help_panel=SELECTION,
        ),
    ] = "similarity",
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A parameter of the method; may be repeated.", rich_help_panel=SELECTION
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Another order of the chosen rows: {shapes}; such as zigzag:layers=3,window=32, or "
            "sorted:by=loss:MODEL.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    weave: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE[:POOL]",
            help="Weave in a share of random rows: 0.2 or 20%, drawn by --seed from what the method has not taken, or "
            "from another POOL. The budget counts both.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    anneal: Annotated[
        str | None,
        typer.Option(
            metavar="A:B[:POOL]",
            help="As --weave, with a changing share: the method's own rows are A at the beginning, B at the end.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    cap_task: Annotated[
        str | None,
        typer.Option(
            metavar="N|SHARE",
            help="The most rows of one task: a number, or a share of the budget such as 10%.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    cap_source: Annotated[
        str | None,
        typer.Option(metavar="N|SHARE", help="The same of one POOL file.", rich_help_panel=SELECTION),
    ] = None,
    apart: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="Keep rows of a round of TMA apart: no two nearer than this cosine distance, such as 0.1.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    target_weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W",
            help="Weight of a target file's rows, by its short name, or of a task's; may be repeated. With "
            "--each-target each target takes those that it has.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    widen: Annotated[
        str | None,
        typer.Option(
            metavar="POOL:N",
            help="Widen the target: each row takes its N nearest rows of another pool, none twice, and shares its "
            "weight with them.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    subsample: Subsample = None,
    duplicates: Annotated[
        Literal["keep", "drop"],
        typer.Option(help="Pool rows that repeat an earlier row: keep or drop.", rich_help_panel=SELECTION),
    ] = "keep",
    guard: Annotated[
        Literal["report", "remove", "off"],
        typer.Option(
            help="Pool rows that repeat, hold or rephrase target rows: report, remove, or off (do not look).",
            rich_help_panel=SELECTION,
        ),
    ] = "report",
    guard_chunks: Annotated[
        bool,
        typer.Option(
            "--guard-chunks",
            help="For the guard, also embed rows longer than the embedder reads in chunks.",
            rich_help_panel=SELECTION,
        ),
    ] = False,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="With --max-tokens: the tokenizer of the model to be trained, a folder or hub name.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Leave out rows of more tokens than this.", rich_help_panel=SELECTION)
    ] = None,
    text: Annotated[
        str,
        typer.Option(
            help="The text that represents a row: prompt+response (of the first exchange), prompt, or all (turns).",
            rich_help_panel=EMBEDDING,
        ),
    ] = "prompt+response",
    embedder: Annotated[
        str | None,
        typer.Option(
            help="A sentence-transformers model or folder, or {embedders}. Options follow a model's name: "
            "MODEL#weights=bfloat16 halves its memory.",
            show_default="all-MiniLM-L6-v2",
            rich_help_panel=EMBEDDING,
        ),
    ] = None,
    target_embedder: TargetEmbedder = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            help="Tokens of a text that the model reads.", show_default="the model's", rich_help_panel=EMBEDDING
        ),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            help="Put before every text, as some models want; with --embedder MODEL#prompts=prefix before the target's "
            "alone.",
            rich_help_panel=EMBEDDING,
            show_default=False,
        ),
    ] = "",
    device: Device = None,
    precision: Precision = "float32",
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that read files and embed in parallel, or one for each GPU; each needs memory. With "
            "--engine ray: cores or GPUs that a cluster which scales itself is to grow to.",
            rich_help_panel=RUNNING,
        ),
    ] = 1,
    format_: FormatName = None,
    target_format: TargetFormat = None,
    bad_rows: BadRows = "stop",
    repeated_ids: RepeatedIds = "stop",
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    fields: Fields = None,
    target_fields: TargetFields = None,
    max_row_bytes: MaxRowBytes = "64MiB",
    seed: GivenSeed = None,
    engine: EngineName = "auto",
    memory: Memory = "1GiB",
    cache: Cache = None,
    as_: Annotated[
        Literal["messages", "original"],
        typer.Option("--as", help="What train.jsonl holds: messages, or each row's original JSON."),
    ] = "messages",
    each_target: Annotated[
        bool,
        typer.Option(
            "--each-target",
            help="Arrange for each target on its own, not for all jointly; the pool is read and embedded once. Writes "
            "a folder in --out for each, named as its file; {NAME} in --target-embedder stands for that name.",
            rich_help_panel=SELECTION,
        ),
    ] = False,
    extend: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Extend a finished arrangement: POOL... is what its pool has grown by. Target and settings are its "
            "own; writes what arranging the whole pool would write, and says what was saved.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Order a pool around a target.

    Writes a training file in that order, and for each row why it stands where it does.
    """
    from righttime.arrangement.budget import read_budget
    from righttime.cli.summary import arranged_facts, reading_teller, saved_line, summary
    from righttime.cli.text import printable
    from righttime.each_target import arrange_each_into
    from righttime.embedding import DEFAULT_MODEL
    from righttime.extending import extend_into
    from righttime.pipeline import arrange_into
    from righttime.results import Request

    on_read = None if as_json else reading_teller()
    if extend is not None:
        _only_with_extend(ctx, extend)
        ours: dict[str, Any] = {"device": device, "workers": workers, "engine": engine, "memory": bytes_in(memory)}
        ours |= {"embedder": embedder, "target_embedder": target_embedder, "on_read": on_read}
        result, saved = extend_into(out, extend, pool, overwrite=overwrite, cache=cache, progress=True, **ours)
        emit(
            as_json,
            lambda: {**arranged_facts(result, out), "extended": saved},
            lambda: f"{saved_line(saved)}\n{summary(result, out)}",
        )
        return
    if not target:
        ctx.fail("Missing option '--target'.")
    # The request itself refuses what is not among its choices.
    request = Request(
        method=method,
        distance=distance,
        budget=read_budget(budget),
        min_similarity=min_similarity,
        rounds=_window(rounds),
        within_round=cast(Any, within_round),
        params=_params(param),
        weave=weave,
        anneal=anneal,
        cap_task=cap_task,
        cap_source=cap_source,
        apart=apart,
        target_weight=weights_in(target_weight),
        widen=widen,
        shape=shape,
        seed=seed,
        subsample=subsample,
        text=cast(Any, text),
        embedder=embedder or DEFAULT_MODEL,
        target_embedder=target_embedder,
        max_length=max_length,
        prefix=prefix,
        device=device,
        precision=cast(Any, precision),
        workers=workers,
        duplicates=duplicates,
        guard=guard,
        guard_chunks=guard_chunks,
        bad_rows=bad_rows,
        repeated_ids=repeated_ids,
        format=format_,
        target_format=target_format,
        positive_examples=positive_examples,
        task_field=task_field,
        fields=fields_in(fields),
        target_fields=fields_in(target_fields, "--target-fields"),
        max_row_bytes=bytes_in(max_row_bytes),
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        engine=cast(Any, engine),
        memory=bytes_in(memory),
    )
    how: dict[str, Any] = {"as_": as_, "overwrite": overwrite, "cache": cache, "progress": True, "on_read": on_read}
    if each_target:
        each = arrange_each_into(out, pool, target, request, **how)
        if as_json:
            facts = {name: arranged_facts(result, out / name) for name, result in each}
            emit(True, lambda: {"each": facts}, str)
        else:
            for name, result in each:
                say(f"== {printable(name)}\n{summary(result, out / name)}\n")
        return
    result = arrange_into(out, pool, target, request, **how)
    emit(as_json, lambda: arranged_facts(result, out), lambda: summary(result, out))


def _only_with_extend(ctx: typer.Context, extend: Path) -> None:
    """Refuse settings that are those of the arrangement that is extended."""
    for option in ctx.command.params:
        given = getattr(ctx.get_parameter_source(str(option.name)), "name", "") == "COMMANDLINE"
        if given and option.name not in _WITH_EXTEND:
            raise SettingsError(
                f"--extend takes the target and the settings of {extend}, got {option.opts[0]} with it. "
                "Hint: leave it out, or arrange again."
            )


def _params(given: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` as a mapping; the method reads the values."""
    return _pairs("--param", "VALUE", [(entry, *entry.partition("=")) for entry in given or []])


def weights_in(given: list[str] | None) -> dict[str, str]:
    """`NAME=W` as a mapping; a name may hold an equals sign."""
    return _pairs("--target-weight", "W", [(entry, *entry.rpartition("=")) for entry in given or []])


def _pairs(option: str, value: str, split: list[tuple[str, str, str, str]]) -> dict[str, str]:
    """Entries as they were given, each with its name, its equals sign and its value, as a mapping."""
    for entry, name, equals, _ in split:
        if not equals or not name:
            raise SettingsError(f"{option} must be NAME={value}, got {entry!r}.")
        if sum(other == name for _, other, _, _ in split) > 1:
            raise SettingsError(f"{option} {name} must be given once, got it more often. Hint: leave out all but one.")
    return {name: word for _, name, _, word in split}


def _window(rounds: str | None) -> tuple[int, int | None] | None:
    """`I:J`, `I:` or `:J` as a window of rounds."""
    if rounds is None:
        return None
    start, colon, stop = rounds.partition(":")
    if not colon or not all(part.isdecimal() or not part for part in (start, stop)):
        raise SettingsError(f"--rounds must be I:J, for example 0:5, got {rounds!r}.")
    return int(start or 0), int(stop) if stop else None
