"""The primary comparison: each order's area under the loss curve against the baseline's, paired by replicate.

Student's t over the replicates' differences, Holm's correction over the orders (Scandinavian Journal of Statistics
6:65, 1979), and Bonferroni's intervals of the same family. With three replicates a percentile bootstrap gives several
times the false alarms that it promises; t does not, which benchmarks/calibration.py shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from righttime.errors import SettingsError, unknown_name

__all__ = [
    "LEAST",
    "LEVEL",
    "POWER",
    "Difference",
    "Interval",
    "Verdict",
    "area_differences",
    "holm",
    "replicates_needed",
    "smallest_visible",
    "spreads_visible",
    "t_interval",
    "varies",
]

LEVEL, POWER = 0.05, 0.8
LEAST = 3
"""Replicates below which there is no verdict."""

_MOST = 1000  # replicates beyond which nobody asks how many more
Interval = tuple[float, float]
Verdict = Literal["lower", "higher", "not told apart", "no verdict"]


@dataclass(frozen=True)
class Difference:
    """One order against the baseline.

    Attributes:
        order: The order.
        baseline: What it is compared with.
        each: The difference of each replicate, order minus baseline; below 0 the order's loss is lower.
        mean: Their mean.
        sd: Their standard deviation, of n - 1; None for fewer than two.
        interval: The 95% t interval of the mean, for this order alone; None where there is no verdict.
        simultaneous: The interval that holds for all orders at once with 95%.
        p: Of the two-sided t test.
        p_holm: The same after Holm's correction.
        visible: The smallest true difference that so many replicates would show with a power of 80%.
        needed: Replicates that would show a true difference of `mean` with that power; None where that is more than
            1,000 or cannot be told.
        verdict: What `p_holm` says at 5%.
    """

    order: str
    baseline: str
    each: tuple[float, ...]
    mean: float
    sd: float | None
    interval: Interval | None
    simultaneous: Interval | None
    p: float | None
    p_holm: float | None
    visible: float | None
    needed: int | None
    verdict: Verdict

    @property
    def replicates(self) -> int:
        """Pairs that it rests on."""
        return len(self.each)


def area_differences(
    areas: Mapping[str, Sequence[float]], baseline: str, level: float = LEVEL
) -> tuple[Difference, ...]:
    """Compare each order with the baseline.

    Args:
        areas: Each order's area under the loss curve by replicate; the k-th of every order share pool and target.
        baseline: One of them.
        level: The chance of a false verdict in the whole family.

    Raises:
        SettingsError: If the baseline is none of the orders, or is the only one.
    """
    if baseline not in areas:
        raise unknown_name("baseline", baseline, areas)
    if len(areas) < 2:
        raise SettingsError(f"an order must be compared with another, got only {baseline}.")
    pairs = {name: _paired(areas[name], areas[baseline]) for name in areas if name != baseline}
    found = {name: _p(each) for name, each in pairs.items()}
    adjusted = dict(zip(found, holm([1.0 if p is None else p for p in found.values()]), strict=True))
    return tuple(
        _difference(name, baseline, each, found[name], adjusted[name], len(pairs), level)
        for name, each in pairs.items()
    )


def _paired(one: Sequence[float], two: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(a) - float(b) for a, b in zip(one, two, strict=False))


def _difference(
    order: str, baseline: str, each: tuple[float, ...], p: float | None, p_holm: float, family: int, level: float
) -> Difference:
    n, mean = len(each), float(np.mean(each)) if each else float("nan")
    sd = float(np.std(each, ddof=1)) if n > 1 else None
    if p is None or sd is None:
        return Difference(order, baseline, each, mean, sd, None, None, None, None, None, None, "no verdict")
    verdict: Verdict = "not told apart"
    if p_holm <= level:
        verdict = "lower" if mean < 0 else "higher"
    intervals = t_interval(each, level), t_interval(each, level / family)
    visible = smallest_visible(sd, n, level / family)
    needed = replicates_needed(mean, sd, level / family)
    return Difference(order, baseline, each, mean, sd, *intervals, p, p_holm, visible, needed, verdict)


def _p(each: Sequence[float]) -> float | None:
    """The p of a two-sided t test; None where there are too few replicates, or nothing varies between them."""
    from scipy.special import stdtr

    if len(each) < LEAST or not varies(each):
        return None
    t = float(np.mean(each) / (np.std(each, ddof=1) / np.sqrt(len(each))))
    return float(2 * stdtr(len(each) - 1, -abs(t)))


def varies(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding.

    Example:
        >>> varies([0.1 + 0.2, 0.3]), varies([0.3, 0.4])
        (False, True)
    """
    return bool(np.ptp(values) > 1e-12 * max(1.0, float(np.max(np.abs(values)))))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given.

    Example:
        >>> [round(one, 3) for one in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The t interval of a mean; None for fewer than three values, and where they do not vary.

    Args:
        values: One for each replicate.
        level: The chance that it does not hold the true mean.
    """
    if len(values) < LEAST or not varies(values):
        return None
    mean, half = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    half *= _critical(len(values) - 1, level)
    return mean - half, mean + half


def smallest_visible(sd: float, n: int, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest true difference that a two-sided paired t test finds with a given power.

    Args:
        sd: Standard deviation of the differences between pairs.
        n: Pairs, at least 2.
        level: Of the test.
        power: The chance of finding it.

    Example:
        >>> round(smallest_visible(1.0, 10), 3)
        0.996
    """
    return _noncentrality(n, level, power) * sd / float(np.sqrt(n))


def spreads_visible(n: int, family: int) -> float | None:
    """The smallest true difference that is found, in standard deviations of the differences between replicates.

    It can be told before the first run, and falls steeply from three replicates to four.

    Args:
        n: Replicates.
        family: Orders that are compared with the baseline.

    Returns:
        See `smallest_visible`; None for fewer than three replicates, which give no verdict.

    Example:
        >>> [round(spreads_visible(n, family=6), 1) for n in (3, 4, 6)]
        [8.0, 4.0, 2.2]
    """
    return smallest_visible(1.0, n, LEVEL / family) if n >= LEAST else None


def replicates_needed(mean: float, sd: float, level: float = LEVEL, power: float = POWER) -> int | None:
    """How many replicates a true difference of this size takes to be found; None for more than 1,000.

    Example:
        >>> replicates_needed(1.0, 1.0)
        10
    """
    low, high = LEAST - 1, _MOST
    if smallest_visible(sd, high, level, power) > abs(mean):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if smallest_visible(sd, middle, level, power) <= abs(mean) else (middle, high)
    return high


@lru_cache(maxsize=1024)
def _critical(df: int, level: float) -> float:
    from scipy.stats import t

    return float(t.isf(level / 2, df))


@lru_cache(maxsize=4096)
def _noncentrality(n: int, level: float, power: float) -> float:
    """How far from 0, in standard errors, the truth must lie."""
    from scipy.optimize import brentq
    from scipy.stats import nct

    critical = _critical(n - 1, level)
    # The chance of a verdict in the wrong direction is left out: at a power of 80% it is far below 0.0001.
    return float(brentq(lambda far: nct.sf(critical, n - 1, far) - power, 1e-6, 8 * critical + 8))
