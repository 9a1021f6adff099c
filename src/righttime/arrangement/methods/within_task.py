"""A few rows of every task: both ends of its ranking, or evenly spread over it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.baselines import rows_by_task
from righttime.arrangement.methods.distance import WEIGHTS, check_distance_of, distance_of, remarks
from righttime.arrangement.methods.tma import PAPER, WHOLE_PAPER
from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.errors import SettingsError

__all__ = ["METHODS"]

Ranks = Callable[[int, int], NDArray[np.int64]]


def _polar(n: int, k: int) -> NDArray[np.int64]:
    """The ⌈k/2⌉ first ranks and the ⌊k/2⌋ last."""
    return np.concatenate([np.arange((k + 1) // 2), np.arange(n - k // 2, n)])


def _uniform(n: int, k: int) -> NDArray[np.int64]:
    """The ranks ⌊i·n/k⌋, i < k."""
    return np.arange(k, dtype=np.int64) * n // k


def _per_task(inputs: SelectionInput, ranks: Ranks) -> Selection:
    """Rank each task's rows by distance, keep k of them, and order the union by a distance recomputed on it."""
    k = inputs.params["k"]
    tasks = rows_by_task(inputs)
    nearest, similarity = inputs.search.nearest(inputs.pool, inputs.target)
    value = distance_of(inputs, inputs.pool, similarity).values
    kept = []
    for rows in tasks:
        ranked = rows[np.argsort(value[rows], kind="stable")]
        kept.append(ranked if len(rows) < k else ranked[ranks(len(rows), k)])
    union = np.sort(np.concatenate(kept))
    distance = distance_of(inputs, inputs.pool[union], similarity[union])
    place = np.argsort(distance.values, kind="stable")
    order = union[place]
    return Selection(order, None, nearest[order], similarity[order], distance.values[place], remarks(distance))


def _check(inputs: SelectionInput) -> None:
    """Tasks, a distance that can be computed, and a budget that k rows of each task can fill."""
    check_distance_of(inputs)
    k = inputs.params["k"]
    kept = sum(min(len(rows), k) for rows in rows_by_task(inputs))
    if inputs.budget is not None and inputs.budget > kept:
        raise SettingsError(
            f"budget must be at most {kept}, which is k={k} rows of each task, got {inputs.budget}. "
            "Hint: raise k or lower the budget.",
            setting="budget",
        )


_NEEDS = frozenset({"vectors", "distance", "tasks"})
_PARAMS = {"k": Param(int, 10, "rows to keep of each task; tasks of fewer are kept whole", least=1), **WEIGHTS}

METHODS = {
    "polar": Method(
        lambda inputs: _per_task(inputs, _polar),
        "the k/2 nearest and k/2 farthest rows of each task, by distance",
        PAPER,
        _NEEDS,
        "n·m·d",
        _PARAMS,
        check=_check,
        paper=WHOLE_PAPER,
        differs="The paper does not give its k; the default here is 10.",
    ),
    "uniform": Method(
        lambda inputs: _per_task(inputs, _uniform),
        "k rows of each task, evenly spread over its ranking, by distance",
        PAPER,
        _NEEDS,
        "n·m·d",
        _PARAMS,
        check=_check,
        paper=WHOLE_PAPER,
        differs="The paper does not give its k; the default here is 10.",
    ),
}
