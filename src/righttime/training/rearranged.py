"""What is consumed after a rearrangement: TMA's rounds over the rows that are left, and how that lies on disk.

A run that consumes r rows a step and is rearranged every k steps follows the arrangement for k steps. After each k,
before the first row of step s is consumed:

- What is left are the places that no step before s consumes, in the arrangement's order; with a window its first rows.
  Rows of another pool, where there is one, have the places behind the arrangement's.
- These rows and the target's are embedded by the model as it is after s steps: unit vectors of its hidden states.
- TMA plays its rounds over them, from a new round 0: every target row picks its nearest row, ties go to the lower
  place. Inside a round the most similar row comes first. Steps s to s + k - 1 consume the first k·r rows, or as
  many as are still to be consumed: in all as many as the arrangement has.

So a round that k steps cut in two is not played on: what is left of it is arranged anew.

    RUN/plans/step-00000040/vectors.npy    float32 unit vectors: of the rows left, by place, then of the target's rows
    RUN/plans/step-00000040/order.parquet  place, id, round, picked_by, picked_by_row, similarity of the rows to come
    RUN/plans/step-00000040/plan.json      step, sizes, what was embedded and how, and the sha256 of both files

A plan's folder appears whole or not at all, and is not changed after that.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime import strict_json
from righttime.arrangement.methods.tma import play
from righttime.arrangement.selection import Selection, SelectionInput
from righttime.embedding.cache import npy_header
from righttime.errors import StoreError
from righttime.store import (
    as_written,
    file_sha256,
    make_folder,
    read_unchanged,
    synced,
    write_json,
    write_parquet,
    write_parts,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "PLANS",
    "Rearranged",
    "left_places",
    "order_table",
    "read_rearranged",
    "rounds_over",
    "to_follow",
    "write_rearranged",
]

PLANS = "plans"
"""The folder of rearrangements in a run's."""

_ORDER, _VECTORS, _PLAN = "order.parquet", "vectors.npy", "plan.json"
_ENTRIES = {"step": int, "candidates": int, "targets": int, "rows": int, "text": str, "representation": dict}
_ENTRIES |= dict.fromkeys(("rows_sha256", "target_sha256", "order_sha256", "vectors_sha256"), str)
_UNIT = 1e-3  # by how much a squared length may be off
_COPIED = 1 << 14  # rows written at a time
_HINT = "`overwrite=True` begins the run anew"


