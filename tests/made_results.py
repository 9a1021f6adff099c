"""Results on disk, and forgeries of them whose hashes are right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from righttime.store import file_sha256, ids_sha256, write_json

FILES = ("train.jsonl", "arrangement.parquet", "left_out.parquet")


def words(data: Path, out: Path, *more: str) -> list[str]:
    return ["arrange", f"{data}/pool.jsonl", "--target", f"{data}/target.jsonl", "--out", str(out), *more]


def nearly(data: Path, out: Path, name: str, to: Path) -> Path:
    """The same result made with vectors that differ in their last bits."""
    to.mkdir(exist_ok=True)
    with np.load(data / name) as both:
        np.savez(to / name, **{side: both[side] * (1 + 1e-7) + 1e-8 for side in both.files})
    sound = to / "sound"
    shutil.copytree(out, sound)
    said = json.loads((sound / "manifest.json").read_text())
    said["settings"]["embedder"] = said["embedding"]["model"] = f"vectors:{to}/{name}"
    said["embedding"]["target_vectors"] = said["settings"]["embedder"]
    write_json(sound / "manifest.json", said)
    return sound


def exchange(kind: str | None = None) -> Callable[[list[dict[str, Any]]], None]:
    """Put the first and the last row, or those of a reason, in each other's place, with all that is said of them."""

    def change(rows: list[dict[str, Any]]) -> None:
        first, *_, second = [row for row in rows if kind is None or row["reason"] == kind]
        kept = dict(first), dict(second)
        first.update(kept[1], position=kept[0]["position"])
        second.update(kept[0], position=kept[1]["position"])

    return change


def forged(out: Path, to: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    shutil.copytree(out, to)
    table = pq.read_table(to / "arrangement.parquet")
    rows = table.to_pylist()
    lines = {json.loads(line)["id"]: line for line in (to / "train.jsonl").read_text().splitlines()}
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), to / "arrangement.parquet")
    (to / "train.jsonl").write_text("".join(lines[row["id"]] + "\n" for row in rows))
    said = json.loads((to / "manifest.json").read_text())
    said["files"] = {name: file_sha256(to / name) for name in FILES}
    said["ids_sha256"] = ids_sha256(row["id"] for row in rows)
    write_json(to / "manifest.json", said)
    return to
