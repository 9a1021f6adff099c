"""The rows of the map and of the browsers, as columns: places, rounds, pickers, reasons, neighbours, points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import method_named
from righttime.neighbours import top_k
from righttime.report.arranged import Arranged
from righttime.report.columns import NONE16, NONE32, column
from righttime.report.projection import Projection
from righttime.report.shown import Shown
from righttime.report.vectors import Vectors
from righttime.results import FinishedResult
from righttime.rows import Rows

__all__ = ["NEAREST", "Nearness", "nearness", "rows_json"]

NEAREST = 3
"""Target rows that are named for each pool row."""

_SAMPLE, _SEED = 1000, 0


@dataclass(frozen=True, eq=False)
class Nearness:
    """Who is near whom.

    Attributes:
        near: int64, shape (shown pool rows, k): the most similar target rows, -1 for a row without a vector.
        similarity: float32, the same shape; NaN for a row without a vector.
        best: float32, shape (n_target,): each target row's similarity to its most similar pool row.
        median: The median similarity of a pool row to the most similar other pool row, of a seeded sample; None of one
            row alone.
    """

    near: NDArray[np.int64]
    similarity: NDArray[np.float32]
    best: NDArray[np.float32]
    median: float | None


def nearness(vectors: Vectors, shown: Shown) -> Nearness:
    """Exact neighbours of the shown pool rows and of every target row.

    Args:
        vectors: Of the rows that have some.
        shown: The rows of the page.
    """
    k = min(NEAREST, len(vectors.target))
    places, known = vectors.places(shown.pool)
    near = np.full((len(shown.pool), k), -1, dtype=np.int64)
    similarity = np.full((len(shown.pool), k), np.nan, dtype=np.float32)
    if known.any():
        found = top_k(vectors.target, vectors.pool[places], k)
        near[known], similarity[known] = found.rows, found.similarity
    best = top_k(vectors.pool, vectors.target, 1).similarity[:, 0]
    return Nearness(near, similarity, best, _median(vectors.pool))


def _median(pool: NDArray[np.float32]) -> float | None:
    """The median similarity of a row to its most similar other row; None of one row alone."""
    n = len(pool)
    if n < 2:
        return None
    sample = np.sort(np.random.default_rng(_SEED).choice(n, min(n, _SAMPLE), replace=False))
    two = top_k(pool, pool[sample], 2)
    own = two.rows == sample[:, None]
    # Of equal rows a lower one may stand where the row itself would: then either is as similar.
    other = np.where(own[:, 0], two.similarity[:, -1], two.similarity[:, 0])
    return float(np.median(other))


def rows_json(
    arranged: Arranged, shown: Shown, near: Nearness | None, points: Projection | None, on_map: NDArray[np.bool_] | None
) -> dict[str, Any]:
    """What the page reads of rows; see the page's own description in ``assets/data.js``.

    Args:
        arranged: The arrangements and their rows.
        shown: The rows of the page.
        near: Who is near whom; None without vectors.
        points: The map of the rows of `on_map`, then of all shown target rows; None without vectors.
        on_map: bool, shape (shown pool rows,): the rows that have a vector.
    """
    first = arranged.first
    n_pool, n_target = first.manifest.counts.pool_rows, first.manifest.counts.target_rows
    tasks, sources, reasons = _Names(), _Names(), _Names()
    orders = [_order(one, name, shown, reasons) for one, name in zip(arranged.finished, arranged.names, strict=True)]
    target_at = np.full(n_target + 1, NONE32, dtype=np.int64)  # the last for -1
    target_at[shown.target] = np.arange(len(shown.target))
    pool = _side(arranged.pool, shown.pool, _known_labels(arranged), tasks, sources)
    target = _side(arranged.target, shown.target, {}, tasks, sources)
    pool["near"] = None if near is None else column(target_at[near.near], "u32")
    pool["near_similarity"] = None if near is None else column(near.similarity, "f32")
    target["best"] = None if near is None else column(near.best[shown.target], "f32")
    pool["x"], pool["y"], target["x"], target["y"] = _map(points, on_map)
    return {
        "n_pool_shown": len(shown.pool),
        "n_pool": n_pool,
        "n_target_shown": len(shown.target),
        "n_target": n_target,
        "sampling": shown.rule,
        "names": {"task": tasks.names, "source": sources.names, "reason": reasons.names},
        "orders": orders,
        "pool": pool,
        "target": target,
        "k": 0 if near is None else near.near.shape[1],
        "pool_median": None if near is None else near.median,
        "has_map": points is not None,
        "map_caption": "" if points is None else points.told,
    }


class _Names:
    """Names by number, in the order in which they come."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number: dict[str, int] = {}

    def code(self, name: str | None) -> int:
        if name is None:
            return NONE16
        if name not in self._number:
            if len(self.names) == NONE16 - 1:
                name = "others"  # more names than there are numbers
            if name not in self._number:
                self._number[name] = len(self.names)
                self.names.append(name)
        return self._number[name]


