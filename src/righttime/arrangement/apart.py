"""Rows of one round that stay apart: no two of them are more similar than a bound."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.floor import reaches
from righttime.errors import SettingsError
from righttime.similarity import pair_similarity, rounding_margin

__all__ = ["Apart", "apart_bytes", "check_apart", "next_free", "too_near"]

_FIRST = 16  # rows of a target row that are looked at first
_ROWS = 4096  # rows that are compared with a round at a time


def check_apart(given: Any, method: str, nested_rounds: bool) -> float | None:
    """The least distance of two rows of a round as a number.

    Raises:
        SettingsError: If it is not a cosine distance, or the method has no rounds of its own.
    """
    if given is None:
        return None
    try:
        value = 0.0 if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        value = 0.0
    if not 0 < value <= 2:
        raise SettingsError(
            f"`apart` must be a cosine distance above 0 and up to 2, such as 0.1, got {given!r}.", setting="apart"
        )
    if not nested_rounds:
        raise SettingsError(
            f"`apart` is for methods of one sequence of rounds, such as the default, got it with {method!r}.",
            setting="apart",
        )
    return value


class Apart:
    """The rows of the round that is being played, and which rows are too near to one of them."""

    def __init__(self, pool: NDArray[np.float32], distance: float) -> None:
        """Start the first round.

        Args:
            pool: float32 unit vectors, shape (n_pool, d).
            distance: Two rows of a round have a similarity of at most 1 - distance, rounded to float32.
        """
        self._pool, self._most = pool, np.float32(1 - distance)
        self._rows: list[int] = []
        self._seen = np.empty((0, pool.shape[1]), dtype=np.float32)
        self._near = np.zeros(len(pool), dtype=np.bool_)  # known to be too near
        self._marked: list[NDArray[np.int64]] = []

    def start(self) -> None:
        """Start another round."""
        for rows in self._marked:
            self._near[rows] = False
        self._rows, self._marked = [], []

    def add(self, row: int) -> None:
        """Take a row into the round."""
        if len(self._rows) == len(self._seen):
            grown = np.empty((max(64, 2 * len(self._seen)), self._seen.shape[1]), dtype=np.float32)
            grown[: len(self._seen)] = self._seen
            self._seen = grown
        self._seen[len(self._rows)] = self._pool[row]
        self._rows.append(row)

    def free(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows are too near to none of the round.

        Args:
            rows: int64, shape (k,): rows of the pool that are not of the round.
        """
        open_ = rows[~self._near[rows]]
        for start in range(0, len(open_), _ROWS):
            some = open_[start : start + _ROWS]
            near = some[too_near(self._pool[some], self._seen[: len(self._rows)], self._most).any(axis=1)]
            self._near[near] = True
            self._marked.append(near)
        return ~self._near[rows]


def apart_bytes(n_pool: int, n_target: int, dimension: int) -> int:
    """Bytes that keeping a round apart takes: marks and numbers of rows, its vectors while they grow, products."""
    in_round = min(n_pool, n_target)
    return 17 * n_pool + 3 * 4 * in_round * dimension + 14 * min(n_pool, _ROWS) * in_round


def too_near(x: NDArray[np.float32], y: NDArray[np.float32], most: np.float32) -> NDArray[np.bool_]:
    """Which pairs are more similar than a bound, by the definition of similarity.

    Args:
        x: float32 unit vectors, shape (n, d).
        y: float32 unit vectors, shape (m, d).
        most: The bound.

    Returns:
        bool, shape (n, m).
    """
    product = x @ y.T
    margin = rounding_margin(x.shape[1])
    found: NDArray[np.bool_] = product > most
    row, column = np.nonzero(np.abs(product - most) <= margin)  # rounding may decide: these are scored exactly
    found[row, column] = pair_similarity(x[row], y[column]) > most
    return found


def next_free(
    lists: CandidateLists, who: int, standing: Collection[int], apart: Apart, floor: float | None
) -> tuple[int, np.float32] | None:
    """A target row's nearest living row that is of the round already or too near to none of it; None: there is none.

    Args:
        lists: The candidates.
        who: The target row.
        standing: The rows of the round.
        apart: What is too near to them.
        floor: Rows less similar than this need not be looked at.
    """
    wanted, done = _FIRST, 0
    inside = np.fromiter(standing, dtype=np.int64, count=len(standing))
    while True:
        rows, similarity = lists.nearest_of(who, wanted)
        new = rows[done:]
        may = np.isin(new, inside)
        may[~may] = apart.free(new[~may])
        if may.any():
            place = done + int(may.argmax())
            return int(rows[place]), similarity[place]
        if len(rows) == lists.n_alive or not reaches(similarity[-1], floor):
            return None
        wanted, done = 4 * wanted, len(rows)
