"""Where quality falls along an order: similarity and coverage by number of rows, and what has nothing near it.

One yardstick: the *middle* of the pool, the median over all rows that take part of their similarity to their most
similar target row. A row drawn blindly reaches it every other time. It depends on the data alone, and nothing is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHARES", "Alone", "Falloff", "Line", "falloff"]

SHARES = (1, 2, 5, 10, 20, 50, 100)
"""The lines of the table, as percentages of the arrangement."""

_ELEMENTS = 1 << 21  # of one product: 8 MiB
_SAME = 1e-6  # similarities nearer to each other than this are rounding

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """The first so many rows of an order.

    Attributes:
        rows: How many.
        similarity: Mean over the rows since the line above of the similarity to the most similar target row.
        coverage: Mean over target rows of the similarity of the most similar of these rows.
        found: Share of target rows whose nearest row of the whole pool is among these rows.
    """

    rows: int
    similarity: float
    coverage: float
    found: float


@dataclass(frozen=True)
class Alone:
    """A target row that nothing in the pool is near.

    Attributes:
        row: The target row.
        similarity: Of its nearest pool row.
        id: The target row's id, where it is known.
    """

    row: int
    similarity: float
    id: str = ""


@dataclass(frozen=True)
class Falloff:
    """Where quality falls along an order.

    Attributes:
        lines: For growing numbers of rows.
        middle: The pool's median row's similarity to its most similar target row.
        target_rows: How many there are.
        alone: Target rows whose nearest pool row is less similar than the middle, the farthest first.
        barrel_round: The first round more than half of whose rows are below the middle; None where there is none, or
            where the order does not go by rounds, nearest first.
        barrel_place: Where in the order that round begins.
        floor: The least similarity that was asked for, or None.
        below_floor: How many target rows have no pool row as similar as that.
    """

    lines: tuple[Line, ...]
    middle: float
    target_rows: int
    alone: tuple[Alone, ...]
    barrel_round: int | None
    barrel_place: int | None
    floor: float | None = None
    below_floor: int = 0


def falloff(
    pool: Vectors,
    target: Vectors,
    place: NDArray[np.int64],
    rounds: NDArray[np.int32] | None,
    floor: float | None = None,
) -> Falloff:
    """See where an order gets worse, in one pass over the pool and without a pool × target matrix.

    Args:
        pool: float32 unit vectors of the rows that take part, shape (n, d).
        target: float32 unit vectors, shape (m, d).
        place: int64, shape (n,): each row's place in the order, -1 where it has none.
        rounds: The round of each place, where the order goes by rounds, nearest first; else None.
        floor: The least similarity that was asked for.

    Returns:
        Numbers right to about 1e-6, since they come from float32 products.

    Example:
        >>> pool, target = np.float32([[1, 0], [0.6, 0.8], [0, 1]]), np.float32([[1, 0]])
        >>> [(line.rows, line.found) for line in falloff(pool, target, np.array([0, 1, -1]), None).lines]
        [(1, 1.0), (2, 1.0)]
    """
    n = int(place.max()) + 1
    ends = sorted({max(1, round(n * share / 100)) for share in SHARES})
    part = np.where(place < 0, len(ends), np.searchsorted(ends, place, side="right"))
    near, best = _best(pool, target, part, len(ends) + 1)
    covered = np.maximum.accumulate(best, axis=0)
    in_order = np.empty(n, dtype=np.float32)
    in_order[place[place >= 0]] = near[place >= 0]
    lines = []
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        found = float((covered[number] >= covered[-1] - _SAME).mean())
        similarity, coverage = (
            float(values.mean(dtype=np.float64)) for values in (in_order[start:end], covered[number])
        )
        lines.append(Line(end, similarity, coverage, found))
    middle = float(np.median(near))
    lonely = np.flatnonzero(covered[-1] < middle)
    lonely = lonely[np.argsort(covered[-1][lonely], kind="stable")]
    alone = tuple(Alone(int(row), float(covered[-1][row])) for row in lonely)
    below = 0 if floor is None else int((covered[-1] < floor).sum())
    return Falloff(tuple(lines), middle, len(target), alone, *_barrel(in_order, rounds, middle), floor, below)


def _best(
    pool: Vectors, target: Vectors, part: NDArray[np.int64], n_parts: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each pool row's similarity to its nearest target row, and each target row's to its nearest row of each part."""
    near, best = np.empty(len(pool), dtype=np.float32), np.full((n_parts, len(target)), -2.0, dtype=np.float32)
    step = int(np.clip(_ELEMENTS // len(target), 256, 1 << 13))
    for start in range(0, len(pool), step):
        block = np.asarray(pool[start : start + step]) @ target.T
        near[start : start + step] = block.max(axis=1)
        inside = part[start : start + step]
        for number in np.unique(inside).tolist():
            np.maximum(best[number], block[inside == number].max(axis=0), out=best[number])
    return near, best


def _barrel(
    in_order: NDArray[np.float32], rounds: NDArray[np.int32] | None, middle: float
) -> tuple[int | None, int | None]:
    """The first round that is mostly below the middle, and its first place."""
    if rounds is None:
        return None, None
    numbers, inverse, count = np.unique(rounds, return_inverse=True, return_counts=True)
    below = np.bincount(inverse, weights=in_order < middle) * 2 > count
    first = int(below.argmax())
    if not below[first]:
        return None, None
    return int(numbers[first]), int(np.argmax(rounds == numbers[first]))
