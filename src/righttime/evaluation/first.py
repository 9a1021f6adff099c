"""The values at step 0 from another run's evaluation: runs of one model on one kind of processor share them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from righttime.errors import StoreError
from righttime.evaluation.finished import open_evaluation
from righttime.evaluation.folder import read_evaluation
from righttime.evaluation.manifest import read_settings
from righttime.evaluation.registry import METRICS, Metric, Value
from righttime.evaluation.sets import EvaluationSet
from righttime.store import MANIFEST

__all__ = ["first_values"]

_ALIKE = ("sets", "metrics", "generation", "reward_model", "form", "max_length", "answer_end", "answers_kept")
"""What decides the values at step 0, beside the model."""


def first_values(
    folder: Path, sets: Sequence[EvaluationSet], metrics: Sequence[str], deciding: Mapping[str, Any]
) -> dict[str, list[Value]] | None:
    """The values of every set at step 0, if another evaluation has all of them and would have measured the same.

    Whether its model is the same is not compared here.

    Args:
        folder: The other evaluation, finished or not.
        sets: The sets.
        metrics: Some of `METRICS`.
        deciding: What decides this evaluation's numbers, as JSON.

    Returns:
        Values by the name of the set; None where they must be measured.
    """
    import pyarrow as pa

    try:
        then, now = read_settings(folder), json.loads(json.dumps(deciding))
        if any(then.get(name) != now.get(name) for name in _ALIKE):
            return None
        if (folder / MANIFEST).exists() and not all(file.unchanged for file in open_evaluation(folder).files()):
            return None
        table = read_evaluation(folder)
    except (StoreError, OSError, pa.ArrowInvalid):  # it is not there yet, is being finished just now, or is damaged
        return None
    found: dict[str, list[Value]] = {data.name: [] for data in sets}
    names = ["step", "set", "row", "metric", "value", "tokens"]
    names += ["answer"] if now.get("answers_kept") else []
    for step, name, *value in zip(*(table[one].to_pylist() for one in names), strict=True):
        if step == 0 and name in found:
            found[name].append(Value(*value))
    asked = [METRICS[name] for name in metrics]
    return found if all(_whole(found[data.name], data, asked) for data in sets) else None


def _whole(values: Sequence[Value], data: EvaluationSet, asked: Sequence[Metric]) -> bool:
    """Whether every row has each value that it can have, once."""
    there = sorted((value.metric, value.row) for value in values)
    return there == sorted(
        (name, row) for metric in asked for name in metric.values for row in _measurable(data, metric)
    )


def _measurable(data: EvaluationSet, metric: Metric) -> list[int]:
    has = {
        "learnt tokens": [bool(row.learnt.any()) for row in data.tokens],
        "references": [bool(one) for one in data.references],
        "nothing": [True] * len(data.rows),
    }
    return [row for row, can in enumerate(has[metric.needs]) if can]
