"""The paper's nine data-set measures along an order: how near its first n rows are to the target, for growing n.

All are "smaller is nearer" (He et al., ACL Findings 2025). The cost grows linearly with the order's length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError, ShapeError
from righttime.measures.bigrams import bigram_curves
from righttime.measures.prefixes import vector_curves
from righttime.similarity.pairs import as_vectors

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MEASURES", "Curves", "Measure", "default_every", "measure", "must_agree", "prefix_sizes"]


@dataclass(frozen=True)
class Measure:
    """One line of the table of measures. x_i are the first n rows and t_j the target's; x̄ and t̄ are means.

    Attributes:
        does: The formula.
        cost: Of all prefixes together, for N rows in all, M target rows and d dimensions.
    """

    does: str
    cost: str


_BLOCKED, _WITH_IT = "N·M·d, one blocked product for all", "with `cosine-min`"

MEASURES: Mapping[str, Measure] = {
    "cosine-avg": Measure("mean of d over all pairs = −x̄·t̄", "N·d"),
    "cosine-min": Measure("least d over all pairs", _BLOCKED),
    "cosine-max": Measure("largest d over all pairs", _WITH_IT),
    "cosine-centroid": Measure("−cos(x̄, t̄); NaN where a mean is zero", "N·d"),
    "euclidean-avg": Measure("mean of ‖x_i − t_j‖ over all pairs", "N·M·d and N·M square roots"),
    "euclidean-min": Measure("least ‖x_i − t_j‖", _WITH_IT),
    "euclidean-max": Measure("largest ‖x_i − t_j‖", _WITH_IT),
    "euclidean-centroid": Measure("‖x̄ − t̄‖", "N·d"),
    "kl": Measure(
        "Σ_g P_g·ln(P_g/(Q_g + ε)), ε = 10⁻¹⁰, in nats; NaN where a prefix has no bigram", "the number of bigrams"
    ),
}
"""The nine by name: `righttime.measures.prefixes.VECTOR_MEASURES`, in that order, and KL."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Measures of the prefixes of one order.

    Attributes:
        n: int64, shape (k,), ascending: the prefix sizes.
        task: The target task of each curve, or None where there is one curve towards the whole target.
        columns: For each measure float64, of shape (k,), or of shape (n_tasks, k) where `task` is given.
    """

    n: NDArray[np.int64]
    task: tuple[str, ...] | None
    columns: Mapping[str, NDArray[np.float64]]

    def to_table(self, arrangement: str | None = None) -> pa.Table:
        """The curves as a long Arrow table: arrangement, n, task, measure, value.

        Args:
            arrangement: The name to put into the first column.
        """
        import pyarrow as pa

        tasks: tuple[str | None, ...] = (None,) if self.task is None else self.task
        k, curves = len(self.n), len(self.columns) * len(tasks)
        values = [np.atleast_2d(column).ravel() for column in self.columns.values()]
        columns = {
            "arrangement": pa.array([arrangement] * (curves * k), pa.string()),
            "n": pa.array(np.tile(self.n, curves)),
            "task": pa.array([task for _ in self.columns for task in tasks for _ in range(k)], pa.string()),
            "measure": pa.array([name for name in self.columns for _ in range(len(tasks) * k)], pa.string()),
            "value": pa.array(np.concatenate(values) if values else np.empty(0)),
        }
        return pa.table(columns)


def prefix_sizes(n: int, every: int) -> NDArray[np.int64]:
    """The multiples of `every` up to n, and n itself.

    Raises:
        SettingsError: If `every` is not a whole number from 1.

    Example:
        >>> prefix_sizes(7, 3).tolist()
        [3, 6, 7]
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise SettingsError(f"every must be a whole number from 1, got {every!r}.", setting="every")
    return np.array([*range(every, n, every), n], dtype=np.int64)


