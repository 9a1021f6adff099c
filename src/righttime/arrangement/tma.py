"""Test-centric Multi-turn Arrangement (TMA): rounds in which every target row picks its nearest pool row still there.

Algorithm 1 of He et al. (ACL Findings 2025). In a round all target rows choose from what stood at the round's
start, so several may choose the same row, which the round holds once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours import top_k
from righttime.neighbours.blocks import Progress

__all__ = ["CandidateLists", "Round", "tma_rounds"]

_LIST_ENTRIES = 1 << 22  # 48 MiB of candidate lists
_SHORTEST_LIST = 64
_STRETCH = 256  # entries of one list looked at together


@dataclass(frozen=True)
class Round:
    """What one round chose.

    Attributes:
        rows: int64, shape (n,): distinct pool rows, ascending.
        picked_by: int64, shape (n,): of the target rows that chose it, the most similar; ties to the lower row.
        similarity: float32, shape (n,): of that pair.
    """

    rows: NDArray[np.int64]
    picked_by: NDArray[np.int64]
    similarity: NDArray[np.float32]


def tma_rounds(
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    *,
    expected_rows: int | None = None,
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Round]:
    """Play the rounds of TMA, one after another, until the pool is empty.

    Each target row keeps a list of its nearest candidates and walks down it past rows that are taken; a list
    that runs out is filled again from the rows still there. Nothing of size pool × target is ever held.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        expected_rows: How many rows the caller means to take; only sizes the lists, never changes a round.
        block_rows: Pool rows per product; does not change a round.
        progress: Called with the number of pool rows searched since the last call.

    Yields:
        The rounds, from round 0.

    Example:
        >>> pool, target = np.float32([[1, 0], [0, 1], [0.6, 0.8]]), np.float32([[1, 0], [0, 1]])
        >>> [r.rows.tolist() for r in tma_rounds(pool, target)]
        [[0, 1], [2]]
    """
    lists = CandidateLists(pool, target, expected_rows or len(pool), block_rows, progress)
    while lists.n_alive:
        choice, similarity = lists.choose()
        played = _as_round(choice, similarity)
        lists.take(played.rows)
        yield played


def _as_round(choice: NDArray[np.int64], similarity: NDArray[np.float32]) -> Round:
    order = np.lexsort((np.arange(len(choice)), -similarity, choice))
    rows, first = np.unique(choice[order], return_index=True)
    picker = order[first]
    return Round(rows, picker.astype(np.int64), similarity[picker])


class CandidateLists:
    """Every target row's nearest pool rows, and how far down its list each has come; see `tma_rounds`."""

    def __init__(
        self,
        pool: NDArray[np.float32],
        target: NDArray[np.float32],
        expected_rows: int,
        block_rows: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.pool, self.target = pool, target
        self.block_rows, self.progress = block_rows, progress
        self.taken = np.zeros(len(pool), dtype=np.bool_)
        self.n_alive = len(pool)
        # Target rows compete for the same rows, so a list lasts for fewer rounds than it has entries.
        wanted = max(_SHORTEST_LIST, 4 * -(-expected_rows // len(target)))
        k = min(len(pool), wanted, max(_SHORTEST_LIST, _LIST_ENTRIES // len(target)))
        self.rows = np.empty((len(target), k), dtype=np.int64)
        self.similarity = np.empty((len(target), k), dtype=np.float32)
        self.length = np.zeros(len(target), dtype=np.int64)
        self.place = np.zeros(len(target), dtype=np.int64)
        self._fill(np.arange(len(target)))

    def _fill(self, who: NDArray[np.intp]) -> None:
        alive = None if self.n_alive == len(self.pool) else np.flatnonzero(~self.taken)
        found = top_k(
            self.pool,
            self.target[who],
            self.rows.shape[1],
            alive=alive,
            block_rows=self.block_rows,
            progress=self.progress,
        )
        k = found.rows.shape[1]
        self.rows[who, :k], self.similarity[who, :k] = found.rows, found.similarity
        self.length[who], self.place[who] = k, 0

    def choose(self, who: NDArray[np.intp] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest living row of every target row in `who`, or of all, and its similarity."""
        everyone = np.arange(len(self.target)) if who is None else who
        behind = everyone
        while len(behind):
            if (self.place[behind] >= self.length[behind]).any():
                # A pass over the living rows costs about the same for few target rows as for many.
                self._fill(np.flatnonzero(self.length - self.place <= self.length // 4))
            behind = behind[self.taken[self.rows[behind, self.place[behind]]]]
            self.place[behind] += 1
        place = self.place[everyone]
        return self.rows[everyone, place], self.similarity[everyone, place]

    def choose_one(self, who: int) -> tuple[int, np.float32]:
        """The nearest living row of one target row, and its similarity; there must be a living row."""
        while True:
            if self.place[who] >= self.length[who]:
                self._fill(np.flatnonzero(self.length - self.place <= self.length // 4))
            start = self.place[who]
            stretch = self.rows[who, start : min(start + _STRETCH, self.length[who])]
            living = np.flatnonzero(~self.taken[stretch])
            if len(living):
                self.place[who] = start + living[0]
                return int(stretch[living[0]]), self.similarity[who, start + living[0]]
            self.place[who] = start + len(stretch)

    def take(self, rows: NDArray[np.int64]) -> None:
        """Take rows, each of them living and named once, out of the pool."""
        self.taken[rows] = True
        self.n_alive -= len(rows)
