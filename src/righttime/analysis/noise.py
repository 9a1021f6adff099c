"""Onset, steps saved and drops. The noise of single runs is of their rows: it is conditional on the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.analysis.consumed import Rows, consumed_rows
from righttime.analysis.differences import LEAST, t_interval
from righttime.analysis.runs import Run, Values

__all__ = ["Drop", "Fall", "Onset", "Saved", "drops", "fall", "onset", "order_onset", "steps_saved"]

_LEVEL = 0.05
_FEWEST_TASKS, _FEWEST_ROWS = 5, 3
_SHOWN = 64


@dataclass(frozen=True)
class Fall:
    """How far the mean over rows fell from one evaluation to another.

    Attributes:
        mean: The mean over rows of the paired differences, before minus after.
        error: Its standard error.
        groups: What counts as independent: tasks, where all rows have one and there are five or more, else rows.
    """

    mean: float
    error: float
    groups: int


@dataclass(frozen=True)
class Onset:
    """Where the loss begins to stay below step 0: of an order over its replicates, or of one run.

    Attributes:
        order: The order.
        replicate: The replicate; None over all of them.
        step: The first evaluation from which it stays below by more than noise; None where there is none.
        by: ``replicates``, or of one run ``tasks`` or ``rows``: what the noise is of.
    """

    order: str
    replicate: int | None
    step: int | None
    by: str


@dataclass(frozen=True)
class Saved:
    """Where an order reaches another's final loss.

    Attributes:
        order: The order.
        other: The other.
        replicate: The replicate.
        final: The other's loss at the last step.
        step: The first evaluation at which the order's loss is no higher; None where there is none.
        saved: Steps between that and the last.
    """

    order: str
    other: str
    replicate: int
    final: float
    step: int | None
    saved: int | None


@dataclass(frozen=True)
class Drop:
    """A fall of one task's loss between two neighbouring evaluations beyond its noise.

    Attributes:
        order: The order.
        replicate: The replicate.
        task: The task.
        before: The evaluation before.
        step: The evaluation after.
        fall: By how much the task's mean loss fell.
        error: The standard error of that, of its rows.
        share: `fall` as a share of the task's fall from the first evaluation to its lowest.
        rows: How many rows were consumed between the two; None without records.
        ids: The last of their ids, at most 64.
        tasks: How many of these rows came of which task, where the run tells.
    """

    order: str
    replicate: int
    task: str
    before: int
    step: int
    fall: float
    error: float
    share: float
    rows: int | None
    ids: tuple[str, ...]
    tasks: Mapping[str, int]


def fall(before: NDArray[np.float64], after: NDArray[np.float64], tasks: Sequence[str | None] = ()) -> Fall:
    """The mean fall over rows with its standard error, clustered by task where there are enough.

    Args:
        before: float64, shape (rows,).
        after: The same rows later.
        tasks: Their tasks.

    Example:
        >>> fall(np.array([3.0, 2.0]), np.array([2.0, 2.0]))
        Fall(mean=0.5, error=0.5, groups=2)
    """
    differences = before - after
    labels = _groups(tasks, len(differences))
    n, mean = len(labels), float(differences.mean())
    sums = np.bincount(labels, weights=differences - mean)
    groups = len(sums)
    scale = groups / (groups - 1) if groups > 1 else float("nan")
    return Fall(mean, float(np.sqrt(scale * (sums**2).sum()) / n), groups)


def _groups(tasks: Sequence[str | None], rows: int) -> NDArray[np.int64]:
    if _by(tasks) == "rows":
        return np.arange(rows)
    return np.unique(np.asarray(tasks, str), return_inverse=True)[1].astype(np.int64)


def _by(tasks: Sequence[str | None]) -> str:
    return "tasks" if None not in tasks and len(set(tasks)) >= _FEWEST_TASKS else "rows"


def onset(run: Run, values: Values, steps: Sequence[int]) -> Onset:
    """The first evaluation from which the mean loss stays below that of step 0 by more than the noise of its rows.

    Args:
        run: The run.
        values: Its losses.
        steps: The evaluations to look at; without step 0 there is no onset.
    """
    at, first = values.at(steps), None
    for place in range(len(steps) - 1, 0, -1):
        found = fall(at[0], at[place], values.tasks)
        if steps[0] != 0 or not _beyond(found, _LEVEL / 2):
            break
        first = int(steps[place])
    return Onset(run.name, run.replicate, first, _by(values.tasks))


def order_onset(order: str, means: Sequence[NDArray[np.float64]], steps: Sequence[int]) -> Onset | None:
    """The first evaluation from which the loss stays below step 0 by more than replicates vary.

    Args:
        order: The order.
        means: Each replicate's mean loss by step, float64, shape (len(steps),).
        steps: The steps, from 0.

    Returns:
        None for fewer than three replicates, and without step 0.
    """
    if len(means) < LEAST or steps[0] != 0:
        return None
    first = None
    for place in range(len(steps) - 1, 0, -1):
        interval = t_interval([float(mean[place] - mean[0]) for mean in means], _LEVEL)
        if interval is None or interval[1] >= 0:
            break
        first = int(steps[place])
    return Onset(order, None, first, "replicates")


def _beyond(found: Fall, level: float) -> bool:
    """Whether a fall is larger than a one-sided t test allows; never where its noise cannot be told."""
    from scipy.special import stdtrit

    if found.groups < 2 or not found.error > 1e-12:
        return False
    return bool(found.mean > -stdtrit(found.groups - 1, level) * found.error)


def steps_saved(runs: Mapping[str, Sequence[Run]], name: str, metric: str, steps: Sequence[int]) -> list[Saved]:
    """For every pair of orders, where the first reaches the final loss of the second, by replicate."""
    means = {
        order: [(run.replicate, run.values[name, metric].at(steps).mean(axis=1)) for run in of_order]
        for order, of_order in runs.items()
    }
    found = []
    for order, other in ((a, b) for a in runs for b in runs if a != b):
        for (replicate, one), (_, two) in zip(means[order], means[other], strict=True):
            reached = np.flatnonzero(one <= two[-1])
            step = int(steps[reached[0]]) if len(reached) else None
            saved = None if step is None else int(steps[-1]) - step
            found.append(Saved(order, other, replicate, float(two[-1]), step, saved))
    return found


def drops(run: Run, values: Values, steps: Sequence[int]) -> list[Drop]:
    """Falls of single tasks between neighbouring evaluations that their rows' noise does not explain, largest first.

    One-sided t of the rows' paired differences, at 5% divided by the number of tasks and intervals looked at.
    """
    at = values.at(steps)
    places = {task: found for task, found in values.places("task").items() if len(found) >= _FEWEST_ROWS}
    level = _LEVEL / max(1, len(places) * (len(steps) - 1))
    found = []
    for task, rows in places.items():
        mean = at[:, rows].mean(axis=1)
        for place in range(1, len(steps)):
            fell = fall(at[place - 1, rows], at[place, rows])
            if _beyond(fell, level):
                found.append((task, place, fell, fell.mean / float(mean[0] - mean.min())))
    if not found:
        return []
    records = consumed_rows(run)
    made = [_drop(run, task, steps, place, fell, share, records) for task, place, fell, share in found]
    return sorted(made, key=lambda one: -one.fall)


def _drop(
    run: Run, task: str, steps: Sequence[int], place: int, fell: Fall, share: float, records: Rows | None
) -> Drop:
    before, step = int(steps[place - 1]), int(steps[place])
    ids = records.between(before, step) if records else ()
    of_tasks = Counter(records.tasks[one] for one in ids if one in records.tasks) if records else Counter[str]()
    rows = len(ids) if records else None
    about = (before, step, fell.mean, fell.error, share, rows, ids[-_SHOWN:], dict(of_tasks.most_common()))
    return Drop(run.name, run.replicate, task, *about)
