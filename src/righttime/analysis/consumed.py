"""Which rows a run consumed between two evaluations, from its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from righttime.analysis.runs import Run
from righttime.store import MANIFEST
from righttime.training.records import read_records

__all__ = ["Rows", "consumed_rows"]


@dataclass(frozen=True)
class Rows:
    """What led to the weights.

    Attributes:
        by_step: The ids of each optimizer step, counted from 0, in the order of consumption.
        tasks: The task of each id, where the run tells.
    """

    by_step: Mapping[int, tuple[str, ...]]
    tasks: Mapping[str, str] = field(default_factory=dict)

    def between(self, before: int, after: int) -> tuple[str, ...]:
        """The ids consumed after the evaluation at one step and before that at another.

        The evaluation at step s follows the updates 0 to s - 1.

        Example:
            >>> Rows({0: ("a",), 1: ("b",), 2: ("c",)}).between(0, 2)
            ('a', 'b')
        """
        return tuple(one for step in range(before, after) for one in self.by_step.get(step, ()))


def consumed_rows(run: Run) -> Rows | None:
    """The rows that a run consumed; None where it has no records.

    Raises:
        StoreError: If the records are damaged.
    """
    if run.run is None:
        return None
    found = _from_table(run.run) if (run.run / MANIFEST).exists() else _from_records(run.run)
    return Rows({step: tuple(ids) for step, ids in found.items()}, _tasks(run.run)) if found else None


def _from_table(run: Path) -> dict[int, list[str]]:
    import pyarrow.parquet as pq

    path = run / "consumed.parquet"
    if not path.exists():
        return _from_records(run)
    found: dict[int, list[str]] = {}
    lines = pq.read_table(path, columns=["step", "micro", "process", "id", "superseded"]).to_pylist()
    for line in sorted(lines, key=lambda line: (line["step"], line["micro"], line["process"])):
        if not line["superseded"] and line["id"] is not None:
            found.setdefault(line["step"], []).append(line["id"])
    return found


def _from_records(run: Path) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for record in read_records(run / "consumed").effective():
        found.setdefault(record.step, []).extend(one for one in record.rows if one is not None)
    return found


def _tasks(run: Path) -> dict[str, str]:
    """Each row's task, of runs that keep it."""
    import pyarrow.parquet as pq

    path = run / "rows.parquet"
    if not path.exists() or "task" not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["id", "task"])
    pairs = zip(table["id"].to_pylist(), table["task"].to_pylist(), strict=True)
    return {one: task for one, task in pairs if task is not None}
