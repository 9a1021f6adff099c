"""The paper's baselines: a shuffle, and orders by task."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.tma import PAPER, WHOLE_PAPER
from righttime.arrangement.selection import Method, Selection, SelectionInput
from righttime.errors import SettingsError

__all__ = ["METHODS", "rows_by_task"]


def _random(inputs: SelectionInput) -> Selection:
    return Selection(np.random.default_rng(inputs.seed).permutation(len(inputs.pool)).astype(np.int64))


def rows_by_task(inputs: SelectionInput) -> list[NDArray[np.int64]]:
    """The rows of each task in file order, tasks by first appearance."""
    if inputs.tasks is None:
        raise SettingsError(
            "this method needs the task of every pool row, got none. Hint: tasks=, or `task_field`.", setting="tasks"
        )
    rows: dict[str, list[int]] = {}
    for number, task in enumerate(inputs.tasks):
        if task is None:
            raise SettingsError(
                f"this method needs the task of every pool row, but pool row {number} has none. "
                "Hint: `task_field` names the field that holds it; nearest and tma need no tasks.",
                row=number,
                setting="tasks",
            )
        rows.setdefault(task, []).append(number)
    return [np.asarray(numbers, dtype=np.int64) for numbers in rows.values()]


def _cluster(inputs: SelectionInput) -> Selection:
    return Selection(np.concatenate(rows_by_task(inputs)))


def _round_robin(inputs: SelectionInput) -> Selection:
    rows = rows_by_task(inputs)
    turn = np.concatenate([np.arange(len(numbers)) for numbers in rows])
    task = np.concatenate([np.full(len(numbers), place) for place, numbers in enumerate(rows)])
    return Selection(np.concatenate(rows)[np.lexsort((task, turn))])


_TASKS = frozenset({"tasks"})

METHODS = {
    "random": Method(
        _random, "a seeded shuffle", PAPER, cost="n", draws=lambda _: True, paper=WHOLE_PAPER, ordered=False
    ),
    "cluster": Method(
        _cluster,
        "all rows of a task together, tasks by first appearance",
        PAPER,
        _TASKS,
        "n",
        check=rows_by_task,
        paper=WHOLE_PAPER,
    ),
    "round-robin": Method(
        _round_robin,
        "one row of each task in turn",
        PAPER,
        _TASKS,
        "n",
        check=rows_by_task,
        paper=WHOLE_PAPER,
    ),
}
