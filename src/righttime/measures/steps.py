"""The nine measures of what a run had consumed at each step that it was evaluated at, towards what judges it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError, ShapeError
from righttime.measures.bigrams import bigram_curves
from righttime.measures.dataset import must_agree
from righttime.measures.prefixes import vector_curves
from righttime.similarity.pairs import as_vectors

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["STEP_COLUMNS", "step_measures"]

STEP_COLUMNS = ("step", "rows", "task", "measure", "value")


def step_measures(
    pool: Any,
    pool_texts: Sequence[str],
    judge: Any,
    judge_texts: Sequence[str],
    judge_tasks: Sequence[str | None],
    sizes: Mapping[int, int],
) -> pa.Table:
    """Measure the first rows of an order at each step, towards all judge rows and towards those of each task.

    Args:
        pool: float32 unit vectors of the arranged rows in order, shape (n, d).
        pool_texts: Their texts.
        judge: float32 unit vectors of the judge rows, shape (m, d).
        judge_texts: Their texts.
        judge_tasks: Their tasks; rows without one count among all judge rows alone.
        sizes: How many arranged rows each step had consumed. Steps that had consumed none are left out.

    Returns:
        By step, then task, then measure: step (int64), rows (int64), task (string; null for all judge rows), measure
        (string, a name of `MEASURES`) and value (float64; NaN as in `measure`).

    Raises:
        ShapeError: If lengths do not agree or a side is empty.
        NonFiniteError: If a vector is not of length 1.
        SettingsError: If a step had consumed more rows than there are, or fewer than none.

    Example:
        >>> rows = np.float32([[1, 0], [0, 1]])
        >>> found = step_measures(rows, ["a b", "c d"], rows[:1], ["a b"], [None], {0: 0, 1: 1, 2: 2})
        >>> found["value"].to_numpy().reshape(2, 9)[:, 0].tolist()  # of cosine-avg
        [-1.0, -0.5]
    """
    x = as_vectors(pool, "pool").astype(np.float32, copy=False)
    t = as_vectors(judge, "judge").astype(np.float32, copy=False)
    must_agree(x, t, pool_texts, judge_texts, ("judge", "pool_texts", "judge_texts"))
    if len(judge_tasks) != len(t):
        raise ShapeError(f"judge_tasks must hold one task for each of the {len(t)} rows, got {len(judge_tasks)}.")
    for step, rows in sizes.items():
        if not 0 <= rows <= len(x):
            raise SettingsError(
                f"sizes must hold from 0 to the {len(x)} arranged rows, got {rows} at step {step}.", setting="sizes"
            )
    wanted = {step: sizes[step] for step in sorted(sizes) if sizes[step]}
    groups = _groups(judge_tasks)
    ends = sorted(set(wanted.values()))
    curves = vector_curves(x, [t[places] for places in groups.values()], ends)
    sides = [[judge_texts[place] for place in places] for places in groups.values()]
    curves["kl"] = bigram_curves(pool_texts, sides, ends)
    places = [ends.index(rows) for rows in wanted.values()]
    return _table(wanted, list(groups), list(curves), np.stack(list(curves.values()))[:, :, places])


def _groups(tasks: Sequence[str | None]) -> dict[str | None, list[int]]:
    """The places of all rows, then of each task's."""
    found: dict[str | None, list[int]] = {None: list(range(len(tasks)))}
    for place, task in enumerate(tasks):
        if task is not None:
            found.setdefault(task, []).append(place)
    return found


def _table(
    sizes: Mapping[int, int], tasks: Sequence[str | None], names: Sequence[str], values: NDArray[np.float64]
) -> pa.Table:
    """Values of shape (measures, tasks, steps) as one line each."""
    import pyarrow as pa

    each, steps = len(tasks) * len(names), len(sizes)
    columns = (
        pa.array(np.repeat(np.fromiter(sizes, np.int64, steps), each)),
        pa.array(np.repeat(np.fromiter(sizes.values(), np.int64, steps), each)),
        pa.array([task for _ in sizes for task in tasks for _ in names], pa.string()),
        pa.array([name for _ in range(steps * len(tasks)) for name in names], pa.string()),
        pa.array(np.ascontiguousarray(values.transpose(2, 1, 0)).ravel()),
    )
    return pa.table(dict(zip(STEP_COLUMNS, columns, strict=True)))
