"""The first look: one pass of blocked products that nominates, for each target row, every pool row that may be chosen.

A product in low precision, or in another order of summation, errs by at most a known margin. So a pass only says: these
rows look more similar than the cut, and every other living row looks at most as similar. What counts is decided later,
by `righttime.similarity.pair_similarity` of the few pairs within the margin of each other.

The cut of each target row rises during the pass. Rows come in small stretches from all over the pool, in a
shuffled order, so what was seen so far tells how many rows will pass the cut in the end, even where a file goes task by
task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NOMINEE_BYTES",
    "Above",
    "Gathered",
    "Highest",
    "Nominees",
    "Pairs",
    "Progress",
    "affordable",
    "by_target",
    "kind_of_rows",
    "nominate",
    "side_by_side",
]

Progress = Callable[[int], object]

Pairs = tuple["NDArray[np.int32]", "NDArray[np.int64]", "NDArray[np.float32]"]
"""Target row (ascending), place in the block, and value of each pair."""


class Highest:
    """The highest product of each pool row with any row of each of some targets, which stand one below the other.

    Attributes:
        ends: The target row behind the last of each.
        value: float32, shape (targets, pool rows).
    """

    def __init__(self, ends: Sequence[int], n_rows: int) -> None:
        """None yet, of so many pool rows."""
        self.ends = tuple(ends)
        self.value = np.full((len(self.ends), n_rows), -np.inf, dtype=np.float32)

    def see(self, start: int, product: Any, best_of: Callable[[Any], NDArray[np.float32]]) -> None:
        """Take in the products of some target rows.

        Args:
            start: The first target row.
            product: An array or tensor, shape (target rows, pool rows).
            best_of: Gives the highest of each column of some of its rows.
        """
        for value, begin, end in zip(self.value, (0, *self.ends), self.ends, strict=False):
            some = product[max(begin - start, 0) : max(end - start, 0)]
            if len(some):
                np.maximum(value, best_of(some), out=value)


class Above(Protocol):
    """From a block of pool rows to the pairs that pass a cut."""

    def __call__(self, block: NDArray[np.float32], cut: NDArray[np.float32], highest: Highest | None = None) -> Pairs:
        """All pairs above their target row's cut.

        Args:
            block: Pool rows, float32 (b, d).
            cut: float32 (m,).
            highest: Is told the products of the block's rows, where it is given.
        """
        ...


_STRETCH = 128  # neighbouring rows that are read together
_TOGETHER = 1024  # stretches whose living rows are looked up together
_SAMPLE = 1024  # rows that set the first cuts
NOMINEE_BYTES = 128
"""Of host memory for each nominee, measured: at the peak of sorting, while the old lists still exist."""
_SURE = 3.0  # standard deviations that an estimated cut is lowered by


@dataclass(frozen=True)
class Nominees:
    """For each target row the living pool rows that looked more similar than its cut, best first.

    Attributes:
        start: int64, shape (m + 1,): where each target row's nominees begin in the other two.
        rows: int64 or int32, shape (e,): pool rows.
        value: float32, shape (e,): their similarity as the first look saw it.
        cut: float32, shape (m,): every living row that is not nominated looked at most as similar as this; minus
            infinity where all living rows are nominated, or where the others are known to come after these.
        margin: How far a first look may lie from the similarity; 0 where `value` is the similarity itself.
        limit: Of each target row a similarity (float32) and a pool row (int64), shape (m,) each: every living row that
            is not nominated is less similar than this, or as similar and later; None: not known.
    """

    start: NDArray[np.int64]
    rows: NDArray[np.integer]
    value: NDArray[np.float32]
    cut: NDArray[np.float32]
    margin: float
    limit: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None


def affordable(wanted: int, memory: int, n_target: int) -> int:
    """How many nominees of each target row are wanted at most, so that all of them fit in so many bytes."""
    return max(1, min(wanted, memory // (NOMINEE_BYTES * n_target)))


def nominate(
    pool: NDArray[np.float32],
    n_target: int,
    above: Above,
    *,
    margin: float,
    wanted: int,
    block_rows: int,
    taken: NDArray[np.bool_] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    highest: Highest | None = None,
) -> Nominees:
    """One pass over the living rows of a pool.

    Args:
        pool: float32 unit vectors, shape (n_pool, d); may be memory-mapped.
        n_target: How many target rows there are.
        above: The products of a block with the target, thresholded.
        margin: How far a product may lie from the similarity.
        wanted: About how many nominees each target row should have: seldom fewer than half of it, about twice at most.
        block_rows: Pool rows in one block.
        taken: bool, shape (n_pool,): rows that may not be nominated; None means that all live.
        threads: Blocks looked at side by side.
        progress: Called with the number of pool rows done since the last call.
        highest: Of all pool rows: is told the products of the living ones, where it is given.
    """
    n_alive = len(pool) if taken is None else len(pool) - int(np.count_nonzero(taken))
    gathered = Gathered(n_target, wanted, n_alive, len(pool), margin)
    blocks = _blocks(len(pool), taken, block_rows)
    if n_alive > 4 * max(_SAMPLE, wanted):
        gathered.first_cut(pool, above, taken)

    def work(stretches: list[_Rows]) -> tuple[int, _Part]:
        rows = np.concatenate(stretches)
        if taken is None:  # slices are copied faster than single rows
            block = np.concatenate([pool[some[0] : some[0] + len(some)] for some in stretches])
        else:
            block = pool[rows]
        most = None if highest is None else Highest(highest.ends, len(rows))
        who, where, value = above(block, gathered.cut, most)
        if highest is not None and most is not None:
            highest.value[:, rows] = most.value
        return len(rows), (who, rows[where], value)

    for done, part in side_by_side(work, blocks, threads):
        gathered.add(done, part)
        if progress is not None:
            progress(done)
    return gathered.finish()


_Rows = NDArray[np.integer]
_Part = tuple["NDArray[np.int32]", _Rows, "NDArray[np.float32]"]
Block = TypeVar("Block")
Done = TypeVar("Done")


def side_by_side(work: Callable[[Block], Done], blocks: Iterable[Block], threads: int) -> Iterator[Done]:
    """The blocks' results in order, some of them being worked on ahead."""
    if threads == 1:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(threads) as workers:
        ahead: deque[Future[Done]] = deque()
        for block in blocks:
            ahead.append(workers.submit(work, block))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _blocks(n_pool: int, taken: NDArray[np.bool_] | None, block_rows: int) -> Iterator[list[_Rows]]:
    """Living rows as stretches in a shuffled order, as many as make a block."""
    step = min(_STRETCH, block_rows)
    starts = np.random.default_rng(0).permutation(-(-n_pool // step)) * step
    if taken is None:
        each = max(1, block_rows // step)
        for first in range(0, len(starts), each):
            some = starts[first : first + each].tolist()
            yield [np.arange(start, min(start + step, n_pool), dtype=kind_of_rows(n_pool)) for start in some]
        return
    waiting = np.empty(0, dtype=kind_of_rows(n_pool))
    for first in range(0, len(starts), _TOGETHER):
        rows = (starts[first : first + _TOGETHER, None] + np.arange(step)).reshape(-1)
        rows = rows[rows < n_pool].astype(kind_of_rows(n_pool))
        waiting = np.concatenate([waiting, rows[~taken[rows]]])
        while len(waiting) >= block_rows:
            yield [waiting[:block_rows]]
            waiting = waiting[block_rows:]
    if len(waiting):
        yield [waiting]


def kind_of_rows(n_pool: int) -> type[np.integer]:
    """What the rows of a pool are numbered in."""
    return np.int32 if n_pool < 2**31 else np.int64


class Gathered:
    """The nominees so far, and the cuts that the next rows must pass."""

    def __init__(self, n_target: int, wanted: int, n_alive: int, n_pool: int, margin: float) -> None:
        self.wanted, self.n_alive, self.n_pool, self.margin = wanted, n_alive, n_pool, margin
        self.cut = np.full(n_target, -np.inf, dtype=np.float32)
        none = np.empty(0, dtype=np.float32)
        self.parts: list[_Part] = [(none.astype(np.int32), none.astype(kind_of_rows(n_pool)), none)]
        self.count, self.seen = 0, 0
        self.next_trim = max(n_alive // 16, 1)

    def first_cut(self, pool: NDArray[np.float32], above: Above, taken: NDArray[np.bool_] | None) -> None:
        """Set cuts from a sample, so low that they pass far more rows than are wanted rather than too few."""
        rows = np.arange(0, len(pool), max(1, len(pool) // _SAMPLE))
        rows = rows if taken is None else rows[~taken[rows]]
        rank = self._rank(len(rows))
        if rank >= len(rows):
            return
        seen = np.empty((len(self.cut), len(rows)), dtype=np.float32)
        for start in range(0, len(rows), _STRETCH):  # all pairs pass, so only a few at a time
            some = slice(start, start + _STRETCH)
            seen[:, some] = above(pool[rows[some]], self.cut)[2].reshape(len(self.cut), -1)
        seen.partition(len(rows) - 1 - rank, axis=1)
        self.cut = seen[:, len(rows) - 1 - rank].copy()

    def _rank(self, seen: int) -> int:
        """How many of `seen` rows to let pass so that in the end seldom fewer than `wanted` do."""
        expected = self.wanted * seen / self.n_alive
        return int(expected + _SURE * np.sqrt(expected) + 4)

    def add(self, seen: int, part: _Part) -> None:
        """Add what was nominated of so many rows more."""
        self.parts.append(part)
        self.count += len(part[0])
        self.seen += seen
        if self.seen >= self.next_trim or self.count > 2 * self.wanted * len(self.cut):
            self._trim(min(max(self._rank(self.seen), self.wanted // 2), 2 * self.wanted))
            self.next_trim = 4 * self.seen

    def _trim(self, most: int) -> Nominees:
        """Keep at most so many nominees of each target row, and raise the cuts to the last ones kept."""
        who, rows, value = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        self.parts = []  # let go at once, since this is where most memory is held
        who, rows, value = by_target(who, rows, value, len(self.cut), self.n_pool)
        start = np.searchsorted(who, np.arange(len(self.cut) + 1))
        long = np.diff(start) > most
        cut = self.cut.copy()  # workers may be reading the old one
        # Rows from before the last rise may look less similar than the cut: it must not fall back to them.
        cut[long] = np.maximum(cut[long], value[start[:-1][long] + most - 1])
        kept = (np.arange(len(who)) - start[who] < most) & (value >= cut[who])
        who, rows, value = who[kept], rows[kept], value[kept]
        start = np.searchsorted(who, np.arange(len(self.cut) + 1))
        self.cut, self.parts, self.count = cut, [(who, rows, value)], len(who)
        return Nominees(start, rows, value, cut, self.margin)

    def join(self, some: Nominees, rows: NDArray[np.integer]) -> None:
        """Add what another search nominated from rows of its own, numbered as pool rows."""
        who = np.repeat(np.arange(len(self.cut), dtype=np.int32), np.diff(some.start))
        self.cut = np.maximum(self.cut, some.cut)
        self.parts.append((who, rows.astype(self.parts[0][1].dtype), some.value))

    def finish(self) -> Nominees:
        """All nominees above the cuts, sorted."""
        return self._trim(2 * self.wanted)


def by_target(
    who: NDArray[np.int32], rows: NDArray[np.integer], value: NDArray[np.float32], n_target: int, n_rows: int
) -> _Part:
    """Pairs sorted by target row, then by falling value.

    Args:
        who: int32, shape (e,): target rows.
        rows: Integers, shape (e,): of the pool, or of a block.
        value: float32, shape (e,).
        n_target: All `who` are below that.
        n_rows: All `rows` are below that.
    """
    places = int(n_rows).bit_length()
    keys = _keys(who, value)
    if int(n_target).bit_length() + 32 + places > 64:
        order = np.argsort(keys)
        return who[order], rows[order], value[order]
    keys <<= np.uint64(places)
    keys |= rows.astype(np.uint64)
    keys.sort()  # three times as fast as sorting places, and nothing is left to gather
    rows = (keys & np.uint64((1 << places) - 1)).astype(rows.dtype)
    keys >>= np.uint64(places)
    return (keys >> np.uint64(32)).astype(np.int32), rows, _values(keys)


def _keys(who: NDArray[np.int32], value: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Numbers that sort by target row, then by falling value."""
    bits = (0.0 - value).view(np.uint32)
    keys = who.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return keys


def _values(keys: NDArray[np.uint64]) -> NDArray[np.float32]:
    """The values that `_keys` were made of."""
    bits = keys.astype(np.uint32)
    bits = np.where(bits >> 31, bits ^ np.uint32(1 << 31), ~bits)
    return np.asarray(np.float32(0.0) - bits.view(np.float32))
