"""Runs that were rearranged while the model learnt: what they consumed, and how their plans are forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forging import Edit, parsed, put
from righttime.store import file_sha256, write_json
from righttime.training import TuneSettings
from righttime.verification.finding import Finding

__all__ = [
    "FAST",
    "STEPS",
    "column",
    "contents",
    "effective",
    "numbers",
    "of_step",
    "planted_order",
    "said",
    "sealed",
]

FAST = TuneSettings(batch=2, accumulation=2, learning_rate=3e-3, rearrange_every=2, save_every=1, keep=None)
STEPS = (2, 4, 6, 8)
"""Before which 37 rows are rearranged by those settings."""


def contents(run: Path) -> dict[str, bytes]:
    """The files of all rearrangements."""
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in sorted((run / "plans").rglob("*.*"))}


def effective(run: Path) -> list[int]:
    """The places that led to the weights, in order."""
    lines = pq.read_table(run / "consumed.parquet").to_pylist()
    return [line["place"] for line in lines if not line["superseded"]]


def said(findings: list[Finding], ok: bool | None) -> list[str]:
    return [finding.what for finding in findings if finding.ok is ok]


def planted_order(run: Path, step: int) -> list[int]:
    """Turn the order of a rearrangement around, and bring its hash in line."""
    folder = run / "plans" / f"step-{step:08d}"
    table = pq.read_table(folder / "order.parquet")
    turned = table.take(pa.array(range(len(table) - 1, -1, -1)))
    pq.write_table(turned, folder / "order.parquet")
    parsed("plan.json", put("order_sha256", value=file_sha256(folder / "order.parquet")))(folder)
    places: list[int] = turned["place"].to_pylist()
    return places


def of_step(step: int, change: Edit) -> Edit:
    """Change a rearrangement, and bring the hashes beside it in line."""

    def edit(run: Path) -> None:
        folder = run / "plans" / f"step-{step:08d}"
        change(folder)
        for path in (folder / "order.parquet", *folder.glob("*.npy")):
            parsed("plan.json", put(f"{path.stem}_sha256", value=file_sha256(path)))(folder)

    return edit


def column(name: str, place: int, value: Any) -> Edit:
    def edit(folder: Path) -> None:
        before = pq.read_table(folder / "order.parquet")
        columns = before.to_pydict()
        columns[name][place] = value
        pq.write_table(pa.table(columns, schema=before.schema), folder / "order.parquet")

    return edit


def numbers(change: Any) -> Edit:
    """Change the vectors or losses of a rearrangement."""

    def edit(folder: Path) -> None:
        (path,) = folder.glob("*.npy")
        found = np.load(path)
        change(found)
        np.save(path, found)

    return edit


def sealed(run: Path) -> None:
    """Bring the manifest's hashes of files in line."""
    whole = json.loads((run / "manifest.json").read_text())
    files = {name: file_sha256(run / name) for name in whole["files"] if (run / name).exists()}
    write_json(run / "manifest.json", {**whole, "files": files})
