"""Exact nearest neighbours by blocked float32 products and exact re-scoring of what may win.

A block's product nominates every pair that lies within the rounding margin of the places still to be had;
nominees are scored by `pair_similarity`, which alone decides. So the result is the same for every block
size, thread count and BLAS. Memory: one block of products, the lists, and a buffer as large as the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.similarity.pairs import pair_similarity, rounding_margin

__all__ = ["Candidates", "similarity_of", "top_k"]

_PRODUCT_ELEMENTS = 1 << 22  # 16 MiB of float32 products at a time
_TARGET_ROWS = 4096
_FEW = 256  # pairs whose vectors stay in the processor's cache
_PIECE = 1 << 13  # nominees whose vectors are gathered at a time

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Candidates:
    """For each target row its most similar pool rows, best first, equal ones by lower pool row.

    Attributes:
        rows: int64, shape (n_target, k).
        similarity: float32, shape (n_target, k).
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float32]


def top_k(
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    k: int,
    *,
    alive: NDArray[np.int64] | None = None,
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """The k most similar pool rows of every target row, exactly.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        k: How many; at most the number of living rows are returned.
        alive: int64, ascending: the pool rows that may be chosen; None means all.
        block_rows: Pool rows per product; None chooses. Does not change the result.
        progress: Called with the number of pool rows done since the last call.

    Returns:
        Pool rows and similarities, both of shape (n_target, min(k, living rows)).

    Example:
        >>> top_k(np.float32([[1, 0], [0, 1], [1, 0]]), np.float32([[1, 0]]), 2).rows.tolist()
        [[0, 2]]
    """
    living = np.arange(len(pool), dtype=np.int64) if alive is None else alive
    k = min(k, len(living))
    parts = [
        _top_k(pool, target[start : start + _TARGET_ROWS], k, living, block_rows, progress)
        for start in range(0, len(target), _TARGET_ROWS)
    ]
    return Candidates(np.concatenate([p.rows for p in parts]), np.concatenate([p.similarity for p in parts]))


def _top_k(
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    k: int,
    living: NDArray[np.int64],
    block_rows: int | None,
    progress: Progress | None,
) -> Candidates:
    margin = np.float32(rounding_margin(pool.shape[1]))
    lists = _Lists(len(target), k)
    for rows, block in _blocks(pool, living, block_rows or max(1, _PRODUCT_ELEMENTS // len(target))):
        product = target @ block.T
        threshold = lists.floor - margin
        if len(rows) > k and np.isinf(threshold).any():
            # Nothing is known yet: only what may be among this block's own k best can enter.
            within = np.partition(product, len(rows) - k, axis=1)[:, len(rows) - k]
            threshold = np.maximum(threshold, within - 2 * margin)
        for who, where in _pieces(product, threshold):
            exact = pair_similarity(block[where], target[who])
            enters = exact > lists.floor[who]  # later rows lose ties, so equal is not enough
            lists.offer(who[enters], rows[where[enters]], exact[enters])
        lists.settle()
        if progress is not None:
            progress(len(rows))
    return lists.finish()


def _blocks(
    pool: NDArray[np.float32], living: NDArray[np.int64], block_rows: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    everything = len(living) == len(pool)
    for start in range(0, len(living), block_rows):
        rows = living[start : start + block_rows]
        yield rows, pool[rows[0] : rows[0] + len(rows)] if everything else pool[rows]


def _pieces(
    product: NDArray[np.float32], threshold: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The (target row, place in block) of all nominees, a bounded number at a time."""
    who, where = np.nonzero(product >= threshold[:, None])
    for start in range(0, len(who), _PIECE):
        yield who[start : start + _PIECE], where[start : start + _PIECE]


class _Lists:
    """The best k of every target row so far, and what has been offered since they were last sorted."""

    def __init__(self, n_target: int, k: int) -> None:
        self.k = k
        self.who = np.empty(0, dtype=np.int64)
        self.rows = np.empty(0, dtype=np.int64)
        self.similarity = np.empty(0, dtype=np.float32)
        self.floor = np.full(n_target, -np.inf, dtype=np.float32)  # the k-th best so far
        self.waiting: list[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float32]]] = []
        self.count = 0

    def offer(self, who: NDArray[np.intp], rows: NDArray[np.int64], similarity: NDArray[np.float32]) -> None:
        if len(who):
            self.waiting.append((who, rows, similarity))
            self.count += len(who)
        if self.count > max(len(self.floor) * self.k, 1 << 16):
            self._sort()

    def settle(self) -> None:
        """At the end of a block: sort where floors are still unknown or much has been offered, so that they rise."""
        if self.count > max(len(self.floor) * self.k // 2, 4096) or np.isneginf(self.floor).any():
            self._sort()

    def _sort(self) -> None:
        if not self.waiting:
            return
        who = np.concatenate([self.who, *(part[0] for part in self.waiting)])
        rows = np.concatenate([self.rows, *(part[1] for part in self.waiting)])
        similarity = np.concatenate([self.similarity, *(part[2] for part in self.waiting)])
        order = np.lexsort((rows, -similarity, who))
        who = who[order]
        starts = np.searchsorted(who, np.arange(len(self.floor)))
        kept = (np.arange(len(who)) - starts[who]) < self.k
        self.who, self.rows, self.similarity = who[kept], rows[order][kept], similarity[order][kept]
        full = np.bincount(self.who, minlength=len(self.floor)) == self.k
        ends = np.searchsorted(self.who, np.arange(len(self.floor)), side="right") - 1
        self.floor[full] = self.similarity[ends[full]]
        self.waiting, self.count = [], 0

    def finish(self) -> Candidates:
        self._sort()
        shape = (len(self.floor), self.k)
        return Candidates(self.rows.reshape(shape), self.similarity.reshape(shape))


def similarity_of(
    pool: NDArray[np.float32], rows: NDArray[np.int64], target: NDArray[np.float32], who: NDArray[np.intp]
) -> NDArray[np.float32]:
    """`pair_similarity` of pool rows with target rows, vectors gathered a few at a time.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        rows: int64, shape (n,).
        target: float32 unit vectors, shape (n_target, d).
        who: int64, shape (n,).

    Returns:
        float32, shape (n,).

    Example:
        >>> similarity_of(np.float32([[1, 0], [0, 1]]), np.array([1]), np.float32([[0, 1]]), np.array([0])).tolist()
        [1.0]
    """
    out = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _FEW):
        some = slice(start, start + _FEW)
        out[some] = pair_similarity(pool[rows[some]], target[who[some]])
    return out
