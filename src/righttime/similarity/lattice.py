"""Matrix products of unit vectors that come out the same in every order of summation.

Every component is rounded to a multiple of 2⁻²⁵. Then products are multiples of 2⁻⁵⁰, and every sum of some of them
is at most |x|·|t| ≈ 1 (Cauchy-Schwarz), so it fits the 53 bits of a float64: nothing is ever rounded, and a product
has the same bits whatever the block, thread count or BLAS. It lies within 2⁻²⁵·√d of the cosine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNIT", "on_lattice"]

UNIT = 2.0**32
"""Products that are to be summed are first rounded to whole multiples of 1/UNIT: up to 2²⁰ such numbers of at most 2
sum exactly in float64, so in any order."""


def on_lattice(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit vectors whose matrix products are exact in float64.

    Args:
        vectors: float32 unit vectors, shape (n, d).

    Returns:
        float64, shape (n, d), each component within 2⁻²⁶ of what it was.

    Example:
        >>> x = on_lattice(np.float32([[0.6, 0.8]]))
        >>> float((x @ x.T)[0, 0]) == float((x[:, ::-1] @ x[:, ::-1].T)[0, 0])
        True
    """
    return np.asarray(np.rint(vectors * np.float64(2.0**25)) * 2.0**-25, dtype=np.float64)
