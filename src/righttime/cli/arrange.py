"""``righttime arrange``."""

from __future__ import annotations

import enum
from typing import Annotated, Any, cast

import typer

from righttime.cli.app import (
    BadRows,
    BadRowsOption,
    Cache,
    EngineName,
    Fields,
    FormatName,
    GivenSeed,
    Memory,
    Out,
    Overwrite,
    Pools,
    PositiveExamples,
    Subsample,
    Target,
    TargetFields,
    TaskField,
    app,
    bytes_in,
    fields_in,
)
from righttime.errors import SettingsError

__all__ = ["arrange"]


class Keep(str, enum.Enum):
    """What happens to pool rows that repeat an earlier row."""

    keep = "keep"
    drop = "drop"


class Form(str, enum.Enum):
    """What train.jsonl holds."""

    messages = "messages"
    original = "original"


@app.command()
def arrange(
    pool: Pools,
    target: Target,
    out: Out,
    method: Annotated[
        str,
        typer.Option(help="How to choose and order: {methods}; `righttime methods` says what each does."),
    ] = "tma",
    distance: Annotated[
        str | None, typer.Option(help="What methods of distance rank by: {distances}; default: the first.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="ROWS", help="How many rows to take: a number, or a share such as 10%; default: all."),
    ] = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(metavar="S", help="Leave out rows whose most similar target row is less similar than this."),
    ] = None,
    rounds: Annotated[
        str | None, typer.Option(metavar="I:J", help="Keep only TMA's rounds I up to, not with, J.")
    ] = None,
    within_round: Annotated[
        str, typer.Option(help="Order inside a round: similarity, index (as the paper's code) or random.")
    ] = "similarity",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the method's own; may be repeated."),
    ] = None,
    seed: GivenSeed = None,
    subsample: Subsample = None,
    text: Annotated[
        str, typer.Option(help="What stands for a row: prompt+response of the first exchange, prompt, or all turns.")
    ] = "prompt+response",
    embedder: Annotated[
        str | None,
        typer.Option(help="A sentence-transformers model or folder, or {embedders}; default: all-MiniLM-L6-v2."),
    ] = None,
    target_embedder: Annotated[
        str | None, typer.Option(help="vectors:FILE[#NAME] of the target, where the pool's file does not hold them.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of a text that the model reads; default: its own.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Put before every text, as some models want.")] = "",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps, ...; default: the best there is.")] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="{precisions}: half ones for GPUs, bfloat16 also for CPUs with AMX, int8 for CPUs: other vectors."
        ),
    ] = "float32",
    workers: Annotated[
        int, typer.Option(help="Processes that embed side by side, or one for each GPU; memory grows with them.")
    ] = 1,
    duplicates: Annotated[Keep, typer.Option(help="Pool rows that repeat an earlier row: keep or drop.")] = Keep.keep,
    bad_rows: BadRowsOption = BadRows.stop,
    format_: FormatName = None,
    target_format: Annotated[str | None, typer.Option(help="The same for the target.")] = None,
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    fields: Fields = None,
    target_fields: TargetFields = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="With --max-tokens: the tokenizer of the model to be trained, a folder or hub name."),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Leave out rows of more tokens than this.")] = None,
    as_: Annotated[
        Form, typer.Option("--as", help="What train.jsonl holds: messages, or each row's original JSON.")
    ] = Form.messages,
    engine: EngineName = "auto",
    memory: Memory = "1GiB",
    cache: Cache = None,
    overwrite: Overwrite = False,
) -> None:
    """Order a pool of instruction data around a target, and write a training file in that order."""
    from righttime.arrangement.budget import read_budget
    from righttime.cli.summary import summary
    from righttime.embedding import DEFAULT_MODEL
    from righttime.pipeline import arrange_into
    from righttime.results import Request

    # The request itself refuses what is not among its choices.
    request = Request(
        method=method,
        distance=distance,
        budget=read_budget(budget),
        min_similarity=min_similarity,
        rounds=_window(rounds),
        within_round=cast(Any, within_round),
        params=_params(param),
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
        duplicates=duplicates.value,
        bad_rows=bad_rows.value,
        format=format_,
        target_format=target_format,
        positive_examples=positive_examples,
        task_field=task_field,
        fields=fields_in(fields),
        target_fields=fields_in(target_fields, "--target-fields"),
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        engine=cast(Any, engine),
        memory=bytes_in(memory),
    )
    how: dict[str, Any] = {"as_": as_.value, "overwrite": overwrite, "cache": cache, "progress": True}
    result = arrange_into(out, pool, target, request, **how)
    typer.echo(summary(result, out))


def _params(given: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` as a mapping; the method reads the values."""
    pairs = [entry.partition("=") for entry in given or []]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise SettingsError(f"--param must be NAME=VALUE, got {name!r}.")
        if sum(other == name for other, _, _ in pairs) > 1:
            raise SettingsError(f"--param {name} must be given once, got it more often. Hint: leave out all but one.")
    return {name: value for name, _, value in pairs}


def _window(rounds: str | None) -> tuple[int, int | None] | None:
    """`I:J`, `I:` or `:J` as a window of rounds."""
    if rounds is None:
        return None
    start, colon, stop = rounds.partition(":")
    if not colon or not all(part.isdecimal() or not part for part in (start, stop)):
        raise SettingsError(f"--rounds must be I:J, for example 0:5, got {rounds!r}.")
    return int(start or 0), int(stop) if stop else None
