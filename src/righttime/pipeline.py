"""From data to an arrangement: read both sides, embed what stands for each row, order the pool."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import (
    Arrangement,
    Question,
    arrange_unit_vectors,
    check_settings,
    draws_by_chance,
    method_named,
)
from righttime.arrangement.floor import reaches
from righttime.contamination.prompts import same_prompts
from righttime.embedding.vectors import Sides, embedded, given, vectors_given
from righttime.errors import EmptyDataError, SettingsError
from righttime.examples import Example, LeftOut, content_id, text_of
from righttime.formats import Reading, from_records, read_rows
from righttime.neighbours import search_named
from righttime.progress import counting
from righttime.results import BAD_TARGET, Data, Request, Result
from righttime.sampling import drawn, sampled_away
from righttime.store import cache_folder
from righttime.tokenization.counts import token_counts

__all__ = ["arrange_rows", "question_of", "read_side", "resolve_text", "vectors_for"]


def read_side(
    data: Data, role: Literal["pool", "target"], request: Request, keep_original: bool = False, progress: bool = False
) -> Reading:
    """Read a pool or a target from wherever it is."""
    if isinstance(data, Reading):
        return data
    settings: dict[str, Any] = {
        "role": role,
        "format": request.format if role == "pool" else request.target_format,
        "bad_rows": request.bad_rows,
        "positive_examples": request.positive_examples,
        "task_field": request.task_field,
        "fields": request.fields if role == "pool" else request.target_fields,
        "keep_original": keep_original,
        "progress": progress,
    }
    if isinstance(data, str | os.PathLike):
        return read_rows([data], **settings)
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise SettingsError(
            f"the {role} must be files, a data set or rows, got {type(data).__name__}. "
            "Hint: of a DatasetDict pass one split, such as data['train'].",
            setting=role,
        )
    rows = list(data)
    paths = [row for row in rows if isinstance(row, str | os.PathLike)]
    records = [row for row in rows if not isinstance(row, str | os.PathLike)]
    if paths and records:
        raise SettingsError(
            f"the {role} must be files or rows, got {len(paths)} file names and {len(records)} rows in one list. "
            "Hint: read the files first, or save the rows.",
            setting=role,
        )
    return read_rows(paths, **settings) if paths else from_records(records, source=role, **settings)


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
    names = {"pool": _names(pool), "target": _names(target)}
    read_pool = read_side(pool, "pool", request, keep_original, progress)
    formats = sorted({file.format for file in read_pool.inputs})
    if keep_original and len(formats) > 1:
        raise SettingsError(
            f"`as='original'` needs pools of one format, got {', '.join(formats)}: no trainer reads a file of both. "
            "Hint: leave `as` out.",
            setting="as",
        )
    read_target = read_side(target, "target", request)
    part = drawn(len(read_pool.examples), request.subsample, request.seed or 0)
    kept, dropped, duplicates = _keep(read_pool.examples, part, request)
    if not kept:
        raise EmptyDataError(f"no pool row is left: all {len(dropped)} were left out, the first: {dropped[0].detail}.")
    rows = [read_pool.examples[number] for number in kept]
    tasked = question_of(request, rows, read_target.examples)
    # Budget, parameters and tasks are checked before hours of embedding, not after.
    checked = check_settings(request.method, tasked, len(rows))
    text, notes = resolve_text(request, read_target.examples)
    if not (draws_by_chance(request.method, checked) or len(part) < len(read_pool.examples)):
        notes += _idle_seed(request)
    needs = method_named(request.method).needs
    sides = Sides(tasked.pool, tasked.target, {})
    if "vectors" in needs:
        how: dict[str, Any] = {"n_pool": len(read_pool.examples), "text": text, "cache": cache, "progress": progress}
        sides = vectors_for(request, rows, read_target.examples, rows=kept, **how)
    with (
        counting("searching", len(rows), shown=progress) as tell,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # told in the notes instead
        # Lists that run out take more passes than the one that can be foreseen.
        search = search_named(request.engine, memory=request.memory, progress=tell)
        best = None if request.min_similarity is None else search.nearest(sides.pool, sides.target)[1]
        question = dataclasses.replace(
            tasked,
            pool=sides.pool,
            target=sides.target,
            best=best,
            search=search,
            texts=[text_of(row, text) for row in rows] if "texts" in needs else None,
            target_texts=[text_of(row, text) for row in read_target.examples] if "texts" in needs else None,
            progress=tell,
        )
        folder = Path(cache) if cache else cache_folder()
        found = arrange_unit_vectors(request.method, question, most_bytes=request.memory, folder=folder)
    if "warning" in found.settings:
        notes.append(found.settings["warning"])
    arrangement = dataclasses.replace(
        found, order=np.asarray(kept, dtype=np.int64)[found.order], n_pool=len(read_pool.examples)
    ).with_rows(read_pool.examples, read_target.examples)
    return Result(
        arrangement=arrangement,
        request=request,
        pool=read_pool,
        target=read_target,
        left_out=(*read_pool.left_out, *dropped, *_not_chosen(kept, read_pool.examples, arrangement, request, best)),
        left_out_of_target=tuple(dataclasses.replace(row, reason=BAD_TARGET) for row in read_target.left_out),
        text=sides.about.get("text", text),
        embedding=sides.about,
        duplicates=duplicates,
        leaks=_leaks(read_pool.examples, part, read_target.examples),
        notes=tuple(notes),
        kept=kept,
        vectors=(sides.pool, sides.target),
        best=best,
        given=names,
    )


def _names(data: Data) -> tuple[str, ...] | None:
    """The names of the files and folders that a side is read from; None where it is rows in memory."""
    if isinstance(data, str | os.PathLike):
        return (os.fspath(data),)
    if not isinstance(data, list | tuple) or not all(isinstance(name, str | os.PathLike) for name in data):
        return None
    return tuple(os.fspath(name) for name in data)


def question_of(request: Request, pool: Sequence[Example], target: Sequence[Example]) -> Question:
    """What a method is asked, as far as that is known before there are vectors."""
    question = request.question(*(np.empty((len(side), 0), dtype=np.float32) for side in (pool, target)))
    return dataclasses.replace(question, tasks=[row.task for row in pool], target_tasks=[row.task for row in target])


def _idle_seed(request: Request) -> list[str]:
    """What to say of a seed that decides nothing, where one was given."""
    if request.seed is None:
        return []
    within = f" with `within_round={request.within_round!r}`" if "rounds" in method_named(request.method).needs else ""
    return [
        f"`seed={request.seed}` changes nothing: method {request.method}{within} draws nothing by chance. "
        "For replicates, draw a part of the pool: `subsample=0.5` with `seed=1`."
    ]


def _leaks(rows: Sequence[Example], part: Sequence[int], target: Sequence[Example]) -> dict[int, int]:
    """Target rows whose prompt the drawn part of the pool contains; see `same_prompts`."""
    found = same_prompts([rows[number] for number in part], target)
    return {row: part[place] for row, place in found.items()}


def _keep(rows: Sequence[Example], part: Sequence[int], request: Request) -> tuple[list[int], list[LeftOut], int]:
    """The rows that take part, those that do not and why, and how many repeat an earlier row.

    The draw comes first, so that it depends on nothing but the seed: rows are repeats, or too long, among those drawn.
    """
    first: dict[str, int] = {}
    again = {}
    for number in part:
        earlier = first.setdefault(content_id(rows[number].messages, rows[number].tools), number)
        if earlier != number:
            again[number] = earlier
    lengths = token_counts([rows[number] for number in part], request.tokenizer) if request.tokenizer else None
    counts = None if lengths is None else dict(zip(part, lengths, strict=True))
    kept, dropped = [], sampled_away(rows, part, request.subsample, request.seed or 0)
    for number in part:
        row = rows[number]
        if request.duplicates == "drop" and number in again:
            twin = rows[again[number]]
            dropped.append(_out(row, number, "duplicate", f"the same content as {twin.id} ({twin.file}:{twin.line})"))
        elif counts is not None and request.max_tokens is not None and counts[number] > request.max_tokens:
            dropped.append(_out(row, number, "too-long", f"{counts[number]} tokens, more than {request.max_tokens}"))
        else:
            kept.append(number)
    return kept, dropped, len(again)


def _out(row: Example, number: int, reason: str, detail: str) -> LeftOut:
    return LeftOut(row.file, row.line, number, row.id, reason, detail)


def _not_chosen(
    kept: Sequence[int],
    rows: Sequence[Example],
    arrangement: Arrangement,
    request: Request,
    best: NDArray[np.float32] | None,
) -> list[LeftOut]:
    """Rows that took part in vain, and before them those that no target row is near enough to."""
    chosen = set(arrangement.order.tolist())
    far = np.zeros(len(kept), dtype=np.bool_) if best is None else ~reaches(best, request.min_similarity)
    share = f" ({request.budget})" if isinstance(request.budget, str) else ""
    limits = [f"budget {arrangement.settings['budget']}{share}"] if request.budget is not None else []
    if request.rounds is not None:
        start, stop = request.rounds
        limits.insert(0, f"rounds {start}:{'' if stop is None else stop}")
    limits = limits or [f"method {request.method}"]
    detail = f"not among the rows that {' and '.join(limits)} took"
    left = []
    for place, number in enumerate(kept):
        if best is not None and far[place]:
            why = f"its most similar target row is at {best[place]:.4f}, below {request.min_similarity:g}"
            left.append(_out(rows[number], number, "too-dissimilar", why))
        elif number not in chosen:
            left.append(_out(rows[number], number, "not-chosen", detail))
    return left


def resolve_text(request: Request, target: Sequence[Example]) -> tuple[str, list[str]]:
    """The text that stands for a row, the prompt alone on both sides where a target row has no response; and notes."""
    lacking = [row for row in target if row.response is None]
    if request.text == "prompt" or not lacking:
        return request.text, []
    return "prompt", [
        f"{len(lacking):,} of {len(target):,} target rows have no response (first: {lacking[0].id}), "
        "so both sides are embedded by their prompts alone."
    ]


def vectors_for(
    request: Request,
    pool: Sequence[Example],
    target: Sequence[Example],
    *,
    rows: Sequence[int],
    n_pool: int,
    text: str,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Sides:
    """Unit vectors of some pool rows and of the target: embedded through the cache, or taken from the file given.

    Args:
        request: Says with what, and in how much memory.
        pool: The rows of the pool that are wanted.
        target: The target's rows.
        rows: The pool row of each of those, in the same order.
        n_pool: How many rows the pool has.
        text: Which text represents a row.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: If a model or file is missing, or does not fit the rows.
    """
    folder = Path(cache) if cache else cache_folder()
    if vectors_given(request.embedder):
        return given(request.embedder, request.target_embedder, rows, n_pool, len(target), request.memory, folder)
    if request.target_embedder is not None:
        raise SettingsError(
            "`target_embedder` is only for given vectors: one model must embed both sides.", setting="target_embedder"
        )
    return embedded(
        pool,
        target,
        text,
        request.model(),
        folder,
        memory=request.memory,
        workers=request.workers,
        on_ray=request.engine == "ray",
        progress=progress,
    )
