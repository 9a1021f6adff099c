"""LESS: rows by how well their direction agrees with that of a target task, meant for gradient vectors.

Xia et al., "LESS: Selecting Influential Data for Targeted Instruction Tuning" (ICML 2024). With vectors of
``embedder="gradients:MODEL"`` a similarity is the cosine of two rows' gradients; with any other vectors this is the
same rule over that similarity.
"""

from __future__ import annotations

import numpy as np

from righttime.arrangement.selection import Method, Selection, SelectionInput
from righttime.similarity import average_distance

__all__ = ["METHODS"]


def _less(inputs: SelectionInput) -> Selection:
    """Score_i = max over target tasks of the mean cosine to the task's rows; of equal tasks the first to appear."""
    groups: dict[str | None, list[int]] = {}
    for number, task in enumerate(inputs.target_tasks or [None] * len(inputs.target)):
        groups.setdefault(task, []).append(number)
    n = len(inputs.pool)
    distance, best = np.full(n, np.inf), np.zeros(n, dtype=np.int64)
    for place, numbers in enumerate(groups.values()):
        now = average_distance(inputs.pool, inputs.target[numbers])
        better = now < distance
        distance[better], best[better] = now[better], place
        if inputs.progress is not None:
            inputs.progress(n // len(groups))
    picked_by, similarity = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.float32)
    for place, numbers in enumerate(groups.values()):
        rows = np.flatnonzero(best == place)
        if len(rows):
            nearest, similarity[rows] = inputs.search.nearest(inputs.pool[rows], inputs.target[numbers])
            picked_by[rows] = np.asarray(numbers, dtype=np.int64)[nearest]
    order = np.argsort(distance, kind="stable").astype(np.int64)
    return Selection(order, None, picked_by[order], similarity[order], distance[order])


METHODS = {
    "less": Method(
        _less,
        "rows by their mean similarity to the target task they agree with most; for gradients",
        "Xia et al. 2024 (LESS)",
        frozenset({"vectors", "target_tasks"}),
        "n·t·d for t target tasks, + n·m·d/t",
        paper="Xia et al., *LESS: Selecting Influential Data for Targeted Instruction Tuning*, ICML 2024, arXiv "
        "2402.04333",
        differs="Warm-up, checkpoints and Adam's normalisation are those of `gradients:CHECKPOINT#adam`; without them "
        "gradients are those of fresh adapters. Fewer dimensions and a lower rank.",
    )
}
