"""Eight measures between prefixes of an order and the target, every row looked at once, in blocks.

Averages over pairs of cosines and both centroids need only running sums of vectors. Extremes are nominated by a
float32 product and taken from a float64 one. Only the mean Euclidean distance needs every pair:
‖x - t‖ = √(2 - 2·cos), in float32 where that is accurate, in float64 for rows that come near a target row, by
differences for near-identical pairs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from righttime.errors import NonFiniteError
from righttime.similarity.pairs import rounding_margin

__all__ = ["VECTOR_MEASURES", "vector_curves"]

VECTOR_MEASURES = tuple(
    f"{kind}-{name}" for kind in ("cosine", "euclidean") for name in ("avg", "min", "max", "centroid")
)
"""The names of the eight, as the paper's figures order them."""

_BLOCK_ROWS = 2048
_TARGET_ROWS = 512  # of one product: 4 MiB with _BLOCK_ROWS
_SUM_ROWS = 64  # of one float32 sum, so that its rounding stays below 64·2⁻²⁴
_EXACT_ELEMENTS = 1 << 19  # of one float64 product: 4 MiB
_NEAR = 0.95  # above this similarity 2 - 2·cos loses too many digits in float32
_TINY = 1e-6  # below this squared distance it does in float64

Vectors = NDArray[np.float32]
Numbers = NDArray[np.float64]


def vector_curves(
    pool: Vectors,
    groups: Sequence[Vectors],
    ends: Sequence[int],
    *,
    block_rows: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Numbers]:
    """The eight vector measures of every prefix towards every group of target rows.

    Args:
        pool: float32 unit vectors in order, shape (n, d).
        groups: float32 unit vectors, each of shape (m, d), m ≥ 1; one curve for each.
        ends: Prefix sizes, ascending, from 1, the last at most n.
        block_rows: Pool rows at a time; None chooses. Changes nothing but the last digits of ``euclidean-avg``.
        progress: Called with the number of rows done since the last call.

    Returns:
        For each of `VECTOR_MEASURES` float64, shape (len(groups), len(ends)).

    Raises:
        NonFiniteError: If a vector is not of length 1.

    Example:
        >>> curves = vector_curves(np.float32([[0, 1], [1, 0]]), [np.float32([[1, 0]])], [1, 2])
        >>> curves["cosine-min"].tolist(), curves["euclidean-avg"].round(3).tolist()
        ([[0.0, -1.0]], [[1.414, 0.707]])
    """
    for group in groups:
        _must_be_unit(group, 0, "target")
    run = _PrefixRun(groups, len(ends))
    step = block_rows or _BLOCK_ROWS
    limit = ends[-1] if len(ends) else 0
    for start in range(0, limit, step):
        stop = min(start + step, limit)
        run.add(pool[start:stop], start, ends[bisect_right(ends, start) : bisect_right(ends, stop)])
        if progress is not None:
            progress(stop - start)
    return dict(zip(VECTOR_MEASURES, run.curves, strict=True))


def _must_be_unit(rows: Vectors, start: int, name: str) -> None:
    length = np.einsum("ij,ij->i", rows, rows)
    bad = np.flatnonzero(~(np.abs(length - 1) < 1e-4))
    if len(bad):
        raise NonFiniteError(
            f"{name} vectors must be of length 1, got {np.sqrt(length[bad[0]]):.4g} in row {start + bad[0]}. "
            "Hint: righttime.similarity.unit_rows."
        )


