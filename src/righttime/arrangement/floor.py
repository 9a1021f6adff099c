"""The least similarity: pool rows that no target row is so near to do not take part."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.selection import SelectionInput
from righttime.errors import SettingsError
from righttime.similarity import narrowed

__all__ = ["check_floor", "near_enough", "reaches"]


One = TypeVar("One")


def reaches(similarity: Any, floor: float | None) -> Any:
    """Whether similarities (float32) reach the floor, which is rounded to float32 as they are; always without one."""
    return np.asarray(similarity) >= np.float32(-np.inf if floor is None else floor)


def check_floor(floor: Any, method: str, needs: frozenset[str]) -> float | None:
    """The least similarity as a number.

    Raises:
        SettingsError: If it is not a similarity, or the method looks at none.
    """
    if floor is None:
        return None
    try:
        value = float(floor)
    except (TypeError, ValueError):
        value = math.nan
    if not -1 <= value <= 1:
        raise SettingsError(
            f"min_similarity must be a cosine similarity from -1 to 1, got {floor!r}.", setting="min_similarity"
        )
    if "vectors" not in needs:
        raise SettingsError(
            f"min_similarity is for methods that look at vectors, got it with {method!r}. "
            "Hint: leave it out, or choose such a method; `righttime methods` says what each needs.",
            setting="min_similarity",
        )
    return value


def near_enough(
    inputs: SelectionInput, most_bytes: int | None = None, folder: Path | None = None
) -> tuple[NDArray[np.int64], SelectionInput]:
    """The pool rows whose most similar target row reaches the input's floor, and the inputs for these alone.

    Args:
        inputs: With a floor.
        most_bytes: Vectors of more bytes than this are mapped from a file.
        folder: Where that file lies.

    Returns:
        int64, ascending: the rows; and the same input with only these in its pool.

    Raises:
        SettingsError: If there are none, or fewer than the budget; says both numbers.
    """
    best = inputs.best if inputs.best is not None else inputs.search.nearest(inputs.pool, inputs.target)[1]
    rows = np.flatnonzero(reaches(best, inputs.min_similarity)).astype(np.int64)
    what = f"as similar to a target row as min_similarity {inputs.min_similarity:g}"
    if not len(rows):
        raise SettingsError(
            f"some pool row must be {what}, but the most similar one is at {best.max():.4f}. Hint: lower it.",
            setting="min_similarity",
        )
    if inputs.from_pool is not None and inputs.from_pool > len(rows):
        raise SettingsError(
            f"budget must be at most the {len(rows)} of {len(best)} pool rows that are {what}, got {inputs.from_pool}. "
            "Hint: leave the budget out to take all of them, or lower min_similarity.",
            setting="budget",
        )
    scores = inputs.scores
    return rows, dataclasses.replace(
        inputs,
        pool=_only(inputs.pool, rows, most_bytes, folder),
        tasks=_some(inputs.tasks, rows),
        texts=_some(inputs.texts, rows),
        best=best[rows],
        scores=None if scores is None else lambda places: scores(rows[places]),
        caps=tuple(dataclasses.replace(cap, names=_named(cap.names, rows, len(best))) for cap in inputs.caps),
    )


def _named(names: Sequence[One] | None, rows: NDArray[np.int64], n: int) -> list[One] | None:
    """Names of those rows, and of all from n on, which are woven only."""
    return None if names is None else [*(names[row] for row in rows.tolist()), *names[n:]]


def _some(values: Sequence[One] | None, rows: NDArray[np.int64]) -> list[One] | None:
    return None if values is None else [values[row] for row in rows.tolist()]


def _only(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], most_bytes: int | None, folder: Path | None
) -> NDArray[np.float32]:
    """Some rows of vectors: the vectors themselves where that is all of them."""
    if len(rows) == len(vectors):
        return vectors
    return narrowed(vectors, rows, most_bytes, folder)
