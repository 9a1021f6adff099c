"""An evaluation as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from righttime.cli.text import printable, table
from righttime.evaluation import Means, means_by

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["evaluation_facts", "evaluation_tables"]


def evaluation_tables(values: pa.Table) -> str:
    """Three tables for a person: every step, then the last step by category and by task.

    Args:
        values: What `righttime.evaluation.read_evaluation` gives.
    """
    parts = [_table("every step; mean over rows, in brackets over tasks", values, ("set", "step"))]
    last = max(values["step"].to_pylist())
    final = values.filter([step == last for step in values["step"].to_pylist()])
    for column in ("category", "task"):
        if any(name is not None for name in final[column].to_pylist()):
            parts.append(_table(f"step {last:,} by {column}", final, ("set", column)))
    return printable("\n\n".join(parts))


def evaluation_facts(values: pa.Table) -> list[dict[str, Any]]:
    """The mean of each metric over the rows of a set at a step, for a program."""
    return [
        {
            "set": key[0],
            "step": key[1],
            "metric": key[2],
            "rows": one.rows,
            "mean": one.over_rows,
            "over_tasks": one.over_tasks,
        }
        for key, one in means_by(values, "set", "step", "metric").items()
    ]


def _table(title: str, values: pa.Table, columns: tuple[str, str]) -> str:
    found = means_by(values, *columns, "metric")
    metrics = list(dict.fromkeys(key[2] for key in found))
    rows = []
    for head in dict.fromkeys(key[:2] for key in found):
        here = [found.get((*head, metric)) for metric in metrics]
        counted = max(one.rows for one in here if one is not None)
        rows.append(
            [str(head[0]), str(head[1]), f"{counted:,}", *(_cell(one, counted, columns[1] == "step") for one in here)]
        )
    return f"{title}\n{table([*columns, 'rows', *metrics], rows)}"


def _cell(found: Means | None, rows: int, tasks: bool) -> str:
    if found is None:
        return "-"
    over_tasks = f" ({found.over_tasks:.4f})" if tasks and found.over_tasks == found.over_tasks else ""
    of_fewer = f" of {found.rows:,}" if found.rows < rows else ""  # the others have no value
    return f"{found.over_rows:.4f}{over_tasks}{of_fewer}"
