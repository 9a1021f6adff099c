"""TMA as methods: rounds in order, nearest or farthest, each ordered inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.rounds import Round, tma_rounds
from righttime.arrangement.selection import Method, Picked, Question
from righttime.errors import SettingsError

__all__ = ["METHODS", "PAPER", "WITHIN_ROUND", "play"]

PAPER = "He et al., Findings of ACL 2025"


def _by_similarity(played: Round, number: int, seed: int) -> NDArray[np.intp]:
    return np.lexsort((played.rows, -played.similarity))


def _by_index(played: Round, number: int, seed: int) -> NDArray[np.intp]:
    return np.argsort(played.rows, kind="stable")


def _at_random(played: Round, number: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, number]).permutation(len(played.rows))


WITHIN_ROUND: Mapping[str, Callable[[Round, int, int], NDArray[np.intp]]] = {
    "similarity": _by_similarity,
    "index": _by_index,
    "random": _at_random,
}
"""The order inside a round: most similar first (least, for farthest), the pool's order, or a seeded shuffle."""


def play(question: Question, sign: float) -> Picked:
    """Rounds in order. Farthest is nearest to the opposite target: cos(x, -t) = -cos(x, t), exactly.

    Args:
        question: Vectors, budget, window of rounds, order within a round, seed.
        sign: 1.0 for nearest, -1.0 for farthest.

    Raises:
        SettingsError: If the window names no round that exists.
    """
    start, stop = question.rounds or (0, None)
    target = question.target if sign > 0 else -question.target
    played = tma_rounds(
        question.pool,
        target,
        expected_rows=stop * len(target) if stop is not None else question.budget if start == 0 else None,
        search=question.search,
        min_similarity=question.min_similarity if sign > 0 else None,
    )
    parts: list[tuple[NDArray[Any], ...]] = []
    number, taken = -1, 0
    for number, one in enumerate(islice(played, stop)):
        if number < start:
            continue
        # Similarities are to the turned target here, so most similar first is right for both signs.
        inside = WITHIN_ROUND[question.within_round](one, number, question.seed)
        label = np.full(len(inside), number, dtype=np.int32)
        similarity = np.float32(sign) * one.similarity[inside] + np.float32(0.0)
        parts.append((one.rows[inside], label, one.picked_by[inside], similarity))
        taken += len(inside)
        if question.budget is not None and taken >= question.budget:
            break
    if not parts:
        raise SettingsError(
            f"`rounds='{start}:{'' if stop is None else stop}'` must name rounds that exist, "
            f"but the pool is empty after {number + 1} rounds. Hint: rounds count from 0.",
            setting="rounds",
        )
    order, label, picked_by, similarity = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Picked(order, label, picked_by, similarity, 0.0 - similarity.astype(np.float64))


_NEEDS = frozenset({"vectors", "rounds"})

METHODS = {
    "tma": Method(
        lambda q: play(q, 1.0),
        "rounds: every target row picks its nearest pool row still there",
        PAPER,
        _NEEDS,
        "n·m·d",
    ),
    "tma-farthest": Method(
        lambda q: play(q, -1.0), "rounds: every target row picks its farthest pool row", PAPER, _NEEDS, "n·m·d"
    ),
}
