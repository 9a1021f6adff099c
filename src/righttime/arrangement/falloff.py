"""Where quality falls along an order: similarity and coverage by number of rows, and what has nothing near it.

One yardstick: the *middle* of the pool, the median over all rows that take part of their similarity to their most
similar target row. A row drawn blindly reaches it every other time. It depends on the data alone, and nothing is tuned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours import BlockSearch, Seen, similarity_of
from righttime.similarity import rounding_margin

__all__ = ["SHARES", "Alone", "Falloff", "Line", "falloff"]

SHARES = (1, 2, 5, 10, 20, 50, 100)
"""The lines of the table, as percentages of the arrangement."""

_ELEMENTS = 1 << 21  # of one product: 8 MiB
_NOMINEES = 16  # of each target row, where the pool is looked at for this alone
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
    seen: Seen | None = None,
) -> Falloff:
    """See where an order gets worse, without a pool × target matrix.

    The pool is looked at once, by products, which only tell which rows decide: those in the middle, and the nearest of
    each target row. These and the rows of the order are looked at by `righttime.similarity.pair_similarity`, so the
    numbers are the same to the bit whatever made the products.

    Args:
        pool: float32 unit vectors of the rows that take part, shape (n, d).
        target: float32 unit vectors, shape (m, d).
        place: int64, shape (n,): each row's place in the order, -1 where it has none.
        rounds: The round of each place, where the order goes by rounds, nearest first; else None.
        floor: The least similarity that was asked for.
        seen: What a search has seen of this pool and target, which then need not be looked at again.

    Example:
        >>> pool, target = np.float32([[1, 0], [0.6, 0.8], [0, 1]]), np.float32([[1, 0]])
        >>> [(line.rows, line.found) for line in falloff(pool, target, np.array([0, 1, -1]), None).lines]
        [(1, 1.0), (2, 1.0)]
    """
    n = int(place.max()) + 1
    ends = sorted({max(1, round(n * share / 100)) for share in SHARES})
    order = np.empty(n, dtype=np.int64)
    order[place[place >= 0]] = np.flatnonzero(place >= 0)
    parts = [_nearest(pool, order[start:end], target) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    in_order = np.concatenate([part[0] for part in parts])
    by_parts = [part[1] for part in parts]
    everything = n == len(pool)
    middle, nearest = (float(np.median(in_order)), by_parts[-1]) if everything else _whole(pool, target, seen)
    covered = np.maximum.accumulate([*by_parts, nearest], axis=0)
    lines = []
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        found = float((covered[number] >= covered[-1] - _SAME).mean())
        similarity, coverage = (
            float(values.mean(dtype=np.float64)) for values in (in_order[start:end], covered[number])
        )
        lines.append(Line(end, similarity, coverage, found))
    lonely = np.flatnonzero(covered[-1] < middle)
    lonely = lonely[np.argsort(covered[-1][lonely], kind="stable")]
    alone = tuple(Alone(int(row), float(covered[-1][row])) for row in lonely)
    below = 0 if floor is None else int((covered[-1] < floor).sum())
    return Falloff(tuple(lines), middle, len(target), alone, *_barrel(in_order, rounds, middle), floor, below)


def _whole(pool: Vectors, target: Vectors, seen: Seen | None) -> tuple[float, NDArray[np.float32]]:
    """The middle of the pool, and each target row's similarity to its nearest row of the whole pool."""
    if seen is None or seen.of_pool is None:
        seen = Seen(pool, target)
        BlockSearch("cpu", seen=seen).nominees(pool, target, _NOMINEES, None)
    assert seen.of_pool is not None
    nearest = seen.of_target.copy()
    untold = np.flatnonzero(np.isnan(nearest))
    if len(untold):
        nearest[untold] = BlockSearch("cpu").best(pool, target[untold], 1, None).value
    return _middle(pool, target, seen.of_pool, seen.margin), nearest


def _middle(pool: Vectors, target: Vectors, highest: NDArray[np.float32], margin: float) -> float:
    """The median over the pool of the similarity to the most similar target row.

    What ranks in the middle is within a margin of what does so by products. So rows whose product is lower by more than
    two margins rank lower, and only those between need a closer look.

    Args:
        pool: float32 unit vectors, shape (n, d).
        target: float32 unit vectors, shape (m, d).
        highest: float32, shape (n,): the highest product of each pool row.
        margin: How far that may lie from the similarity.
    """
    ranks = np.array([(len(pool) - 1) // 2, len(pool) // 2])
    low, high = np.partition(highest, ranks)[ranks].tolist()
    low, high = low - 3 * margin, high + 3 * margin  # two, and room for the rounding of this line
    between = np.flatnonzero((highest >= low) & (highest <= high))
    exact = np.sort(_nearest(pool, between, target)[0])
    return float(np.median(exact[ranks - np.count_nonzero(highest < low)]))


def _nearest(
    pool: Vectors, rows: NDArray[np.int64], target: Vectors
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of some pool rows the similarity to the nearest target row, and of each target row to the nearest of them."""
    step = int(np.clip(_ELEMENTS // len(target), 256, 1 << 13))
    apart = np.float32(3 * rounding_margin(target.shape[1]))  # two margins, and room for rounding
    near, best = np.full(len(rows), -2.0, dtype=np.float32), np.full(len(target), -2.0, dtype=np.float32)
    for start in range(0, len(rows), step):
        block, of_block = pool[rows[start : start + step]], near[start : start + step]
        product = target @ block.T
        may = product >= product.max(axis=0) - apart
        may |= product >= (np.maximum(product.max(axis=1), best) - apart)[:, None]
        who, where = np.divmod(np.flatnonzero(may), len(block))
        exact = similarity_of(block, where, target, who)
        np.maximum.at(of_block, where, exact)
        np.maximum.at(best, who, exact)
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
