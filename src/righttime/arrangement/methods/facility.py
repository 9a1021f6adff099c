"""Facility location: greedily the row that adds most to how well the chosen rows cover the pool.

Nemhauser, Wolsey and Fisher 1978 for the greedy, Minoux 1978 for going by bounds; as a way to choose training data,
Wei, Iyer and Bilmes, ICML 2015. Similarities between pool rows are those of `righttime.similarity.lattice`, rounded to
whole multiples of 1/`UNIT`, so that every sum is exact: gains can be brought up to date by what a chosen row changed,
in any order and in any blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.kcenter import described, tell
from righttime.arrangement.selection import Method, Selection, SelectionInput
from righttime.errors import SettingsError
from righttime.similarity.lattice import UNIT, on_lattice

__all__ = ["FACILITY_ROWS", "METHODS"]

FACILITY_ROWS = 50_000
"""The largest pool that facility location takes: it looks at every pair of pool rows five to seven times over.

Of 44,950 rows of 384 dimensions the first 1% take two and a half minutes on one thread, 20% five and a half.
"""

_ROWS, _COLUMNS = 256, 1024  # of one product: 2 MiB stay in the processor's cache
_UNSETTLED = 1024  # rows whose new coverage may stand out before all gains are brought up to date
_AT_ONCE = 256  # gains brought up to date together

Numbers = NDArray[np.float64]


class _Coverage:
    """How well each pool row is covered by the rows chosen so far, and what each other row would add to that.

    A gain only shrinks as rows are chosen (f is submodular), so an old gain bounds the new one. Gains are exact as of
    a *settled* coverage; few rows have a better one since, and for these the gains of candidates that may be the
    best are brought up to date one batch at a time.

    Attributes:
        rows: float64, shape (n, d): the pool on the lattice.
        settled: float64, shape (n,): the coverage that `gain` knows of.
        covered: float64, shape (n,): the coverage now.
        gain: float64, shape (n,): exact for `settled`.
        bound: float64, shape (n,): at least what each row adds now, negative for chosen ones.
        exact: bool, shape (n,): where `bound` is what the row adds now.
    """

    def __init__(self, inputs: SelectionInput, steps: int) -> None:
        self.rows = on_lattice(inputs.pool)
        n = len(self.rows)
        self.settled, self.covered = np.zeros(n), np.zeros(n)
        self.gain = np.zeros(n)
        for step, start in enumerate(range(0, n, _ROWS)):
            some = np.arange(start, min(start + _ROWS, n))
            self.gain += self._between(some, np.zeros(n), np.full(n, np.inf), self.rows)
            tell(inputs, step, steps)
        self.bound, self.exact = self.gain.copy(), np.ones(n, dtype=np.bool_)

    def best(self) -> tuple[int, float]:
        """The row that adds most, the lower one of equals, and how much it adds."""
        changed = np.flatnonzero(self.covered > self.settled)
        if len(changed) > _UNSETTLED:
            self._settle(changed)
        while True:
            best = int(self.bound.argmax())
            if self.exact[best]:
                return best, float(self.bound[best]) / UNIT
            stale = np.flatnonzero(~self.exact & (self.bound >= self.bound[self.exact].max(initial=0.0)))
            if len(stale) > _AT_ONCE:
                stale = stale[np.argpartition(-self.bound[stale], _AT_ONCE)[:_AT_ONCE]]
            lost = self._between(changed, self.settled, self.covered, self.rows[stale])
            self.bound[stale], self.exact[stale] = self.gain[stale] - lost, True

    def choose(self, row: int) -> None:
        """Let a row cover all rows that it is more similar to than the rows chosen so far."""
        np.maximum(self.covered, np.rint(self.rows @ self.rows[row] * UNIT), out=self.covered)
        self.exact &= self.bound < 0  # of chosen rows nothing changes any more
        self.bound[row], self.exact[row] = -1.0, True

    def _settle(self, changed: NDArray[np.intp]) -> None:
        self.gain -= self._between(changed, self.settled, self.covered, self.rows)
        self.settled = self.covered.copy()
        chosen = self.bound < 0
        self.bound = np.where(chosen, -1.0, self.gain)
        self.exact[:] = True

    def _between(self, some: NDArray[np.intp], low: Numbers, high: Numbers, others: Numbers) -> Numbers:
        """Σ_i clip(s_ij, low_i, high_i) − low_i over some pool rows i, for each row j of `others`.

        That is what covering rows i up to high_i, where they were covered up to low_i, takes from the gain of j.
        """
        out = np.zeros(len(others))
        for start in range(0, len(some), _ROWS):
            inside = some[start : start + _ROWS]
            block, least, most = self.rows[inside] * UNIT, low[inside, None], high[inside, None]
            for first in range(0, len(others), _COLUMNS):
                product = block @ others[first : first + _COLUMNS].T
                np.rint(product, out=product)
                np.minimum(product, most, out=product)
                np.maximum(product, least, out=product)
                out[first : first + _COLUMNS] += product.sum(axis=0)
            out -= least.sum()
        return out


def _facility(inputs: SelectionInput) -> Selection:
    """The greedy for f(S) = Σ_i max_{j∈S} max(0, cos(i, j)) over all pool rows i; equal gains by lower pool row."""
    blocks = -(-len(inputs.pool) // _ROWS)
    coverage = _Coverage(inputs, blocks + inputs.wanted)
    order, value = np.empty(inputs.wanted, dtype=np.int64), np.empty(inputs.wanted, dtype=np.float64)
    for place in range(inputs.wanted):
        order[place], gain = coverage.best()
        value[place] = 0.0 - gain
        coverage.choose(int(order[place]))
        tell(inputs, blocks + place, blocks + inputs.wanted)
    return described(inputs, order, value)


def _check(inputs: SelectionInput) -> None:
    n_pool = len(inputs.pool)
    if n_pool > FACILITY_ROWS:
        raise SettingsError(
            f"facility takes at most {FACILITY_ROWS:,} pool rows, got {n_pool:,}: it looks at every pair of them. "
            "Hint: kcenter has no such limit; or arrange a part of the pool, chosen by another method."
        )


METHODS = {
    "facility": Method(
        _facility,
        "adds most to how well the pool is covered",
        "Wei, Iyer and Bilmes 2015",
        frozenset({"vectors"}),
        "about 6·n²·d + n·d a row; at most 50,000 rows",
        check=_check,
        paper="Wei, Iyer and Bilmes, *Submodularity in Data Subset Selection and Active Learning*, ICML 2015; the "
        "greedy: Nemhauser, Wolsey and Fisher 1978",
        differs="Similarities are rounded to multiples of 2⁻²⁵, so that sums are exact. The target decides nothing.",
    ),
}
