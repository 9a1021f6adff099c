"""The way of a pool from where it lies to its arrangement: read, find who takes part, order, tell; and write."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from righttime.arrangement import Arrangement
from righttime.contamination.prompts import same_prompts
from righttime.errors import unknown_name
from righttime.filtering import take_part
from righttime.inputs import read_inputs
from righttime.ordering import order_rows
from righttime.results import BAD_TARGET, Data, Request, Result, not_chosen, prepare_result, write_result

__all__ = ["arrange", "arrange_into", "arrange_rows"]


def arrange(
    pool: Data,
    target: Data,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    **settings: Any,
) -> Arrangement:
    """Arrange a pool of instruction data around a target.

    Args:
        pool: File or folder names, ``hf:owner/name``, a `datasets.Dataset`, or dicts in any known format.
        target: The same; several files are one joint target. Rows without a response will do here.
        out: A folder to write the result to, as ``righttime arrange --out`` does.
        overwrite: Replace a finished result there.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.
        **settings: The fields of `righttime.pipeline.Request`: method ("tma"), distance ("wsd" where there is one),
            budget (all; a number or a share such as "10%"), min_similarity (none), rounds,
            within_round ("similarity"), params (a dict of the method's own), seed (0),
            subsample (all; a share such as 0.5 or "50%", or a number of rows, drawn by the seed before anything else),
            text ("prompt+response"), embedder (a model name, a folder, ``vectors:FILE``, or any object with the
            methods of `righttime.embedding.Embedder`), target_embedder, max_length, prefix, device,
            precision ("float32"), workers (1, processes that embed), duplicates ("keep"), bad_rows ("stop"), format,
            target_format, positive_examples (0), task_field, fields and target_fields (dicts of which field of a row
            is its prompt, response, system, context, options, task or id), tokenizer, max_tokens, engine ("auto",
            "cpu", "cuda" or "ray"; never changes a result), memory (bytes that the search may hold above the vectors:
            1 GiB).

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
    known = {entry.name for entry in dataclasses.fields(Request)}
    for name in settings:
        if name not in known:
            raise unknown_name("setting", name, known | {"out", "overwrite", "cache", "progress"})
    if isinstance(settings.get("embedder"), os.PathLike):
        settings["embedder"] = os.fspath(settings["embedder"])
    request = Request(**settings)
    if out is None:
        return arrange_rows(pool, target, request, cache=cache, progress=progress).arrangement
    done = arrange_into(out, pool, target, request, overwrite=overwrite, cache=cache, progress=progress)
    return done.arrangement


def arrange_into(
    out: str | os.PathLike[str],
    pool: Data,
    target: Data,
    request: Request,
    *,
    as_: Literal["messages", "original"] = "messages",
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Result:
    """Arrange and write the result to a folder: the whole way.

    Args:
        out: The folder.
        pool: See `arrange`, as for all that follow but `request` and `as_`.
        target: See `arrange`.
        request: What is asked for.
        as_: ``messages`` writes ``id``, ``messages`` and ``tools``; ``original`` each row's own JSON.
        overwrite: See `arrange`.
        cache: See `arrange`.
        progress: See `arrange`.

    Raises:
        RighttimeError: As `arrange`; what is wrong with settings or folder is found before anything is read.
    """
    request.check()
    prepare_result(Path(out), overwrite)
    keep_original = as_ == "original"
    result = arrange_rows(pool, target, request, cache=cache, progress=progress, keep_original=keep_original)
    write_result(result, Path(out), as_)
    return result


def arrange_rows(
    pool: Data,
    target: Data,
    request: Request,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    keep_original: bool = False,
) -> Result:
    """Arrange and tell everything about it; see `arrange`."""
    request.check()
    read = read_inputs(pool, target, request, keep_original=keep_original, progress=progress)
    rows, targets = read.pool.rows, read.target.rows
    taking = take_part(
        rows,
        subsample=request.subsample,
        seed=request.seed or 0,
        duplicates=request.duplicates,
        tokenizer=request.tokenizer,
        max_tokens=request.max_tokens,
    )
    leaks = same_prompts(rows, targets, taking.drawn)
    ordered = order_rows(rows, targets, request, taking, cache=cache, progress=progress)
    in_vain = not_chosen(rows, taking.kept, ordered.arrangement, request, ordered.best)
    return Result(
        arrangement=ordered.arrangement,
        request=request,
        pool=read.pool,
        target=read.target,
        left_out=(*read.pool.left_out, *taking.left_out, *in_vain),
        left_out_of_target=tuple(dataclasses.replace(row, reason=BAD_TARGET) for row in read.target.left_out),
        text=ordered.text,
        embedding=ordered.sides.about,
        duplicates=taking.duplicates,
        leaks=leaks,
        notes=ordered.notes,
        kept=taking.kept,
        vectors=(ordered.sides.pool, ordered.sides.target),
        best=ordered.best,
        given=read.given,
    )
