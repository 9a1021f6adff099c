"""Numbers and texts as the page reads them: little-endian, compressed, in base64."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["NONE16", "NONE32", "column", "packed", "texts_packed"]

NONE16, NONE32 = 0xFFFF, 0xFFFFFFFF
"""What stands for none in columns of integers."""

_KINDS: dict[str, str] = {"u16": "<u2", "u32": "<u4", "f32": "<f4"}
_LEVEL = 6


def packed(data: bytes) -> str:
    """Bytes, compressed, in base64; equal bytes give equal text."""
    return base64.b64encode(gzip.compress(data, _LEVEL, mtime=0)).decode("ascii")


def column(values: NDArray[Any] | Sequence[float], kind: Literal["u16", "u32", "f32"]) -> dict[str, Any]:
    r"""A column of numbers.

    Args:
        values: Any shape; written row by row.
        kind: How each is kept.

    Raises:
        OverflowError: If a value does not fit.

    Example:
        >>> found = column([1, 2], "u16")
        >>> found["type"], found["n"], gzip.decompress(base64.b64decode(found["data"]))
        ('u16', 2, b'\x01\x00\x02\x00')
    """
    found = np.asarray(values)
    if kind != "f32" and found.size and (found.min() < 0 or found.max() > (NONE16 if kind == "u16" else NONE32)):
        raise OverflowError(f"values of a column of {kind} must fit, got {found.min()} to {found.max()}.")
    return {"type": kind, "n": int(found.size), "data": packed(found.astype(_KINDS[kind]).tobytes())}


def texts_packed(rows: Sequence[Any], size: int) -> list[str]:
    """Rows as JSON, so many in each packed block; what is no character (a lone surrogate) is shown as U+FFFD."""
    blocks = (rows[start : start + size] for start in range(0, len(rows), size))
    dumps = (json.dumps(block, ensure_ascii=False, separators=(",", ":")) for block in blocks)
    return [packed(text.encode("utf-8", "replace").replace(b"\x00", b"")) for text in dumps]
