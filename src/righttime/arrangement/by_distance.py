"""Rows by their distance to the whole target."""

from __future__ import annotations

from typing import Any

import numpy as np

from righttime.arrangement.by_round import PAPER
from righttime.arrangement.question import Method, Picked, Question
from righttime.neighbours import nearest_target
from righttime.similarity import target_distance

__all__ = ["METHODS"]


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


_NEEDS = frozenset({"vectors", "distance"})

METHODS = {
    "nearest": Method(
        lambda q: _by_distance(q, 1.0), "rows by distance to the target, nearest first", PAPER, _NEEDS, "n·m·d"
    ),
    "farthest": Method(
        lambda q: _by_distance(q, -1.0), "rows by distance to the target, farthest first", PAPER, _NEEDS, "n·m·d"
    ),
}
