"""Distances of each pool row to the whole target: AD, MD, their weighted sum WSD, and optimal transport.

All are "smaller is nearer", with d(i, j) = -cos(x_i, t_j) (He et al., ACL Findings 2025).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError, unknown_name
from righttime.similarity.pairs import fold_sum
from righttime.similarity.transport import Transport, check_transport, entropic_distance, transport_distance

__all__ = [
    "DISTANCES",
    "Asked",
    "Distance",
    "DistanceKind",
    "average_distance",
    "check_distance",
    "distance_names",
    "minimum_distance",
    "target_distance",
    "weighted_distance",
]

Vectors = NDArray[np.float32]

_CHUNK_ROWS = 4096
GUARD = -0.01
"""Above this mean AD the default weight mean(MD)/mean(AD) explodes or turns negative."""


@dataclass(frozen=True)
class Distance:
    """Distances to the target and how they were weighted.

    Attributes:
        values: float64, shape (n_pool,); smaller is nearer.
        weights: The weights used, e.g. ``{"w_avg": 6.1, "w_min": 1.0}``; empty but for WSD.
        warning: A sentence where the default weight had to be guarded or a solver did not converge, else None.
        transport: How the transport was solved; empty for the others.
    """

    values: NDArray[np.float64]
    weights: Mapping[str, float]
    warning: str | None = None
    transport: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What a distance is computed of.

    Attributes:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        nearest_similarity: float32, shape (n_pool,): of each pool row to its most similar target row.
        w_avg: The weight of AD, where the distance has weights; None takes the default.
        w_min: The same of MD.
        target_weights: What each target row weighs in the mean; None: all the same.
    """

    pool: Vectors
    target: Vectors
    nearest_similarity: Vectors
    w_avg: float | None = None
    w_min: float | None = None
    target_weights: Sequence[Fraction] | None = None


@dataclass(frozen=True)
class DistanceKind:
    """One line of the table of distances.

    Attributes:
        of: The function.
        does: The formula, in a few words; N pool rows, M target rows, d dimensions.
        source: The paper it comes from.
        cost: Time.
        memory: Beside the vectors.
        weighted: Whether it takes ``w_avg`` and ``w_min``.
        averages: Whether it takes a mean over target rows, in which these may weigh differently.
        steady: Whether vectors that differ in their last bits change it no more than that, so that a stored order can
            be verified with vectors made anew.
        check: Refuses numbers of pool and target rows that it cannot be computed of.
    """

    of: Callable[[Asked], Distance]
    does: str
    source: str
    cost: str
    memory: str
    weighted: bool = False
    averages: bool = False
    steady: bool = True
    check: Callable[[int, int], None] | None = None


def average_distance(
    pool: NDArray[np.float32], target: NDArray[np.float32], weights: Sequence[Fraction] | None = None
) -> NDArray[np.float64]:
    """AD_i = mean_j d(i, j) = -x_i·t̄, with t̄ the mean target vector, weighted where there are weights.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        weights: The weight of each target row; None: all the same.

    Returns:
        float64, shape (n_pool,). t̄ is summed in row order and each product in one fixed order, in float64.

    Example:
        >>> average_distance(np.float32([[1, 0]]), np.float32([[1, 0], [0, 1]])).tolist()
        [-0.5]
    """
    total = np.zeros(target.shape[1], dtype=np.float64)
    scale = [1.0] * len(target) if weights is None else [float(weight / max(weights)) for weight in weights]
    for row, weight in zip(target, scale, strict=True):
        total += weight * row.astype(np.float64)
    mean = total / math.fsum(scale)
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


def weighted_distance(
    ad: NDArray[np.float64], md: NDArray[np.float64], w_avg: float | None = None, w_min: float | None = None
) -> Distance:
    """The Weighted Similarity Distance: WSD_i = w_avg·AD_i + w_min·MD_i.

    By default w_min = 1 and w_avg = mean(MD)/mean(AD), as in the paper's code. Where mean(AD) > -0.01 or
    mean(MD) >= 0 that weight explodes or prefers far rows, so there w_avg = 1, with a warning. The default depends
    on the pool: adding rows may reorder old ones. Given weights do not.

    Args:
        ad: float64, shape (n_pool,), from `average_distance`.
        md: float64, shape (n_pool,), from `minimum_distance`.
        w_avg: The weight of AD; None takes the default.
        w_min: The weight of MD; None takes 1.

    Returns:
        The distances, the two weights, and the warning if the guard was needed.

    Raises:
        SettingsError: If a weight is not finite.

    Example:
        >>> weighted_distance(np.array([-0.25, -0.25]), np.array([-0.5, -1.0])).weights
        {'w_avg': 3.0, 'w_min': 1.0}
    """
    for name, weight in (("w_avg", w_avg), ("w_min", w_min)):
        if weight is not None and not math.isfinite(weight):
            raise SettingsError(f"{name} must be a finite number, got {weight}.", setting=name)
    warning = None
    if w_avg is None:
        w_avg, warning = _default_weight(math.fsum(ad) / len(ad), math.fsum(md) / len(md))
    w_min = 1.0 if w_min is None else w_min
    return Distance(w_avg * ad + w_min * md, {"w_avg": w_avg, "w_min": w_min}, warning)


