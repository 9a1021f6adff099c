"""From rows that take part to their order: check what is asked, find the vectors, let the method choose."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import warnings
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence, Set
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
from righttime.arrangement.caps import with_names
from righttime.arrangement.registry import resolved_params
from righttime.arrangement.selection import Scores
from righttime.arrangement.shapes import Shape, length_scores, read_shape
from righttime.embedding.losses import LossScorer, losses_of
from righttime.embedding.texts import shared_text
from righttime.embedding.vectors import Sides, vectors_for
from righttime.errors import EmptyDataError
from righttime.filtering import TakingPart
from righttime.neighbours import ENGINES, KeptAnswers, Search, Seen, search_named
from righttime.progress import counting
from righttime.results import Request, Widening
from righttime.rows import Rows, as_numbers
from righttime.similarity import first_rows, narrowed
from righttime.store import cache_folder

__all__ = [
    "Guarding",
    "Ordered",
    "Ready",
    "choose_rows",
    "planned_idle_seed",
    "ready_rows",
    "selection_input_of",
]


Guarding = Callable[[Sequence[int], Sides], Set[int]]
"""From the rows that take part and their vectors to those that take no part after all."""


@dataclass(frozen=True)
class Ready:
    """Rows that take part and all that a method asks of them, but the search.

    Attributes:
        inputs: What the method is asked, with vectors and texts where it needs them.
        kept: The pool row of each, ascending.
        sides: Unit vectors of those rows and of the target; empty where the method needs none.
        others: How many of `kept`, the last, can only be woven; the inputs are without them.
        text: Which text represented a row.
        notes: Sentences that a person should read.
        asked: The rows that were to take part before the guard looked: those of the fingerprint of the pool's vectors.
    """

    inputs: SelectionInput
    kept: Sequence[int]
    sides: Sides
    others: int
    text: str
    notes: tuple[str, ...]
    asked: Sequence[int]


@dataclass(frozen=True)
class Ordered:
    """Rows in order, and what they were ordered by.

    Attributes:
        arrangement: The order, by pool row.
        kept: The rows that took part, ascending.
        sides: Unit vectors of those rows and of the target; empty where the method needs none.
        best: Of each row that took part its similarity to its most similar target row, infinity where it can only be
            woven; known with a least similarity.
        others: How many of `kept`, the last, can only be woven.
        text: Which text represented a row.
        notes: Sentences that a person should read.
        seen: What the search has seen of the pool, where it tells.
        answers: What the shards of a cluster have found, kept on disk; None without a cluster.
        of_run: Such sentences of how the search went, which say nothing of the order.
    """

    arrangement: Arrangement
    kept: Sequence[int]
    sides: Sides
    best: NDArray[np.float32] | None
    others: int
    text: str
    notes: tuple[str, ...]
    seen: Seen
    answers: KeptAnswers | None
    of_run: tuple[str, ...] = ()


def ready_rows(
    pool: Rows,
    target: Rows,
    request: Request,
    taking: TakingPart,
    *,
    guard: Guarding | None = None,
    vectors: Callable[..., Sides] = vectors_for,
    others: int = 0,
    widening: Widening | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Ready:
    """Check what is asked, and find the vectors of the rows that take part.

    Args:
        pool: The whole pool.
        target: The target.
        request: What is asked for.
        taking: Which rows take part.
        guard: Looks at the vectors first, and says which rows take no part after all.
        vectors: Finds the vectors, as `righttime.embedding.vectors.vectors_for` does.
        others: The last so many rows of the pool can only be woven among the others.
        widening: How the target was widened, which shares out the weights of its own rows.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: A kind of it, for anything wrong with settings, vectors, model or disk.
    """
    kept, own = taking.kept, len(pool) - others
    rows = pool.take(kept)
    inputs = _named(selection_input_of(request, _own(rows, kept, own), target, widening), rows)
    # Budget, parameters and tasks are checked before hours of embedding, not after.
    checked = check_settings(request.method, inputs, _n_own(kept, own))
    text, notes = shared_text(request.text, target, pool=pool)
    shape = read_shape(request.shape)
    if shape is not None and shape.model is not None:
        _ = LossScorer(shape.model).form  # a model that is not there is told before hours of embedding
    drawn = draws_by_chance(request.method, checked) or (shape is not None and shape.draws)
    if not (drawn or len(taking.drawn) < len(pool)):
        notes += _idle_seed(request)
    needs = method_named(request.method).needs
    sides = Sides(inputs.pool, inputs.target, {})
    if "vectors" in needs:
        how: dict[str, Any] = {"n_pool": len(pool), "text": text, "cache": cache, "progress": progress}
        sides = vectors(request, rows, target, rows=kept, **how)
        gone = guard(kept, sides) if guard else frozenset[int]()
        if gone:
            kept, sides = _without(gone, kept, sides, request.memory, Path(cache) if cache else cache_folder())
            rows = pool.take(kept)
            inputs = _named(selection_input_of(request, _own(rows, kept, own), target, widening), rows)
    if "texts" in needs:
        both = list(_own(rows, kept, own).texts(text)), list(target.texts(text))
        inputs = dataclasses.replace(inputs, texts=both[0], target_texts=both[1])
    n = _n_own(kept, own)
    if shape is not None and shape.scored:
        scores = _scores(shape, _own(rows, kept, own), request, cache, progress)
        inputs = dataclasses.replace(inputs, scores=scores)
    if inputs.weave is not None and request.woven_pool is not None:
        inputs = dataclasses.replace(inputs, weave=dataclasses.replace(inputs.weave, others=len(kept) - n))
    vectors_of_own = first_rows(sides.pool, n) if "vectors" in needs else sides.pool
    inputs = dataclasses.replace(inputs, pool=vectors_of_own, target=sides.target)
    return Ready(inputs, kept, sides, len(kept) - n, sides.about.get("text", text), tuple(notes), taking.kept)


def _scores(shape: Shape, rows: Rows, request: Request, cache: str | os.PathLike[str] | None, progress: bool) -> Scores:
    """What gives the score of rows that the method has chosen."""
    if shape.model is None:
        return length_scores(lambda numbers: rows.texts("all", numbers))
    scorer = LossScorer(shape.model, device=request.device)
    folder = Path(cache) if cache else cache_folder()
    how = {"workers": request.workers, "on_ray": ENGINES[request.engine].cluster, "progress": progress}
    return lambda numbers: losses_of(rows.take(numbers.tolist()), scorer, folder, **how)


def _as_stored(scores: Scores, kept: Sequence[int], stored: Mapping[int, float]) -> Scores:
    """The same with scores by pool row that were computed before, where there are any."""

    def taken(places: NDArray[np.int64]) -> tuple[NDArray[np.float64], Mapping[str, Any]]:
        new, about = scores(places)
        rows = as_numbers(kept)[places].tolist()
        return np.array([stored.get(row, score) for row, score in zip(rows, new.tolist(), strict=True)]), about

    return taken


def _n_own(kept: Sequence[int], own: int) -> int:
    """How many of the rows that take part, ascending, are below a number: those that a method may choose."""
    return bisect_left(kept, own)


def _own(rows: Rows, kept: Sequence[int], own: int) -> Rows:
    """Those rows alone."""
    return rows if _n_own(kept, own) == len(rows) else rows.take(range(_n_own(kept, own)))


def choose_rows(
    pool: Rows,
    target: Rows,
    request: Request,
    ready: Ready,
    *,
    search: Callable[[Search], Search] = lambda search: search,
    scored: Mapping[int, float] | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Ordered:
    """Let the method order the rows that take part around the target.

    Args:
        pool: The whole pool.
        target: The target.
        request: What is asked for.
        ready: What `ready_rows` found.
        search: From this request's search to the one that is asked; never changes a choice.
        scored: Scores of pool rows that were computed before: a shape goes by these.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: A kind of it, for anything wrong with settings, vectors or disk.
    """
    folder = Path(cache) if cache else cache_folder()
    inputs = ready.inputs
    if scored is not None and inputs.scores is not None:
        inputs = dataclasses.replace(inputs, scores=_as_stored(inputs.scores, ready.kept, scored))
    said: list[str] = []
    seen = Seen(inputs.pool, inputs.target)
    answers = _kept_answers(ready, request.memory, folder) if ENGINES[request.engine].cluster else None
    found, best = _choose(request, inputs, search, folder, seen, answers, progress, said.append)
    if best is not None:
        best = np.concatenate([best, np.full(ready.others, np.inf, dtype=np.float32)])
    notes = ready.notes + ((found.settings["warning"],) if "warning" in found.settings else ())
    order = as_numbers(ready.kept)[found.order]
    arrangement = dataclasses.replace(found, order=order, n_pool=len(pool)).with_rows(pool, target)
    of_run = tuple(said)
    return Ordered(arrangement, ready.kept, ready.sides, best, ready.others, ready.text, notes, seen, answers, of_run)


def _kept_answers(ready: Ready, memory: int, folder: Path) -> KeptAnswers:
    """Where a search keeps what was found of these vectors; at most `memory` bytes, with those of other searches."""
    told = hashlib.sha256(str(ready.sides.about.get("pool_vectors_sha256")).encode())
    for rows in map(as_numbers, (ready.asked, ready.kept)):
        told.update(f" {len(rows)} ".encode() + rows.tobytes())
    return KeptAnswers(folder / "searches", ready.inputs.pool, told.hexdigest(), memory)


def _without(gone: Set[int], kept: Sequence[int], sides: Sides, memory: int, folder: Path) -> tuple[list[int], Sides]:
    """The rows that are left, and their vectors, mapped from a file where they take more than `memory`."""
    left = [place for place, row in enumerate(kept) if row not in gone]
    if not left:
        raise EmptyDataError(f"no pool row is left: the guard removed all {len(kept):,}. Hint: `guard='report'`.")
    pool = narrowed(sides.pool, np.asarray(left), memory, folder)
    return [kept[place] for place in left], dataclasses.replace(sides, pool=pool)


def selection_input_of(request: Request, pool: Rows, target: Rows, widening: Widening | None = None) -> SelectionInput:
    """What a method is asked, as far as that is known before there are vectors."""
    inputs = request.selection_input(*(np.empty((len(side), 0), dtype=np.float32) for side in (pool, target)))
    weights = request.target_weights(target, widening)
    sided = dataclasses.replace(inputs, tasks=pool.tasks, target_tasks=target.tasks, target_weights=weights)
    return _named(sided, pool)


def _named(inputs: SelectionInput, rows: Rows) -> SelectionInput:
    """The same with the names that its caps go by, of all rows that may be taken or woven."""
    return dataclasses.replace(inputs, caps=with_names(inputs.caps, rows.tasks, rows.sources))


def _choose(
    request: Request,
    inputs: SelectionInput,
    asked: Callable[[Search], Search],
    folder: Path,
    seen: Seen,
    answers: KeptAnswers | None,
    progress: bool,
    told: Callable[[str], object],
) -> tuple[Arrangement, NDArray[np.float32] | None]:
    """The order, by the rows that take part, and their best similarities where a least one is asked for."""
    with (
        counting("searching", len(inputs.pool), shown=progress) as tell,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # told in the notes instead
        # Lists that run out take more passes than the one that can be foreseen.
        how: dict[str, Any] = {"memory": request.memory, "progress": tell, "told": told}
        search = asked(search_named(request.engine, seen=seen, answers=answers, **how))
        best = None if request.min_similarity is None else search.nearest(inputs.pool, inputs.target)[1]
        inputs = dataclasses.replace(inputs, best=best, search=search, progress=tell)
        how = {"most_bytes": request.memory, "folder": folder}
        return arrange_unit_vectors(request.method, inputs, shape=read_shape(request.shape), **how), best


def planned_idle_seed(request: Request) -> list[str]:
    """The same as `ready_rows` will say of the seed, before there are rows."""
    shape = read_shape(request.shape)
    if request.subsample is not None or (shape is not None and shape.draws):
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
