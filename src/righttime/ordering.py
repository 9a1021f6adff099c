"""From rows that take part to their order: check what is asked, find the vectors, let the method choose."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import (
    Arrangement,
    SelectionInput,
    arrange_unit_vectors,
    check_settings,
    draws_by_chance,
    method_named,
)
from righttime.arrangement.registry import resolved_params
from righttime.embedding.texts import shared_text
from righttime.embedding.vectors import Sides, vectors_for
from righttime.errors import EmptyDataError
from righttime.filtering import TakingPart
from righttime.neighbours import search_named
from righttime.progress import counting
from righttime.results import Request
from righttime.rows import Rows
from righttime.similarity import room_for
from righttime.store import cache_folder

__all__ = ["Guarding", "Ordered", "order_rows", "planned_idle_seed", "selection_input_of"]


Guarding = Callable[[Sequence[int], Sides], Set[int]]
"""From the rows that take part and their vectors to those that take no part after all."""
_COPIED = 1 << 16  # vectors copied at a time


@dataclass(frozen=True)
class Ordered:
    """Rows in order, and what they were ordered by.

    Attributes:
        arrangement: The order, by pool row.
        kept: The rows that took part, ascending.
        sides: Unit vectors of those rows and of the target; empty where the method needs none.
        best: Of each row that took part its similarity to its most similar target row; known with a least similarity.
        text: Which text represented a row.
        notes: Sentences that a person should read.
    """

    arrangement: Arrangement
    kept: Sequence[int]
    sides: Sides
    best: NDArray[np.float32] | None
    text: str
    notes: tuple[str, ...]


def order_rows(
    pool: Rows,
    target: Rows,
    request: Request,
    taking: TakingPart,
    *,
    guard: Guarding | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Ordered:
    """Order the rows that take part around the target.

    Args:
        pool: The whole pool.
        target: The target.
        request: What is asked for.
        taking: Which rows take part.
        guard: Looks at the vectors first, and says which rows take no part after all.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: A kind of it, for anything wrong with settings, vectors, model or disk.
    """
    kept = taking.kept
    rows = pool.take(kept)
    inputs = selection_input_of(request, rows, target)
    # Budget, parameters and tasks are checked before hours of embedding, not after.
    checked = check_settings(request.method, inputs, len(rows))
    text, notes = shared_text(request.text, target)
    if not (draws_by_chance(request.method, checked) or len(taking.drawn) < len(pool)):
        notes += _idle_seed(request)
    needs = method_named(request.method).needs
    sides = Sides(inputs.pool, inputs.target, {})
    if "vectors" in needs:
        how: dict[str, Any] = {"n_pool": len(pool), "text": text, "cache": cache, "progress": progress}
        sides = vectors_for(request, rows, target, rows=kept, **how)
        gone = guard(kept, sides) if guard else frozenset[int]()
        if gone:
            kept, sides = _without(gone, kept, sides, request.memory, Path(cache) if cache else cache_folder())
            rows = pool.take(kept)
            inputs = selection_input_of(request, rows, target)
    if "texts" in needs:
        both = list(rows.texts(text)), list(target.texts(text))
        inputs = dataclasses.replace(inputs, texts=both[0], target_texts=both[1])
    found, best = _choose(request, inputs, sides, cache, progress)
    if "warning" in found.settings:
        notes.append(found.settings["warning"])
    order = np.asarray(kept, dtype=np.int64)[found.order]
    arrangement = dataclasses.replace(found, order=order, n_pool=len(pool)).with_rows(pool, target)
    return Ordered(arrangement, kept, sides, best, sides.about.get("text", text), tuple(notes))


def _without(gone: Set[int], kept: Sequence[int], sides: Sides, memory: int, folder: Path) -> tuple[list[int], Sides]:
    """The rows that are left, and their vectors, mapped from a file where they take more than `memory`."""
    left = [place for place, row in enumerate(kept) if row not in gone]
    if not left:
        raise EmptyDataError(f"no pool row is left: the guard removed all {len(kept):,}. Hint: `guard='report'`.")
    pool = room_for((len(left), sides.pool.shape[1]), memory, folder)
    for start in range(0, len(left), _COPIED):
        pool[start : start + _COPIED] = sides.pool[left[start : start + _COPIED]]
    return [kept[place] for place in left], dataclasses.replace(sides, pool=pool)


def selection_input_of(request: Request, pool: Rows, target: Rows) -> SelectionInput:
    """What a method is asked, as far as that is known before there are vectors."""
    inputs = request.selection_input(*(np.empty((len(side), 0), dtype=np.float32) for side in (pool, target)))
    return dataclasses.replace(inputs, tasks=pool.tasks, target_tasks=target.tasks)


def _choose(
    request: Request, inputs: SelectionInput, sides: Sides, cache: str | os.PathLike[str] | None, progress: bool
) -> tuple[Arrangement, NDArray[np.float32] | None]:
    """The order, by the rows that take part, and their best similarities where a least one is asked for."""
    with (
        counting("searching", len(sides.pool), shown=progress) as tell,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # told in the notes instead
        # Lists that run out take more passes than the one that can be foreseen.
        search = search_named(request.engine, memory=request.memory, progress=tell)
        best = None if request.min_similarity is None else search.nearest(sides.pool, sides.target)[1]
        inputs = dataclasses.replace(
            inputs, pool=sides.pool, target=sides.target, best=best, search=search, progress=tell
        )
        folder = Path(cache) if cache else cache_folder()
        return arrange_unit_vectors(request.method, inputs, most_bytes=request.memory, folder=folder), best


def planned_idle_seed(request: Request) -> list[str]:
    """The same as `order_rows` will say of the seed, before there are rows."""
    if request.subsample is not None:
        return []
    nothing = np.empty((0, 0), dtype=np.float32)
    params = resolved_params(request.method, request.params or {})
    sized = dataclasses.replace(request, budget=None)
    inputs = dataclasses.replace(sized.selection_input(nothing, nothing), params=params)
    return [] if draws_by_chance(request.method, inputs) else _idle_seed(request)


def _idle_seed(request: Request) -> list[str]:
    """What to say of a seed that decides nothing, where one was given."""
    if request.seed is None:
        return []
    within = f" with `within_round={request.within_round!r}`" if "rounds" in method_named(request.method).needs else ""
    return [
        f"`seed={request.seed}` changes nothing: method {request.method}{within} draws nothing by chance. "
        "For replicates, draw a part of the pool: `subsample=0.5` with `seed=1`."
    ]
