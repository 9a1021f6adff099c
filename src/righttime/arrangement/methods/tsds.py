"""TSDS: move each target row's mass to near pool rows, spread thin where rows are near-duplicates, and draw by it.

Liu, Karbasi and Rekatsinas, "TSDS: Data Selection for Task-Specific Model Finetuning" (NeurIPS 2024).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.neighbours import top_k
from righttime.similarity.lattice import UNIT, on_lattice

__all__ = ["METHODS", "idle_alpha", "kernel_density", "level", "spread"]

_BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64 products at a time
_LONGEST = 5000  # the released code's max_K


@dataclass(frozen=True)
class _Mass:
    """How much of its mass each target row gives to each of its nearest pool rows.

    Attributes:
        rows: int64, shape (n_target, k): nearest first.
        similarity: float32, shape (n_target, k).
        share: float64, shape (n_target, k): each row sums to 1.
        idle_alpha: Up to which alpha the shares are the same since a list is full; 0 where no list is.
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float32]
    share: NDArray[np.float64]
    idle_alpha: float


def kernel_density(vectors: NDArray[np.float32], sigma: float) -> NDArray[np.float64]:
    """ρ_j = Σ_l max(0, 1 − |x_j − x_l|²/σ²) over all rows l, j itself included: 1 plus its near-duplicates.

    The paper's code looks at the 1,000 nearest rows by an approximate index; here it is all of them.

    Args:
        vectors: float32 unit vectors, shape (n, d).
        sigma: The kernel's width as a Euclidean distance.

    Returns:
        float64, shape (n,), the same whatever the block size; each kernel value is rounded to a multiple of 2⁻³².
    """
    rows = on_lattice(vectors)
    out = np.empty(len(rows), dtype=np.float64)
    step = max(1, _BLOCK_ELEMENTS // len(rows))
    for start in range(0, len(rows), step):
        kernel = 1.0 - (2.0 - 2.0 * (rows[start : start + step] @ rows.T)) / sigma**2
        out[start : start + step] = np.rint(np.maximum(kernel, 0.0) * UNIT).astype(np.int64).sum(axis=1) / UNIT
    # A row's own kernel is 1; a unit vector off by a rounding must not make it less.
    return np.maximum(out, 1.0)


def level(distance: NDArray[np.float64], weight: NDArray[np.float64], alpha: float, c: float) -> float:
    """The paper's s: pool row j may take up to weight_j/s of a target row's mass.

    Minimises α/C·Σ γ_ij·d_ij + (1 − α)·M·u over γ and u with 0 ≤ γ_ij ≤ u·weight_j and Σ_j γ_ij = 1/M; s = 1/(M·u).
    For a given u each target row fills its nearest rows first. As u falls by ε, target row i moves
    cost_i·ε = (d_{i,k+1}·Σ_{l≤k} w_l − Σ_{l≤k} w_l·d_l)·ε more, k the last row it fills; so the best u is where
    α/C·Σ cost_i first reaches (1 − α)·M, or where a list of nearest rows is full.

    Args:
        distance: float64, shape (n_target, k), of each target row to its nearest pool rows, ascending.
        weight: float64, shape (n_target, k): 1/ρ of those pool rows.
        alpha: Between 0 (spread as far as the rows go) and 1 (all mass to the nearest row).
        c: The scale that makes distances comparable with the regulariser.
    """
    steps, cost, full = _steps(distance, weight)
    # A list that is full can take no more, so u cannot fall further.
    best = np.flatnonzero((alpha / c * cost >= (1.0 - alpha) * len(distance)) | (steps >= full))[0]
    return float(steps[best])


def idle_alpha(distance: NDArray[np.float64], weight: NDArray[np.float64], c: float) -> float:
    """Every alpha below this gives the same `level`, that at which the first list is full.

    Args:
        distance: As for `level`.
        weight: The same.
        c: The same.
    """
    steps, cost, full = _steps(distance, weight)
    before = int(np.searchsorted(steps, full))
    reached = float(cost[before - 1]) if before else 0.0
    return c * len(distance) / (reached + c * len(distance))


def _steps(
    distance: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Every s at which a target row fills one row more, ascending; Σ cost_i from there on; where a list is full."""
    filled, paid = np.cumsum(weight, axis=1), np.cumsum(weight * distance, axis=1)
    cost = distance[:, 1:] * filled[:, :-1] - paid[:, :-1]
    grows = np.zeros_like(filled)
    grows[:, :-1] = np.diff(cost, axis=1, prepend=0.0)
    order = np.argsort(filled, axis=None, kind="stable")
    return filled.ravel()[order], np.cumsum(grows.ravel()[order]), float(filled[:, -1].min())


def spread(weight: NDArray[np.float64], s: float) -> NDArray[np.float64]:
    """Fill the nearest rows up to weight/s each. Rows sum to 1: with `level`'s s nothing is left but roundings.

    Args:
        weight: float64, shape (n_target, k).
        s: From `level`.

    Example:
        >>> spread(np.ones((1, 4)), 2.5).tolist()
        [[0.4, 0.4, 0.19999999999999996, 0.0]]
    """
    before = np.cumsum(weight, axis=1) - weight
    left = np.maximum(1.0 - before / s, 0.0)
    share = np.minimum(left, weight / s)
    share[:, -1] = left[:, -1]
    return share


def _mass(inputs: SelectionInput, sigma: float) -> _Mass:
    """Over lists of `max_k` rows; by default a tenth of the pool, longer where the optimum lies beyond their ends."""
    n, wanted = len(inputs.pool), inputs.params["max_k"]
    longest = min(n, _LONGEST if wanted is None else wanted)
    k = min(longest, max(2, n // 10) if wanted is None else wanted)
    mass = _mass_over(inputs, sigma, k)
    while mass.idle_alpha and k < longest:
        k = min(2 * k, longest)
        mass = _mass_over(inputs, sigma, k)
    return mass


def _mass_over(inputs: SelectionInput, sigma: float, k: int) -> _Mass:
    params = inputs.params
    found = top_k(inputs.pool, inputs.target, k, progress=inputs.progress)
    distance = np.sqrt(np.maximum(2.0 - 2.0 * found.similarity.astype(np.float64), 0.0))
    candidates, where = np.unique(found.rows, return_inverse=True)
    density = kernel_density(inputs.pool[candidates], sigma) if sigma else np.ones(len(candidates))
    weight = 1.0 / density[where.reshape(found.rows.shape)]
    s = level(distance, weight, params["alpha"], params["c"])
    idle = idle_alpha(distance, weight, params["c"])
    return _Mass(found.rows, found.similarity, spread(weight, s), idle if params["alpha"] < idle else 0.0)


def _tsds(inputs: SelectionInput, sigma: float) -> Selection:
    """Rows with mass, drawn without replacement by it (Gumbel top-k); then the others, most similar first.

    The paper draws with replacement, which repeats rows. Rows without mass are there only so that any budget can be
    met; their distance is infinite.
    """
    mass, n = _mass(inputs, sigma), len(inputs.pool)
    probability = np.bincount(mass.rows.ravel(), weights=mass.share.ravel(), minlength=n) / len(inputs.target)
    noise = np.random.default_rng(inputs.seed).gumbel(size=n)
    drawn = np.flatnonzero(probability > 0)
    distance = np.full(n, np.inf)
    distance[drawn] = 0.0 - (np.log(probability[drawn]) + noise[drawn])
    picked_by, similarity = _givers(mass, n)
    drawn = drawn[np.argsort(distance[drawn], kind="stable")]
    rest = np.flatnonzero(probability == 0)
    if inputs.wanted > len(drawn):
        nearest, near = inputs.search.nearest(inputs.pool[rest], inputs.target)
        picked_by[rest], similarity[rest] = nearest, near
        rest = rest[np.argsort(-near, kind="stable")]
        drawn = np.concatenate([drawn, rest])
    order = drawn.astype(np.int64)
    resolved = {"rows_with_mass": n - len(rest), "max_k": mass.rows.shape[1], **_warned(inputs, mass)}
    return Selection(order, None, picked_by[order], similarity[order], distance[order], resolved)


def _warned(inputs: SelectionInput, mass: _Mass) -> dict[str, str]:
    """What to say where alpha has no effect; not of 0, which asks for lists that are full."""
    alpha, (_, k) = inputs.params["alpha"], mass.rows.shape
    if not mass.idle_alpha or not alpha:
        return {}
    whole = k == len(inputs.pool)
    why = "a target row spreads over the whole pool" if whole else f"a target row's list of {k:,} nearest rows is full"
    hint = "a larger alpha, or a smaller c" if whole else "a larger alpha or max_k, or a smaller c"
    below = math.floor(100 * mass.idle_alpha) / 100  # never one that would give another order
    warning = (
        f"alpha={alpha:g} changes nothing here: {why}, so every alpha below {below:.2f} gives this order. Hint: {hint}."
    )
    warnings.warn(warning, UserWarning, stacklevel=2)
    return {"warning": warning}


def _givers(mass: _Mass, n: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of the target rows that give to a pool row, the most similar; ties to the lower target row."""
    who, place = np.nonzero(mass.share > 0)
    rows, similarity = mass.rows[who, place], mass.similarity[who, place]
    order = np.lexsort((who, -similarity, rows))
    given, first = np.unique(rows[order], return_index=True)
    picked_by, best = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.float32)
    picked_by[given], best[given] = who[order[first]], similarity[order[first]]
    return picked_by, best


_NEEDS = frozenset({"vectors"})
_SOURCE = "Liu et al. 2024 (TSDS)"
_PAPER = (
    "Liu, Karbasi and Rekatsinas, *TSDS: Data Selection for Task-Specific Model Finetuning*, NeurIPS 2024, arXiv "
    "2410.11303"
)
_DIFFERS = (
    "Rows are drawn without replacement; the paper repeats them. Neighbours are exact, and the lists of nearest rows "
    "grow until the optimum lies inside them."
)
_PARAMS = {
    "alpha": Param(float, 0.5, "0 spreads widest, 1 takes the nearest rows alone", least=0, most=1),
    "c": Param(float, 5.0, "the scale that distances are divided by", above=0),
    "max_k": Param(
        int, None, "nearest rows of each target row; default: a tenth of the pool, up to 5,000 where full", least=1
    ),
}

METHODS = {
    "tsds": Method(
        lambda inputs: _tsds(inputs, inputs.params["sigma"]),
        "drawn by optimal transport to the target, near-duplicates sharing (KNN-KDE)",
        _SOURCE,
        _NEEDS,
        "n·m·d + c²·d for c candidates, at most m·k",
        {
            **_PARAMS,
            "sigma": Param(float, 0.75, "the kernel's width as a Euclidean distance; 0 switches it off", least=0),
        },
        draws=lambda _: True,
        paper=_PAPER,
        differs=_DIFFERS,
    ),
    "tsds-uniform": Method(
        lambda inputs: _tsds(inputs, 0.0),
        "drawn by optimal transport to the target (KNN-Uniform)",
        _SOURCE,
        _NEEDS,
        "n·m·d",
        _PARAMS,
        draws=lambda _: True,
        paper=_PAPER,
        differs=_DIFFERS,
    ),
}
