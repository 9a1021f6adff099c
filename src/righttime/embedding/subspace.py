"""Vectors projected on the directions in which those of the target mostly lie.

Min et al., "GIST: Targeted Data Selection for Instruction Tuning via Coupled Optimization Geometry" (2026, arXiv
2602.18584): with T = U·S·Vᵀ the target's gradients, one a row, every gradient g is represented by V_kᵀ·g.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.centring import Statistics, one_thread
from righttime.errors import SettingsError

__all__ = ["subspace_of"]

_SOME = 1024  # pool rows that tell how much of a vector is left


def subspace_of(target: NDArray[np.float32], pool: NDArray[np.float32], directions: int) -> Statistics:
    """The first right singular vectors of the target's vectors, as they are: neither centred nor of length 1.

    Args:
        target: float32, shape (n_target, d).
        pool: float32, shape (n_pool, d); some of its rows tell how much of them is left.
        directions: How many singular vectors.

    Raises:
        SettingsError: If the target's vectors span fewer directions.
    """
    with one_thread():
        _, values, vectors = np.linalg.svd(target.astype(np.float64), full_matrices=False)
    spanned = int((values > values[0] * max(target.shape) * np.finfo(np.float64).eps).sum()) if len(values) else 0
    if directions > spanned:
        raise SettingsError(
            f"`subspace` must be at most the {spanned} directions that the target's {len(target)} rows span, got "
            f"{directions}.",
            setting="embedder",
        )
    bare = Statistics(np.zeros(target.shape[1]), vectors[:directions], {})
    some = pool[:: max(1, len(pool) // _SOME)]
    length = [math.sqrt(float(np.square(side, dtype=np.float64).sum())) for side in (some, bare.moved(some))]
    about = {
        "directions": directions,
        "target_rows": len(target),
        "energy": float(np.square(values[:directions]).sum() / np.square(values).sum()),
        "amplification": length[0] / length[1] if length[1] else 1.0,
    }
    return Statistics(bare.mean, bare.whitening, about)
