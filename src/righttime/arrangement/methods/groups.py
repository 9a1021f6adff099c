"""Whole groups of rows by the distance of their mean: tasks, k-means clusters, or anything down to single rows."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.baselines import rows_by_task
from righttime.arrangement.methods.distance import WEIGHTS, check_distance_of, distance_of, remarks
from righttime.arrangement.methods.tma import PAPER, WHOLE_PAPER
from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.errors import SettingsError
from righttime.similarity import unit_rows

__all__ = ["METHODS", "group_means", "k_means"]

_NO_DIRECTION = 1e-6
"""A mean of unit vectors shorter than this is rounding: it points nowhere, and is at similarity 0 to everything."""


def _granular(inputs: SelectionInput) -> Selection:
    """Groups by the distance of their mean embedding; rows within a group shuffled by the seed."""
    groups = inputs.params.get("groups") or None
    if groups is None:
        return _by_group(inputs, rows_by_task(inputs))
    if groups == len(inputs.pool):
        return _by_group(inputs, list(np.arange(groups, dtype=np.int64)[:, None]))
    return _by_group(inputs, k_means(inputs.pool, groups, inputs.seed))


def _draws(inputs: SelectionInput) -> bool:
    """Rows are shuffled within their groups, unless every row is a group of its own."""
    return inputs.params.get("groups") != len(inputs.pool)


def _check(inputs: SelectionInput) -> None:
    """Groups that there can be, tasks where they are the groups, and a distance that can be computed."""
    groups = inputs.params.get("groups") or len(rows_by_task(inputs))
    if groups > len(inputs.pool):
        raise SettingsError(
            f"groups must be from 1 to the pool's {len(inputs.pool)} rows, got {groups}. "
            "Hint: 0 takes the given tasks; as many groups as rows is the order of nearest.",
            setting="params",
        )
    check_distance_of(inputs, groups)


def _by_group(inputs: SelectionInput, groups: list[NDArray[np.int64]]) -> Selection:
    means = group_means(inputs.pool, groups)
    _, to_mean = inputs.search.nearest(means, inputs.target)
    distance = distance_of(inputs, means, to_mean)
    ranked = np.argsort(distance.values, kind="stable").tolist()
    order = np.concatenate([np.random.default_rng([inputs.seed, g]).permutation(groups[g]) for g in ranked])
    nearest, similarity = inputs.search.nearest(inputs.pool, inputs.target)
    value = np.repeat(distance.values[ranked], [len(groups[g]) for g in ranked])
    resolved = {**remarks(distance), "n_groups": len(groups)}
    return Selection(order.astype(np.int64), None, nearest[order], similarity[order], value, resolved)


def group_means(pool: NDArray[np.float32], groups: list[NDArray[np.int64]]) -> NDArray[np.float32]:
    """The mean embedding of each group, of unit length; a group of one row is that row to the bit.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        groups: The rows of each group.

    Returns:
        float32, shape (n_groups, d): unit vectors, or zeros where a group's rows cancel out.

    Example:
        >>> group_means(np.float32([[1, 0], [-1, 0], [0, 1]]), [np.array([0, 1]), np.array([2])]).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    means = np.zeros((len(groups), pool.shape[1]), dtype=np.float32)
    for number, rows in enumerate(groups):
        if len(rows) == 1:
            means[number] = pool[rows[0]]
            continue
        mean = pool[rows].sum(axis=0, dtype=np.float64) / len(rows)
        if np.linalg.norm(mean) > _NO_DIRECTION:
            means[number] = unit_rows(mean[None])[0]
    return means


def k_means(vectors: NDArray[np.float32], k: int, seed: int) -> list[NDArray[np.int64]]:
    """The rows of at most k clusters (fewer where rows repeat), clusters by their first row.

    scikit-learn's k-means with one seeded k-means++ start, on one thread so that sums round the same way.

    Args:
        vectors: float32 unit vectors, shape (n, d).
        k: How many clusters; at most n.
        seed: For the start.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        label = KMeans(k, n_init=1, random_state=seed % 2**32).fit_predict(vectors)
    clusters = np.split(np.argsort(label, kind="stable"), np.flatnonzero(np.diff(np.sort(label))) + 1)
    return sorted(clusters, key=lambda rows: int(rows[0]))


_NEEDS = frozenset({"vectors", "distance", "tasks"})
_GROUPS = Param(
    int, None, "k-means clusters, from 1 to the pool's rows (= nearest); 0 or none: the given tasks", least=0
)

METHODS = {
    "granular": Method(
        _granular,
        "whole groups by the distance of their mean, shuffled inside: tasks, or k-means clusters",
        PAPER + " (fine, coarse); between them: ours",
        _NEEDS,
        "n·m·d + 300·n·g·d",
        {"groups": _GROUPS, **WEIGHTS},
        draws=_draws,
        check=_check,
        paper=WHOLE_PAPER,
        differs="Fine and coarse are the paper's; k-means clusters between them are ours.",
    ),
    "coarse": Method(
        _granular,
        "whole tasks by the distance of their mean, shuffled inside",
        PAPER,
        _NEEDS,
        "n·m·d",
        WEIGHTS,
        draws=_draws,
        check=_check,
        paper=WHOLE_PAPER,
    ),
}
