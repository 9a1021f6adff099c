"""The methods by name, each a pure function from vectors, tasks and settings to an order.

A new method is one function here (or in a file of its own) and one line in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.tma import Round, tma_rounds
from righttime.errors import SettingsError, unknown_name
from righttime.neighbours import nearest_target
from righttime.neighbours.blocks import Progress
from righttime.similarity import target_distance

__all__ = ["METHODS", "WITHIN_ROUND", "Method", "Picked", "Question", "method_named"]


@dataclass(frozen=True)
class Question:
    """Everything a method may look at.

    Attributes:
        pool: float32 unit vectors, shape (n_pool, d); shape (n_pool, 0) where the method needs none.
        target: float32 unit vectors, shape (n_target, d).
        tasks: The task of each pool row, None where it has none; None if no tasks were given.
        budget: How many rows to take, or None for all; never more than there are.
        rounds: The window [start, stop) of rounds to keep, or None for all.
        within_round: A name of `WITHIN_ROUND`.
        distance: A name of `righttime.similarity.distance_names`.
        seed: For methods that shuffle.
        block_rows: Pool rows per product; never changes the result.
        progress: Called with the number of pool rows searched since the last call.
    """

    pool: NDArray[np.float32]
    target: NDArray[np.float32]
    tasks: Sequence[str | None] | None = None
    budget: int | None = None
    rounds: tuple[int, int | None] | None = None
    within_round: str = "similarity"
    distance: str = "wsd"
    seed: int = 0
    block_rows: int | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Picked:
    """A method's answer, all arrays of shape (n,); see `righttime.Arrangement`. It may be longer than the budget."""

    order: NDArray[np.int64]
    round: NDArray[np.int32] | None = None
    picked_by: NDArray[np.int64] | None = None
    similarity: NDArray[np.float32] | None = None
    distance: NDArray[np.float64] | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """One line of the table.

    Attributes:
        order: The function.
        does: What it does, in a few words.
        needs: What it looks at: any of ``vectors``, ``tasks``, ``rounds``, ``distance``.
    """

    order: Callable[[Question], Picked]
    does: str
    needs: frozenset[str] = frozenset()


def _by_similarity(played: Round, sign: float, number: int, seed: int) -> NDArray[np.intp]:
    return np.lexsort((played.rows, -sign * played.similarity))


def _by_index(played: Round, sign: float, number: int, seed: int) -> NDArray[np.intp]:
    return np.argsort(played.rows, kind="stable")


def _at_random(played: Round, sign: float, number: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, number]).permutation(len(played.rows))


WITHIN_ROUND: Mapping[str, Callable[[Round, float, int, int], NDArray[np.intp]]] = {
    "similarity": _by_similarity,
    "index": _by_index,
    "random": _at_random,
}
"""The order inside a round: most similar first (least, for farthest), the pool's order, or a seeded shuffle."""


def _tma(question: Question, sign: float) -> Picked:
    """Rounds in order. Farthest is nearest to the opposite target: cos(x, -t) = -cos(x, t), exactly."""
    start, stop = question.rounds or (0, None)
    target = question.target if sign > 0 else -question.target
    wanted = stop * len(target) if stop is not None else question.budget if start == 0 else None
    parts: list[tuple[NDArray[Any], ...]] = []
    taken = 0
    for number, played in enumerate(
        tma_rounds(
            question.pool,
            target,
            expected_rows=wanted,
            block_rows=question.block_rows,
            progress=question.progress,
        )
    ):
        if stop is not None and number >= stop:
            break
        if number < start:
            continue
        # `played.similarity` is to the turned target, so descending is right for both signs here.
        inside = WITHIN_ROUND[question.within_round](played, 1.0, number, question.seed)
        similarity = np.float32(sign) * played.similarity[inside] + np.float32(0.0)
        label = np.full(len(inside), number, dtype=np.int32)
        parts.append((played.rows[inside], label, played.picked_by[inside], similarity))
        taken += len(inside)
        if question.budget is not None and taken >= question.budget:
            break
    if not parts:
        raise SettingsError(
            f"--rounds {start}:{'' if stop is None else stop} must name rounds that exist, "
            f"but the pool is empty after {number + 1} rounds. Hint: rounds count from 0."
        )
    order, label, picked_by, similarity = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Picked(order, label, picked_by, similarity, 0.0 - similarity.astype(np.float64))


def _by_distance(question: Question, sign: float) -> Picked:
    """All rows sorted by their distance to the target; equal distances keep the pool's order."""
    nearest, similarity = nearest_target(
        question.pool, question.target, block_rows=question.block_rows, progress=question.progress
    )
    distance = target_distance(question.distance, question.pool, question.target, similarity)
    order = np.argsort(sign * distance.values, kind="stable").astype(np.int64)
    resolved: dict[str, Any] = {"weights": dict(distance.weights)} if distance.weights else {}
    if distance.warning:
        resolved["warning"] = distance.warning
    return Picked(order, None, nearest[order], similarity[order], distance.values[order], resolved)


def _random(question: Question) -> Picked:
    return Picked(np.random.default_rng(question.seed).permutation(len(question.pool)).astype(np.int64))


def _rows_by_task(question: Question) -> list[NDArray[np.int64]]:
    """The rows of each task in file order, tasks by first appearance."""
    if question.tasks is None:
        raise SettingsError("this method needs the task of every pool row, got none. Hint: tasks=, or --task-field.")
    rows: dict[str, list[int]] = {}
    for number, task in enumerate(question.tasks):
        if task is None:
            raise SettingsError(
                f"this method needs the task of every pool row, but pool row {number} has none. "
                "Hint: --task-field names the field that holds it; nearest and tma need no tasks."
            )
        rows.setdefault(task, []).append(number)
    return [np.asarray(numbers, dtype=np.int64) for numbers in rows.values()]


def _cluster(question: Question) -> Picked:
    return Picked(np.concatenate(_rows_by_task(question)))


def _round_robin(question: Question) -> Picked:
    rows = _rows_by_task(question)
    turn = np.concatenate([np.arange(len(numbers)) for numbers in rows])
    task = np.concatenate([np.full(len(numbers), place) for place, numbers in enumerate(rows)])
    return Picked(np.concatenate(rows)[np.lexsort((task, turn))])


_ROUNDS = frozenset({"vectors", "rounds"})
_DISTANCE = frozenset({"vectors", "distance"})

METHODS: Mapping[str, Method] = {
    "tma": Method(lambda q: _tma(q, 1.0), "rounds: every target row picks its nearest pool row still there", _ROUNDS),
    "tma-farthest": Method(lambda q: _tma(q, -1.0), "rounds: every target row picks its farthest pool row", _ROUNDS),
    "nearest": Method(lambda q: _by_distance(q, 1.0), "rows by distance to the target, nearest first", _DISTANCE),
    "farthest": Method(lambda q: _by_distance(q, -1.0), "rows by distance to the target, farthest first", _DISTANCE),
    "random": Method(_random, "a seeded shuffle"),
    "cluster": Method(_cluster, "all rows of a task together, tasks by first appearance", frozenset({"tasks"})),
    "round-robin": Method(_round_robin, "one row of each task in turn", frozenset({"tasks"})),
}


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        SettingsError: If there is none; lists the near ones.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
