"""A target of few rows is widened: each takes its nearest rows of a side pool, by the first rounds of TMA over it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from righttime.arrangement.methods.tma import play
from righttime.arrangement.selection import Selection, SelectionInput
from righttime.embedding.texts import shared_text
from righttime.embedding.vectors import Sides, vectors_for
from righttime.errors import SettingsError
from righttime.filtering import take_part
from righttime.formats import Reading
from righttime.inputs import read_side
from righttime.leaving import compact
from righttime.neighbours import search_named
from righttime.progress import counting
from righttime.results import Neighbour, Request, Widening, with_neighbours
from righttime.rows import as_numbers

__all__ = ["SideVectors", "side_vectors", "widen"]


@dataclasses.dataclass(frozen=True)
class SideVectors:
    """What a target is widened from.

    Attributes:
        side: The side pool.
        kept: int64, ascending: its rows that take part.
        sides: Unit vectors of these, and of the target's own rows.
    """

    side: Reading
    kept: np.ndarray[Any, np.dtype[np.int64]]
    sides: Sides


def widen(
    target: Reading,
    request: Request,
    *,
    made: Widening | None = None,
    side: Reading | None = None,
    vectors: Callable[..., Sides] = vectors_for,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> tuple[Reading, Widening | None]:
    """Widen a target by what the request names.

    The first N rounds of TMA over the side pool: in each, every target row takes its nearest row that no earlier round
    took, ties go to the lower row. So no row is taken twice, and a target row may share one with another.

    Args:
        target: The target's own rows.
        request: Says by what, and how rows are embedded and searched.
        made: How it was widened earlier; its rows are taken as they are.
        side: The side pool, where it was read already.
        vectors: Finds the vectors of the side pool and the target; see `righttime.embedding.vectors.PoolOnce`.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.

    Returns:
        The target with the rows taken behind its own, and what was taken; as it was and None where nothing is asked.

    Raises:
        RighttimeError: A kind of it, for anything wrong with the side pool, vectors or disk.
    """
    asked = request.widens
    if asked is None:
        return target, None
    side = side or read_side(asked.pool, "side", request, progress=progress)
    if made is not None:
        beyond = [row.row for row in made.rows if not 0 <= row.row < len(side.rows)]
        if beyond:
            raise SettingsError(
                f"the side pool {asked.pool} must hold the rows that were taken of it, but it has no row {beyond[0]}.",
                setting="widen",
            )
        return with_neighbours(target, side, [row.row for row in made.rows]), made
    from_ = side_vectors(target, request, side=side, vectors=vectors, cache=cache, progress=progress)
    found = _taken(from_, asked.each, request, progress)
    numbers = from_.kept[found.order].tolist()
    wide = with_neighbours(target, from_.side, numbers)
    return wide, _told(target, from_, wide, numbers, found)


def side_vectors(
    target: Reading,
    request: Request,
    *,
    side: Reading | None = None,
    vectors: Callable[..., Sides] = vectors_for,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> SideVectors:
    """Read the side pool, and embed the rows that take part and the target's own.

    Rows that repeat an earlier one, or whose text is that of a target row, take no part: they would say nothing new.

    Args:
        target: See `widen`, as for all that follow.
        request: See `widen`.
        side: See `widen`.
        vectors: See `widen`.
        cache: See `widen`.
        progress: See `widen`.

    Raises:
        RighttimeError: As `widen`.
    """
    asked = request.widens
    assert asked is not None
    side = side or read_side(asked.pool, "side", request, progress=progress)
    text, _ = shared_text(request.text, target.rows, pool=side.rows)
    known = set(target.rows.texts(text))
    first = as_numbers(take_part(side.rows, duplicates="drop").kept)
    texts = side.rows.texts(text, first.tolist())
    kept = first[np.fromiter((one not in known for one in texts), np.bool_, len(first))]
    if not len(kept):
        raise SettingsError(
            f"the side pool {asked.pool} must hold a row that the target does not, but each of its "
            f"{len(side.rows):,} rows repeats one.",
            setting="widen",
        )
    rows = compact(kept, len(side.rows))
    how: dict[str, Any] = {"n_pool": len(side.rows), "text": text, "cache": cache, "progress": progress}
    return SideVectors(side, kept, vectors(request, side.rows.take(rows), target.rows, rows=rows, **how))


def _taken(from_: SideVectors, each: int, request: Request, progress: bool) -> Selection:
    """The first rounds of TMA over the side pool."""
    pool, target = from_.sides.pool, from_.sides.target
    with counting("widening", len(pool), shown=progress) as tell:
        search = search_named(request.engine, memory=request.memory, progress=tell)
        return play(SelectionInput(pool, target, rounds=(0, each), search=search, progress=tell), 1.0)


def _told(target: Reading, from_: SideVectors, wide: Reading, numbers: list[int], found: Selection) -> Widening:
    assert found.picked_by is not None
    assert found.round is not None
    assert found.similarity is not None
    own, rows = len(target.rows), wide.rows
    told = zip(numbers, found.picked_by.tolist(), found.round.tolist(), found.similarity.tolist(), strict=True)
    neighbours = tuple(
        Neighbour(own + at, rows.ids[own + at], rows.files[own + at], rows.lines[own + at], *one)
        for at, one in enumerate(told)
    )
    return Widening(from_.side.inputs, own, len(from_.side.rows) - len(from_.kept), neighbours)
