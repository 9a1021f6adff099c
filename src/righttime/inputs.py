"""The two sides of an arrangement, read from wherever they are: files, data sets, rows in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from righttime.errors import SettingsError
from righttime.formats import Reading, from_records, read_rows
from righttime.formats.remote import without_secrets
from righttime.results import Data, Request

__all__ = ["Inputs", "exchanged_sides", "read_inputs", "read_side"]

Side = Literal["pool", "target", "side"]
"""What data is read as; a side pool, which a target is widened from, is read as the pool is."""
_MANY, _TIMES = 1_000, 10  # rows of a target that is likely a pool: at least, and for each row of the pool


@dataclass(frozen=True)
class Inputs:
    """Both sides as they were read.

    Attributes:
        pool: The pool.
        target: The target.
        given: The names of files and folders that each was read from; None where it was not read from any.
        side: The side pool that the target is widened from, where that is asked.
    """

    pool: Reading
    target: Reading
    given: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    side: Reading | None = None


def read_inputs(
    pool: Data,
    target: Data,
    request: Request,
    *,
    side: Reading | None = None,
    keep_original: bool = False,
    progress: bool = False,
) -> Inputs:
    """Read both sides, and the side pool where the target is widened.

    Args:
        pool: See `righttime.arrange`.
        target: The same.
        request: Says how.
        side: The side pool, where it was read already.
        keep_original: Keep the own JSON of the pool's rows.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: If a side cannot be read, or rows of several formats are to keep their own JSON.
    """
    given = {"pool": _names(pool), "target": _names(target)}
    read = read_side(pool, "pool", request, keep_original, progress)
    formats = sorted({file.format for file in read.inputs})
    if keep_original and len(formats) > 1:
        raise SettingsError(
            f"`as='original'` needs pools of one format, got {', '.join(formats)}: no trainer reads a file of both. "
            "Hint: leave `as` out.",
            setting="as",
        )
    around = read_side(target, "target", request)
    if request.widens is not None and side is None:
        side = read_side(request.widens.pool, "side", request, progress=progress)
    return Inputs(read, around, given, side)


def exchanged_sides(n_pool: int, n_target: int) -> list[str]:
    """What to say where pool and target were likely given in each other's place; nothing anywhere else.

    Where the target has ten rows for each row of the pool, the first round picks all of an evenly picked pool but
    one row in 22,000 (e⁻¹⁰), so nothing is chosen. A thousand target rows keep toy examples out.

    Args:
        n_pool: Rows of the pool.
        n_target: Rows of the target.

    Example:
        >>> exchanged_sides(45_000, 260), exchanged_sides(100, 900), exchanged_sides(260, 2_599)
        ([], [], [])
    """
    if n_target < max(_MANY, _TIMES * n_pool):
        return []
    return [
        f"the target has {n_target:,} rows and the pool {n_pool:,}, so hardly anything is left to choose: were they "
        "given in each other's place? The pool is what rows are chosen from."
    ]


def read_side(data: Data, role: Side, request: Request, keep_original: bool = False, progress: bool = False) -> Reading:
    """Read a pool, a target or a side pool; of a pool also, as its last rows, the pool that is only woven."""
    if isinstance(data, Reading):
        return data
    settings = {**_settings(role, request), "keep_original": keep_original, "progress": progress}
    of_files: dict[str, Any] = {
        "max_row_bytes": request.max_row_bytes,
        "workers": request.workers,
        "on_ray": request.engine == "ray",
    }
    others = [request.woven_pool] if role == "pool" and request.woven_pool is not None else []
    if isinstance(data, str | os.PathLike):
        return read_rows([data, *others], **of_files, **settings)
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise SettingsError(
            f"the {role} must be files, a data set or rows, got {type(data).__name__}. "
            "Hint: of a DatasetDict pass one split, such as data['train']."
        )
    rows = list(data)
    paths = [row for row in rows if isinstance(row, str | os.PathLike)]
    records = [row for row in rows if not isinstance(row, str | os.PathLike)]
    if paths and records:
        raise SettingsError(
            f"the {role} must be files or rows, got {len(paths)} file names and {len(records)} rows in one list. "
            "Hint: read the files first, or save the rows."
        )
    if paths:
        return read_rows([*paths, *others], **of_files, **settings)
    if others:
        raise SettingsError(
            f"rows of {without_secrets(others[0])} can be woven only where the pool is read from files too, got rows "
            "in memory. Hint: save the pool to a file.",
            setting="anneal" if request.weave is None else "weave",
        )
    return from_records(records, source=role, **settings)


def _settings(role: Side, request: Request) -> dict[str, Any]:
    of_target = role == "target"
    return {
        "role": "target" if of_target else "pool",
        "format": request.target_format if of_target else request.format,
        "bad_rows": request.bad_rows,
        "repeated_ids": request.repeated_ids,
        "positive_examples": request.positive_examples,
        "task_field": request.task_field,
        "fields": request.target_fields if of_target else request.fields,
    }


def _names(data: Data) -> tuple[str, ...] | None:
    """The names of the files and folders that a side is read from; None where it is rows in memory."""
    if isinstance(data, str | os.PathLike):
        return (without_secrets(os.fspath(data)),)
    if not isinstance(data, list | tuple) or not all(isinstance(name, str | os.PathLike) for name in data):
        return None
    return tuple(without_secrets(os.fspath(name)) for name in data)
