"""Curves by step, areas under them, and bands over replicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.analysis.differences import t_interval
from righttime.analysis.runs import Run

__all__ = ["Point", "area", "curves", "paired_curves", "row_areas"]


@dataclass(frozen=True)
class Point:
    """One order at one step.

    Attributes:
        order: The order.
        set: The set of rows.
        metric: What was measured.
        step: Optimizer steps.
        each: Each replicate's mean over rows.
        over_tasks: The mean over replicates of the mean over tasks; None where rows have no tasks.
        mean: The mean of `each`.
        band: Its 95% t interval at this step alone; None for fewer than three replicates, or where nothing varies.
    """

    order: str
    set: str
    metric: str
    step: int
    each: tuple[float, ...]
    over_tasks: float | None
    mean: float
    band: tuple[float, float] | None


def area(steps: Sequence[int], losses: Sequence[float]) -> float:
    """The area under a curve by the trapezoid rule, divided by the range of its steps: a mean loss, in its unit.

    Args:
        steps: At least two, rising.
        losses: The curve's value at each.

    Example:
        >>> area([0, 1, 3], [3.0, 2.0, 1.0])
        1.8333333333333333
    """
    return float(row_areas(steps, np.asarray(losses, np.float64)[:, None])[0])


def row_areas(steps: Sequence[int], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for each row; the area of a mean curve is the mean of them.

    Args:
        steps: At least two, rising.
        values: float64, shape (steps, rows).

    Returns:
        float64, shape (rows,).
    """
    widths = np.diff(np.asarray(steps, np.float64))
    return np.asarray(widths @ ((values[1:] + values[:-1]) / 2) / widths.sum(), np.float64)


def curves(runs: Mapping[str, Sequence[Run]], name: str, metric: str, steps: Sequence[int]) -> list[Point]:
    """Every order's mean at every step.

    Args:
        runs: Each order's runs by replicate.
        name: The set.
        metric: What was measured.
        steps: Steps that all runs have.
    """
    found = []
    for order, of_order in runs.items():
        at = [run.values[name, metric].at(steps) for run in of_order]
        tasks = [run.values[name, metric].over_tasks(steps) for run in of_order]
        for place, step in enumerate(steps):
            each = tuple(float(values[place].mean()) for values in at)
            over = [values[place] for values in tasks if values is not None]
            over_tasks = float(np.mean(over)) if len(over) == len(tasks) else None
            found.append(Point(order, name, metric, step, each, over_tasks, float(np.mean(each)), t_interval(each)))
    return found


def paired_curves(points: Sequence[Point], baseline: str) -> list[Point]:
    """Every other order's difference from the baseline at every step, paired by replicate."""
    of_baseline = {(one.set, one.metric, one.step): one for one in points if one.order == baseline}
    found = []
    for one in points:
        if one.order != baseline:
            other = of_baseline[one.set, one.metric, one.step]
            each = tuple(a - b for a, b in zip(one.each, other.each, strict=True))
            both = one.over_tasks is not None and other.over_tasks is not None
            over = one.over_tasks - other.over_tasks if both else None  # type: ignore[operator]
            mean = float(np.mean(each))
            found.append(Point(one.order, one.set, one.metric, one.step, each, over, mean, t_interval(each)))
    return found
