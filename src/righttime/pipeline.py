"""The way of a pool from where it lies to its arrangement: read, find who takes part, order, tell; and write."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from righttime.contamination.prompts import same_prompts
from righttime.embedding.vectors import Sides, vectors_for
from righttime.filtering import TakingPart, take_part
from righttime.guard.watch import Watch
from righttime.inputs import Inputs, exchanged_sides, read_inputs
from righttime.leaving import AllLeftOut
from righttime.ordering import Ready, choose_rows, ready_rows
from righttime.results import BAD_TARGET, Data, Request, Result, Widening, not_chosen, prepare_result, write_result
from righttime.widening import widen

__all__ = ["Begun", "arrange_into", "arrange_rows", "begin", "finish", "taking_part"]


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
    on_read: Callable[[Inputs], None] | None = None,
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
        on_read: Is told of both sides once they are read, before anything is embedded.

    Raises:
        RighttimeError: As `righttime.arrange`; what is wrong with settings or folder is found before anything is read.
    """
    request.check()
    prepare_result(Path(out), overwrite)
    how: dict[str, Any] = {"cache": cache, "progress": progress, "on_read": on_read}
    result = arrange_rows(pool, target, request, keep_original=as_ == "original", **how)
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
    scored: Mapping[int, float] | None = None,
    widening: Widening | None = None,
    on_read: Callable[[Inputs], None] | None = None,
) -> Result:
    """Arrange and tell everything about it.

    See `arrange_into`, `righttime.ordering.choose_rows` and, of `widening`, `begin`.
    """
    request.check()
    read = read_inputs(pool, target, request, keep_original=keep_original, progress=progress)
    if on_read:
        on_read(read)
    how: dict[str, Any] = {"cache": cache, "progress": progress}
    return finish(begin(read, request, taking_part(read, request), widening=widening, **how), scored=scored, **how)


@dataclass(frozen=True)
class Begun:
    """An arrangement before the method chooses; its target is widened where that is asked."""

    read: Inputs
    request: Request
    taking: TakingPart
    watch: Watch
    ready: Ready
    leaks: Mapping[int, int]
    widening: Widening | None


def taking_part(read: Inputs, request: Request) -> TakingPart:
    """The pool rows that take part, whatever the target."""
    return take_part(
        read.pool.rows,
        subsample=request.subsample,
        seed=request.seed or 0,
        duplicates=request.duplicates,
        tokenizer=request.tokenizer,
        max_tokens=request.max_tokens,
        others=_others(read, request),
    )


def _others(read: Inputs, request: Request) -> int:
    """How many of the pool's rows, the last, can only be woven among the others."""
    return read.pool.of_last if request.woven_pool is not None else 0


def begin(
    read: Inputs,
    request: Request,
    taking: TakingPart,
    *,
    vectors: Callable[..., Sides] = vectors_for,
    side_vectors: Callable[..., Sides] = vectors_for,
    widening: Widening | None = None,
    cache: str | os.PathLike[str] | None,
    progress: bool,
) -> Begun:
    """The first half of `arrange_rows`: all but the choice.

    Args:
        read: Both sides.
        request: What is asked for.
        taking: The rows that take part.
        vectors: Finds the vectors; see `righttime.ordering.ready_rows`.
        side_vectors: The same of a side pool; see `righttime.widening.widen`.
        widening: How the target was widened earlier, which is then not done anew.
        cache: See `righttime.arrange`.
        progress: See `righttime.arrange`.
    """
    exchanged = exchanged_sides(len(read.pool.rows), len(read.target.rows))  # of what was given, not of a wide target
    wide: dict[str, Any] = {"side": read.side, "cache": cache, "progress": progress}
    target, widening = widen(read.target, request, made=widening, vectors=side_vectors, **wide)
    read = dataclasses.replace(read, target=target, side=None)
    rows, targets = read.pool.rows, read.target.rows
    leaks = same_prompts(rows, targets, taking.drawn)
    watch = Watch(rows, targets, request, cache=cache, progress=progress)
    taking = watch.by_texts(taking)
    how: dict[str, Any] = {"guard": watch.by_vectors, "cache": cache, "progress": progress, "widening": widening}
    ready = ready_rows(rows, targets, request, taking, vectors=vectors, others=_others(read, request), **how)
    ready = dataclasses.replace(ready, notes=(*exchanged, *ready.notes))
    return Begun(read, request, taking, watch, ready, leaks, widening)


def finish(begun: Begun, **how: Any) -> Result:
    """The second half of `arrange_rows`; `how` as for `righttime.ordering.choose_rows`."""
    read, request, taking = begun.read, begun.request, begun.taking
    rows = read.pool.rows
    ordered = choose_rows(rows, read.target.rows, request, begun.ready, **how)
    in_vain = not_chosen(rows, ordered.kept, ordered.arrangement, request, ordered.best, ordered.others)
    return Result(
        arrangement=ordered.arrangement,
        request=request,
        pool=read.pool,
        target=read.target,
        left_out=AllLeftOut(read.pool.left_out, taking.left_out, begun.watch.left_out, in_vain),
        left_out_of_target=tuple(dataclasses.replace(row, reason=BAD_TARGET) for row in read.target.left_out),
        text=ordered.text,
        embedding=ordered.sides.about,
        duplicates=taking.duplicates,
        leaks=begun.leaks,
        notes=ordered.notes,
        of_run=ordered.of_run,
        kept=ordered.kept,
        vectors=(ordered.sides.pool, ordered.sides.target),
        best=ordered.best,
        seen=ordered.seen,
        answers=ordered.answers,
        given=read.given,
        guard=begun.watch.leaks,
        others=ordered.others,
        widening=begun.widening,
    )
