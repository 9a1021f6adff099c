"""How good an indicator each metric is: its noise against the change that is to be seen. Descriptive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.analysis.runs import Run

__all__ = ["Indicator", "indicator", "step_noise"]


@dataclass(frozen=True)
class Indicator:
    """One metric on the judge rows.

    Attributes:
        metric: The metric.
        change: The mean over runs of its change from the first to the last step.
        between_steps: Standard deviation of one evaluation around the line between its neighbours; None for fewer
            than three steps. A bend of the curve counts as noise.
        between_replicates: Standard deviation of the differences from the baseline's final value between replicates;
            None for fewer than two replicates.
        ratio: |change| divided by the larger of the two; None where there is none, or no noise.
    """

    metric: str
    change: float
    between_steps: float | None
    between_replicates: float | None
    ratio: float | None


def indicator(
    runs: Mapping[str, Sequence[Run]], baseline: str, name: str, metric: str, steps: Sequence[int]
) -> Indicator:
    """One metric's noise and change, pooled over orders and replicates."""
    means = {
        order: [run.values[name, metric].at(steps).mean(axis=1) for run in of_order] for order, of_order in runs.items()
    }
    every = [curve for of_order in means.values() for curve in of_order]
    change = float(np.mean([curve[-1] - curve[0] for curve in every]))
    squares = [step_noise(steps, curve) for curve in every]
    between_steps = float(np.sqrt(np.mean([one**2 for one in squares if one is not None]))) if len(steps) > 2 else None
    finals = [
        [one[-1] - two[-1] for one, two in zip(of_order, means[baseline], strict=True)]
        for order, of_order in means.items()
        if order != baseline
    ]
    spread = [float(np.var(each, ddof=1)) for each in finals if len(each) > 1]
    between_replicates = float(np.sqrt(np.mean(spread))) if spread else None
    noise = max((one for one in (between_steps, between_replicates) if one is not None), default=0.0)
    return Indicator(metric, change, between_steps, between_replicates, abs(change) / noise if noise > 1e-12 else None)


def step_noise(steps: Sequence[int], curve: NDArray[np.float64]) -> float | None:
    """The standard deviation of one evaluation, from how far each lies off the line between its two neighbours.

    Three independent errors of equal variance take part in each such distance, with the weights 1, w and 1 - w.

    Args:
        steps: Rising.
        curve: float64, shape (len(steps),).

    Returns:
        The standard deviation; None for fewer than three steps.

    Example:
        >>> step_noise([0, 1, 2], np.array([3.0, 2.0, 1.0]))
        0.0
    """
    if len(steps) < 3:
        return None
    at = np.asarray(steps, np.float64)
    weight = (at[2:] - at[1:-1]) / (at[2:] - at[:-2])
    off = curve[1:-1] - weight * curve[:-2] - (1 - weight) * curve[2:]
    return float(np.sqrt(np.mean(off**2 / (1 + weight**2 + (1 - weight) ** 2))))
