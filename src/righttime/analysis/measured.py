"""The data-set measures against the loss, across the orders at one step. Descriptive.

Along one order both follow the number of rows, whatever the measure, so a correlation there says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.analysis.differences import Interval, t_interval
from righttime.analysis.runs import Run
from righttime.errors import StoreError
from righttime.measures import MEASURES

__all__ = ["FEWEST_ORDERS", "MeasureLink", "measure_links"]

FEWEST_ORDERS = 4
"""Orders below which there is no correlation: with three it can take four values only."""

_ALIKE = 1e-7  # of the same rows in another order, whose sums round in another way
_COLUMNS = ("step", "task", "measure", "value")
Found = Mapping[tuple[int, str | None], Mapping[str, float]]


@dataclass(frozen=True)
class MeasureLink:
    """One measure and the loss of the same judge rows at one step, across the orders.

    Attributes:
        step: The step.
        task: The task whose rows both are of; None for all judge rows.
        measure: A name of `righttime.measures.MEASURES`.
        orders: Orders that the correlation is across.
        replicates: Replicates that have one.
        each: Spearman's rank correlation in each replicate; above 0 orders whose rows are nearer have the lower loss.
            None where a value is not known, or all orders have the same one.
        mean: The mean over replicates.
        interval: Its 95% t interval over replicates, cut at -1 and 1; None for fewer than three, or where nothing
            varies.
    """

    step: int
    task: str | None
    measure: str
    orders: int
    replicates: int
    each: tuple[float | None, ...]
    mean: float | None
    interval: Interval | None


def measure_links(
    runs: Mapping[str, Sequence[Run]], name: str, metric: str, steps: Sequence[int]
) -> tuple[list[MeasureLink], list[str]]:
    """Every measure against the loss, at every step after 0, for all judge rows and for each task.

    Args:
        runs: Each order's runs by replicate.
        name: The judge set.
        metric: The loss.
        steps: Steps that all runs have.

    Returns:
        The correlations, and what is left out, in sentences.

    Raises:
        StoreError: If a table of measures cannot be read.
    """
    known = {order: found for order, found in runs.items() if all(run.measures for run in found)}
    if not any(run.measures for found in runs.values() for run in found):
        return [], []
    notes = [
        f"{order} is left out where measures are compared with the loss: not every run of it has them."
        for order in runs
        if order not in known
    ]
    if len(known) < FEWEST_ORDERS:
        few = f"it takes {FEWEST_ORDERS} orders with measures, here are {len(known)}."
        return [], [*notes, f"measures are not compared with the loss: {few}"]
    at = [step for step in steps if step > 0]
    by_replicate = [_of_replicate(of_one, name, metric, at) for of_one in zip(*known.values(), strict=True)]
    tasks = sorted({task for found in by_replicate for _, task in found if task is not None})
    return [
        _link(step, task, measure, len(known), [found.get((step, task), {}).get(measure) for found in by_replicate])
        for step in at
        for task in (None, *tasks)
        for measure in MEASURES
    ], notes


def _link(step: int, task: str | None, measure: str, orders: int, each: Sequence[float | None]) -> MeasureLink:
    there = [one for one in each if one is not None]
    interval = t_interval(there)
    cut = interval and (max(-1.0, interval[0]), min(1.0, interval[1]))
    mean = float(np.mean(there)) if there else None
    return MeasureLink(step, task, measure, orders, len(there), tuple(each), mean, cut)


def _of_replicate(runs: Sequence[Run], name: str, metric: str, steps: Sequence[int]) -> Found:
    """Each measure's correlation with the loss across the runs of one replicate, where there is one."""
    tables = [_read(run.measures) for run in runs if run.measures]
    values = [run.values[name, metric] for run in runs]
    places: dict[str | None, list[int]] = {None: list(range(len(values[0].ids)))}
    places.update(values[0].places("task"))
    found: dict[tuple[int, str | None], dict[str, float]] = {}
    for task, rows in places.items():
        losses = np.stack([one.at(steps)[:, rows].mean(axis=1) for one in values])
        for place, step in enumerate(steps):
            measures = [[table.get((step, task), {}).get(one, np.nan) for table in tables] for one in MEASURES]
            linked = zip(MEASURES, _spearman(np.asarray(measures), losses[:, place]).tolist(), strict=True)
            found[step, task] = {measure: one for measure, one in linked if np.isfinite(one)}
    return found


def _spearman(measures: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank correlations of each measure, shape (measures, orders), with the losses; NaN where there is none.

    Example:
        >>> _spearman(np.array([[1.0, 2.0, 4.0, 3.0], [1.0, 1.0, 1.0, 1.0]]), np.array([0.1, 0.2, 0.3, 0.4])).round(2)
        array([0.8, nan])
    """
    ranks, of_loss = _ranks(measures), _ranks(losses)
    ranks, of_loss = ranks - ranks.mean(axis=-1, keepdims=True), of_loss - of_loss.mean()
    norms = np.linalg.norm(ranks, axis=-1) * np.linalg.norm(of_loss)
    there = (norms > 0) & np.isfinite(measures).all(axis=-1)
    return np.asarray(np.divide(ranks @ of_loss, norms, out=np.full(len(measures), np.nan), where=there))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks along the last axis; what differs by rounding alone is a tie."""
    from scipy.stats import rankdata

    order = np.argsort(values, axis=-1)
    rising = np.take_along_axis(values, order, axis=-1)
    steps = np.diff(rising, axis=-1, prepend=rising[..., :1]) > _ALIKE * np.maximum(1, np.abs(rising))
    groups = np.empty_like(order)
    np.put_along_axis(groups, order, np.cumsum(steps, axis=-1), axis=-1)
    return np.asarray(rankdata(groups, axis=-1), np.float64)


def _read(path: Path) -> Found:
    """A table of `righttime.measures.step_measures` by step and task."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(_COLUMNS))
        columns = [table[name].to_pylist() for name in _COLUMNS]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} must be a table of measures by step, as righttime.measures.step_measures makes it, got: {error}."
        ) from error
    found: dict[tuple[int, str | None], dict[str, float]] = {}
    for step, task, measure, value in zip(*columns, strict=True):
        found.setdefault((step, task), {})[measure] = value
    return found
