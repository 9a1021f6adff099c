"""k-center by farthest-first: rows that leave no pool row far from all of them.

Gonzalez 1985; as a way to choose training data, Sener and Savarese, ICLR 2018. Similarities between pool rows are those
of `righttime.similarity.lattice`, so that no block size or thread count can change a choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.similarity import average_distance
from righttime.similarity.lattice import on_lattice

__all__ = ["METHODS", "described", "tell"]


def described(inputs: SelectionInput, order: NDArray[np.int64], value: NDArray[np.float64]) -> Selection:
    """An order whose rows no target row asked for; the most similar target row says how near each is all the same.

    Args:
        inputs: What the rows were chosen from.
        order: int64, shape (n,): pool rows.
        value: float64, shape (n,): what they were ranked by, smaller first.
    """
    nearest, similarity = inputs.search.nearest(inputs.pool[order], inputs.target)
    return Selection(order, None, nearest, similarity, value)


def tell(inputs: SelectionInput, step: int, steps: int) -> None:
    """Report one of `steps` equal steps, counted from 0, as its share of the pool's rows."""
    if inputs.progress is not None:
        n = len(inputs.pool)
        inputs.progress(n * (step + 1) // steps - n * step // steps)


def _kcenter(inputs: SelectionInput) -> Selection:
    """Farthest-first: next comes the row with the largest D_i·((1 + s_i)/2)^weight; equal ones by lower pool row.

    D_i = √(2 − 2·max cos) is the Euclidean distance to the nearest row taken so far, s_i the similarity to the most
    similar target row. With weight 0 this is the greedy 2-approximation of k-center for every prefix.
    """
    rows, n = on_lattice(inputs.pool), inputs.wanted
    factor = _target_factor(inputs)
    order, value = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.float64)
    order[0], value[0] = _first_center(inputs), -2.0  # no distance yet: unit vectors are at most 2 apart
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
        tell(inputs, place, n)
    return described(inputs, order, value)


def _target_factor(inputs: SelectionInput) -> NDArray[np.float64]:
    weight = inputs.params["weight"]
    if weight == 0:
        return np.ones(len(inputs.pool))
    similarity = inputs.search.nearest(inputs.pool, inputs.target)[1].astype(np.float64)
    return np.asarray(np.clip((1.0 + similarity) / 2.0, 0.0, 1.0) ** weight, dtype=np.float64)


def _first_center(inputs: SelectionInput) -> int:
    if inputs.params["start"] == "random":
        return int(np.random.default_rng(inputs.seed).integers(len(inputs.pool)))
    return int(average_distance(inputs.pool, inputs.target).argmin())


METHODS = {
    "kcenter": Method(
        _kcenter,
        "farthest from all rows taken so far, from the row nearest to the target's mean on",
        "Sener and Savarese 2018",
        frozenset({"vectors"}),
        "n·b·d + b·m·d",
        {
            "start": Param(
                str,
                "target",
                "the first row: target, the nearest to the target's mean, or random",
                choices=("target", "random"),
            ),
            "weight": Param(float, 0.0, "how much similarity to the target weighs; 0 is plain k-center", least=0),
        },
        draws=lambda inputs: inputs.params["start"] == "random",
        paper="Sener and Savarese, *Active Learning for Convolutional Neural Networks: A Core-Set Approach*, ICLR "
        "2018, arXiv 1708.00489; the greedy: Gonzalez 1985",
        differs="The greedy alone, without the paper's mixed-integer refinement. The first row is the one nearest to "
        "the target's mean.",
    ),
}