def _default_weight(mean_ad: float, mean_md: float) -> tuple[float, str | None]:
    if mean_ad <= GUARD and mean_md < 0:
        return mean_md / mean_ad, None
    warning = (
        f"WSD: the default weight mean(MD)/mean(AD) needs mean(AD) <= {GUARD} and mean(MD) < 0, "
        f"got {mean_ad:.4f} and {mean_md:.4f}; w_avg = 1 is used instead."
    )
    warnings.warn(warning, stacklevel=3)
    return 1.0, warning


def _wsd(asked: Asked) -> Distance:
    ad, md = (
        average_distance(asked.pool, asked.target, asked.target_weights),
        minimum_distance(asked.nearest_similarity),
    )
    return weighted_distance(ad, md, asked.w_avg, asked.w_min)


def _transported(solve: Callable[[Vectors, Vectors], Transport]) -> Callable[[Asked], Distance]:
    def distance(asked: Asked) -> Distance:
        found = solve(asked.pool, asked.target)
        return Distance(found.values, {}, found.warning, found.about)

    return distance


DISTANCES: Mapping[str, DistanceKind] = {
    "wsd": DistanceKind(
        _wsd,
        "WSD_i = w_avg·AD_i + w_min·MD_i, the Weighted Similarity Distance; w_min = 1, w_avg = mean(MD)/mean(AD)",
        "the paper",
        "N·M·d",
        "one block",
        weighted=True,
        averages=True,
    ),
    "ad": DistanceKind(
        lambda asked: Distance(average_distance(asked.pool, asked.target, asked.target_weights), {}),
        "AD_i = mean_j d(i, j) = −x_i·t̄: Cosine-Avg alone",
        "the paper",
        "N·d ¹",
        "one block",
        averages=True,
    ),
    "md": DistanceKind(
        lambda asked: Distance(minimum_distance(asked.nearest_similarity), {}),
        "MD_i = min_j d(i, j): Cosine-Min alone",
        "the paper",
        "N·M·d",
        "one block",
    ),
    "ot": DistanceKind(
        _transported(transport_distance),
        "Σ_j γ_ij·C_ij with γ an optimal plan, C_ij = ‖x_i − t_j‖",
        "the authors' unused variant",
        "N·M·d + network simplex",
        "3 matrices of N·M float64",
        check=check_transport,
        steady=False,
    ),
    "ot-entropic": DistanceKind(
        _transported(entropic_distance),
        "the same with Sinkhorn's plan, entropic weight 0.01",
        "Cuturi, NeurIPS 2013",
        "N·M·d + N·M a step ²",
        "at most 160 MB",
        steady=False,
    ),
}
"""Every distance by name, the default first."""


def distance_names() -> list[str]:
    """The distances that pool rows can be ranked by, the default first."""
    return list(DISTANCES)


def check_distance(name: str, n_pool: int, n_target: int, *, weighted: bool = False) -> None:
    """Refuse a distance that cannot be computed, before there are vectors.

    Args:
        name: A name of `DISTANCES`.
        n_pool: How many pool rows there are.
        n_target: How many target rows there are.
        weighted: Whether weights of AD or MD were given.

    Raises:
        SettingsError: If `name` is unknown, weights are given to another distance than ``wsd``, or exact transport
            is asked of too large an input or without POT.
    """
    if name not in DISTANCES:
        raise unknown_name("distance", name, DISTANCES)
    kind = DISTANCES[name]
    if weighted and not kind.weighted:
        having = ", ".join(each for each, other in DISTANCES.items() if other.weighted)
        raise SettingsError(
            f"w_avg and w_min are weights of the distance {having}, got the distance {name!r}.", setting="params"
        )
    if kind.check is not None:
        kind.check(n_pool, n_target)


def target_distance(
    name: str,
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    nearest_similarity: NDArray[np.float32],
    *,
    w_avg: float | None = None,
    w_min: float | None = None,
    target_weights: Sequence[Fraction] | None = None,
) -> Distance:
    """The distance of every pool row to the target, by name.

    Args:
        name: A name of `DISTANCES`.
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        nearest_similarity: float32, shape (n_pool,): of each pool row to its most similar target row.
        w_avg: For ``wsd``: the weight of AD; None takes the paper's.
        w_min: For ``wsd``: the weight of MD; None takes 1.
        target_weights: For ``wsd`` and ``ad``: what each target row weighs in AD; None: all the same.

    Raises:
        SettingsError: If `name` is unknown, weights are given to another distance than ``wsd``, or exact transport
            is asked of too large an input.
    """
    check_distance(name, len(pool), len(target), weighted=w_avg is not None or w_min is not None)
    return DISTANCES[name].of(Asked(pool, target, nearest_similarity, w_avg, w_min, target_weights))
