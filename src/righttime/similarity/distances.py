"""Distances of each pool row to the whole target: AD, MD and their weighted sum WSD.

All are "smaller is nearer", with d(i, j) = -cos(x_i, t_j) (He et al., ACL Findings 2025).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.errors import unknown_name
from righttime.similarity.pairs import fold_sum

__all__ = ["Distance", "average_distance", "distance_names", "minimum_distance", "target_distance", "weighted_distance"]

_CHUNK_ROWS = 4096
GUARD = -0.01
"""Above this mean AD the default weight mean(MD)/mean(AD) explodes or turns negative."""


@dataclass(frozen=True)
class Distance:
    """Distances to the target and how they were weighted.

    Attributes:
        values: float64, shape (n_pool,); smaller is nearer.
        weights: The weights used, e.g. ``{"w_avg": 6.1, "w_min": 1.0}``; empty for AD and MD.
        warning: A sentence where the default weight had to be guarded, else None.
    """

    values: NDArray[np.float64]
    weights: Mapping[str, float]
    warning: str | None = None


def average_distance(pool: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """AD_i = mean_j d(i, j) = -x_i·t̄, with t̄ the mean target vector.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).

    Returns:
        float64, shape (n_pool,). t̄ is summed in row order and each product in one fixed order, in float64.

    Example:
        >>> average_distance(np.float32([[1, 0]]), np.float32([[1, 0], [0, 1]])).tolist()
        [-0.5]
    """
    total = np.zeros(target.shape[1], dtype=np.float64)
    for row in target:
        total += row
    mean = total / len(target)
    out = np.empty(len(pool), dtype=np.float64)
    for start in range(0, len(pool), _CHUNK_ROWS):
        out[start : start + _CHUNK_ROWS] = fold_sum(pool[start : start + _CHUNK_ROWS] * mean)
    return 0.0 - out


def minimum_distance(nearest_similarity: NDArray[np.float32]) -> NDArray[np.float64]:
    """MD_i = min_j d(i, j) = -max_j similarity(i, j).

    Args:
        nearest_similarity: float32, shape (n_pool,): of each pool row to its most similar target row.

    Returns:
        float64, shape (n_pool,).

    Example:
        >>> minimum_distance(np.float32([0.5])).tolist()
        [-0.5]
    """
    return 0.0 - nearest_similarity.astype(np.float64)


def weighted_distance(ad: NDArray[np.float64], md: NDArray[np.float64]) -> Distance:
    """The Weighted Similarity Distance: WSD_i = w_avg·AD_i + w_min·MD_i.

    w_min = 1 and w_avg = mean(MD)/mean(AD), as in the paper's code. Where mean(AD) > -0.01 or mean(MD) >= 0
    that weight explodes or prefers far rows, so there w_avg = 1, with a warning. The default depends on the
    pool: adding rows may reorder old ones.

    Args:
        ad: float64, shape (n_pool,), from `average_distance`.
        md: float64, shape (n_pool,), from `minimum_distance`.

    Returns:
        The distances, the two weights, and the warning if the guard was needed.

    Example:
        >>> weighted_distance(np.array([-0.25, -0.25]), np.array([-0.5, -1.0])).weights
        {'w_avg': 3.0, 'w_min': 1.0}
    """
    mean_ad, mean_md = math.fsum(ad) / len(ad), math.fsum(md) / len(md)
    warning = None
    if mean_ad > GUARD or mean_md >= 0:
        w_avg = 1.0
        warning = (
            f"WSD: the default weight mean(MD)/mean(AD) needs mean(AD) <= {GUARD} and mean(MD) < 0, "
            f"got {mean_ad:.4f} and {mean_md:.4f}; w_avg = 1 is used instead."
        )
        warnings.warn(warning, stacklevel=2)
    else:
        w_avg = mean_md / mean_ad
    return Distance(w_avg * ad + md, {"w_avg": w_avg, "w_min": 1.0}, warning)


_DISTANCES: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64]], Distance]] = {
    "wsd": weighted_distance,
    "ad": lambda ad, md: Distance(ad, {}),
    "md": lambda ad, md: Distance(md, {}),
}


def distance_names() -> list[str]:
    """The distances that pool rows can be ranked by, the default first."""
    return list(_DISTANCES)


def target_distance(
    name: str,
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    nearest_similarity: NDArray[np.float32],
) -> Distance:
    """The distance of every pool row to the target, by name.

    Args:
        name: ``wsd``, ``ad`` or ``md``.
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        nearest_similarity: float32, shape (n_pool,): of each pool row to its most similar target row.

    Raises:
        SettingsError: If `name` is unknown.
    """
    if name not in _DISTANCES:
        raise unknown_name("distance", name, _DISTANCES)
    return _DISTANCES[name](average_distance(pool, target), minimum_distance(nearest_similarity))
