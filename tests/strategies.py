"""Vectors for property tests: small integer grids (ties, duplicates) and ordinary floats."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime.similarity import unit_rows


@st.composite
def vectors(draw: st.DrawFn, max_pool: int = 24, max_target: int = 8) -> tuple[Any, Any]:
    """(pool, target): float32 unit vectors. Grids give exact ties and identical rows; floats give near ties."""
    d = draw(st.integers(1, 5))
    n_pool, n_target = draw(st.integers(1, max_pool)), draw(st.integers(1, max_target))
    kind = draw(st.sampled_from(["grid", "floats", "few"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def some(n: int) -> NDArray[np.float64]:
        if kind == "floats":
            return rng.normal(size=(n, d)) + 0.01
        rows = rng.integers(-1, 2, size=(n, d)).astype(float)
        rows[~rows.any(axis=1), 0] = 1.0
        return rows[rng.integers(0, max(1, n // 3), size=n)] if kind == "few" else rows

    return unit_rows(some(n_pool)), unit_rows(some(n_target))
