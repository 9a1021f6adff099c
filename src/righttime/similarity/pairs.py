"""The one definition of similarity, pair by pair, that every engine must agree with to the last bit.

A blocked matrix product rounds differently with the shape of its blocks, the number of threads and the
machine. So products only *nominate* pairs; what counts is `pair_similarity`: products of the float32 unit
vectors (exact in float64), summed in float64 in one fixed order, rounded once to float32.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import NonFiniteError, ShapeError, StoreError
from righttime.similarity.lazy import LazyRows

__all__ = ["as_vectors", "copied_rows", "fold_sum", "pair_similarity", "room_for", "rounding_margin", "unit_rows"]

_CHUNK_ELEMENTS = 1 << 17  # 1 MiB of float64: stays in cache
_UNIT = 2.0**-22
_COPIED = 1 << 14  # rows copied at a time
_TINY = 1e-200  # squared lengths between this and its inverse have lost nothing


def fold_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum each row in one fixed order: fold the right half onto the left until one column is left.

    The order depends on the number of columns alone, never on memory layout, block shape or SIMD width.

    Args:
        terms: float64, shape (n, d); overwritten.

    Returns:
        float64, shape (n,).

    Example:
        >>> fold_sum(np.array([[1.0, 2.0, 3.0]])).tolist()
        [6.0]
    """
    width = terms.shape[1]
    while width > 1:
        half = (width + 1) // 2
        terms[:, : width - half] += terms[:, half:width]
        width = half
    return terms[:, 0]


