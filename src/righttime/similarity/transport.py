"""Optimal transport from the pool to the target: what it costs to move each pool row's share of the mass.

Uniform marginals (1/N on every pool row, 1/M on every target row), Euclidean cost of the unit vectors, p = 1.
Row i's distance is its transported cost Σ_j γ_ij·C_ij, so the distances of all rows sum to the cost of the plan.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.similarity.pairs import fold_sum

__all__ = ["Transport", "check_transport", "entropic_distance", "transport_distance"]

MOST_PAIRS = 20_000_000
"""Above so many pairs there is no exact transport: its matrices would not fit."""
REG = 0.01
"""The entropic weight. Costs of unit vectors lie in [0, 2], so exp(-C/REG) >= 1e-87, and the scalings, at most the
square of its inverse, stay within float64."""
_MOST_STEPS = 2000
_CLOSE = 1e-6  # of the target's marginal, in L1
_BLOCK_PAIRS = 1 << 22


@dataclass(frozen=True)
class Transport:
    """What moving the pool onto the target costs, row by row.

    Attributes:
        values: float64, shape (n_pool,): the transported cost of each pool row.
        about: How it was solved: the plan's ``cost``, and for Sinkhorn ``reg``, ``steps``, ``marginal_error``.
        warning: A sentence if Sinkhorn did not converge, else None.
    """

    values: NDArray[np.float64]
    about: Mapping[str, float]
    warning: str | None = None


def check_transport(n_pool: int, n_target: int) -> None:
    """Refuse exact transport where it cannot be had.

    Raises:
        SettingsError: If there are more than 2·10⁷ pairs, or POT is not installed.
    """
    pairs = n_pool * n_target
    if pairs > MOST_PAIRS:
        raise SettingsError(
            f"exact transport needs at most {MOST_PAIRS:,} pairs, got {n_pool:,} × {n_target:,} = {pairs:,}. "
            "Hint: `distance='ot-entropic'` approximates it in bounded memory.",
            setting="distance",
        )
    try:
        import ot  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "the distance 'ot' needs the package POT, which is not installed. Hint: pip install 'righttime[ot]'."
        ) from error


def transport_distance(pool: NDArray[np.float32], target: NDArray[np.float32]) -> Transport:
    """Exact optimal transport (the earth mover's distance) by POT's network simplex.

    Optimal plans are not unique: where several cost the same, it is POT's choice what each row pays.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).

    Returns:
        The transported costs. Memory: three float64 matrices of shape (n_pool, n_target).

    Raises:
        SettingsError: If there are more than 2·10⁷ pairs, POT is not installed, or the solver gave up.
    """
    check_transport(len(pool), len(target))
    import ot

    cost = _exact_cost(pool, target)
    marginals = (np.full(length, 1.0 / length) for length in cost.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the result code is looked at instead
        plan, log = ot.emd(*marginals, cost, numItermax=100 * cost.size + 100_000, log=True)
    if log["result_code"] != 1:
        raise SettingsError(f"exact transport was not solved: {log['warning']}. Hint: `distance='ot-entropic'`.")
    plan *= cost
    values = fold_sum(plan)
    return Transport(values, {"cost": float(values.sum())})


def _exact_cost(pool: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distances pair by pair: the same bits for the same pair, on every machine."""
    cost = np.empty((len(pool), len(target)), dtype=np.float64)
    step = max(1, (1 << 20) // pool.shape[1])
    for start in range(0, len(pool), step):
        block = pool[start : start + step].astype(np.float64)
        for j, row in enumerate(target):
            apart = block - row
            cost[start : start + step, j] = np.sqrt(fold_sum(apart * apart))
    return cost


def entropic_distance(pool: NDArray[np.float32], target: NDArray[np.float32]) -> Transport:
    """Transport with an entropic term (Cuturi, NeurIPS 2013), by Sinkhorn's steps: an approximation, in bounded memory.

    Beyond 2·10⁷ pairs the cost is computed anew in every step, block by block, and no matrix is ever held.
    Products round differently from machine to machine, so values are rounded to float32.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).

    Returns:
        The transported costs, of a plan that fills the pool's marginals exactly and the target's within 1e-6 (L1).
    """
    n, m = len(pool), len(target)
    kernels = _Kernels(pool, target)
    v = np.full(m, 1.0)
    error, steps = np.inf, 0
    while error > _CLOSE and steps < _MOST_STEPS:
        mass = np.zeros(m)
        for _, kernel in kernels:
            mass += (1.0 / n / (kernel @ v)) @ kernel
        error = float(np.abs(v * mass - 1.0 / m).sum())
        if error > _CLOSE:
            v = 1.0 / m / mass
        steps += 1
    values = np.empty(n, dtype=np.float64)
    for start, kernel in kernels:
        scaling = 1.0 / n / (kernel @ v)
        values[start : start + len(kernel)] = scaling * ((-REG * np.log(kernel) * kernel) @ v)
    values = values.astype(np.float32).astype(np.float64)
    warning = None
    if error > _CLOSE:
        warning = f"ot-entropic: after {steps} steps the target's marginal is off by {error:.1e}, more than {_CLOSE}."
        warnings.warn(warning, stacklevel=2)
    about = {"cost": float(values.sum()), "reg": REG, "steps": float(steps), "marginal_error": float(f"{error:.1e}")}
    return Transport(values, about, warning)


class _Kernels:
    """exp(-C/REG) in blocks of pool rows: kept where they fit, else computed anew each time."""

    def __init__(self, pool: NDArray[np.float32], target: NDArray[np.float32]) -> None:
        self.pool, self.target = pool, target.astype(np.float64)
        self.squared = np.einsum("ij,ij->i", self.target, self.target)
        # Of the input's size alone, so that no setting changes how sums are rounded.
        self.rows = max(1, _BLOCK_PAIRS // len(target))
        self.kept = list(self._made()) if len(pool) * len(target) <= MOST_PAIRS else None

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        return self._made() if self.kept is None else iter(self.kept)

    def _made(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for start in range(0, len(self.pool), self.rows):
            block = self.pool[start : start + self.rows].astype(np.float64)
            # Not 2 - 2·x·t: float32 rows are of unit length only to 1e-7, which would part identical rows by 3e-4.
            squared = np.einsum("ij,ij->i", block, block)[:, None] + self.squared - 2.0 * (block @ self.target.T)
            yield start, np.exp(np.sqrt(np.maximum(squared, 0.0)) / -REG)
