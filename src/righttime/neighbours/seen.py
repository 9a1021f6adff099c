"""What a pass over a whole pool tells besides its nominees: how near each row is to the target, and the reverse.

A product lies within a known margin of the similarity, so it only tells which rows need a closer look. That look is by
`righttime.similarity.pair_similarity`, whatever the pass was cut into, and on whatever it ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours.blocks import similarity_of
from righttime.neighbours.nominate import Nominees

__all__ = ["Seen", "Watching"]

Vectors = NDArray[np.float32]


class Watching(Protocol):
    """What a search tells of a pass over a whole pool."""

    @property
    def ends(self) -> Sequence[int]:
        """Which target rows belong together; see `righttime.neighbours.nominate.Highest`."""

    def wants(self, pool: Vectors, target: Vectors) -> bool:
        """Whether a pass over this pool with this target is the one."""
        ...

    def tell(self, highest: NDArray[np.float32], found: Nominees) -> None:
        """Say what the pass has seen."""


class Seen:
    """What the first pass over a whole pool with a whole target has seen, if one was made.

    Attributes:
        ends: One number, that of the target rows; see `righttime.neighbours.nominate.Highest`.
        of_pool: float32, shape (n,): the highest product of each pool row with any target row; None before that pass.
        margin: How far these may lie from the similarity.
        of_target: float32, shape (m,): each target row's similarity to its most similar pool row; NaN where its
            nominees do not tell it.
    """

    def __init__(self, pool: Vectors, target: Vectors) -> None:
        """Nothing yet.

        Args:
            pool: float32 unit vectors, shape (n, d).
            target: float32 unit vectors, shape (m, d).
        """
        self._pool, self._target, self.ends = pool, target, (len(target),)
        self.of_pool: NDArray[np.float32] | None = None
        self.margin = 0.0
        self.of_target = np.full(len(target), np.nan, dtype=np.float32)

    def wants(self, pool: Vectors, target: Vectors) -> bool:
        """Whether a pass over this pool with this target is the one."""
        return self.of_pool is None and pool is self._pool and np.array_equal(target, self._target)

    def tell(self, highest: NDArray[np.float32], found: Nominees) -> None:
        """Say what the pass has seen.

        Args:
            highest: float32, shape (1, n); see `righttime.neighbours.nominate.Highest`.
            found: What it nominated.
        """
        self.of_pool, self.margin = highest[0], found.margin
        some = np.flatnonzero(np.diff(found.start))
        top = np.full(len(self._target), -np.inf)
        top[some] = found.value[found.start[some]]
        lowest = top - 3 * found.margin  # two, and room for the rounding of this line
        told = found.cut < lowest  # else a row that is not nominated may be as similar
        who = np.repeat(np.arange(len(top)), np.diff(found.start))
        near = np.flatnonzero((found.value >= lowest[who]) & told[who])
        exact = similarity_of(self._pool, found.rows[near].astype(np.int64), self._target, who[near])
        best = np.full(len(top), -np.inf, dtype=np.float32)
        np.maximum.at(best, who[near], exact)
        self.of_target[told] = best[told]
