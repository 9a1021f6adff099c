"""What people use to do the same: the paper's procedure on a matrix, FAISS, sentence-transformers, RDS+ on a matrix.

Written from their descriptions, each in the form that is fastest for it with the library it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def released(pool: Vectors, target: Vectors) -> Iterator[NDArray[np.intp]]:
    """The rounds as in the released code: an N x M matrix filled row by row, arg-min over all of it in each round.

    The cosine distance is minus the similarity. Taken rows get an infinite distance. There are three copies of the
    matrix at the peak, as in the released code: similarity, distance, and the one that NumPy makes to scan columns.
    """
    similarity = np.empty((len(pool), len(target)), dtype=np.float32)
    for row in range(len(pool)):
        similarity[row] = target @ pool[row]
    distance = -similarity
    left = len(pool)
    while left:
        chosen = np.unique(distance.argmin(axis=0))
        distance[chosen] = np.inf
        left -= len(chosen)
        yield chosen


def one_product(pool: Vectors, target: Vectors) -> Iterator[NDArray[np.intp]]:
    """The same rounds, the matrix from one BLAS product, and laid out so that a round reads it in one sweep."""
    similarity = target @ pool.T
    left = len(pool)
    while left:
        chosen = np.unique(similarity.argmax(axis=1))
        similarity[:, chosen] = -np.inf
        left -= len(chosen)
        yield chosen


def released_bytes(n_pool: int, n_target: int) -> int:
    """What `released` needs above its input."""
    return 3 * 4 * n_pool * n_target


def one_product_bytes(n_pool: int, n_target: int) -> int:
    """What `one_product` needs above its input."""
    return 4 * n_pool * n_target


def faiss_lists(pool: Vectors, target: Vectors, k: int) -> NDArray[np.int64]:
    """The k most similar pool rows of each target row, by FAISS, flat."""
    import faiss

    rows: NDArray[np.int64] = faiss.knn(target, pool, k, metric=faiss.METRIC_INNER_PRODUCT)[1]
    return rows


def semantic_search_lists(pool: Vectors, target: Vectors, k: int) -> NDArray[np.int64]:
    """The same by `sentence_transformers.util.semantic_search`, with its defaults."""
    import torch
    from sentence_transformers.util import dot_score, semantic_search

    found: list[list[dict[str, Any]]] = semantic_search(
        torch.from_numpy(target), torch.from_numpy(pool), top_k=k, score_function=dot_score
    )
    return np.array([[hit["corpus_id"] for hit in hits] for hits in found])


def rounds_on_lists(pool: Vectors, target: Vectors, budget: int, k: int) -> NDArray[np.intp]:
    """TMA on the lists of FAISS, all made again four times as long where one runs out: rows in the order of rounds."""
    while True:
        rows = _played(faiss_lists(pool, target, k), len(pool), budget)
        if rows is not None:
            return rows
        k = min(4 * k, len(pool))


def _played(lists: NDArray[np.int64], n_pool: int, budget: int) -> NDArray[np.intp] | None:
    taken, place = np.zeros(n_pool, dtype=bool), np.zeros(len(lists), dtype=np.intp)
    rounds: list[NDArray[np.intp]] = []
    count, everyone = 0, np.arange(len(lists))
    while count < budget:
        while (behind := taken[lists[everyone, place]]).any():
            place[behind] += 1
            if place.max() == lists.shape[1]:
                return None
        rounds.append(np.unique(lists[everyone, place]))
        taken[rounds[-1]] = True
        count += len(rounds[-1])
    return np.concatenate(rounds)


def round_robin_on_matrix(pool: Vectors, target: Vectors, budget: int) -> NDArray[np.intp]:
    """RDS+: the matrix, every row of it sorted, and each target row in turn takes its first row that nobody has."""
    order = np.argsort(-(target @ pool.T), axis=1, kind="stable")
    taken, place = np.zeros(len(pool), dtype=bool), [0] * len(target)
    rows = np.empty(budget, dtype=np.intp)
    for turn in range(budget):
        who = turn % len(target)
        while taken[order[who, place[who]]]:
            place[who] += 1
        rows[turn] = order[who, place[who]]
        taken[rows[turn]] = True
    return rows


@dataclass(frozen=True)
class RoundRobin:
    """What RDS+'s released rule takes.

    Attributes:
        in_turn: int64, shape (budget,): the rows in the order in which they were first taken, cut to the budget.
        saved: int64, shape (budget,): the rows as released, where the last turn's surplus is cut from a Python set.
        turns: Single choices made.
        lost: Those of a row that somebody had already.
    """

    in_turn: NDArray[np.int64]
    saved: NDArray[np.int64]
    turns: int
    lost: int


def released_round_robin(pool: Vectors, target: Vectors, budget: int) -> RoundRobin:
    """RDS+ as released: each target row in turn names its next best row, and one named before is a turn lost.

    Written from its description, for one pool and no domain weights. Rows are pairs (0, row) in a set that becomes a
    list after every choice; whole rounds of all target rows are played until there are enough, then the list is cut.
    """
    order = np.argsort(-(target @ pool.T), axis=1, kind="stable")
    named: dict[tuple[int, int], None] = {}
    saved: list[tuple[int, int]] = []
    turns = 0
    while len(saved) < budget:
        place = turns // len(target)
        for row in order[:, place].tolist():
            named.setdefault((0, row))
            saved.append((0, row))
            saved = list(set(saved))
            turns += 1
    lost = turns - len(named)
    cut = [row for _, row in list(named)[:budget]]
    return RoundRobin(np.array(cut), np.array([row for _, row in saved[:budget]]), turns, lost)
