"""What an arrangement takes besides reading, embedding and searching: once, and at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import method_named
from righttime.arrangement.budget import rows_of
from righttime.arrangement.falloff import falloff
from righttime.leaving import GROUP, AllLeftOut, LeftOutRows, as_tables
from righttime.neighbours import ENGINES
from righttime.planning.stages import Stage, timed
from righttime.results import Request
from righttime.rows import Rows
from righttime.store import file_sha256, write_lines, write_parquet

__all__ = ["once", "with_falloff", "writing_stage"]

_TEXTS = 512  # rows that are written
_LEFT_OUT = 1 << 16  # rows that are left out in the table that is written
_ROW_BYTES = 120  # of a row in the tables, on disk
_LEFT_BYTES = 20  # of a row that is left out: its number, and that of its reason
_TABLE_BYTES = 400  # of a row in the tables while they are written
_RANKED, _TARGETS = 4096, 1024  # rows that are looked at for where quality falls

_ONE = """
import righttime.cli.app
from righttime.pipeline import arrange_into
from righttime.results import Request

how = {"embedder": "vectors:pool.npy", "target_embedder": "vectors:target.npy", "repeated_ids": "number"}
arrange_into("out", "pool.jsonl", "target.jsonl", Request(guard="off", **how), cache="cache")
"""


@cache
def once() -> float | None:
    """Seconds of an arrangement of two rows in a process of its own; None where none can be started."""
    row = json.dumps({"prompt": "x", "response": "y"})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for side, rows in (("pool", 2), ("target", 1)):
            (folder / f"{side}.jsonl").write_text(f"{row}\n" * rows)
            np.save(folder / f"{side}.npy", np.eye(2, dtype=np.float32)[:rows])
        words = [sys.executable, "-c", _ONE]
        try:
            return timed(lambda: subprocess.run(words, cwd=folder, capture_output=True, check=True))
        except (OSError, subprocess.CalledProcessError):
            return None


def writing_stage(rows: Rows, n_own: int, n_pool: int, request: Request) -> Stage:
    """The stage that writes the result, rows that are left out among it.

    Args:
        rows: Some rows of the pool.
        n_own: Rows that the method may choose.
        n_pool: The same with those that can only be woven.
        request: The settings.
    """
    budget = min(rows_of(request.budget, n_own) or n_pool, n_pool)
    some = rows.take(range(0, len(rows), max(1, len(rows) // _TEXTS)))
    numbers = np.arange(_LEFT_OUT) % len(rows)
    left = AllLeftOut(LeftOutRows(rows, numbers, {"beyond-budget": "the budget was reached before it"}))
    with tempfile.TemporaryDirectory() as place:
        lines, table = Path(place) / "train.jsonl", Path(place) / "left_out.parquet"

        def write_order() -> None:
            write_lines(lines, (json.dumps(row.as_dict(), ensure_ascii=False) for row in some.examples()))
            file_sha256(lines)

        def write_others() -> None:
            write_parquet(table, as_tables(left))
            file_sha256(table)

        write_order()  # what is done once is not scaled up
        write_others()
        line, other = timed(write_order) / len(some), timed(write_others) / len(numbers)
        size = lines.stat().st_size / len(some)
    # A row of the order is in a table too, which says more of it than that of the others.
    seconds = budget * (line + 2 * other) + (n_pool - budget) * other
    disk = int(budget * size + n_pool * _ROW_BYTES)
    written = _TABLE_BYTES * min(n_pool, GROUP)
    note = f"train.jsonl of {size:,.0f} bytes a row, and {n_pool - budget:,} rows that are left out"
    return Stage("write", 1, seconds, _LEFT_BYTES * (n_pool - budget), disk, note, written)


def with_falloff(
    stage: Stage, sides: Sequence[NDArray[np.float32]], n_own: int, n_target: int, request: Request
) -> Stage:
    """The same with the look at where quality falls, which the manifest has.

    Args:
        stage: The stage that writes.
        sides: Some unit vectors of both sides.
        n_own: Rows that the method may choose.
        n_target: Target rows.
        request: The settings.
    """
    pool, target = sides[0][:_RANKED], sides[1][:_TARGETS]
    wider = n_target / len(target)
    every = np.arange(len(pool))
    first = np.where(every == 0, 0, -1)
    falloff(pool, target, first, None)  # what is done once is not scaled up
    budget = min(rows_of(request.budget, n_own) or n_own, n_own)
    seconds = timed(lambda: falloff(pool, target, every, None)) / len(pool) * budget * wider
    told = method_named(request.method).looks == "rounds" and not ENGINES[request.engine].cluster
    if not told and budget < n_own:  # the whole pool is looked at once more
        seconds += timed(lambda: falloff(pool, target, first, None)) / len(pool) * n_own * wider
    note = f"{stage.note}; where quality falls, measured on {len(pool):,} rows"
    return replace(stage, seconds=(stage.seconds or 0.0) + seconds, note=note)
