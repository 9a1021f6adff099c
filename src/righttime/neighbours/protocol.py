"""What a search for neighbours is: what it runs on and in how much memory changes no result."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours.nominate import Nominees

__all__ = ["MEMORY", "Search"]

MEMORY = 1 << 30
"""Bytes that a search may hold above the vectors, by default."""

Vectors = NDArray[np.float32]


class Search(Protocol):
    """Finds neighbours exactly; what it runs on and in how much memory changes no result."""

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """About `wanted` living rows of the pool for each target row, and how sure that is; see `Nominees`."""
        ...

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """The `wanted` most similar living rows of each target row, exactly, ties to the lower row: margin 0.

        Slower, but in bounded memory also where more rows than that are all alike.
        """
        ...

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The most similar target row of every pool row, and its similarity; equal ones by lower target row."""
        ...

    def pairs(
        self, pool: Vectors, rows: NDArray[np.int64], target: Vectors, who: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """The similarity of pool rows with target rows, pair by pair; see `similarity_of`."""
        ...
