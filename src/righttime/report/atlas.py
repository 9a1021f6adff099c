"""A Parquet file for Embedding Atlas: every row with a vector, its place, its point on the map, its neighbours.

    atlas.parquet    side, id, row, task, source, text, position, round, picked_by, similarity, left_out, x, y,
                     neighbors
    manifest.json    written last

``neighbors`` is what `embedding-atlas --neighbors` reads: ``{"ids": rows of the table, "distances": 1 - cosine}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from righttime.errors import SettingsError
from righttime.examples import text_of
from righttime.neighbours import top_k
from righttime.report.arranged import Arranged, arranged_from
from righttime.report.projection import project
from righttime.results import circumstances
from righttime.store import MANIFEST, file_sha256, prepare_folder, staged, write_json, write_parquet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ATLAS", "Atlas", "export_atlas"]

ATLAS = "atlas.parquet"
_NEIGHBOURS, _MOST = 10, 100_000


@dataclass(frozen=True)
class Atlas:
    """What was written.

    Attributes:
        folder: Where it lies.
        rows: Rows of both sides in the file.
        run: The command that shows it, to be typed in that folder.
        notes: Sentences that a person should read.
    """

    folder: Path
    rows: int
    run: str
    notes: tuple[str, ...]


def export_atlas(out: Path, folder: Path, *, overwrite: bool = False, cache: Path | None = None) -> Atlas:
    """Write a finished arrangement for Embedding Atlas; nothing is embedded.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        folder: Where to write.
        overwrite: Replace a finished export there.
        cache: The folder of cached vectors and maps; None takes the user's.

    Raises:
        StoreError: If `out` is no finished result, or `folder` cannot be written.
        SettingsError: If its texts or vectors cannot be had any more; says why.
    """
    prepare_folder(folder, (ATLAS,), overwrite)
    arranged = arranged_from([out], cache=cache)
    if arranged.vectors is None or arranged.pool is None or arranged.target is None:
        raise SettingsError(f"Embedding Atlas needs texts and vectors of both sides, but {arranged.missing[0].why}.")
    table, notes = _table(arranged, cache)
    run = f"embedding-atlas {ATLAS} --text text --x x --y y"
    run += " --neighbors neighbors" if "neighbors" in table.column_names else ""
    with staged(folder) as staging:
        write_parquet(staging / ATLAS, table)
        about = {"arrangement": str(out), "rows": len(table), "run": run, "notes": notes}
        write_json(staging / MANIFEST, {**circumstances(), **about, "files": {ATLAS: file_sha256(staging / ATLAS)}})
    return Atlas(folder, len(table), run, tuple(notes))


def _table(arranged: Arranged, cache: Path | None) -> tuple[pa.Table, list[str]]:
    import pyarrow as pa

    vectors, pool, target = arranged.vectors, arranged.pool, arranged.target
    assert vectors is not None
    assert pool is not None
    assert target is not None
    finished, rows = arranged.first, vectors.pool_rows.tolist()
    places = {row: place for place, row in enumerate(finished.arrangement.order.tolist())}
    reasons = {row["row"]: row["reason"] for row in finished.left_out.select(["row", "reason"]).to_pylist()}
    lines = [
        _line(row, side, number)
        for side, some in (("pool", rows), ("target", None))
        for number, row in zip(some or range(len(target)), (pool if some else target).examples(some), strict=True)
    ]
    found = finished.arrangement
    for line in lines[: len(rows)]:
        place = places.get(line["row"])
        line["left_out"] = reasons.get(line["row"])
        if place is not None:
            line["position"] = place
        if place is not None and (found.woven is None or not found.woven[place]):
            line["round"] = None if found.round is None else int(found.round[place])
            line["picked_by"] = found.labels.picked_by[place] if found.labels else None
            line["similarity"] = None if found.similarity is None else float(found.similarity[place])
    both = np.concatenate([vectors.pool, vectors.target])
    points = project(both, cache=cache)
    notes = [points.told]
    if len(rows) < len(pool):
        notes.append(f"{len(pool) - len(rows):,} pool rows have no vector in the cache and are not in the file.")
    kinds: dict[str, Any] = dict.fromkeys(
        ("side", "id", "task", "source", "text", "picked_by", "left_out"), pa.string()
    )
    kinds |= {"row": pa.int64(), "position": pa.int64(), "round": pa.int64(), "similarity": pa.float64()}
    columns = {name: pa.array([line.get(name) for line in lines], kind) for name, kind in kinds.items()}
    columns["x"], columns["y"] = (pa.array(points.points[:, axis]) for axis in (0, 1))
    if len(both) <= _MOST:
        near = top_k(both, both, min(_NEIGHBOURS + 1, len(both)))
        pairs = zip(near.rows.tolist(), (1 - near.similarity).tolist(), strict=True)
        columns["neighbors"] = pa.array(
            [_others(number, ids, distances) for number, (ids, distances) in enumerate(pairs)],
            pa.struct({"ids": pa.list_(pa.int64()), "distances": pa.list_(pa.float64())}),
        )
    else:
        notes.append(f"Neighbours are left out above {_MOST:,} rows.")
    return pa.table(columns), notes


def _line(row: Any, side: str, number: int) -> dict[str, Any]:
    text = text_of(row, "prompt+response" if row.response is not None else "prompt")
    return {"side": side, "row": number, "id": row.id, "task": row.task, "source": row.source, "text": text}


def _others(number: int, ids: list[int], distances: list[float]) -> dict[str, Any]:
    """A row's neighbours without itself."""
    pairs = [pair for pair in zip(ids, distances, strict=True) if pair[0] != number][:_NEIGHBOURS]
    return {"ids": [one for one, _ in pairs], "distances": [max(0.0, far) for _, far in pairs]}
