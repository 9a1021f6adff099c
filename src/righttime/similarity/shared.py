"""Unit vectors that no process is sent: each reads, from files that all of them see, the rows that it looks at."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from righttime.errors import EmbeddingError
from righttime.similarity.pairs import copied_rows, room_for, unit_rows
from righttime.store import lent_folder, write_parts

__all__ = [
    "SeenFile",
    "SharedRows",
    "as_array",
    "first_rows",
    "mapped_rows",
    "narrowed",
    "shared_copy",
    "shared_or_none",
]

_TOGETHER = 1 << 14  # rows read at a time


class SharedRows:
    """Rows of a matrix on disk, made float32 and of unit length when they are looked at.

    It stands where an array of unit vectors does, for those who take blocks or single rows: a slice, or an array of row
    numbers, gives an array. Sent to another process, it takes along what opens the matrix and no rows.

    Attributes:
        shape: Rows and dimensions.
        rows: int64: which rows of the matrix these are; None: all of them.
        by_row: Whether a row is read without much of what is around it.
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(
        self,
        opens: Callable[[], Any],
        name: str,
        shape: tuple[int, int],
        *,
        rows: NDArray[np.int64] | None = None,
        by_row: bool = True,
    ) -> None:
        """Look at rows.

        Args:
            opens: Opens the matrix: an array that is mapped, or a `LazyRows`. It can be pickled, and raises where the
                files are not there or not the same.
            name: What to call the vectors in an error.
            shape: Rows and dimensions.
            rows: Which rows of the matrix; None takes all.
            by_row: Whether a row is read without much of what is around it.
        """
        self.shape, self.rows, self.by_row = shape, rows, by_row
        self._opens, self._name = opens, name

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_matrix"}

    @cached_property
    def _matrix(self) -> Any:
        return self._opens()

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        if isinstance(key, slice) and key.step in (None, 1) and self.rows is None:
            start, stop, _ = key.indices(len(self))
            return self._unit(self._matrix[start:stop], np.arange(start, max(start, stop)))
        numbers = (np.arange(len(self)) if self.rows is None else self.rows)[key]
        flat = numbers.reshape(-1)
        return self._unit(self._matrix[flat], flat).reshape(*numbers.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _unit(self, vectors: NDArray[Any], numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(unit_rows(vectors, self._name, numbers=numbers))

    def take(self, rows: NDArray[np.int64]) -> SharedRows:
        """Some of these rows.

        Args:
            rows: int64: which, in the order wanted.
        """
        rows = rows if self.rows is None else self.rows[rows]
        return SharedRows(self._opens, self._name, (len(rows), self.shape[1]), rows=rows, by_row=self.by_row)

    def array(self, most_bytes: int | None, folder: Path | None) -> NDArray[np.float32]:
        """These rows in this process; see `as_array`."""
        if self.rows is None:
            return unit_rows(self._matrix, self._name, most_bytes=most_bytes, folder=folder)
        out = room_for(self.shape, most_bytes, folder)
        for start in range(0, len(out), _TOGETHER):
            out[start : start + _TOGETHER] = self[start : start + _TOGETHER]
        return out

    @property
    def standing_in(self) -> NDArray[np.float32]:
        """The same for those who are typed to take an array, and take blocks or rows of it."""
        return cast("NDArray[np.float32]", self)

    def check(self) -> None:
        """Look at every row once.

        Raises:
            NonFiniteError: If one holds NaN or infinity, or is all zero; names the first such rows.
        """
        for start in range(0, len(self), _TOGETHER):
            _ = self[start : start + _TOGETHER]


@dataclass(frozen=True)
class SeenFile:
    """A file as one process sees it, by which another can tell that it sees the same.

    Attributes:
        path: From the root.
        size: In bytes.
        changed: When it was changed last, in nanoseconds.
    """

    path: str
    size: int
    changed: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> SeenFile:
        """The file of that path.

        Raises:
            OSError: If there is none.
        """
        about = os.stat(path)
        return cls(os.path.abspath(path), about.st_size, about.st_mtime_ns)

    def require(self) -> None:
        """Make sure that this process sees the same file.

        Raises:
            EmbeddingError: If it does not.
        """
        there = os.path.isfile(self.path)
        if not there or SeenFile.of(self.path) != self:
            raise EmbeddingError(
                f"{self.path} must be the file that the driver sees, got "
                f"{'one of another size or time of change' if there else 'none'}. "
                "Hint: a folder that all machines share.",
                file=self.path,
            )


@dataclass(frozen=True)
class _Mapped:
    """Maps an array from its file."""

    file: SeenFile
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, int]
    columns_first: bool

    def __call__(self) -> NDArray[Any]:
        self.file.require()
        order: Literal["F", "C"] = "F" if self.columns_first else "C"
        return np.memmap(self.file.path, self.dtype, "r", self.offset, self.shape, order)


def mapped_rows(vectors: Any, name: str) -> SharedRows | None:
    """An array that is mapped from a file, as ``np.load(FILE, mmap_mode="r")`` gives it, for every process to map.

    Args:
        vectors: Anything.
        name: What to call the vectors in an error.

    Returns:
        None where it is something else, such as a part of a mapped array.
    """
    array: Any = vectors
    if not isinstance(vectors, np.memmap) or not isinstance(array.base, mmap.mmap) or array.mode != "r":
        return None
    if array.filename is None or array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiu":
        return None
    opens = _Mapped(SeenFile.of(array.filename), array.dtype, array.offset, array.shape, not array.flags.c_contiguous)
    return SharedRows(opens, name, array.shape)


def shared_copy(vectors: NDArray[np.float32], home: Path, name: str) -> SharedRows:
    """Unit vectors in a file of their own, for every process to map; it goes with the last here that looks at them.

    Args:
        vectors: float32 unit vectors, shape (n, d), at least one; may be mapped.
        home: The folder that the file lies in, in one of its own; see `righttime.store.lent_folder`.
        name: What to call the vectors in an error.

    Raises:
        StoreError: If the file cannot be written.
    """
    folder, give_back = lent_folder(home)
    file, (n, d) = folder / "rows.f32", vectors.shape
    parts = (vectors[start : start + _TOGETHER] for start in range(0, n, _TOGETHER))
    try:
        write_parts(file, (np.ascontiguousarray(part, dtype="<f4").tobytes() for part in parts))
    except BaseException:
        give_back()
        raise
    opens = _Mapped(SeenFile.of(file), np.dtype("<f4"), 0, (n, d), columns_first=False)
    weakref.finalize(opens, give_back)
    return SharedRows(opens, name, (n, d))


def shared_or_none(vectors: object) -> SharedRows | None:
    """Vectors that are `SharedRows`, as such; of an array None."""
    return vectors if isinstance(vectors, SharedRows) else None


def narrowed(
    vectors: NDArray[np.float32] | SharedRows,
    rows: NDArray[np.int64],
    most_bytes: int | None = None,
    folder: Path | None = None,
) -> NDArray[np.float32]:
    """Some rows of unit vectors: a copy, or of `SharedRows` the rows where they lie.

    Args:
        vectors: float32 unit vectors, shape (n, d).
        rows: int64: which rows, in the order wanted.
        most_bytes: Of a copy; see `righttime.similarity.room_for`.
        folder: Of a copy; see `righttime.similarity.room_for`.

    Raises:
        StoreError: If the copy's file cannot be made.
    """
    if isinstance(vectors, SharedRows):
        return vectors.take(rows).standing_in
    return copied_rows(vectors, rows, most_bytes, folder)


def first_rows(vectors: NDArray[np.float32] | SharedRows, n: int) -> NDArray[np.float32]:
    """The first n rows of unit vectors, without copying any.

    Args:
        vectors: float32 unit vectors, shape (at least n, d).
        n: How many.
    """
    if isinstance(vectors, SharedRows):
        return (vectors if n == len(vectors) else vectors.take(np.arange(n))).standing_in
    return vectors[:n] if n < len(vectors) else vectors


def as_array(
    vectors: NDArray[np.float32] | SharedRows, most_bytes: int | None = None, folder: Path | None = None
) -> NDArray[np.float32]:
    """Unit vectors as an array of this process, for those who need one.

    Args:
        vectors: float32 unit vectors, shape (n, d).
        most_bytes: `SharedRows` of more bytes than this are copied into a file; see `righttime.similarity.room_for`.
        folder: Where that file lies.

    Raises:
        StoreError: If the file cannot be made.
    """
    return vectors.array(most_bytes, folder) if isinstance(vectors, SharedRows) else vectors
