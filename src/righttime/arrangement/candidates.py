"""Every target row's nearest living pool row, while rows are taken: the basis of TMA and all methods that take turns.

Each target row has a list of nominees from one pass over the pool (`righttime.neighbours`), sorted as the first look
saw them, and walks down it past rows that are taken. Only nominees within the first look's margin of the best
remaining one are scored exactly, each once. A pick is final where it is better than anything that was not nominated
can be; a list that leaves a choice uncertain is filled again from the living rows.

Where the living rows are so few that all their products with the target are small, these are kept, so that lists are
filled again without a pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours import BlockSearch, KeptProducts, Nominees, Search

__all__ = ["AHEAD", "CandidateLists", "list_length"]

AHEAD = 8
"""Nominees for each row that a target row is expected to take: others take them too."""
_SHORTEST = 64
_SHORTEST_KEPT = 16  # where filling a list again costs no product
_TOGETHER = 64  # target rows that a pass is worth: below that, reading the pool costs more than the products
_DEEPEST = 1 << 22  # entries of all lists together, above which none is made longer
_STRIDE = 8  # places of a list that are looked at together


def list_length(expected_rows: int, n_target: int, shortest: int = _SHORTEST) -> int:
    """How many nominees each of so many target rows wants where so many rows will be taken."""
    return max(shortest, AHEAD * -(-expected_rows // n_target))


class CandidateLists:
    """The nearest living pool row of each target row.

    Attributes:
        taken: bool, shape (n_pool,): the rows that are out of the pool.
        n_alive: How many are not.
    """

    def __init__(
        self, pool: NDArray[np.float32], target: NDArray[np.float32], expected_rows: int, search: Search | None = None
    ) -> None:
        """Start with nothing taken.

        Args:
            pool: float32 unit vectors, shape (n_pool, d).
            target: float32 unit vectors, shape (m, d).
            expected_rows: How many rows will be taken; only sizes the lists, never changes a choice.
            search: How to look; never changes a choice.
        """
        m = len(target)
        self.pool, self.target, self.search, self.expected = pool, target, search or BlockSearch(), expected_rows
        self._ahead = 1
        self._kept: KeptProducts | None = None
        self.taken, self.n_alive = np.zeros(len(pool), dtype=np.bool_), len(pool)
        # The choice of each target row; -1 where there is none yet.
        self._chosen, self._similarity = np.full(m, -1, dtype=np.int64), np.empty(m, dtype=np.float32)
        # All lists one after another: pool rows, first looks, exact similarities (NaN where not needed yet).
        self._rows, self._value = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        self._exact = np.empty(0, dtype=np.float32)
        # Of each target row: where it stands, up to where its list is in the order of the definition, where it ends,
        # how long it was, and what it may have missed.
        self._place, self._settled, self._end, self._length = (np.zeros(m, dtype=np.int64) for _ in range(4))
        self._cut, self._margin = np.zeros(m), np.zeros(m)
        # After what all rows come that are not in its list: a similarity, and of equal ones a row.
        self._limit, self._after = np.full(m, np.inf, dtype=np.float32), np.full(m, -1, dtype=np.int64)

    def choose(self, who: NDArray[np.intp] | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest living row of every target row in `who` (ascending), or of all; ties to the lower row.

        There must be a living row.

        Returns:
            Pool rows, int64, and similarities, float32, one of each for each target row.
        """
        everyone = np.arange(len(self.target)) if who is None else who
        chosen = self._chosen[everyone]
        open_ = everyone[(chosen < 0) | self.taken[chosen]]
        open_, again = self._decide(open_), 0
        while len(open_):
            self._fill(open_, again)
            open_, again = self._decide(open_), again + 1
        return self._chosen[everyone], self._similarity[everyone]

    def settled(self, who: NDArray[np.intp]) -> tuple[NDArray[np.intp], np.float32, int]:
        """Those of `who` (ascending) whose lists tell their nearest living row, and how near that of the others can be.

        Returns:
            The target rows that `choose` will answer without a search; a similarity and a row: the choices of all
            others are less similar than this, or as similar and later.
        """
        chosen = self._chosen[who]
        open_ = self._decide(who[(chosen < 0) | self.taken[chosen]])
        if not len(open_):
            return who, np.float32(-np.inf), -1
        self._chosen[open_] = -1  # where the list stands may not be the nearest
        limit = np.where(self._place[open_] < self._end[open_], np.float32(np.inf), self._limit[open_])
        most = limit.max()
        return np.setdiff1d(who, open_, assume_unique=True), most, int(self._after[open_][limit == most].min())

    def choose_one(self, who: int) -> tuple[int, np.float32]:
        """The nearest living row of one target row, and its similarity; there must be a living row."""
        rows, similarity = self.choose(np.array([who]))
        return int(rows[0]), similarity[0]

    def nearest_of(self, who: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """At least `count` of the nearest living rows of one target row, or all: nearest first, ties to the lower row.

        Returns:
            Pool rows, int64, and similarities, float32.
        """
        end, margin = self._end[who], self._margin[who]
        at = np.arange(self._place[who], min(end, self._place[who] + 2 * count))
        stop = self._place[who] + len(at)
        at = at[~self.taken[self._rows[at]]]
        new = at[np.isnan(self._exact[at])]
        one = self.target[who : who + 1]
        self._exact[new] = self.search.pairs(
            self.pool, self._rows[new].astype(np.int64), one, np.zeros(len(new), np.intp)
        )
        at = at[np.lexsort((self._rows[at], -self._exact[at]))]
        # What is behind in the list lies within a margin of its order, by values within a margin of the similarity.
        behind = self._value[stop] + 4 * margin if stop < end else -np.inf
        at = at[self._exact[at] > max(behind, self._cut[who] + margin)]
        if len(at) >= min(count, self.n_alive):
            return self._rows[at].astype(np.int64), self._exact[at]
        return self._deeper(who, min(2 * count, self.n_alive))

    def _deeper(self, who: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """So many of one target row's nearest living rows, searched for; its list from now on, where there is room."""
        taken = self.taken.copy()
        parts: list[Nominees] = []
        while (got := sum(len(part.rows) for part in parts)) < count:
            parts.append(self._best(np.array([who]), count - got, taken))
            taken[parts[-1].rows] = True
        rows, value = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "value"))
        if len(self._rows) + count <= _DEEPEST:
            found = Nominees(np.array([0, count]), rows, value, np.full(1, -np.inf, dtype=np.float32), 0.0)
            self._replace(np.array([who]), found)
        return rows.astype(np.int64), value

    def take(self, rows: NDArray[np.int64]) -> None:
        """Take rows, each of them living and named once, out of the pool."""
        self.taken[rows] = True
        self.n_alive -= len(rows)

    def _decide(self, who: NDArray[np.intp]) -> NDArray[np.intp]:
        """Choose for these target rows; returns those for which the lists do not settle it."""
        self._advance(who)
        inside = self._place[who] < self._end[who]
        standing = who[inside]
        self._settle(standing[self._place[standing] >= self._settled[standing]])
        place = self._place[standing]
        self._chosen[standing], self._similarity[standing] = self._rows[place], self._exact[place]
        sure = self._exact[place] > self._cut[standing] + self._margin[standing]
        return np.sort(np.concatenate([who[~inside], standing[~sure]]))

    def _settle(self, who: NDArray[np.intp]) -> None:
        """Put the nominees where these target rows stand in the order of the definition, as far as it can be told.

        With v the first look where a target row stands and e the margin, nominees behind that looked less similar than
        v - 2e are less similar than v - e. So of those before, once sorted, all down to v - e are in their place.
        """
        sure = self._value[self._place[who]] - self._margin[who]
        by, at = self._rivals(who)
        unknown = np.isnan(self._exact[at])
        new = at[unknown]
        self._exact[new] = self.search.pairs(self.pool, self._rows[new].astype(np.int64), self.target, by[unknown])
        order = np.lexsort((self._rows[at], -self._exact[at], by))
        by, to, at = by[order], at[np.lexsort((at, by))], at[order]
        for column in (self._rows, self._exact):
            column[to] = column[at]
        self._value[to] = self._exact[to]
        settled = self._exact[to] >= sure[np.searchsorted(who, by)]
        np.maximum.at(self._settled, by[settled], to[settled] + 1)

    def _advance(self, who: NDArray[np.intp]) -> None:
        """Move past rows that are taken, to the first living one or the end."""
        stride = np.arange(_STRIDE)
        behind = who[self._place[who] < self._end[who]]
        while len(behind):
            at = self._place[behind, None] + stride
            living = ~self.taken[self._rows[np.minimum(at, len(self._rows) - 1)]]
            living |= at >= self._end[behind, None]
            found = living.any(axis=1)
            self._place[behind] += np.where(found, living.argmax(axis=1), _STRIDE)
            behind = behind[~found]

    def _rivals(self, who: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """The nominees where these target rows stand, and all living ones behind that may be better: who, and place."""
        by, at = [who], [self._place[who]]
        lowest = self._value[self._place[who]] - 2 * self._margin[who]
        reach = self._margin[who] > 0
        who, lowest = who[reach], lowest[reach]
        step = 1
        while len(who):
            near = self._place[who, None] + np.arange(step, 2 * step)
            inside = near < self._end[who, None]
            near = np.minimum(near, len(self._rows) - 1)
            inside &= self._value[near] >= lowest[:, None]
            place, column = np.nonzero(inside & ~self.taken[self._rows[near]])
            by.append(who[place])
            at.append(near[place, column])
            on = inside[:, -1]
            who, lowest, step = who[on], lowest[on], 2 * step
        return np.concatenate(by), np.concatenate(at)

    def _fill(self, needy: NDArray[np.intp], again: int) -> None:
        """New lists for these target rows, and for those that will need one soonest: a pass costs little more for them.

        Args:
            needy: Target rows, ascending.
            again: How often that was done before and left a choice open, since so many rows are nearly alike: then
                lists get longer, and if that is not enough, exact.
        """
        if again == 1 and self._ahead < self.n_alive:
            self._ahead *= 4
        expected = max(0, self.expected - (len(self.pool) - self.n_alive))
        self._keep(expected)
        shortest = _SHORTEST if self._kept is None else _SHORTEST_KEPT
        wanted = min(self.n_alive, list_length(expected, len(self.target), shortest) * self._ahead)
        if again > 1:
            self._replace(needy, self._best(needy, wanted, self.taken))
            return
        left = (self._end - self._place) / np.maximum(self._length, 1)
        soon = np.argsort(left, kind="stable")[: max(_TOGETHER, np.count_nonzero(left <= 0.25))]
        needy = np.union1d(needy, soon[left[soon] < 0.75])
        self._replace(needy, self._nominees(needy, wanted))

    def _keep(self, expected: int) -> None:
        """Keep the products of all living rows, where they are few and most of them are going to be taken.

        The first lists need all of these products anyway.
        """
        first = not len(self._rows)
        if self._kept is None and isinstance(self.search, BlockSearch) and (first or 2 * expected > self.n_alive):
            self._kept = self.search.kept(self.pool, self.target, self.taken)

    def _nominees(self, who: NDArray[np.intp], wanted: int) -> Nominees:
        """See `Search`."""
        if self._kept is not None:
            return self._kept.nominees(who, wanted, self.taken)
        taken = self.taken if self.n_alive < len(self.pool) else None
        return self.search.nominees(self.pool, self.target[who], wanted, taken)

    def _best(self, who: NDArray[np.intp], wanted: int, taken: NDArray[np.bool_]) -> Nominees:
        """See `Search`."""
        if self._kept is not None:
            return self._kept.best(who, wanted, taken)
        return self.search.best(self.pool, self.target[who], wanted, taken if taken.any() else None)

    def _replace(self, who: NDArray[np.intp], found: Nominees) -> None:
        """Put new lists in the place of old ones, and drop what is behind or taken from the others."""
        others = np.setdiff1d(np.arange(len(self.target)), who, assume_unique=True)
        length = self._end[others] - self._place[others]
        at = np.arange(length.sum()) + np.repeat(self._place[others] - (np.cumsum(length) - length), length)
        living = ~self.taken[self._rows[at]]
        at, owner = at[living], np.repeat(others, length)[living]
        settled = np.bincount(owner[at < self._settled[owner]], minlength=len(self.target))
        length = np.diff(found.start)
        settled[who] = length if found.margin == 0 else 0
        owner = np.concatenate([owner, np.repeat(who, length)])
        # The first lists, which are the longest, are in order as they come.
        order = np.argsort(owner, kind="stable") if len(at) else slice(None)
        unknown = found.value if found.margin == 0 else np.full(len(found.rows), np.nan, dtype=np.float32)
        self._rows = np.concatenate([self._rows[at], found.rows])[order]
        self._value = np.concatenate([self._value[at], found.value])[order]
        self._exact = np.concatenate([self._exact[at], unknown])[order]
        start = np.searchsorted(owner[order], np.arange(len(self.target) + 1))
        self._place, self._settled, self._end = start[:-1].copy(), start[:-1] + settled, start[1:].copy()
        self._length[who], self._cut[who], self._margin[who] = length, found.cut, found.margin
        self._limit[who], self._after[who] = found.limit or (np.inf, -1)
