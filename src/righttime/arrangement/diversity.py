"""Rows that cover the pool: k-center by farthest-first, facility location by lazy greedy.

k-center: Gonzalez 1985; as a way to choose training data, Sener and Savarese, ICLR 2018. Facility location: Minoux 1978
for the lazy greedy; as a way to choose training data, Wei, Iyer and Bilmes, ICML 2015. Similarities between pool rows
are those of `righttime.similarity.lattice`, so that no block size or thread count can change a choice.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.question import Method, Param, Picked, Question
from righttime.errors import SettingsError, unknown_name
from righttime.similarity import average_distance
from righttime.similarity.lattice import exact_sum_terms, on_lattice

__all__ = ["FACILITY_ROWS", "METHODS"]

FACILITY_ROWS = 50_000
"""The largest pool that facility location takes: its first pass looks at every pair of pool rows."""

_BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64 products at a time
_AT_ONCE = 16  # stale gains computed together


def _answer(question: Question, order: NDArray[np.int64], value: NDArray[np.float64]) -> Picked:
    """These methods ask no target row for its choice; the most similar one says how near a row is all the same."""
    nearest, similarity = question.search.nearest(question.pool[order], question.target)
    return Picked(order, None, nearest, similarity, value)


def _kcenter(question: Question) -> Picked:
    """Farthest-first: next comes the row with the largest D_i·((1 + s_i)/2)^weight; equal ones by lower pool row.

    D_i = √(2 − 2·max cos) is the Euclidean distance to the nearest row taken so far, s_i the similarity to the most
    similar target row. With weight 0 this is the greedy 2-approximation of k-center for every prefix.
    """
    rows, n = on_lattice(question.pool), question.wanted
    factor = _target_factor(question)
    order, value = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.float64)
    order[0], value[0] = _first_center(question), -2.0  # no distance yet: unit vectors are at most 2 apart
    nearest = np.full(len(rows), -np.inf)
    taken = np.zeros(len(rows), dtype=np.bool_)
    for place in range(1, n):
        last = order[place - 1]
        taken[last] = True
        np.maximum(nearest, rows @ rows[last], out=nearest)
        score = np.sqrt(np.maximum(2.0 - 2.0 * nearest, 0.0)) * factor
        score[taken] = -np.inf
        order[place] = score.argmax()
        value[place] = 0.0 - score[order[place]]
        if question.progress is not None:
            question.progress(1)
    return _answer(question, order, value)


def _target_factor(question: Question) -> NDArray[np.float64]:
    weight = question.params["weight"]
    if not 0 <= weight < np.inf:
        raise SettingsError(f"weight of kcenter must be 0 or more, got {weight}.")
    if weight == 0:
        return np.ones(len(question.pool))
    similarity = question.search.nearest(question.pool, question.target)[1].astype(np.float64)
    return np.asarray(np.clip((1.0 + similarity) / 2.0, 0.0, 1.0) ** weight, dtype=np.float64)


def _first_center(question: Question) -> int:
    start = question.params["start"]
    if start == "target":
        return int(average_distance(question.pool, question.target).argmin())
    if start == "random":
        return int(np.random.default_rng(question.seed).integers(len(question.pool)))
    raise unknown_name("start", start, ("target", "random"))


def _facility(question: Question) -> Picked:
    """Lazy greedy for f(S) = Σ_i max_{j∈S} max(0, cos(i, j)) over all pool rows i; equal gains by lower pool row.

    A gain only shrinks as rows are taken (f is submodular), so an old gain bounds the new one: the row on top of the
    heap is taken when its gain, computed anew, still is on top.
    """
    n_pool = len(question.pool)
    if n_pool > FACILITY_ROWS:
        raise SettingsError(
            f"facility takes at most {FACILITY_ROWS:,} pool rows, got {n_pool:,}: it looks at every pair of them. "
            "Hint: kcenter has no such limit; or arrange a part of the pool, chosen by another method."
        )
    rows, covered = on_lattice(question.pool), np.zeros(n_pool)
    heap = [(-gain, row) for row, gain in enumerate(_first_gains(rows, question))]
    heapq.heapify(heap)
    fresh: set[int] = set(range(n_pool))
    order, value = np.empty(question.wanted, dtype=np.int64), np.empty(question.wanted, dtype=np.float64)
    for place in range(question.wanted):
        while heap[0][1] not in fresh:
            stale = [heapq.heappop(heap)[1]]
            while heap and len(stale) < _AT_ONCE and heap[0][1] not in fresh:
                stale.append(heapq.heappop(heap)[1])
            gains = np.maximum(exact_sum_terms(rows @ rows[stale].T) - covered[:, None], 0.0).sum(axis=0)
            for row, gain in zip(stale, gains.tolist(), strict=True):
                heapq.heappush(heap, (-gain, row))
            fresh.update(stale)
        value[place], order[place] = heapq.heappop(heap)
        np.maximum(covered, exact_sum_terms(rows @ rows[order[place]]), out=covered)
        fresh = set()
    return _answer(question, order, value)


def _first_gains(rows: NDArray[np.float64], question: Question) -> list[float]:
    out: list[float] = []
    step = max(1, _BLOCK_ELEMENTS // len(rows))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        out += np.maximum(exact_sum_terms(block @ rows.T), 0.0).sum(axis=1).tolist()
        if question.progress is not None:
            question.progress(len(block))
    return out


_NEEDS = frozenset({"vectors"})

METHODS = {
    "kcenter": Method(
        _kcenter,
        "farthest from all rows taken so far, from the row nearest to the target's mean on",
        "Sener and Savarese 2018",
        _NEEDS,
        "n·b·d + b·m·d",
        {
            "start": Param(str, "target", "the first row: target, the nearest to the target's mean, or random"),
            "weight": Param(float, 0.0, "how much similarity to the target weighs; 0 is plain k-center"),
        },
    ),
    "facility": Method(
        _facility,
        "adds most to how well the pool is covered",
        "Wei, Iyer and Bilmes 2015",
        _NEEDS,
        "n²·d + n·d per gain; at most 50,000 rows",
    ),
}