def default_every(sizes: Sequence[int]) -> int:
    """How far apart prefixes are where nobody says: 20 points on the shortest order, at most 200 on the longest.

    Args:
        sizes: The rows of each order.

    Example:
        >>> default_every([100]), default_every([2000, 100]), default_every([44_950])
        (5, 10, 2248)
    """
    return max(1, -(-min(sizes) // 20), -(-max(sizes) // 200))


def measure(
    pool: Any,
    target: Any,
    *,
    texts: Sequence[str] | None = None,
    target_texts: Sequence[str] | None = None,
    every: int | None = None,
    target_tasks: Sequence[str | None] | None = None,
    per_task: bool = False,
    kl_over_occurrences: bool = False,
    block_rows: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Curves:
    """Measure every prefix of an order against the target.

    Args:
        pool: float32 unit vectors in the order to be measured, shape (n, d), as `unit_rows` makes them.
        target: float32 unit vectors, shape (m, d).
        texts: The pool's texts in the same order; with `target_texts` they give ``kl``, without there is none.
        target_texts: The target's texts.
        every: Prefixes of so many rows, twice as many, ..., and the whole; None takes `default_every`, some 20 points.
            The paper's 160 is ten steps of sixteen.
        target_tasks: The target rows' tasks, for `per_task`.
        per_task: One curve for each target task, in order of first appearance, instead of one for all.
        kl_over_occurrences: For comparison only: reproduce the paper's code, which sums KL over a list of all bigram
            occurrences (of the pool given here and of the whole target) and so weights each term by that count.
        block_rows: Pool rows at a time; None chooses. Changes nothing but the last digits of ``euclidean-avg``.
        progress: Called with the number of rows done since the last call; a row counts once, or twice with texts.

    Returns:
        The curves, float64, within 1e-5 (relative) of a direct computation. ``cosine-centroid`` is NaN where a mean
        vector is zero, ``kl`` where a prefix has no bigram.

    Raises:
        ShapeError: If lengths do not agree or a side is empty.
        NonFiniteError: If a vector is not of length 1.
        SettingsError: If `every` is out of range, or `per_task` lacks tasks.

    Example:
        >>> order = np.float32([[1, 0], [0, 1], [0, -1]])
        >>> curves = measure(order, np.float32([[1, 0]]), every=1)
        >>> curves.n.tolist(), curves.columns["cosine-avg"].round(2).tolist()
        ([1, 2, 3], [-1.0, -0.5, -0.33])
    """
    x = as_vectors(pool, "pool").astype(np.float32, copy=False)
    t = as_vectors(target, "target").astype(np.float32, copy=False)
    must_agree(x, t, texts, target_texts)
    ends = prefix_sizes(len(x), default_every([len(x)]) if every is None else every)
    tasks, rows = _grouped(target_tasks, len(t)) if per_task else (None, [np.arange(len(t))])
    columns = vector_curves(x, [t[some] for some in rows], ends.tolist(), block_rows=block_rows, progress=progress)
    if texts is not None and target_texts is not None:
        sides = [[target_texts[row] for row in some] for some in rows]
        columns["kl"] = bigram_curves(
            texts, sides, ends.tolist(), over_occurrences=kl_over_occurrences, progress=progress
        )
    return Curves(ends, tasks, columns if per_task else {name: curve[0] for name, curve in columns.items()})


def must_agree(
    x: NDArray[np.float32],
    t: NDArray[np.float32],
    texts: Sequence[str] | None,
    target_texts: Sequence[str] | None,
    named: tuple[str, str, str] = ("target", "texts", "target_texts"),
) -> None:
    """Make sure that both sides hold rows of one width, and one text for each where there are texts.

    Args:
        x: The pool's vectors, shape (n, d).
        t: The target's vectors, shape (m, d).
        texts: The pool's texts.
        target_texts: The target's texts.
        named: What the caller calls `t`, `texts` and `target_texts`.

    Raises:
        ShapeError: If not.
        SettingsError: If only one side has texts.
    """
    target, of_pool, of_target = named
    for name, side in (("pool", x), (target, t)):
        if not len(side):
            raise ShapeError(f"{name} must have at least one row, got none.")
    if x.shape[1] != t.shape[1]:
        raise ShapeError(f"pool and {target} vectors must have the same width, got {x.shape[1]} and {t.shape[1]}.")
    if (texts is None) != (target_texts is None):
        raise SettingsError(f"{of_pool} and {of_target} go together, got only one of them.")
    for name, given, rows in ((of_pool, texts, x), (of_target, target_texts, t)):
        if given is not None and len(given) != len(rows):
            raise ShapeError(f"{name} must hold one text for each of the {len(rows)} rows, got {len(given)}.")


def _grouped(tasks: Sequence[str | None] | None, n: int) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    """The target's tasks by first appearance, and the rows of each."""
    if tasks is None or len(tasks) != n:
        got = "none" if tasks is None else str(len(tasks))
        raise SettingsError(f"per_task needs the task of each of the {n} target rows, got {got}.")
    rows: dict[str, list[int]] = {}
    for row, task in enumerate(tasks):
        if task is None:
            raise SettingsError(f"per_task needs a task for every target row, but target row {row} has none.")
        rows.setdefault(task, []).append(row)
    return tuple(rows), [np.array(some, dtype=np.int64) for some in rows.values()]
