"""Few numbers from many rows: means over rows, and over tasks, so that a large task does not outweigh the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from righttime.evaluation.measurement import MeasureSettings
from righttime.evaluation.registry import Value
from righttime.evaluation.sets import EvaluationSet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Means", "facts_of", "means", "means_by"]


@dataclass(frozen=True)
class Means:
    """One metric of one set at one step.

    Attributes:
        rows: How many rows have a value.
        over_rows: The mean over these rows.
        over_tasks: The mean over their tasks of each task's mean; NaN where no row has a task.
    """

    rows: int
    over_rows: float
    over_tasks: float


def means(values: Sequence[Value]) -> dict[str, float]:
    """The mean over rows of each metric.

    Example:
        >>> means([Value(0, "loss", 1.0, 3), Value(1, "loss", 2.0, 1)])
        {'loss': 1.5}
    """
    by_metric: dict[str, list[float]] = {}
    for value in values:
        by_metric.setdefault(value.metric, []).append(value.value)
    return {name: float(np.mean(found)) for name, found in by_metric.items()}


def means_by(values: pa.Table, *columns: str) -> dict[tuple[Any, ...], Means]:
    """Means for each combination of some columns, in order of first appearance.

    Args:
        values: What `righttime.evaluation.read_evaluation` gives.
        columns: Names such as ``step``, ``set``, ``metric``, ``task``, ``category``.
    """
    groups: dict[tuple[Any, ...], dict[str | None, list[float]]] = {}
    keys = zip(*(values[name].to_pylist() for name in columns), strict=True)
    for key, task, value in zip(keys, values["task"].to_pylist(), values["value"].to_pylist(), strict=True):
        groups.setdefault(key, {}).setdefault(task, []).append(value)
    return {key: _means(tasks) for key, tasks in groups.items()}


def _means(tasks: Mapping[str | None, Sequence[float]]) -> Means:
    rows = [value for found in tasks.values() for value in found]
    of_tasks = [float(np.mean(found)) for task, found in tasks.items() if task is not None]
    return Means(len(rows), float(np.mean(rows)), float(np.mean(of_tasks)) if of_tasks else float("nan"))


def facts_of(sets: Sequence[EvaluationSet], settings: MeasureSettings) -> dict[str, Any]:
    """What decides the numbers besides the model, as JSON; with it the rows that have no loss, which are left out."""
    return {
        "sets": {data.name: data.facts() for data in sets},
        "metrics": list(settings.metrics),
        "generation": dataclasses.asdict(settings.generation) if settings.answers else None,
        "reward_model": settings.reward.name if settings.reward else None,
        "without_loss": {
            data.name: [one for one, tokens in zip(data.rows.ids, data.tokens, strict=True) if not tokens.learnt.any()]
            for data in sets
        },
        **({"answers_kept": True} if settings.keep_answers else {}),  # older evaluations do not say it
    }
