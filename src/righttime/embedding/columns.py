"""Vectors in a column of a Parquet file, of which a piece is in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.broken import told_of
from righttime.errors import EmbeddingError, ShapeError
from righttime.similarity.lazy import LazyRows
from righttime.similarity.pairs import as_vectors

__all__ = ["as_matrix", "column_of", "head_of_column", "parquet_column", "parquet_rows", "require_column"]

_ROWS_AT_A_TIME = 1024
_PIECES = 4  # that would fit into the memory that may be taken
_BUFFER = 1 << 22  # bytes of the file read together; else all that a row group has of the column


def parquet_column(file: Path, name: str, role: str, memory: int) -> Any:
    """The vectors of a column: an array, or `parquet_rows` where they take more than `memory`.

    Args:
        file: The file.
        name: The column; empty: ``embedding``.
        role: See `righttime.embedding.given.given_vectors`.
        memory: Bytes.

    Raises:
        EmbeddingError: If there is no such column, or it holds other than vectors.
        ShapeError: If the vectors differ in length.
    """
    opens, shape, dtype = _column(file, name, role, memory)
    fits = math.prod(shape) * dtype.itemsize <= memory
    return opens(most=shape[0]).rows(0, shape[0]) if fits else _by_piece(opens, shape, dtype)


def parquet_rows(file: Path, name: str, role: str, memory: int) -> LazyRows:
    """The vectors of a column, of which a quarter of `memory` is held while rows are looked at, and of no other file.

    Arguments and errors are those of `parquet_column`; what is wrong with a later row is raised when it is read.
    """
    return _by_piece(*_column(file, name, role, memory))


def _column(file: Path, name: str, role: str, memory: int) -> tuple[partial[_Column], tuple[int, int], np.dtype[Any]]:
    """What opens a column, its shape, and the dtype of its numbers."""
    column_name = column_of(file, name)
    shape, one = head_of_column(file, column_name, 1)
    one = as_vectors(one, f"{file} ({role})")
    most = max(1, memory // _PIECES // (shape[1] * one.dtype.itemsize))
    return partial(_Column, file, column_name, shape, one.dtype, most=most), shape, one.dtype


def _by_piece(opens: partial[_Column], shape: tuple[int, int], dtype: np.dtype[Any]) -> LazyRows:
    def block(start: int, stop: int) -> NDArray[Any]:
        return told_of(str(opens.args[0]), lambda: _opened(opens).rows(start, stop))

    return LazyRows(shape, dtype, block, by_row=False)


@lru_cache(maxsize=1)
def _opened(opens: Callable[[], _Column]) -> _Column:
    return opens()


class _Column:
    """Reads a column forward, some rows at a time; going back starts again at a row group."""

    def __init__(self, file: Path, column_name: str, shape: tuple[int, int], dtype: np.dtype[Any], most: int) -> None:
        """Open the file.

        Args:
            file: The file.
            column_name: The column.
            shape: Rows and dimensions.
            dtype: Of the vectors.
            most: Rows that are held.
        """
        self._file, self._name, self._shape, self._dtype, self._most = file, column_name, shape, dtype, most
        self._table = _opened_parquet(file)
        about = self._table.metadata
        self._groups = np.cumsum([0, *(about.row_group(group).num_rows for group in range(about.num_row_groups))])
        self._none = np.empty((0, shape[1]), dtype=dtype)
        self._start, self._held = 0, self._none  # the first row held, and those held
        self._coming = self._pieces(0)
        self._lock = Lock()

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Some rows, one below the other."""
        parts = [self._none]
        with self._lock:
            while start < stop:
                self._hold(start)
                parts.append(self._held[start - self._start : stop - self._start])
                start += len(parts[-1])
        return parts[-1] if len(parts) <= 2 else np.concatenate(parts)

    def _hold(self, row: int) -> None:
        """Hold this row and those that are read together with it."""
        group = int(np.searchsorted(self._groups, row, side="right")) - 1
        if row < self._start or self._groups[group] > self._start + len(self._held):
            self._start, self._held = int(self._groups[group]), self._none
            self._coming = self._pieces(group)
        while row >= self._start + len(self._held):
            self._start, self._held = self._start + len(self._held), self._none  # let go of it first
            self._held = next(self._coming)

    def _pieces(self, group: int) -> Iterator[NDArray[Any]]:
        """All rows from a row group on, as many at a time as may be held."""
        row, end = int(self._groups[group]), self._shape[0]
        piece, filled = self._room(row), 0
        # Batch by batch: what a damaged footer says of sizes ends the process when Arrow is asked for it.
        how: dict[str, Any] = {"columns": [self._name], "row_groups": range(group, len(self._groups) - 1)}
        for batch in self._table.iter_batches(batch_size=min(_ROWS_AT_A_TIME, self._most), **how):
            part = as_matrix(self._file, self._name, batch.column(0), first=row, width=self._shape[1])
            if part.dtype != self._dtype:
                raise EmbeddingError(
                    f"{self._file}: column {self._name!r} must hold numbers only, got a null within a vector.",
                    file=self._file,
                )
            while len(part):
                some = part[: len(piece) - filled]
                piece[filled : filled + len(some)] = some
                filled, row, part = filled + len(some), row + len(some), part[len(some) :]
                if filled == len(piece):
                    yield piece
                    piece, filled = self._room(row), 0
        raise EmbeddingError(f"{self._file} must hold {end} vectors, as it says, got {row}.", file=self._file)

    def _room(self, row: int) -> NDArray[Any]:
        return np.empty((min(self._most, self._shape[0] - row), self._shape[1]), dtype=self._dtype)


