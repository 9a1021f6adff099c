"""The way of a pool from where it lies to its arrangement: read, find who takes part, order, tell; and write."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Literal

from righttime.contamination.prompts import same_prompts
from righttime.filtering import take_part
from righttime.guard.watch import Watch
from righttime.inputs import read_inputs
from righttime.ordering import order_rows
from righttime.results import BAD_TARGET, Data, Request, Result, not_chosen, prepare_result, write_result

__all__ = ["arrange_into", "arrange_rows"]


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
        pool: See `righttime.arrange`, as for all that follow but `request` and `as_`.
        target: See `righttime.arrange`.
        request: What is asked for.
        as_: ``messages`` writes ``id``, ``messages`` and ``tools``; ``original`` each row's own JSON.
        overwrite: See `righttime.arrange`.
        cache: See `righttime.arrange`.
        progress: See `righttime.arrange`.

    Raises:
        RighttimeError: As `righttime.arrange`; what is wrong with settings or folder is found before anything is read.
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
    """Arrange and tell everything about it; see `righttime.arrange`."""
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
    watch = Watch(rows, targets, request, cache=cache, progress=progress)
    taking = watch.by_texts(taking)
    ordered = order_rows(rows, targets, request, taking, guard=watch.by_vectors, cache=cache, progress=progress)
    in_vain = not_chosen(rows, ordered.kept, ordered.arrangement, request, ordered.best)
    return Result(
        arrangement=ordered.arrangement,
        request=request,
        pool=read.pool,
        target=read.target,
        left_out=(*read.pool.left_out, *taking.left_out, *watch.left_out, *in_vain),
        left_out_of_target=tuple(dataclasses.replace(row, reason=BAD_TARGET) for row in read.target.left_out),
        text=ordered.text,
        embedding=ordered.sides.about,
        duplicates=taking.duplicates,
        leaks=leaks,
        notes=ordered.notes,
        kept=ordered.kept,
        vectors=(ordered.sides.pool, ordered.sides.target),
        best=ordered.best,
        given=read.given,
        guard=watch.leaks,
    )