@dataclass(frozen=True, eq=False)
class Rearranged:
    """A rearrangement as it lies on disk.

    Attributes:
        folder: Where.
        step: How many steps led to the model that embedded the rows.
        order: ``order.parquet``, what the next steps consume.
        about: What ``plan.json`` says besides: sizes, texts, representation, hashes.
    """

    folder: Path
    step: int
    order: pa.Table
    about: Mapping[str, Any]

    @property
    def places(self) -> NDArray[np.int64]:
        """The places that the next steps consume, int64, in order."""
        return np.asarray(self.order["place"].to_numpy(), dtype=np.int64)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Unit vectors of the rows left and, after them, of the target; float32, shape (candidates + targets, d).

        They are mapped, and compared with their sha256 once.

        Raises:
            StoreError: If they are not as they were written.
        """
        path = self.folder / _VECTORS
        if file_sha256(path) != self.about["vectors_sha256"]:
            raise StoreError(f"{path} must be what was written, but it was changed since. Hint: {_HINT}.")
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} must hold vectors, but it cannot be read: {error}.") from error
        shape = (self.about["candidates"] + self.about["targets"],)
        if found.dtype != np.float32 or found.ndim != 2 or found.shape[:1] != shape:
            raise StoreError(f"{path} must hold {shape[0]:,} float32 vectors, got {found.dtype} of {found.shape}.")
        for start in range(0, len(found), _COPIED):
            some = np.asarray(found[start : start + _COPIED], dtype=np.float64)
            if not (np.abs((some * some).sum(axis=1) - 1) < _UNIT).all():
                raise StoreError(f"{path} must hold vectors of length 1, but one of them is not.")
        return np.asarray(found)


def left_places(n: int, consumed: NDArray[np.int64], window: int | None) -> NDArray[np.int64]:
    """The places that may be consumed next: those not consumed, ascending; the first `window` of them.

    Example:
        >>> left_places(6, np.array([0, 4]), 3).tolist()
        [1, 2, 3]
    """
    left = np.ones(n, dtype=np.bool_)
    left[consumed] = False
    return np.flatnonzero(left)[:window]


def to_follow(follow: int, n_left: int, n_own: int, n_consumed: int) -> int:
    """How many rows are consumed until the next rearrangement.

    Args:
        follow: Those of the steps until then.
        n_left: How many are left.
        n_own: How many the run consumes in all.
        n_consumed: How many of these it has.
    """
    return min(follow, n_left, n_own - n_consumed)


def rounds_over(vectors: NDArray[np.float32], n_left: int, count: int) -> Selection:
    """TMA's rounds over the rows that are left.

    Args:
        vectors: float32 unit vectors, shape (n_left + n_target, d): of the rows left, then of the target's.
        n_left: How many rows are left.
        count: How many of them the next steps consume.

    Returns:
        At least `count` rows, as numbers among those left, the most similar of a round first.
    """
    return play(SelectionInput(vectors[:n_left], vectors[n_left:], budget=count), 1.0)


def write_rearranged(
    run: Path,
    step: int,
    left: NDArray[np.int64],
    vectors: NDArray[np.float32],
    count: int,
    ids: tuple[tuple[str, ...], tuple[str, ...]],
    about: Mapping[str, Any],
) -> None:
    """Arrange what is left, and write that: whole, and on the disk, when this returns.

    Args:
        run: The run's folder.
        step: How many steps the model has taken.
        left: int64: the places that are left, ascending.
        vectors: See `rounds_over`.
        count: How many rows the next steps consume.
        ids: The ids of the arrangement's rows, by place, and of the target's.
        about: What was embedded, and how.

    Raises:
        StoreError: If it cannot be written.
    """
    made = rounds_over(vectors, len(left), count)
    make_folder(run / PLANS)
    staging = run / f".plan-{secrets.token_hex(8)}.partial"
    try:
        staging.mkdir()
        write_parts(staging / _VECTORS, _npy(vectors))
        write_parquet(staging / _ORDER, order_table(made, left, count, ids))
        sizes = {"step": step, "candidates": len(left), "targets": len(ids[1]), "rows": count}
        files = {"order_sha256": staging / _ORDER, "vectors_sha256": staging / _VECTORS}
        hashes = {name: file_sha256(path) for name, path in files.items()}
        write_json(staging / _PLAN, {**sizes, **about, **hashes})
        os.replace(staging, _folder(run, step))
        synced(run / PLANS)
    except OSError as error:
        raise StoreError(f"{run / PLANS} must be writable, got {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def read_rearranged(run: Path, step: int) -> Rearranged | None:
    """What was rearranged at a step; None where that is not there.

    Raises:
        StoreError: If it is not as it was written.
    """
    folder = _folder(run, step)
    if not (folder / _PLAN).exists():
        return None
    with as_written(folder / _PLAN, "`righttime tune`"):
        about = strict_json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        if wrong := [name for name, kind in _ENTRIES.items() if type(about[name]) is not kind]:
            raise ValueError(f"{wrong[0]} is {about[wrong[0]]!r}")
        order = read_unchanged(folder / _ORDER, about["order_sha256"], _HINT)
        if (about["step"], about["rows"]) != (step, len(order)):
            raise ValueError(f"it is of step {about['step']} and {about['rows']} rows, not {len(order)}")
        if order.schema != _schema():
            raise ValueError(f"the columns of {_ORDER} are {', '.join(order.column_names)}")
    return Rearranged(folder, step, order, about)


def _folder(run: Path, step: int) -> Path:
    return run / PLANS / f"step-{step:08d}"


def order_table(
    made: Selection, left: NDArray[np.int64], count: int, ids: tuple[tuple[str, ...], tuple[str, ...]]
) -> pa.Table:
    """What follows, a row each: the columns of ``order.parquet``.

    Args:
        made: From `rounds_over`.
        left: int64: the places that are left, ascending.
        count: How many rows the next steps consume.
        ids: The ids of the arrangement's rows, by place, and of the target's.
    """
    import pyarrow as pa

    assert made.round is not None
    assert made.picked_by is not None
    assert made.similarity is not None
    places, picked_by = left[made.order[:count]], made.picked_by[:count]
    columns = {
        "place": places,
        "id": [ids[0][place] for place in places.tolist()],
        "round": made.round[:count],
        "picked_by": [ids[1][row] for row in picked_by.tolist()],
        "picked_by_row": picked_by,
        "similarity": made.similarity[:count],
    }
    return pa.table(columns, _schema())


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {"place": pa.int64(), "id": pa.string(), "round": pa.int32(), "picked_by": pa.string()}
    return pa.schema({**kinds, "picked_by_row": pa.int64(), "similarity": pa.float32()})


def _npy(vectors: NDArray[np.float32]) -> Iterator[bytes]:
    """The bytes of a .npy file."""
    yield npy_header(vectors.shape)
    for start in range(0, len(vectors), _COPIED):
        yield np.ascontiguousarray(vectors[start : start + _COPIED], dtype="<f4").tobytes()
