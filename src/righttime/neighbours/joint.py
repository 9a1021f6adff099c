"""One pass over a pool for several targets: each has its first nominees from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours.local import BlockSearch
from righttime.neighbours.nominate import Nominees
from righttime.neighbours.protocol import Search, Vectors

__all__ = ["FirstPass"]


@dataclass
class FirstPass:
    """The nominees of several targets' rows from one pass, made when the first of them is asked for.

    Attributes:
        pool: float32 unit vectors, shape (n_pool, d), that the targets share.
        targets: float32 unit vectors of each target, shape (m, d).
    """

    pool: Vectors
    targets: Sequence[Vectors]
    _found: dict[int, tuple[Nominees, NDArray[np.float32] | None]] | None = None

    def before(self, search: Search) -> Search:
        """A search that asks this pass first, and `search` for everything else."""
        return _After(self, search)

    def take(self, search: Search, pool: Vectors, target: Vectors, wanted: int) -> Nominees | None:
        """The nominees of a target, once, and what the pass has seen with it to whoever watches that search.

        Returns:
            None where they are not to be had from this pass.
        """
        place = next((n for n, one in enumerate(self.targets) if np.array_equal(one, target)), None)
        if pool is not self.pool or place is None:
            return None
        if self._found is None:
            self._found = self._looked(search, wanted)
        found, highest = self._found.pop(place, (None, None))
        watching = search.seen if isinstance(search, BlockSearch) else None
        if found is not None and highest is not None and watching is not None and watching.wants(pool, target):
            watching.tell(highest, found)
        return found

    def _looked(self, search: Search, wanted: int) -> dict[int, tuple[Nominees, NDArray[np.float32] | None]]:
        """For each target its nominees and the highest products with it, where there is memory for those of all."""
        ends, seen = list(accumulate(map(len, self.targets))), None
        if isinstance(search, BlockSearch) and 4 * len(self.pool) * len(ends) <= search.memory // 4:
            seen = _SeenTogether(ends)
            search = dataclasses.replace(search, seen=seen)
        found = search.nominees(self.pool, np.concatenate(self.targets), wanted, None)
        return {
            n: (
                _part(found, end - len(self.targets[n]), end),
                None if seen is None or seen.highest is None else seen.highest[n : n + 1].copy(),
            )
            for n, end in enumerate(ends)
        }


@dataclass
class _SeenTogether:
    """Keeps what one pass has seen with several targets; see `righttime.neighbours.seen.Watching`."""

    ends: Sequence[int]
    highest: NDArray[np.float32] | None = None

    def wants(self, pool: Vectors, target: Vectors) -> bool:
        """See `Seen`: any pass, since there is but one."""
        return True

    def tell(self, highest: NDArray[np.float32], found: Nominees) -> None:
        """See `Seen`."""
        self.highest = highest


@dataclass(frozen=True)
class _After:
    """See `FirstPass.before`."""

    first: FirstPass
    search: Search

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        found = self.first.take(self.search, pool, target, wanted) if taken is None else None
        return found or self.search.nominees(pool, target, wanted, taken)

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        return self.search.best(pool, target, wanted, taken)

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Search`."""
        return self.search.nearest(pool, target)

    def pairs(
        self, pool: Vectors, rows: NDArray[np.int64], target: Vectors, who: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """See `Search`."""
        return self.search.pairs(pool, rows, target, who)


def _part(found: Nominees, start: int, stop: int) -> Nominees:
    """The nominees of some target rows, copied so that the others can be let go."""
    some = slice(found.start[start], found.start[stop])
    begin = found.start[start : stop + 1] - found.start[start]
    return Nominees(begin, found.rows[some].copy(), found.value[some].copy(), found.cut[start:stop], found.margin)