def pair_similarity(x: NDArray[np.float32], t: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine similarity of unit vectors, pair by pair: row i of `x` with row i of `t`.

    Args:
        x: float32 unit vectors, shape (n, d).
        t: float32 unit vectors, shape (n, d) or (1, d).

    Returns:
        float32, shape (n,). The same bits for the same pair, whatever stands beside it;
        ``pair_similarity(x, -t) == -pair_similarity(x, t)``.

    Example:
        >>> pair_similarity(np.float32([[1, 0]]), np.float32([[0.6, 0.8]])).tolist()
        [0.6000000238418579]
    """
    out = np.empty(len(x), dtype=np.float32)
    step = max(1, _CHUNK_ELEMENTS // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        stop = start + step
        other = t if len(t) == 1 else t[start:stop]
        out[start:stop] = _rounded_sum(np.multiply(x[start:stop], other, dtype=np.float64))
    out += np.float32(0.0)  # -0.0 becomes 0.0, so that equal values have equal bytes
    return out


def _rounded_sum(terms: NDArray[np.float64]) -> NDArray[np.float32]:
    """`fold_sum`, rounded to float32; folded only where another order of summation might round otherwise.

    Two sums of the same d products of unit vectors, in any two orders, differ by at most 2·(d - 1)·2⁻⁵³.
    """
    quick = terms.sum(axis=1)
    apart = (terms.shape[1] + 8) * 2.0**-52
    out = np.asarray(quick - apart, dtype=np.float32)
    unsure = np.flatnonzero(out != np.asarray(quick + apart, dtype=np.float32))
    out[unsure] = fold_sum(terms[unsure])
    return out


def rounding_margin(dimension: int) -> float:
    """How far a float32 product of unit vectors, summed in any order, may lie from `pair_similarity`.

    The classical bound for a dot product of length d in precision u is d·u/(1 - d·u)·|x|·|t|
    (Higham, Accuracy and Stability of Numerical Algorithms, §3.1); u = 2⁻²⁴, plus room for the unit
    vectors' own rounding and the last rounding to float32.

    Example:
        >>> 2.3e-5 < rounding_margin(384) < 2.4e-5
        True
    """
    u = 2.0**-24
    return (dimension + 8) * u / (1 - (dimension + 8) * u)


def as_vectors(vectors: Any, name: str) -> NDArray[Any]:
    """Check that `vectors` is a matrix of numbers with at least one column.

    Raises:
        ShapeError: If it is not; names what was got.
    """
    if isinstance(vectors, LazyRows):
        return vectors  # type: ignore[return-value]  # blocks of it are arrays
    try:
        # Torch tensors may be of a kind that NumPy lacks, on a device, or part of a graph.
        array = np.asarray(vectors.detach().float().cpu() if hasattr(vectors, "detach") else vectors)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors that NumPy cannot read
        raise ShapeError(f"{name} must be a matrix of numbers: {error}") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(f"{name} must have shape (rows, dimensions), got shape {array.shape}.")
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"{name} must hold numbers, got dtype {array.dtype}. Hint: convert to float32.")
    return array


def unit_rows(
    vectors: Any,
    name: str = "vectors",
    *,
    most_bytes: int | None = None,
    folder: Path | None = None,
    numbers: NDArray[np.integer] | None = None,
) -> NDArray[np.float32]:
    """Widen to float32 and scale every row to length 1, row by row.

    A float32 row whose squared length is within 2⁻²² of 1, which is as near as rounding to float32 allows, is of length
    1 already and stays as it is, to the bit.

    Args:
        vectors: Any real dtype, shape (n, d); may be memory-mapped.
        name: What to call them in an error.
        most_bytes: A result of more bytes than this lies in a file that is gone when it is no longer used, and is
            mapped from there; None: never.
        folder: Where that file lies; None takes the system's folder for temporary files.
        numbers: What to call each row in an error; None counts from 0.

    Returns:
        float32, shape (n, d): `vectors` itself, not a copy, where it is float32 and all its rows are of length 1. Each
        row depends on that row alone.

    Raises:
        ShapeError: If `vectors` is not a matrix of numbers.
        NonFiniteError: If a row holds NaN or infinity, or is all zero; names the first such rows.
        StoreError: If the file cannot be written.

    Example:
        >>> unit_rows([[3.0, 4.0]]).round(3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    array = as_vectors(vectors, name)
    step = max(1, _CHUNK_ELEMENTS // array.shape[1])
    starts = range(0, len(array), step)
    may_stay = array.dtype == np.float32
    mapped = isinstance(array, np.ndarray)
    if (
        mapped
        and may_stay
        and array.flags.c_contiguous
        and all(_is_unit(array[start : start + step]).all() for start in starts)
    ):
        return array
    out = room_for(array.shape, most_bytes, folder)
    for start in starts:
        block = array[start : start + step]
        rows = np.array(block, dtype=np.float64)
        with np.errstate(over="ignore"):  # those rows are scaled first
            squared = fold_sum(rows * rows)
        far = np.flatnonzero(~((squared > _TINY) & (squared < 1 / _TINY)))
        if len(far):
            called = far + start if numbers is None else numbers[far + start]
            rows[far], squared[far] = _scaled(rows[far], called, name)
        if may_stay:
            squared[_is_unit(block)] = 1.0
        out[start : start + step] = rows / np.sqrt(squared)[:, None]
    return out


def _is_unit(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows are of length 1 as nearly as float32 allows; what the order of summation decides is folded."""
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(np.einsum("ij,ij->i", rows, rows, dtype=np.float64) - 1.0)
        unit = off <= _UNIT
        unsure = np.flatnonzero(np.abs(off - _UNIT) < (rows.shape[1] + 8) * 2.0**-51)
        unit[unsure] = np.abs(fold_sum(np.square(rows[unsure], dtype=np.float64)) - 1.0) <= _UNIT
    return np.asarray(unit, dtype=np.bool_)


def room_for(shape: tuple[int, ...], most_bytes: int | None = None, folder: Path | None = None) -> NDArray[np.float32]:
    """An array to be filled: in memory, or mapped from a file without a name where it takes more than `most_bytes`.

    Args:
        shape: Its shape.
        most_bytes: None: always in memory.
        folder: Where the file lies; None takes the system's folder for temporary files.

    Raises:
        StoreError: If the file cannot be made.
    """
    size = 4 * math.prod(shape)
    if most_bytes is None or size <= most_bytes:
        return np.empty(shape, dtype=np.float32)
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # All of it now: a disk that fills up later would end the process without a word.
            os.posix_fallocate(file.fileno(), 0, size) if hasattr(os, "posix_fallocate") else file.truncate(size)
            return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
    except OSError as error:
        raise StoreError(
            f"vectors of {size / 2**30:.1f} GiB must fit on the disk of {folder or tempfile.gettempdir()}: {error}. "
            "Hint: choose another `cache` (TMPDIR in arrange_embeddings), or more `memory`."
        ) from error


def copied_rows(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], most_bytes: int | None = None, folder: Path | None = None
) -> NDArray[np.float32]:
    """A copy of some rows, in the room of `room_for`.

    Args:
        vectors: float32, shape (n, d); may be mapped.
        rows: int64: which rows, in the copy's order.
        most_bytes: See `room_for`.
        folder: See `room_for`.

    Raises:
        StoreError: If the file cannot be made.
    """
    some = room_for((len(rows), vectors.shape[1]), most_bytes, folder)
    for start in range(0, len(rows), _COPIED):
        some[start : start + _COPIED] = vectors[rows[start : start + _COPIED]]
    return some


def _scaled(
    rows: NDArray[np.float64], numbers: NDArray[np.integer], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows scaled by their largest entry, so that squares of huge and tiny entries are finite and not zero."""
    largest = np.abs(rows).max(axis=1)
    bad = np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))
    if len(bad):
        raise NonFiniteError(_bad_rows_sentence(rows, bad, numbers, name), row=int(numbers[bad[0]]))
    rows = rows / largest[:, None]
    return rows, fold_sum(rows * rows)


def _bad_rows_sentence(
    rows: NDArray[np.float64], bad: NDArray[np.intp], numbers: NDArray[np.integer], name: str
) -> str:
    kinds = ["all zeros" if np.isfinite(rows[row]).all() else "NaN or infinity" for row in bad[:3]]
    named = ", ".join(f"row {numbers[row]} ({kind})" for row, kind in zip(bad[:3], kinds, strict=True))
    more = f" and {len(bad) - 3} more nearby" if len(bad) > 3 else ""
    return (
        f"{name} must be finite and not zero, got {named}{more}. "
        "Hint: such a row has no direction, so no cosine; embed its text again or leave it out."
    )
