"""Where a difference comes from: tasks and categories, and whether one task decides the ranking. Descriptive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.analysis.curves import row_areas
from righttime.analysis.runs import Run, Values

__all__ = ["Deciding", "Part", "deciding_tasks", "parts"]

Runs = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Part:
    """One order on the rows of one task or category.

    Attributes:
        kind: ``task`` or ``category``.
        name: Which.
        order: The order.
        replicates: Replicates that have such rows.
        rows: Rows of it in a replicate, on average.
        first: The mean loss at the first step.
        last: The mean loss at the last.
        area: The mean area under the curve.
        difference: The mean over replicates of that area minus the baseline's; None for the baseline.
    """

    kind: str
    name: str
    order: str
    replicates: int
    rows: float
    first: float
    last: float
    area: float
    difference: float | None


@dataclass(frozen=True)
class Deciding:
    """A task without which the ranking would be another.

    Attributes:
        task: The task.
        first: The order with the smallest area over all rows.
        first_without: The same over the rows of the other tasks.
        turned: Orders whose difference from the baseline has the other sign without it.
    """

    task: str
    first: str
    first_without: str
    turned: tuple[str, ...]


def parts(runs: Runs, baseline: str, name: str, metric: str, steps: Sequence[int]) -> list[Part]:
    """Every order on every task and category of a set."""
    found = []
    for kind in ("task", "category"):
        of_runs = {order: [_of_parts(run.values[name, metric], kind, steps) for run in runs[order]] for order in runs}
        for part in sorted({part for each in of_runs.values() for one in each for part in one}):
            found += [
                _part(kind, part, order, of_runs, baseline)
                for order in runs
                if any(part in one for one in of_runs[order])
            ]
    return found


def _of_parts(values: Values, kind: str, steps: Sequence[int]) -> dict[str, tuple[int, float, float, float]]:
    """Rows, first loss, last loss and area of each part."""
    at = values.at(steps)
    areas = row_areas(steps, at)
    return {
        part: (len(rows), float(at[0, rows].mean()), float(at[-1, rows].mean()), float(areas[rows].mean()))
        for part, rows in values.places(kind).items()
    }


def _part(
    kind: str,
    part: str,
    order: str,
    of_runs: Mapping[str, Sequence[Mapping[str, tuple[int, float, float, float]]]],
    baseline: str,
) -> Part:
    here = [one[part] for one in of_runs[order] if part in one]
    pairs = zip(of_runs[order], of_runs[baseline], strict=True)
    differences = [one[part][3] - two[part][3] for one, two in pairs if part in one and part in two]
    difference = float(np.mean(differences)) if differences and order != baseline else None
    rows, first, last, area = (float(np.mean(column)) for column in zip(*here, strict=True))
    return Part(kind, part, order, len(here), rows, first, last, area, difference)


def deciding_tasks(runs: Runs, baseline: str, name: str, metric: str, steps: Sequence[int]) -> list[Deciding]:
    """The tasks that decide which order comes first, or on which side of the baseline an order lies."""
    tasks = sorted({task for run in runs[baseline] for task in run.values[name, metric].places("task")})
    areas = {
        order: [(run.values[name, metric], row_areas(steps, run.values[name, metric].at(steps))) for run in of_order]
        for order, of_order in runs.items()
    }
    whole, found = _means(areas, None), []
    if whole is None:
        return []
    for task in tasks:
        without = _means(areas, task)
        if without is None:
            continue
        first, first_without = (min(means, key=means.__getitem__) for means in (whole, without))
        turned = tuple(
            order for order in runs if (whole[order] - whole[baseline]) * (without[order] - without[baseline]) < 0
        )
        if first != first_without or turned:
            found.append(Deciding(task, first, first_without, turned))
    return found


def _means(
    areas: Mapping[str, Sequence[tuple[Values, NDArray[np.float64]]]], without: str | None
) -> dict[str, float] | None:
    """Each order's mean area over its replicates, without one task; None where a run has no other."""
    means = {}
    for order, of_order in areas.items():
        kept = [found[[task != without or task is None for task in values.tasks]] for values, found in of_order]
        if not all(map(len, kept)):
            return None
        means[order] = float(np.mean([one.mean() for one in kept]))
    return means
