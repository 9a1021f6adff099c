"""The order of the rows that are left, by numbers that the model as it is gave them: TMA's rounds, or by loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.tma import play
from righttime.arrangement.selection import Selection, SelectionInput
from righttime.arrangement.weights import equal_is_none

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FOCUSES", "Weights", "by_loss", "left_places", "order_schema", "order_table", "rounds_over", "standing"]

Losses = NDArray[np.float64]
Weights = tuple[Fraction, ...]

FOCUSES: Mapping[str, Callable[[Losses], Losses]] = {
    "high": lambda losses: -losses,
    "medium": lambda losses: np.abs(losses - np.median(losses)),
    "low": lambda losses: losses,
}
"""Which losses come first, to what rows are sorted by, ascending; the words of DataFlex's loss selector."""


def left_places(
    n: int, consumed: NDArray[np.int64], window: int | None, woven: Sequence[int] | NDArray[np.int64] = ()
) -> NDArray[np.int64]:
    """The places that are rearranged: those not consumed and not woven, ascending; the first `window` of them.

    Example:
        >>> left_places(6, np.array([0, 4]), 3).tolist()
        [1, 2, 3]
    """
    left = np.ones(n, dtype=np.bool_)
    left[consumed] = False
    left[np.asarray(woven, dtype=np.int64)] = False
    return np.flatnonzero(left)[:window]


def standing(follow: int, n_own: int, n_consumed: int, woven: NDArray[np.int64]) -> NDArray[np.int64]:
    """What stands at each position until the next rearrangement: int64, the place of a woven row, else -1.

    Args:
        follow: Rows of the steps until then.
        n_own: How many rows the run consumes in all.
        n_consumed: How many of these it has.
        woven: The places of woven rows, which are consumed where the arrangement has them.

    Example:
        >>> standing(4, 9, 2, np.array([1, 4])).tolist()
        [-1, -1, 4, -1]
    """
    positions = np.arange(n_consumed, min(n_consumed + follow, n_own), dtype=np.int64)
    return np.where(np.isin(positions, woven), positions, -1)


def rounds_over(vectors: NDArray[np.float32], n_left: int, count: int, weights: Weights | None = None) -> Selection:
    """TMA's rounds over the rows that are left.

    Args:
        vectors: float32 unit vectors, shape (n_left + n_target, d): of the rows left, then of the target's.
        n_left: How many rows are left.
        count: How many of them the next steps consume.
        weights: What each target row weighs; None: all the same.

    Returns:
        At least `count` rows, as numbers among those left, the most similar of a round first.
    """
    return play(SelectionInput(vectors[:n_left], vectors[n_left:], budget=count, target_weights=weights), 1.0)


def by_loss(losses: Losses, focus: str) -> NDArray[np.int64]:
    """Rows by their losses: int64, a permutation; equal ones stay in their order, those without a loss come last.

    Args:
        losses: float64, shape (n,); NaN of a row with nothing to learn.
        focus: A name of `FOCUSES`. ``medium`` begins with the losses nearest to the median.

    Example:
        >>> by_loss(np.array([1.0, np.nan, 3.0, 2.0]), "high").tolist()
        [2, 3, 0, 1]
    """
    having = np.flatnonzero(~np.isnan(losses))
    key = np.full(len(losses), np.inf)
    if len(having):
        key[having] = FOCUSES[focus](losses[having])
    return np.argsort(key, kind="stable")


def order_table(
    numbers: NDArray[Any],
    left: NDArray[np.int64],
    stands: NDArray[np.int64],
    ids: tuple[tuple[str, ...], tuple[str, ...]],
    focus: str | None,
    weights: Weights | None = None,
) -> pa.Table:
    """What follows, a row each: the columns of ``order.parquet``.

    Args:
        numbers: Unit vectors, as for `rounds_over`, zero where a row has nothing to learn; or losses, as for `by_loss`.
        left: int64: the places that are rearranged, ascending.
        stands: See `standing`: the rows left come, in their new order, wherever no woven row stands.
        ids: The ids of the arrangement's rows, by place, and of the target's.
        focus: With losses: which come first; None with vectors.
        weights: With vectors: what each target row weighs; None: all the same.
    """
    import pyarrow as pa

    free = np.flatnonzero(stands < 0)
    if focus is None:
        order, columns = _rounds(numbers, len(left), len(free), ids[1], weights)
    else:
        order = by_loss(numbers, focus)[: len(free)]
        columns = {"loss": [None if np.isnan(loss) else loss for loss in numbers[order].tolist()]}
    places, which = stands.copy(), np.full(len(stands), -1)
    places[free], which[free] = left[order], np.arange(len(order))
    names = [ids[0][place] for place in places.tolist()]
    spread = {name: [None if at < 0 else found[at] for at in which.tolist()] for name, found in columns.items()}
    return pa.table({"place": places, "id": names, **spread}, order_schema(focus is not None))


def _rounds(
    vectors: NDArray[np.float32], n_left: int, count: int, target: tuple[str, ...], weights: Weights | None
) -> tuple[NDArray[np.int64], dict[str, list[Any]]]:
    """TMA's rounds of the rows that have a vector, and behind them the others, as numbers among those left."""
    there = np.asarray(vectors.any(axis=1))
    rows, asks = np.flatnonzero(there[:n_left]), np.flatnonzero(there[n_left:])
    if not len(asks):
        rows = rows[:0]
    played = min(count, len(rows))
    columns: dict[str, list[Any]] = {"round": [], "picked_by": [], "picked_by_row": [], "similarity": []}
    order = rows[:0]
    if played:
        some = vectors if there.all() else vectors[np.concatenate([rows, n_left + asks])]
        own = None if weights is None else equal_is_none(tuple(weights[row] for row in asks.tolist()))
        made = rounds_over(some, len(rows), played, own)
        assert made.round is not None
        assert made.picked_by is not None
        assert made.similarity is not None
        order, by = rows[made.order[:played]], asks[made.picked_by[:played]].tolist()
        found = made.round[:played].tolist(), [target[row] for row in by], by, made.similarity[:played].tolist()
        columns = dict(zip(columns, found, strict=True))
    rest = np.setdiff1d(np.arange(n_left), order)[: count - played] if played < count else rows[:0]
    return np.concatenate([order, rest]), {name: [*found, *[None] * len(rest)] for name, found in columns.items()}


def order_schema(losses: bool) -> pa.Schema:
    """The columns of ``order.parquet``, of an order by losses or of one in rounds."""
    import pyarrow as pa

    kinds = {"place": pa.int64(), "id": pa.string()}
    if losses:
        return pa.schema({**kinds, "loss": pa.float64()})
    rounds = {"round": pa.int32(), "picked_by": pa.string(), "picked_by_row": pa.int64(), "similarity": pa.float32()}
    return pa.schema({**kinds, **rounds})
