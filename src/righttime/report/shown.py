"""Which rows a page shows, where there are more than it can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_ROWS", "Shown", "shown_rows"]

MAX_ROWS = 50_000
_TARGET_SHARE = 0.2  # of the rows, where both sides are large
_SEED = 0


@dataclass(frozen=True, eq=False)
class Shown:
    """The rows of a page.

    Attributes:
        pool: int64, ascending: pool rows.
        target: int64, ascending: target rows.
        rule: How they were chosen, in a sentence; None where all are there.
    """

    pool: NDArray[np.int64]
    target: NDArray[np.int64]
    rule: str | None


def shown_rows(n_pool: int, n_target: int, orders: Sequence[NDArray[np.int64]], most: int = MAX_ROWS) -> Shown:
    """Choose rows: the target's up to a fifth of them, then those arranged first, then others at random.

    Args:
        n_pool: Rows of the pool.
        n_target: Rows of the target.
        orders: Each arrangement's pool rows, first to last.
        most: Rows of both sides together.

    Example:
        >>> found = shown_rows(6, 2, [np.array([5, 1])], most=5)
        >>> found.pool[np.isin(found.pool, [1, 5])].tolist(), len(found.pool), len(found.target)
        ([1, 5], 4, 1)
    """
    if n_pool + n_target <= most:
        return Shown(np.arange(n_pool), np.arange(n_target), None)
    rng = np.random.default_rng(_SEED)
    n_shown = min(n_target, max(1, int(_TARGET_SHARE * most), most - n_pool))
    target = np.sort(rng.choice(n_target, n_shown, replace=False))
    room = min(n_pool, most - n_shown)
    longest = max(map(len, orders), default=0)
    # Place by place over all orders, so that each keeps its first rows.
    places = [order[at] for at in range(min(longest, room)) for order in orders if at < len(order)]
    first = list(dict.fromkeys(int(row) for row in places))[:room]
    rest = np.setdiff1d(np.arange(n_pool), np.array(first, dtype=np.int64))
    drawn = rng.choice(rest, min(room - len(first), len(rest)), replace=False)
    pool = np.sort(np.concatenate([np.array(first, dtype=np.int64), drawn]))
    parts = [f"the first {len(first):,} arranged rows"] if first else []
    parts += [f"{len(drawn):,} others drawn at random"] if len(drawn) else []
    sides = f"{len(pool):,} of {n_pool:,} pool rows ({' and '.join(parts)})"
    sides += f" and {n_shown:,} of {n_target:,} target rows" + (", drawn at random" if n_shown < n_target else "")
    return Shown(pool, target, f"Shown are {sides}; seed {_SEED}. More with `max_rows`.")
