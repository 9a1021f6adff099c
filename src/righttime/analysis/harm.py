"""Harm on other sets: how large the mean increase of a loss may be, never that there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from righttime.analysis.differences import LEAST, LEVEL, varies
from righttime.analysis.runs import Run

__all__ = ["Harm", "harm", "upper_bound"]


@dataclass(frozen=True)
class Harm:
    """The increase of one order's final loss on another set.

    Attributes:
        order: The order.
        set: The other set.
        against: The baseline's final loss in the same replicate, or the run's own at step 0.
        step: The last step.
        each: Each replicate's increase; below 0 the loss is lower.
        mean: Their mean.
        bound: What the true mean increase is at most, with 95% for all orders and sets at once; None for fewer than
            three replicates, or where nothing varies.
    """

    order: str
    set: str
    against: Literal["baseline", "step 0"]
    step: int
    each: tuple[float, ...]
    mean: float
    bound: float | None


def harm(
    runs: Mapping[str, Sequence[Run]], baseline: str, sets: Mapping[str, Sequence[int]], metric: str
) -> list[Harm]:
    """Every order's increase on every other set, against the baseline and against step 0.

    Args:
        runs: Each order's runs by replicate.
        baseline: One of the orders.
        sets: The other sets, with the steps at which all runs have them.
        metric: The loss.
    """
    found, others = [], [order for order in runs if order != baseline]
    for name, steps in sets.items():
        first, last = (
            {order: [float(run.values[name, metric].at([step]).mean()) for run in runs[order]] for order in runs}
            for step in (steps[0], steps[-1])
        )
        for order in others:
            each = _increases(last[order], last[baseline])
            bound = upper_bound(each, LEVEL / (len(others) * len(sets)))
            found.append(Harm(order, name, "baseline", int(steps[-1]), each, float(np.mean(each)), bound))
        for order in runs if steps[0] == 0 else ():
            each = _increases(last[order], first[order])
            bound = upper_bound(each, LEVEL / (len(runs) * len(sets)))
            found.append(Harm(order, name, "step 0", int(steps[-1]), each, float(np.mean(each)), bound))
    return found


def _increases(after: Sequence[float], before: Sequence[float]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(after, before, strict=True))


def upper_bound(values: Sequence[float], level: float = LEVEL) -> float | None:
    """The upper end of the one-sided t interval of a mean; None for fewer than three values, or where nothing varies.

    Example:
        >>> round(upper_bound([0.0, 0.1, 0.2]), 3)
        0.269
    """
    from scipy.special import stdtrit

    if len(values) < LEAST or not varies(values):
        return None
    error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values) - stdtrit(len(values) - 1, level) * error)
