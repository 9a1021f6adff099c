"""Hold out tasks, or whole groups of tasks that share a source data set, and sample rows per task.

A split by task name alone lets relatives of a held-out task stay in training: in the paper's own split 124 of 225
"unseen" tasks share their source data set with a training task. `by="group"` holds out the relatives too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from righttime.errors import SettingsError, unknown_name
from righttime.examples import LeftOut
from righttime.rows import Rows, left_out

__all__ = ["Split", "group_of", "split_rows"]


@dataclass(frozen=True)
class Split:
    """Rows on both sides of a hold-out.

    Attributes:
        pool: Rows to train on.
        target: Rows of held-out tasks.
        left_out: Rows on neither side, and why.
        held_out: The held-out tasks, sorted.
        relatives: Tasks on neither side because they share a group with a held-out one, sorted.
    """

    pool: Rows
    target: Rows
    left_out: tuple[LeftOut, ...]
    held_out: tuple[str, ...]
    relatives: tuple[str, ...]


def group_of(task: str) -> str:
    """The source data set that a task's name suggests: its first word, any task number aside.

    Example:
        >>> group_of("task344_hybridqa_answer_generation"), group_of("wiki_qa_Is_This_True_")
        ('hybridqa', 'wiki')
    """
    words = [word for word in re.split(r"[_/:\s-]+", task) if word]
    if len(words) > 1 and re.fullmatch(r"(sub)?task\d*", words[0], re.IGNORECASE):
        words = words[1:]
    return words[0].lower() if words else task


def split_rows(
    rows: Rows,
    *,
    tasks: Sequence[str] | None = None,
    count: int | None = None,
    share: float | None = None,
    by: Literal["task", "group"] = "task",
    groups: Mapping[str, str] | None = None,
    max_per_pool_task: int | None = None,
    max_per_target_task: int | None = None,
    seed: int = 0,
) -> Split:
    """Hold out tasks, chosen by exactly one of `tasks`, `count` and `share`.

    Args:
        rows: Rows that all have a task.
        tasks: The tasks to hold out. With ``by="group"`` their relatives leave the pool too, for neither side.
        count: How many tasks (or groups) to hold out, chosen by `seed`.
        share: Which share of the tasks (or groups) to hold out, more than 0 and less than 1, at least one.
        by: ``task``, or ``group``: whole groups of tasks that share a source data set.
        groups: The group of each task; tasks that are not in it, and all if None, go by `group_of`.
        max_per_pool_task: At most so many rows of each training task, chosen by `seed`.
        max_per_target_task: At most so many rows of each held-out task, chosen by `seed`.
        seed: Decides every choice; a task's rows are chosen whatever the other tasks are.

    Returns:
        Both sides in file order, and every row that is on neither.

    Raises:
        SettingsError: If a row has no task, a task is unknown, nothing or everything would be held out, or not
            exactly one of `tasks`, `count` and `share` is given.
    """
    if seed < 0:
        raise SettingsError(f"seed must be 0 or more, got {seed}.", setting="seed")
    names = _task_names(rows)
    if by not in ("task", "group"):
        raise unknown_name("choice for `by`", by, ("task", "group"), setting="by")
    group = {task: (groups or {}).get(task) or group_of(task) if by == "group" else task for task in names}
    held, relatives = _held_out(group, tasks, count, share, seed)
    if len(held) + len(relatives) == len(names):
        raise SettingsError(
            f"at least one task must stay in the pool, but all {len(names)} would leave it.", setting="share"
        )
    sampled = _sampled(rows, held, max_per_pool_task, max_per_target_task, seed)
    pool: list[int] = []
    target: list[int] = []
    out: list[LeftOut] = []
    for number, task in enumerate(rows.tasks):
        assert task is not None
        if task in relatives:
            detail = f"task {task} shares the group {group[task]!r} with a held-out task"
            out.append(left_out(rows, number, "relative", detail))
        elif number not in sampled:
            detail = f"over the most rows for a task of the {'target' if task in held else 'pool'}"
            out.append(left_out(rows, number, "sampled-away", detail))
        else:
            (target if task in held else pool).append(number)
    return Split(rows.take(pool), rows.take(target), tuple(out), tuple(sorted(held)), tuple(sorted(relatives)))


def _task_names(rows: Rows) -> list[str]:
    """Every task, by first appearance."""
    names: dict[str, None] = {}
    for number, task in enumerate(rows.tasks):
        if task is None:
            raise SettingsError(
                f"every row must have a task to be held out by, but {rows.files[number]}:{rows.lines[number]} "
                f"(id {rows.ids[number]}) has none. Hint: `task_field` names the field that holds it.",
                file=rows.files[number],
                line=rows.lines[number],
                row=rows.ids[number],
                setting="task_field",
            )
        names.setdefault(task)
    return list(names)


def _held_out(
    group: Mapping[str, str], tasks: Sequence[str] | None, count: int | None, share: float | None, seed: int
) -> tuple[set[str], set[str]]:
    """The held-out tasks, and those that leave the pool with them."""
    if sum(choice is not None for choice in (tasks, count, share)) != 1:
        raise SettingsError("exactly one of `tasks`, `count` and `share` must say what to hold out.", setting="tasks")
    if tasks is not None:
        for task in tasks:
            if task not in group:
                raise unknown_name("task", task, group, setting="tasks")
        if not tasks:
            raise SettingsError("`tasks` must name at least one task.", setting="tasks")
        taken = {group[task] for task in tasks}
        return set(tasks), {task for task in group if group[task] in taken} - set(tasks)
    all_groups = sorted(set(group.values()))
    if share is not None:
        if not 0 < share < 1:
            raise SettingsError(f"`share` must be more than 0 and less than 1, got {share}.", setting="share")
        count = max(1, round(share * len(all_groups)))
    assert count is not None
    if not 0 < count < len(all_groups):
        raise SettingsError(
            f"`count` must be at least 1 and less than the {len(all_groups)} there are, got {count}.", setting="count"
        )
    chosen = np.random.default_rng(seed).choice(len(all_groups), size=count, replace=False)
    taken = {all_groups[place] for place in chosen}
    return {task for task in group if group[task] in taken}, set()


def _sampled(rows: Rows, held: set[str], pool_most: int | None, target_most: int | None, seed: int) -> set[int]:
    """The rows that stay when each task keeps at most so many."""
    for name, most in (("max_per_pool_task", pool_most), ("max_per_target_task", target_most)):
        if most is not None and most < 1:
            raise SettingsError(f"`{name}` must be at least 1, got {most}.", setting=name)
    numbers: dict[str, list[int]] = {}
    for number, task_of in enumerate(rows.tasks):
        numbers.setdefault(task_of or "", []).append(number)
    kept: set[int] = set()
    for task, own in numbers.items():
        most = target_most if task in held else pool_most
        if most is None or len(own) <= most:
            kept.update(own)
        else:
            rng = np.random.default_rng([seed, *task.encode("utf-8")])
            kept.update(own[place] for place in rng.choice(len(own), size=most, replace=False))
    return kept
