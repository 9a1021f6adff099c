"""What is consumed after a rearrangement, and how that lies on disk.

A run that consumes r rows a step and is rearranged every k steps follows the arrangement for k steps. After each k,
before the first row of step s is consumed:

- What is left are the places that no step before s consumes, in the arrangement's order; with a window its first rows.
  Rows of another pool, where there is one, have the places behind the arrangement's.
- Rows that were woven in are not rearranged: the row of place p is the p-th that is consumed. So the share of woven
  rows, and how evenly they are spread, stay the arrangement's. The others come, in their new order, between them.
- The model as it is after s steps gives numbers of these rows, by one of `righttime.training.ways.WAYS`: unit vectors
  of their hidden states or gradients, and of the target's rows; or their losses.
- With vectors TMA plays its rounds over them, from a new round 0: every target row picks its nearest row, ties go to
  the lower place; target rows that weigh less have fewer turns. Inside a round the most similar row comes first. A row
  with nothing to learn has no gradient, so it neither picks nor is picked, and stands behind all others. With losses
  rows are sorted; see `by_loss`.
- Steps s to s + k - 1 consume the first k·r rows, or as many as are still to be consumed: in all as many as the
  arrangement has.

So a round that k steps cut in two is not played on: what is left of it is arranged anew.

    RUN/plans/step-00000040/vectors.npy    float32 unit vectors: of the rows left, by place, then of the target's rows
    RUN/plans/step-00000040/losses.npy     in place of vectors: float64 mean losses of the rows left, NaN of none
    RUN/plans/step-00000040/order.parquet  place, id, round, picked_by, picked_by_row, similarity of the rows to come;
                                           with losses place, id, loss; null of woven rows but for place and id
    RUN/plans/step-00000040/plan.json      step, sizes, what the model read and how, and the sha256 of both files

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
from righttime.training.anew import Weights, order_schema, order_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PLANS", "Rearranged", "read_rearranged", "write_rearranged"]

PLANS = "plans"
"""The folder of rearrangements in a run's."""

_ORDER, _PLAN = "order.parquet", "plan.json"
_VECTORS, _LOSSES = ("vectors_sha256", "vectors.npy"), ("losses_sha256", "losses.npy")
_ENTRIES = {"step": int, "candidates": int, "targets": int, "rows": int, "text": str, "representation": dict}
_ENTRIES |= dict.fromkeys(("rows_sha256", "target_sha256", "order_sha256"), str)
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

    @property
    def by_losses(self) -> bool:
        """Whether rows were arranged by their losses."""
        return _LOSSES[0] in self.about

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """What the model gave: losses of the rows left, or unit vectors of them and, after them, of the target.

        float64, shape (candidates,), NaN of a row without a loss; or float32, shape (candidates + targets, d), zero of
        a row without a vector. They are mapped, and compared with their sha256 once.

        Raises:
            StoreError: If they are not as they were written.
        """
        entry, name = _LOSSES if self.by_losses else _VECTORS
        path = self.folder / name
        if file_sha256(path) != self.about[entry]:
            raise StoreError(f"{path} must be what was written, but it was changed since. Hint: {_HINT}.")
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} must hold vectors or losses, but it cannot be read: {error}.") from error
        _check_numbers(found, path, self)
        return np.asarray(found)


def _check_numbers(found: NDArray[Any], path: Path, plan: Rearranged) -> None:
    """Make sure that there are as many numbers as there were rows, and that each is what it should be."""
    candidates, targets = plan.about["candidates"], plan.about["targets"]
    if plan.by_losses:
        if found.dtype != np.float64 or found.shape != (candidates,):
            raise StoreError(f"{path} must hold {candidates:,} float64 losses, got {found.dtype} of {found.shape}.")
        if not (np.isnan(found) | ((found >= 0) & np.isfinite(found))).all():
            raise StoreError(f"{path} must hold losses from 0, but one of them is {np.nanmin(found)} or infinite.")
        return
    count = candidates + targets
    if found.dtype != np.float32 or found.ndim != 2 or found.shape[:1] != (count,):
        raise StoreError(f"{path} must hold {count:,} float32 vectors, got {found.dtype} of {found.shape}.")
    for start in range(0, len(found), _COPIED):
        some = np.asarray(found[start : start + _COPIED], dtype=np.float64)
        squared = (some * some).sum(axis=1)
        if not ((np.abs(squared - 1) < _UNIT) | (squared == 0)).all():
            raise StoreError(f"{path} must hold vectors of length 1, or 0, but one of them is not.")


def write_rearranged(
    run: Path,
    step: int,
    left: NDArray[np.int64],
    numbers: NDArray[Any],
    stands: NDArray[np.int64],
    ids: tuple[tuple[str, ...], tuple[str, ...]],
    about: Mapping[str, Any],
    focus: str | None = None,
    weights: Weights | None = None,
) -> None:
    """Arrange what is left, and write that: whole, and on the disk, when this returns.

    Args:
        run: The run's folder.
        step: How many steps the model has taken.
        left: int64: the places that are rearranged, ascending.
        numbers: See `righttime.training.anew.order_table`.
        stands: What stands at each of the next positions; see `righttime.training.anew.standing`.
        ids: The ids of the arrangement's rows, by place, and of the target's.
        about: What the model read, and how.
        focus: With losses: which come first; None with vectors.
        weights: What each target row weighs; None: all the same.

    Raises:
        StoreError: If it cannot be written.
    """
    order = order_table(numbers, left, stands, ids, focus, weights)
    entry, name = _VECTORS if focus is None else _LOSSES
    make_folder(run / PLANS)
    staging = run / f".plan-{secrets.token_hex(8)}.partial"
    try:
        staging.mkdir()
        write_parts(staging / name, _npy(numbers))
        write_parquet(staging / _ORDER, order)
        sizes = {"step": step, "candidates": len(left), "targets": len(ids[1]), "rows": len(order)}
        files = {"order_sha256": staging / _ORDER, entry: staging / name}
        hashes = {what: file_sha256(path) for what, path in files.items()}
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
        if [type(about.get(entry)) for entry, _ in (_VECTORS, _LOSSES)].count(str) != 1:
            raise ValueError(f"it must have either {_VECTORS[0]} or {_LOSSES[0]}")
        order = read_unchanged(folder / _ORDER, about["order_sha256"], _HINT)
        if (about["step"], about["rows"]) != (step, len(order)):
            raise ValueError(f"it is of step {about['step']} and {about['rows']} rows, not {len(order)}")
        if order.schema != order_schema(_LOSSES[0] in about):
            raise ValueError(f"the columns of {_ORDER} are {', '.join(order.column_names)}")
    return Rearranged(folder, step, order, about)


def _folder(run: Path, step: int) -> Path:
    return run / PLANS / f"step-{step:08d}"


def _npy(numbers: NDArray[Any]) -> Iterator[bytes]:
    """The bytes of a .npy file."""
    kind = numbers.dtype.newbyteorder("<")
    yield npy_header(numbers.shape, kind.str)
    for start in range(0, len(numbers), _COPIED):
        yield np.ascontiguousarray(numbers[start : start + _COPIED], dtype=kind).tobytes()
