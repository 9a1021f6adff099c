"""A matrix of which only a block of rows is in memory at a time: what looks like an array to those who take blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LazyRows", "stacked"]

_WINDOW = 1024  # rows that are read together where only some of them are asked for


class LazyRows:
    """Rows that are read when they are looked at, in the dtype that they are kept in.

    Attributes:
        shape: Rows and dimensions.
        dtype: Of a block.
        by_row: Whether a row is read without much of what is around it.
    """

    def __init__(
        self, shape: tuple[int, int], dtype: Any, read: Callable[[int, int], NDArray[Any]], *, by_row: bool = True
    ) -> None:
        """Look at rows.

        Args:
            shape: Rows and dimensions.
            dtype: Of a block.
            read: From the first row of a block and the row behind its last to the block.
            by_row: Whether a row is read without much of what is around it.
        """
        self.shape, self.dtype, self.by_row, self._read = shape, np.dtype(dtype), by_row, read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(len(self))
            return self._read(start, max(start, stop))
        return self._picked(np.arange(len(self))[key])

    def _picked(self, rows: NDArray[np.integer]) -> NDArray[Any]:
        """Rows in any order; only those between the first and the last of them in a window are read."""
        flat = rows.reshape(-1)
        order = np.argsort(flat, kind="stable")
        out = np.empty((len(flat), self.shape[1]), dtype=self.dtype)
        ends = np.flatnonzero(np.diff(flat[order] // _WINDOW)) + 1
        for some in np.split(order, ends) if len(flat) else ():
            first, last = int(flat[some[0]]), int(flat[some[-1]])
            out[some] = self._read(first, last + 1)[flat[some] - first]
        return out.reshape(*rows.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._read(0, len(self)), dtype=dtype)


def stacked(parts: Sequence[Any]) -> LazyRows:
    """Matrices one below the other.

    Args:
        parts: Arrays or `LazyRows` of the same width and dtype, at least one.
    """
    starts = [0, *accumulate(len(part) for part in parts)]

    def read(start: int, stop: int) -> NDArray[Any]:
        first = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
        blocks: list[NDArray[Any]] = []
        for part, begin in zip(parts[first:], starts[first:], strict=False):
            if blocks and begin >= stop:
                break
            blocks.append(part[max(0, start - begin) : max(0, stop - begin)])
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    by_row = all(getattr(part, "by_row", True) for part in parts)
    return LazyRows((starts[-1], parts[0].shape[1]), parts[0].dtype, read, by_row=by_row)
