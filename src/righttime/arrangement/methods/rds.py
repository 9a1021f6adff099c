"""RDS+: every target row in turn takes its most similar pool row, or the pool is ranked by its best target row.

Ivison et al., "Large-Scale Data Selection for Instruction Tuning" (2025).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.caps import Room
from righttime.arrangement.floor import reaches
from righttime.arrangement.selection import Method, Selection, SelectionInput
from righttime.arrangement.weights import Turns

__all__ = ["METHODS"]

RDS = "Ivison et al. 2025 (RDS+)"
_PAPER = "Ivison et al., *Large-Scale Data Selection for Instruction Tuning*, 2025, arXiv 2503.01807"


def _in_turn(inputs: SelectionInput) -> Selection:
    """Target rows 0, 1, … m-1, 0, 1, …: each takes the most similar pool row that is still there.

    In the released code a turn passes where the target row's best row is taken already; here it takes the next one. So
    after t turns t rows are taken, and no target row falls behind. With a least similarity, a target row whose nearest
    row still there does not reach it has no more turns. With weights, turns are in proportion (`Turns`).
    """
    n, taken = inputs.wanted, 0
    lists, room = CandidateLists(inputs.pool, inputs.target, n, inputs.search), Room(inputs.caps)
    order, picked_by, similarity = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.float32)
    playing, queue = np.arange(len(inputs.target)), deque[int]()
    turns = Turns(inputs.target_weights, len(playing))
    while taken < n and lists.n_alive:
        if not queue:
            if not len(playing):
                break
            queue.extend(turns.next(playing).tolist())
        who = queue.popleft()
        row, value = lists.choose_one(who)
        if not reaches(value, inputs.min_similarity):
            playing = playing[playing != who]
            continue
        order[taken], picked_by[taken], similarity[taken] = row, who, value
        room.take(lists, row)
        lists.take(order[taken : taken + 1])
        taken += 1
    order, picked_by, similarity = order[:taken], picked_by[:taken], similarity[:taken]
    return Selection(order, None, picked_by, similarity, 0.0 - similarity.astype(np.float64))


def _by_best(inputs: SelectionInput) -> Selection:
    """All rows by their similarity to the most similar target row: the order of ``nearest`` by the distance ``md``."""
    nearest, similarity = inputs.search.nearest(inputs.pool, inputs.target)
    order = np.argsort(-similarity, kind="stable").astype(np.int64)
    return Selection(order, None, nearest[order], similarity[order], 0.0 - similarity[order].astype(np.float64))


_NEEDS = frozenset({"vectors"})

METHODS = {
    "rds": Method(
        _in_turn,
        "each target row in turn takes its most similar remaining row",
        RDS,
        _NEEDS,
        "n·m·d + b·log b",
        paper=_PAPER,
        differs="A target row whose nearest row is taken picks the next one; in the released code it loses its turn.",
        looks="rounds",
        verified_by="turns",
        picked_near=True,
        caps_itself=True,
    ),
    "rds-max": Method(
        _by_best,
        "rows by similarity to their most similar target row",
        RDS,
        _NEEDS,
        "n·m·d",
        paper=_PAPER,
        looks="nearest",
        verified_by="ranking",
        ranks_by="md",
        picked_near=True,
    ),
}
