"""A small pool's products with the target, made once and kept: lists that run out are filled again without a product.

They nominate like those of a pass over blocks, within the same margin; `righttime.similarity.pair_similarity` decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours.blocks import similarity_of
from righttime.neighbours.nominate import Nominees, Progress, affordable, by_target, kind_of_rows
from righttime.neighbours.products import found_pairs
from righttime.neighbours.protocol import MEMORY
from righttime.neighbours.seen import Seen

__all__ = ["KeptProducts", "may_keep"]

_MOST = 1 << 25  # products that are kept at most, 128 MiB: with more, a pass over blocks is as fast (docs/log.md)
_BLOCK_ROWS = 1 << 12
_LOOKED_AT = 1 << 20  # products looked at together: they stay in the processor's cache
_FOLDED = 16  # products of a target row that are compared as one, at most

Vectors = NDArray[np.float32]
_Part = tuple["NDArray[np.int64]", "NDArray[np.integer]", "NDArray[np.float32]", "NDArray[np.float32]"]


def may_keep(n_pool: int, n_target: int, memory: int) -> bool:
    """Whether so many products are few enough to be kept: at most a quarter of the memory."""
    return n_pool * n_target <= min(_MOST, memory // 16)


class KeptProducts:
    """The products of some pool rows with every target row.

    Attributes:
        product: float32, shape (m, number of rows kept).
        margin: How far a product may lie from the similarity.
    """

    def __init__(
        self,
        pool: Vectors,
        target: Vectors,
        rows: NDArray[np.int64] | None,
        margin: float,
        memory: int = MEMORY,
        progress: Progress | None = None,
        seen: Seen | None = None,
    ) -> None:
        """Make them.

        Args:
            pool: float32 unit vectors, shape (n_pool, d).
            target: float32 unit vectors, shape (m, d).
            rows: int64, ascending: the pool rows to keep products of; None: all.
            margin: See `KeptProducts`.
            memory: Bytes that products and lists may take.
            progress: Called with the number of pool rows done since the last call.
            seen: Is told what the products of all rows have seen, when all target rows have nominees.
        """
        self.pool, self.target, self.margin = pool, target, margin
        self._seen = seen
        self._rows = (np.arange(len(pool)) if rows is None else rows).astype(kind_of_rows(len(pool)))
        self.product = np.empty((len(target), len(self._rows)), dtype=np.float32)
        self._memory = memory - self.product.nbytes
        for start in range(0, len(self._rows), _BLOCK_ROWS):
            some = slice(start, start + _BLOCK_ROWS)
            block = pool[some] if rows is None else pool[rows[some]]
            np.matmul(target, block.T, out=self.product[:, some])
            if progress is not None:
                progress(len(block))

    def nominees(self, who: NDArray[np.intp], wanted: int, taken: NDArray[np.bool_]) -> Nominees:
        """See `Search`; from `wanted` to twice as many of each target row, or all.

        Args:
            who: Target rows.
            wanted: How many.
            taken: bool, shape (n_pool,): rows that may not be nominated.
        """
        wanted = affordable(wanted, self._memory, len(who))
        at = np.flatnonzero(~taken[self._rows])
        living, places = self._rows[at], None if len(at) == len(self._rows) else at
        step = max(1, _LOOKED_AT // len(at))
        some = [who[start : start + step] for start in range(0, len(who), step)]
        found = [_best_looking(self._of(few, places), wanted) for few in some]
        length, where, value, cut = (np.concatenate(column) for column in zip(*found, strict=True))
        start = np.concatenate([[0], np.cumsum(length)])
        nominees = Nominees(start, living[where], value, cut, self.margin)
        if self._seen is not None and len(who) == len(self.target):
            self._seen.tell(self.product.max(axis=0)[None], nominees)
            self._seen = None
        return nominees

    def best(self, who: NDArray[np.intp], wanted: int, taken: NDArray[np.bool_]) -> Nominees:
        """See `Search`; arguments as for `nominees`, of which `wanted` are living."""
        wanted, parts = affordable(wanted, self._memory, len(who)), []
        at = np.flatnonzero(~taken[self._rows])
        living, last = self._rows[at], len(at) - wanted
        for row in who.tolist():
            values = self.product[row, at]
            # Two margins, and room for the rounding of this line.
            near = np.flatnonzero(values >= np.partition(values, last)[last] - 3 * self.margin)
            exact = similarity_of(self.pool, living[near].astype(np.int64), self.target, np.full(len(near), row))
            order = np.lexsort((near, -exact))[:wanted]
            parts.append((living[near[order]], exact[order]))
        rows, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        cut = np.full(len(who), -np.inf, dtype=np.float32)
        return Nominees(np.arange(len(who) + 1) * wanted, rows, value, cut, 0.0)

    def _of(self, who: NDArray[np.intp], at: NDArray[np.intp] | None) -> NDArray[np.float32]:
        """The products of some target rows, all or those at some places; not to be written to."""
        if at is None:
            neighbours = who[-1] - who[0] == len(who) - 1
            return self.product[who[0] : who[-1] + 1] if neighbours else self.product[who]
        out = np.empty((len(who), len(at)), dtype=np.float32)
        for row, line in zip(who.tolist(), out, strict=True):
            np.take(self.product[row], at, out=line, mode="clip")  # `raise` would copy
        return out


def _best_looking(product: NDArray[np.float32], wanted: int) -> _Part:
    """Of each target row how many places are nominated; these places, best first; their products; and the cuts."""
    most, cut = 2 * wanted, _least_of(product, wanted)
    who, where, value = by_target(*found_pairs(product, product >= cut[:, None], 0), *product.shape)
    start = np.searchsorted(who, np.arange(len(product) + 1))
    long = np.diff(start) > most
    cut[long] = value[start[:-1][long] + most - 1]
    kept = np.arange(len(who)) - start[who] < most
    return np.minimum(np.diff(start), most), where[kept], value[kept], cut


def _least_of(product: NDArray[np.float32], wanted: int) -> NDArray[np.float32]:
    """For each target row a value that at least `wanted` of its products reach, and seldom far more.

    The highest products of groups stand for all: those of so many groups are so many products.
    """
    m, n = product.shape
    if wanted >= n:
        return np.full(m, -np.inf, dtype=np.float32)
    folded = max(1, min(_FOLDED, n // (4 * wanted)))
    width = n // folded
    highest = product[:, : folded * width].reshape(m, folded, width).max(axis=1)
    highest.partition(width - wanted, axis=1)
    least: NDArray[np.float32] = highest[:, width - wanted].copy()
    return least
