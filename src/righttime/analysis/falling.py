"""The tasks with the largest drops, each along the run that it fell in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from righttime.analysis.noise import Drop
from righttime.analysis.runs import Run

__all__ = ["FallingTask", "falling_tasks"]

_MOST = 6


@dataclass(frozen=True)
class FallingTask:
    """One task's loss along the run in which it dropped most.

    Attributes:
        order: The order of that run.
        replicate: Its replicate.
        task: The task.
        rows: Judge rows of it.
        before: The evaluation before the drop.
        step: The evaluation after.
        consumed: Rows consumed between the two; None without records.
        of_tasks: How many of these were of which task, most first, where the run tells.
        steps: All evaluations of that run.
        losses: The task's mean loss at each.
    """

    order: str
    replicate: int
    task: str
    rows: int
    before: int
    step: int
    consumed: int | None
    of_tasks: Mapping[str, int]
    steps: tuple[int, ...]
    losses: tuple[float, ...]


def falling_tasks(
    runs: Mapping[str, Sequence[Run]], drops: Sequence[Drop], name: str, metric: str, most: int = _MOST
) -> list[FallingTask]:
    """The tasks with the largest drops of all runs, at most `most`, each with its largest.

    Args:
        runs: Each order's runs.
        drops: What dropped in them.
        name: The judge set.
        metric: The loss.
        most: How many tasks.
    """
    largest: dict[str, Drop] = {}
    for one in sorted(drops, key=lambda one: -one.fall):
        largest.setdefault(one.task, one)
    by_name = {(run.name, run.replicate): run for of_order in runs.values() for run in of_order}
    found = []
    for one in list(largest.values())[:most]:
        values = by_name[one.order, one.replicate].values[name, metric]
        rows, steps = values.places("task")[one.task], tuple(values.steps.tolist())
        losses = tuple(values.at(steps)[:, rows].mean(axis=1).tolist())
        about = (len(rows), one.before, one.step, one.rows, one.tasks)
        found.append(FallingTask(one.order, one.replicate, one.task, *about, steps, losses))
    return found
