"""What a finished arrangement says of a pool that grows: how near to a target row a row can be that it left.

In a round of TMA a target row picks the nearest of all rows that stand. So whatever still stands when it has picked
comes after its pick, by similarity and then by number. Of a pool to which rows were added, only those that were
arranged and those that are new can therefore come before what each target row picked last. A search that looks at these
alone finds what it would have found in the whole pool, down to that pick; beyond it the whole pool is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.weights import Turns
from righttime.neighbours import Nominees, Search

__all__ = ["Bounds", "GrownSearch", "Looked", "bounds_of"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Bounds:
    """How near to each target row a row can be that an arrangement left: less similar, or as similar and later.

    Attributes:
        similarity: float32, shape (m,); infinity where nothing is known.
        row: int64, shape (m,): rows that are exactly as similar have higher numbers than this.
    """

    similarity: NDArray[np.float32]
    row: NDArray[np.int64]


@dataclass
class Looked:
    """How many pairs of a pool row and a target row were looked at.

    Attributes:
        pairs: That number.
        again: How many of them since what is arranged and what is new did not settle a choice.
    """

    pairs: int = 0
    again: int = 0


def bounds_of(
    pool: Vectors,
    target: Vectors,
    rounds: NDArray[np.int32],
    picked_by: NDArray[np.int64],
    similarity: NDArray[np.float32],
    *,
    search: Search,
    cut: bool,
    by_similarity: bool,
    weights: Sequence[Fraction] | None = None,
) -> Bounds | None:
    """Play an arrangement's rounds again, on its own rows alone, for what each target row picked last.

    Rows that were never picked change no pick, so the rounds are those of the whole pool.

    Args:
        pool: float32 unit vectors of the arranged rows by ascending number, shape (n, d).
        target: float32 unit vectors, shape (m, d).
        rounds: int32, shape (n,): the round that chose each of these rows.
        picked_by: int64, shape (n,): who picked it.
        similarity: float32, shape (n,): of that pair.
        search: How to look.
        cut: Whether a budget may have cut the last round.
        by_similarity: Whether it cut off the least similar rows of it.
        weights: As for `righttime.arrangement.rounds.tma_rounds`.

    Returns:
        The bounds, whose `row` is a place in `pool`; None if the rounds are not those that these vectors give.
    """
    everyone = len(target)
    lists, turns = CandidateLists(pool, target, len(pool), search), Turns(weights, everyone)
    found = Bounds(np.full(everyone, np.inf, dtype=np.float32), np.full(everyone, -1, dtype=np.int64))
    last = int(rounds.max())
    for number in range(last + 1):
        rows = np.flatnonzero(rounds == number)
        who = turns.next(np.arange(everyone))
        if not len(rows):
            return None
        choice, value = lists.choose(who)
        whole = not (cut and number == last)
        mine = np.full(everyone, -1)
        mine[who] = np.arange(len(who))
        by = mine[picked_by[rows]]
        if (by < 0).any() or (choice[by] != rows).any() or (value[by] != similarity[rows]).any():
            return None
        if whole and not np.array_equal(np.unique(choice), rows):
            return None
        if whole or by_similarity:
            final = rows[np.lexsort((rows, -similarity[rows]))[-1]]
            _tighten(found, who, choice, value, None if whole else (int(final), similarity[final], by))
        lists.take(rows)
    return found


def _tighten(
    bounds: Bounds,
    who: NDArray[np.intp],
    choice: NDArray[np.int64],
    value: NDArray[np.float32],
    last: tuple[int, np.float32, NDArray[np.int64]] | None,
) -> None:
    """What these target rows picked is their bound now.

    What a budget cut off comes after the last row it left, by similarity to whoever picked it and then by number. So
    the pick is known of those who picked a row that is left, and of those whose choice among them comes before that
    last row. What the others picked, and all that comes after it, comes after that row too.

    Args:
        bounds: Are changed.
        who: The target rows whose turn it was.
        choice: What each chose among the rows that are left.
        value: How similar that is.
        last: Of a round that was cut its last row, how similar that is to who picked it, and whose picks are known, as
            places in `who`; None of a whole round.
    """
    sure = np.ones(len(who), dtype=np.bool_)
    if last is not None:
        row, least, by = last
        sure = (value > least) | ((value == least) & (choice <= row))
        sure[by] = True
        others = who[~sure]
        nearer, as_near = bounds.similarity[others] > least, bounds.similarity[others] == least
        others = others[nearer | (as_near & (bounds.row[others] < row))]
        bounds.similarity[others], bounds.row[others] = least, row
    bounds.similarity[who[sure]], bounds.row[who[sure]] = value[sure], choice[sure]


@dataclass
class GrownSearch:
    """A search of a pool that has grown: first among the rows that were arranged and those that are new.

    Attributes:
        search: Looks at the whole pool where that does not settle a choice.
        some: int64, ascending: those rows.
        vectors: float32 unit vectors, shape (len(some), d): of those rows.
        target: float32 unit vectors, shape (m, d): the target that the bounds are for.
        bounds: How near the other rows can be; their `row` is a row of the pool.
        looked: Counts what is looked at.
    """

    search: Search
    some: NDArray[np.int64]
    vectors: Vectors
    target: Vectors
    bounds: Bounds
    looked: Looked
    _first: bool = field(default=True, repr=False)

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        if self._first and taken is None and np.array_equal(target, self.target):
            self._first = False
            self.looked.pairs += len(self.some) * len(target)
            return self._bounded(self.search.nominees(self.vectors, target, wanted, None), target)
        self._count(pool, target, taken)
        return self.search.nominees(pool, target, wanted, taken)

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        self._count(pool, target, taken)
        return self.search.best(pool, target, wanted, taken)

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Search`."""
        self._count(pool, target, None)
        return self.search.nearest(pool, target)

    def pairs(
        self, pool: Vectors, rows: NDArray[np.int64], target: Vectors, who: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """See `Search`."""
        return self.search.pairs(pool, rows, target, who)

    def _count(self, pool: Vectors, target: Vectors, taken: NDArray[np.bool_] | None) -> None:
        pairs = (len(pool) - (0 if taken is None else int(np.count_nonzero(taken)))) * len(target)
        self.looked.pairs += pairs
        self.looked.again += pairs

    def _bounded(self, found: Nominees, target: Vectors) -> Nominees:
        """Only those nominees that come before every row that was not looked at, as rows of the pool."""
        who = np.repeat(np.arange(len(target)), np.diff(found.start))
        rows, bound = self.some[found.rows], self.bounds.similarity[who].astype(np.float64)
        kept = found.value > bound + found.margin
        near = np.flatnonzero(~kept & (found.value >= bound - found.margin))
        exact = self.search.pairs(self.vectors, found.rows[near].astype(np.int64), target, who[near])
        kept[near] = (exact > bound[near]) | ((exact == bound[near]) & (rows[near] <= self.bounds.row[who[near]]))
        start = np.concatenate([[0], np.cumsum(np.bincount(who[kept], minlength=len(target)))])
        return Nominees(start, rows[kept], found.value[kept], found.cut, found.margin, self._limit(found))

    def _limit(self, found: Nominees) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """After what rows come that the search among some did not nominate, and all the others."""
        cut = np.nextafter((found.cut + np.float64(found.margin)).astype(np.float32), np.float32(np.inf))
        missed = cut >= self.bounds.similarity
        return np.where(missed, cut, self.bounds.similarity), np.where(missed, -1, self.bounds.row)