def head_of_column(file: Path, column_name: str, rows: int) -> tuple[tuple[int, int], Any]:
    """The shape of a column of lists, and its first rows as a matrix."""
    import pyarrow as pa

    with _opened_parquet(file) as table:
        batch = next(table.iter_batches(batch_size=rows, columns=[column_name]), None)
        column = batch.column(0) if batch is not None else pa.array([], table.schema_arrow.field(column_name).type)
        some = as_matrix(file, column_name, column)
        return (table.metadata.num_rows, some.shape[1]), some


def _opened_parquet(file: Path) -> Any:
    """A Parquet file, of which no more than is asked for is read."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)


def column_of(file: Path, name: str) -> str:
    """The column asked for, if it is there."""
    import pyarrow.parquet as pq

    column_name = name or "embedding"
    require_column(file, column_name, pq.read_schema(file).names)
    return column_name


def require_column(file: Path, column_name: str, names: list[str]) -> None:
    """Make sure that a column is there."""
    if column_name not in names:
        raise EmbeddingError(
            f"{file} must have a column {column_name!r}, got the columns {', '.join(names)}. "
            f"Hint: vectors:{file}#COLUMN.",
            file=file,
        )


def as_matrix(file: Path, column_name: str, column: Any, *, first: int = 0, width: int | None = None) -> Any:
    """A column of lists as a matrix.

    Args:
        file: Where it is from.
        column_name: Its name.
        column: An Arrow array.
        first: The number of its first row in the file.
        width: How long every list must be; None: as the first.

    Raises:
        EmbeddingError: If it holds something else.
        ShapeError: If lists differ in length.
    """
    import pyarrow as pa

    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise EmbeddingError(
            f"{file}: column {column_name!r} must hold lists of numbers, got {column.type}.", file=file
        )
    if column.null_count:
        raise EmbeddingError(
            f"{file}: column {column_name!r} must hold a vector in every row, got {column.null_count} nulls.",
            file=file,
        )
    widths = np.diff(np.asarray(column.offsets)) if not pa.types.is_fixed_size_list(column.type) else None
    if width is None:
        width = column.type.list_size if widths is None else (int(widths[0]) if len(widths) else 1)
    if widths is not None and (widths != width).any():
        row = int(np.flatnonzero(widths != width)[0])
        raise ShapeError(
            f"{file}: every vector must have {width} numbers like row 0, got {widths[row]} in row {first + row}.",
            file=file,
            row=first + row,
        )
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