class _PrefixRun:
    """Running sums and extremes of the prefix so far, for every group of target rows."""

    def __init__(self, groups: Sequence[Vectors], n_ends: int) -> None:
        self.target = np.concatenate(groups)
        self.exact = [group.astype(np.float64) for group in groups]
        self.sizes = np.array([len(group) for group in groups])
        self.centres = np.array([group.mean(axis=0) for group in self.exact])
        self.tiles = list(_tiles(self.sizes.tolist()))
        self.margin = rounding_margin(self.target.shape[1])
        n = len(groups)
        self.sum = np.zeros(self.target.shape[1])
        self.lengths = np.zeros(n)
        self.high, self.low = np.full(n, -np.inf), np.full(n, np.inf)  # similarity
        self.short, self.long = np.full(n, np.inf), np.full(n, -np.inf)  # distance
        self.curves = np.empty((len(VECTOR_MEASURES), n, n_ends))
        self.place = 0

    def add(self, block: Vectors, start: int, ends: Sequence[int]) -> None:
        """Take in the next rows; `ends` are the prefix sizes that end among them."""
        _must_be_unit(block, start, "pool")
        high, low, lengths = self._rows(block)
        firsts = [0, *(end - start for end in ends if end - start < len(block))]
        sums = self.sum + np.cumsum(_sums(block, firsts), axis=0)
        totals = self.lengths[:, None] + np.cumsum(np.add.reduceat(lengths, firsts, axis=1), axis=1)
        highest, lowest = np.maximum.reduceat(high, firsts, axis=1), np.minimum.reduceat(low, firsts, axis=1)
        for piece, first in enumerate(firsts):
            stop = firsts[piece + 1] if piece + 1 < len(firsts) else len(block)
            for group in np.flatnonzero(highest[:, piece] >= self.high - self.margin).tolist():
                floor = max(self.high[group] - self.margin, highest[group, piece] - 2 * self.margin)
                self._nearest(group, block[first:stop][high[group, first:stop] >= floor])
            for group in np.flatnonzero(lowest[:, piece] <= self.low + self.margin).tolist():
                ceiling = min(self.low[group] + self.margin, lowest[group, piece] + 2 * self.margin)
                self._farthest(group, block[first:stop][low[group, first:stop] <= ceiling])
            if piece < len(ends):
                self._record(ends[piece], sums[piece], totals[:, piece])
        self.sum, self.lengths = sums[-1], totals[:, -1]

    def _rows(self, block: Vectors) -> tuple[Vectors, Vectors, Numbers]:
        """Of each row and group: highest and lowest similarity (float32) and the sum of distances."""
        shape = (len(self.sizes), len(block))
        high, low = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, np.inf, dtype=np.float32)
        lengths = np.zeros(shape)
        for begin in range(0, len(self.target), _TARGET_ROWS):
            product = self.target[begin : begin + _TARGET_ROWS] @ block.T
            for group, first, stop in self.tiles:
                if begin <= first < begin + _TARGET_ROWS:
                    tile = product[first - begin : stop - begin]
                    np.maximum(high[group], tile.max(axis=0), out=high[group])
                    np.minimum(low[group], tile.min(axis=0), out=low[group])
                    np.subtract(1, tile, out=tile)
                    with np.errstate(invalid="ignore"):  # rounding beyond 1: such rows are near, done again below
                        lengths[group] += np.sqrt(tile, out=tile).sum(axis=0)
        lengths *= np.sqrt(2.0)
        for group in range(len(self.sizes)):
            near = np.flatnonzero(high[group] > _NEAR)
            if len(near):
                t = self.exact[group]
                lengths[group, near] = np.concatenate([_near_lengths(x, t) for x in _widened(block[near], t)])
        return high, low, lengths

    def _nearest(self, group: int, rows: Vectors) -> None:
        """Of rows that may hold the highest similarity: that, and the shortest distance."""
        t = self.exact[group]
        for x in _widened(rows, t):
            similarity = x @ t.T
            self.high[group] = max(self.high[group], similarity.max())
            if self.short[group] > 0:
                squared = _squared(x, t, similarity)
                least = _least(x, t, *np.nonzero(squared <= squared.min() + 1e-14))
                self.short[group] = min(self.short[group], least)

    def _farthest(self, group: int, rows: Vectors) -> None:
        """Of rows that may hold the lowest similarity: that, and the longest distance."""
        t = self.exact[group]
        for x in _widened(rows, t):
            similarity = x @ t.T
            self.low[group] = min(self.low[group], similarity.min())
            who, which = np.unravel_index(np.argmax(_squared(x, t, similarity)), similarity.shape)
            self.long[group] = max(self.long[group], np.linalg.norm(x[who] - t[which]))

    def _record(self, n: int, total: Numbers, lengths: Numbers) -> None:
        mean = total / n
        norms = np.linalg.norm(self.centres, axis=1) * np.linalg.norm(mean)
        products = self.centres @ mean
        cosine = np.divide(products, norms, out=np.full(len(norms), np.nan), where=norms > 1e-12)
        self.curves[:, :, self.place] = (
            0.0 - products,
            0.0 - self.high,
            0.0 - self.low,
            0.0 - cosine,
            lengths / (n * self.sizes),
            self.short,
            self.long,
            np.linalg.norm(self.centres - mean, axis=1),
        )
        self.place += 1


def _tiles(sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """(group, first, stop) of runs of target rows that cross no group, no product and no sum."""
    tiles, start = [], 0
    for group, size in enumerate(sizes):
        end = start + size
        while start < end:
            stop = min(end, start + _SUM_ROWS, (start // _TARGET_ROWS + 1) * _TARGET_ROWS)
            tiles.append((group, start, stop))
            start = stop
    return tiles


def _sums(block: Vectors, firsts: Sequence[int]) -> Numbers:
    """The float64 sum of the rows from each of `firsts` to the next."""
    if len(firsts) > 100:
        return np.asarray(np.add.reduceat(block, firsts, axis=0, dtype=np.float64))
    # Four times as fast where the pieces are long.
    pieces = zip(firsts, [*firsts[1:], len(block)], strict=True)
    return np.array([block[first:stop].sum(axis=0, dtype=np.float64) for first, stop in pieces])


def _widened(rows: Vectors, t: Numbers) -> Iterator[Numbers]:
    """The rows in float64, so many at a time that their products with `t` stay small."""
    step = max(1, _EXACT_ELEMENTS // len(t))
    for start in range(0, len(rows), step):
        yield rows[start : start + step].astype(np.float64)


def _squared(x: Numbers, t: Numbers, product: Numbers) -> Numbers:
    """Squared distances of all pairs, from their float64 products."""
    return np.asarray(np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", t, t) - 2 * product)


def _near_lengths(x: Numbers, t: Numbers) -> Numbers:
    """The sum of each row's distances to all target rows, in float64, by differences where products cancel."""
    squared = _squared(x, t, x @ t.T)
    who, which = np.nonzero(squared < _TINY)
    for start in range(0, len(who), 1024):
        some = slice(start, start + 1024)
        squared[who[some], which[some]] = np.square(x[who[some]] - t[which[some]]).sum(axis=1)
    return np.asarray(np.sqrt(squared).sum(axis=1))


def _least(x: Numbers, t: Numbers, who: NDArray[np.intp], which: NDArray[np.intp]) -> float:
    """The shortest distance among these pairs, by their differences."""
    least = np.inf
    for start in range(0, len(who), 1024):
        some = slice(start, start + 1024)
        least = min(least, float(np.linalg.norm(x[who[some]] - t[which[some]], axis=1).min()))
        if least == 0:
            break
    return least
