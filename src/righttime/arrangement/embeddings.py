"""Arrange vectors: the checks that every method shares, and the exact budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.arrangement import Arrangement
from righttime.arrangement.methods import METHODS, WITHIN_ROUND, Picked, Question, method_named
from righttime.errors import EmptyDataError, SettingsError, ShapeError, unknown_name
from righttime.neighbours.blocks import Progress
from righttime.similarity import distance_names, unit_rows

__all__ = ["arrange_embeddings", "arrange_unit_vectors", "check_settings"]


def arrange_embeddings(
    pool_vectors: Any,
    target_vectors: Any,
    *,
    method: str = "tma",
    budget: int | None = None,
    tasks: Sequence[str | None] | None = None,
    seed: int = 0,
    distance: str = "wsd",
    rounds: tuple[int, int | None] | None = None,
    within_round: str = "similarity",
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> Arrangement:
    """Arrange a pool of vectors around target vectors.

    The result is exact and the same for every `block_rows`, thread count and BLAS: similarity is defined pair
    by pair (`righttime.similarity.pair_similarity`), ties go to the lower pool row.

    Args:
        pool_vectors: Any real dtype, shape (n_pool, d). Widened to float32 and normalised row by row.
        target_vectors: Any real dtype, shape (n_target, d).
        method: ``tma``, ``tma-farthest``, ``nearest``, ``farthest``, ``random``, ``cluster`` or ``round-robin``.
        budget: The exact number of rows; None takes all.
        tasks: The task of each pool row; needed by ``cluster`` and ``round-robin``.
        seed: For ``random``, and for rounds ordered at random.
        distance: What ``nearest`` and ``farthest`` rank by: ``wsd``, ``ad`` or ``md``.
        rounds: Keep only the rounds start <= r < stop of TMA (stop None: to the end), before the budget cuts.
        within_round: The order inside a round: ``similarity``, ``index`` (the paper's code) or ``random``.
        block_rows: Pool rows per matrix product; None chooses. Memory and speed only.
        progress: Called with the number of pool rows searched since the last call.

    Returns:
        The arrangement; see `Arrangement`.

    Raises:
        ShapeError: If a matrix is not two-dimensional, dimensions differ, or `tasks` has another length.
        NonFiniteError: If a vector is zero or holds NaN or infinity; names the rows.
        EmptyDataError: If the pool or the target is empty.
        SettingsError: If a name is unknown, or a budget, window or seed is out of range.

    Example:
        >>> import righttime
        >>> pool = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
        >>> righttime.arrange_embeddings(pool, [[0.0, 1.0]], method="tma", budget=2).order.tolist()
        [1, 2]
    """
    pool, target = unit_rows(pool_vectors, "pool_vectors"), unit_rows(target_vectors, "target_vectors")
    question = Question(
        pool=pool,
        target=target,
        tasks=tasks,
        budget=budget,
        rounds=rounds,
        within_round=within_round,
        distance=distance,
        seed=seed,
        block_rows=block_rows,
        progress=progress,
    )
    return arrange_unit_vectors(method, question)


def arrange_unit_vectors(method: str, question: Question) -> Arrangement:
    """Arrange vectors that are float32 and of unit length already; see `arrange_embeddings`."""
    n_pool, n_target = len(question.pool), len(question.target)
    for name, count in (("pool", n_pool), ("target", n_target)):
        if not count:
            raise EmptyDataError(f"the {name} must hold at least one row, got none.")
    if question.pool.shape[1] != question.target.shape[1]:
        raise ShapeError(
            f"pool and target vectors must have the same dimension, got {question.pool.shape[1]} and "
            f"{question.target.shape[1]}. Hint: embed both with the same model."
        )
    if question.tasks is not None and len(question.tasks) != n_pool:
        raise ShapeError(f"tasks must name one task for each of the {n_pool} pool rows, got {len(question.tasks)}.")
    check_settings(method, question, n_pool)
    found = method_named(method).order(question)
    return _cut(found, method, question)


def check_settings(method: str, question: Question, n_pool: int | None = None) -> None:
    """Refuse unknown names and numbers out of range before any work is done.

    Args:
        method: The method's name.
        question: The settings to check; its vectors are not looked at.
        n_pool: The pool's size, where it is known already.

    Raises:
        SettingsError: If anything is wrong; says what must hold and what was got.
    """
    needs = method_named(method).needs
    if question.within_round not in WITHIN_ROUND:
        raise unknown_name("order within a round", question.within_round, WITHIN_ROUND)
    if question.distance not in distance_names():
        raise unknown_name("distance", question.distance, distance_names())
    if question.seed < 0:
        raise SettingsError(f"seed must be 0 or more, got {question.seed}.")
    if question.budget is not None and question.budget < 1:
        raise SettingsError(f"budget must be at least 1 row, got {question.budget}. Hint: leave it out to take all.")
    if n_pool is not None and question.budget is not None and question.budget > n_pool:
        raise SettingsError(
            f"budget must be at most the pool's {n_pool} rows, got {question.budget}. Hint: leave it out to take all."
        )
    if question.rounds is not None:
        start, stop = question.rounds
        if "rounds" not in needs:
            having = ", ".join(name for name, entry in METHODS.items() if "rounds" in entry.needs)
            raise SettingsError(f"rounds can be chosen only of methods that have them ({having}), got {method!r}.")
        if start < 0 or (stop is not None and stop <= start):
            raise SettingsError(f"rounds must be start:stop with 0 <= start < stop, got {start}:{stop}.")


def _cut(found: Picked, method: str, question: Question) -> Arrangement:
    """Cut to the budget, which is exact, and record how the order came about."""
    n = len(found.order) if question.budget is None else question.budget
    if n > len(found.order):
        raise SettingsError(
            f"budget must be at most the {len(found.order)} rows of the chosen rounds, got {n}. "
            "Hint: widen the window of rounds or lower the budget."
        )
    needs = METHODS[method].needs
    settings: dict[str, Any] = {"method": method, "budget": question.budget, "seed": question.seed}
    if "rounds" in needs:
        settings["within_round"] = question.within_round
        settings["rounds"] = list(question.rounds) if question.rounds else None
    if "distance" in needs:
        settings["distance"] = question.distance
    columns: dict[str, NDArray[Any] | None] = {
        entry.name: None if (column := getattr(found, entry.name)) is None else np.ascontiguousarray(column[:n])
        for entry in dataclasses.fields(found)
        if entry.name != "resolved"
    }
    return Arrangement(
        **columns,  # type: ignore[arg-type]  # the fields of Picked are named and typed as those of Arrangement
        n_pool=len(question.pool),
        n_target=len(question.target),
        settings={**settings, **found.resolved},
    )
