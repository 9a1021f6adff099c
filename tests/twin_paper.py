"""Slow twins of the paper's other orders, written from the definitions alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import distances, matrix, tma_order


def both_ends(s: NDArray[np.float32], budget: int) -> tuple[list[Any], list[Any]]:
    """(row, round, picked by, similarity) of N and F: each walk takes its first row that nobody has, in turn."""
    walks = tma_order(s, None), tma_order(s, None, farthest=True)
    got: tuple[list[Any], list[Any]] = ([], [])
    taken: set[int] = set()
    for turn in range(budget):
        pick = next(place for place in walks[turn % 2] if place[0] not in taken)
        taken.add(pick[0])
        got[turn % 2].append(pick)
    return got


def ranking(pool: NDArray[np.float32], target: NDArray[np.float32], name: str) -> list[float]:
    return distances(matrix(pool, target), pool, target, name)


def per_task(
    pool: NDArray[np.float32], target: NDArray[np.float32], tasks: Sequence[str], k: int, name: str, polar: bool
) -> list[int]:
    value = ranking(pool, target, name)
    union: list[int] = []
    for task in set(tasks):
        ranked = sorted((i for i, t in enumerate(tasks) if t == task), key=lambda i: (value[i], i))
        n = len(ranked)
        if n < k:
            union += ranked
        elif polar:
            union += ranked[: math.ceil(k / 2)] + ranked[n - math.floor(k / 2) :]
        else:
            union += [ranked[math.floor(Fraction(i * n, k))] for i in range(k)]
    union.sort()
    again = ranking(pool[union], target, name)
    return [union[place] for place in sorted(range(len(union)), key=lambda place: (again[place], union[place]))]


def mean_vectors(pool: NDArray[np.float32], groups: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    means = np.array([pool[list(rows)].astype(np.float64).mean(axis=0) for rows in groups])
    length = np.linalg.norm(means, axis=1, keepdims=True)
    return np.where(length > 1e-6, means / np.maximum(length, 1e-6), 0.0)


def mixture(
    s: NDArray[np.float32], turns: Sequence[int], members: Sequence[Sequence[int]]
) -> list[tuple[int, int, np.float32]]:
    """(row, picked by, similarity): in each turn the task's nearest living row to any of its target rows."""
    there, picks = set(range(len(s))), []
    for turn in turns:
        row, by = min(((i, j) for i in there for j in members[turn]), key=lambda pair: (-s[pair], *pair))
        there.remove(row)
        picks.append((row, by, s[row, by]))
    return picks


def transport_cost(cost: NDArray[np.float64]) -> float:
    """The linear programme of optimal transport with uniform marginals, as it stands in the textbook."""
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    marginals = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    return float(linprog(cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=marginals).fun)
