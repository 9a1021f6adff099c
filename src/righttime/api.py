"""`righttime.arrange`: the whole way from data to an arrangement, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from righttime.arrangement import Arrangement
from righttime.choices import BadRows, Duplicates, Engine, Guard, Precision, RepeatedIds, Text, WithinRound
from righttime.embedding import DEFAULT_MODEL, Embedder
from righttime.formats.bounds import MAX_ROW_BYTES
from righttime.keywords import named_settings
from righttime.neighbours import MEMORY
from righttime.pipeline import arrange_into, arrange_rows
from righttime.results import Data, Request

__all__ = ["arrange"]


@named_settings
def arrange(
    pool: Data,
    target: Data,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    method: str = "tma",
    distance: str | None = None,
    budget: int | str | None = None,
    min_similarity: float | None = None,
    rounds: tuple[int, int | None] | None = None,
    within_round: WithinRound = "similarity",
    params: Mapping[str, Any] | None = None,
    weave: str | float | None = None,
    anneal: str | None = None,
    cap_task: str | float | None = None,
    cap_source: str | float | None = None,
    apart: float | None = None,
    target_weight: Mapping[str, float | str] | None = None,
    widen: str | None = None,
    shape: str | None = None,
    seed: int | None = None,
    subsample: str | float | None = None,
    text: Text = "prompt+response",
    embedder: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
    target_embedder: str | None = None,
    max_length: int | None = None,
    prefix: str = "",
    device: str | None = None,
    precision: Precision = "float32",
    workers: int = 1,
    duplicates: Duplicates = "keep",
    guard: Guard = "report",
    guard_chunks: bool = False,
    bad_rows: BadRows = "stop",
    repeated_ids: RepeatedIds = "stop",
    format: str | None = None,  # noqa: A002
    target_format: str | None = None,
    positive_examples: int = 0,
    task_field: str | None = None,
    fields: Mapping[str, str] | None = None,
    target_fields: Mapping[str, str] | None = None,
    tokenizer: str | None = None,
    max_tokens: int | None = None,
    engine: Engine = "auto",
    memory: int = MEMORY,
    max_row_bytes: int = MAX_ROW_BYTES,
) -> Arrangement:
    """Arrange a pool of instruction data around a target.

    Args:
        pool: File or folder names, ``hf:owner/name``, a `datasets.Dataset`, or dicts in any known format.
        target: The same; several files are one joint target. Rows without a response will do here.
        out: A folder to write the result to, as ``righttime arrange`` does.
        overwrite: Replace a finished result there.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.
        method: A name of `righttime.arrangement.METHODS`.
        distance: What methods of distance rank by; None takes ``wsd``.
        budget: The exact number of rows, or a share of the pool such as ``"10%"``; None takes all.
        min_similarity: Leave out pool rows whose most similar target row is less similar than this.
        rounds: Keep only the rounds start <= r < stop (stop None: to the end), before the budget cuts.
        within_round: The order inside a round: ``similarity``, ``index`` (the paper's code) or ``random``.
        params: The method's own parameters.
        weave: A share of the rows, such as 0.2, that is drawn by the seed from what the method has not taken, or from
            another pool (``"0.2:FILE"``), and woven evenly among the others. The budget counts both.
        anneal: The same with a share that changes along the order: ``"1:0.5"`` begins with rows of the method alone
            and ends with half of them.
        cap_task: The most rows of one task: a number, or a share of the budget such as ``"10%"``.
        cap_source: The same of one file of the pool.
        apart: No two rows of a round of TMA are nearer to each other than this cosine distance, such as 0.1.
        target_weight: What each row of a file of the target weighs, by the file's short name (or by a task's name);
            1 for all that are not named.
        widen: ``POOL:N``: widen the target: each of its rows takes its N nearest rows of this side pool, and shares its
            weight with them.
        shape: Another order of the rows chosen: a name of `righttime.arrangement.SHAPES`, with parameters as in
            ``"folded:layers=3,by=length"``; ``"sorted:by=loss:MODEL"`` is a curriculum by loss.
        seed: For everything that is drawn by chance; None takes 0.
        subsample: A share such as 0.5 or ``"50%"``, or a number of rows, drawn by the seed before anything else;
            None takes all.
        text: What represents a row: ``prompt+response`` of the first exchange, ``prompt``, or ``all`` turns.
        embedder: A model name, a folder, ``vectors:FILE``, or any object with the methods of
            `righttime.embedding.Embedder`.
        target_embedder: ``vectors:FILE`` of the target, where the pool's file does not hold its vectors.
        max_length: Tokens of a text that the model reads; None takes its own.
        prefix: Put before every text; with an embedder's option ``prompts=prefix`` before the target's alone.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        precision: ``float32``; ``float16`` or ``bfloat16``, for GPUs; ``int8``, for CPUs.
        workers: Processes that read files, one file each, and that embed. On a Ray cluster, how many places to embed
            are asked for at least: one that scales itself grows to them.
        duplicates: ``keep`` pool rows that repeat an earlier row, or ``drop`` them.
        guard: ``report`` pool rows that repeat, hold or rephrase target rows, ``remove`` them, or ``off``.
        guard_chunks: For the guard, also embed rows that are longer than the model reads in chunks.
        bad_rows: ``stop`` at a row that cannot be used, or ``skip`` it and list it.
        repeated_ids: ``stop`` where one file gives one id twice, or ``number`` such ids: ``file:id``, ``file:id-2``.
        format: The pool's format; None recognises it.
        target_format: The target's.
        positive_examples: Natural Instructions: positive examples put into each prompt.
        task_field: The field that holds a row's task; ``@file`` takes the file's name.
        fields: Which field of a pool row is its prompt, response, system, context, options, task or id.
        target_fields: The same for the target.
        tokenizer: With `max_tokens`: the tokenizer of the model to be trained.
        max_tokens: Leave out rows of more tokens than this.
        engine: ``auto``, ``cpu``, ``cuda`` or ``ray``. Speed only.
        memory: Bytes that the search may hold above the vectors.
        max_row_bytes: Bytes of the longest row, decompressed; a longer one is a bad row.

    Returns:
        The arrangement, carrying the rows it arranges.

    Raises:
        RighttimeError: A kind of it, for anything wrong with data, settings, model or disk; one clear sentence.

    Example:
        >>> import righttime
        >>> pool = righttime.builtin_rows("pool", rows_per_family=2)
        >>> target = righttime.builtin_rows("target", rows_per_family=1)
        >>> len(righttime.arrange(pool, target, method="random", budget=10))
        10
    """
    request = Request(
        method=method,
        distance=distance,
        budget=budget,
        min_similarity=min_similarity,
        rounds=rounds,
        within_round=within_round,
        params=params or {},
        weave=weave,
        anneal=anneal,
        cap_task=cap_task,
        cap_source=cap_source,
        apart=apart,
        target_weight=target_weight or {},
        widen=widen,
        shape=shape,
        seed=seed,
        subsample=subsample,
        text=text,
        embedder=os.fspath(embedder) if isinstance(embedder, os.PathLike) else embedder,
        target_embedder=target_embedder,
        max_length=max_length,
        prefix=prefix,
        device=device,
        precision=precision,
        workers=workers,
        duplicates=duplicates,
        guard=guard,
        guard_chunks=guard_chunks,
        bad_rows=bad_rows,
        repeated_ids=repeated_ids,
        format=format,
        target_format=target_format,
        positive_examples=positive_examples,
        task_field=task_field,
        fields=fields or {},
        target_fields=target_fields or {},
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        engine=engine,
        memory=memory,
        max_row_bytes=max_row_bytes,
    )
    if out is None:
        result = arrange_rows(pool, target, request, cache=cache, progress=progress)
        result.done()
        return result.arrangement
    result = arrange_into(out, pool, target, request, overwrite=overwrite, cache=cache, progress=progress)
    return result.arrangement