def _order(finished: FinishedResult, name: str, shown: Shown, reasons: _Names) -> dict[str, Any]:
    arrangement, n_pool = finished.arrangement, finished.manifest.counts.pool_rows
    place = np.full(n_pool, NONE32, dtype=np.int64)
    place[arrangement.order] = np.arange(len(arrangement))
    position = place[shown.pool]
    inside = position != NONE32

    def of(values: NDArray[Any] | None, none: float) -> NDArray[Any]:
        found = np.full(len(shown.pool), none, dtype=np.float64)
        if values is not None:
            found[inside] = values[position[inside]]
        return found

    n_target = max(arrangement.n_target, finished.manifest.counts.target_rows)
    target_at = np.full(n_target + 1, NONE32, dtype=np.int64)  # the last for -1
    target_at[shown.target] = np.arange(len(shown.target))
    picked = None if arrangement.picked_by is None else target_at[arrangement.picked_by]
    reason = np.full(n_pool, NONE16, dtype=np.int64)
    for row in finished.left_out.select(["row", "reason"]).to_pylist():
        if row["row"] is not None:
            reason[row["row"]] = reasons.code(row["reason"])
    method = method_named(finished.manifest.method)
    return {
        "name": name,
        "method": finished.manifest.method,
        "by": method.ranks_by or finished.manifest.settings.get("distance") or "",
        "has_rounds": arrangement.round is not None,
        "n": len(arrangement),
        "columns": {
            "position": column(position, "u32"),
            "round": None
            if arrangement.round is None
            else column(
                of(np.where(arrangement.round < 0, NONE16, np.minimum(arrangement.round, NONE16 - 1)), NONE16), "u16"
            ),
            "picked_by": None if picked is None else column(of(picked, NONE32), "u32"),
            "similarity": None if arrangement.similarity is None else column(of(arrangement.similarity, np.nan), "f32"),
            "reason": column(np.where(inside, NONE16, reason[shown.pool]), "u16"),
        },
    }


def _known_labels(arranged: Arranged) -> dict[int, tuple[str | None, str]]:
    """Task and source of rows that some arrangement holds, for where the pool itself is gone."""
    found: dict[int, tuple[str | None, str]] = {}
    if arranged.pool is None:
        for one in arranged.finished:
            if (labels := one.arrangement.labels) is not None:
                rows = one.arrangement.order.tolist()
                found |= dict(zip(rows, zip(labels.task, labels.source, strict=True), strict=True))
    return found


def _side(
    rows: Rows | None,
    numbers: NDArray[np.int64],
    known: dict[int, tuple[str | None, str]],
    tasks: _Names,
    sources: _Names,
) -> dict[str, Any]:
    where = numbers.tolist()
    if rows is None:
        about: Sequence[tuple[str | None, str | None]] = [known.get(row, (None, None)) for row in where]
        line = None
    else:
        all_tasks, all_sources, lines = rows.tasks, rows.sources, rows.lines
        about = [(all_tasks[row], all_sources[row]) for row in where]
        line = column([lines[row] for row in where], "u32")
    return {
        "row": column(numbers, "u32"),
        "task": column([tasks.code(task) for task, _ in about], "u16"),
        "source": column([sources.code(source) for _, source in about], "u16"),
        "line": line,
    }


def _map(points: Projection | None, on_map: NDArray[np.bool_] | None) -> list[dict[str, Any] | None]:
    """X and y of both sides, from 0 to 65,534; rows that are not on the map have 65,535."""
    if points is None or on_map is None:
        return [None] * 4
    at = np.round(points.points * (NONE16 - 1)).astype(np.int64)
    n = int(on_map.sum())
    pool = np.full((len(on_map), 2), NONE16, dtype=np.int64)
    pool[on_map] = at[:n]
    return [column(side[:, axis], "u16") for side in (pool, at[n:]) for axis in (0, 1)]
