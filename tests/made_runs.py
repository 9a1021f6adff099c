"""Evaluation folders with chosen losses, as `righttime tune` and `righttime evaluate` leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from righttime.evaluation import read_evaluation
from righttime.evaluation.folder import schema
from righttime.store import file_sha256, write_json, write_parquet

__all__ = ["made_evaluation", "made_family", "made_run"]

STEPS = (0, 1, 2, 4, 8)
_FACTS = {"ids_sha256": "0" * 64, "tokens_sha256": "1" * 64, "cut": 0}
_ABOUT: Mapping[str, Any] = {"generation": None, "reward_model": None, "without_loss": {}}


def made_evaluation(
    folder: Path,
    values: Mapping[tuple[str, str], NDArray[np.float64]],
    steps: Sequence[int] = STEPS,
    *,
    tasks: int = 3,
    ids: Sequence[str] | None = None,
    facts: Mapping[str, Any] | None = None,
    finished: bool = True,
) -> Path:
    """Write an evaluation: for each set and metric float64 values of shape (steps, rows)."""
    lines = [
        {
            "run": folder.name,
            "step": step,
            "set": name,
            "row": row,
            "id": ids[row] if ids else f"{name}-{row}",
            "task": f"task{row % tasks}" if tasks else None,
            "category": f"category{row % tasks % 2}" if tasks else None,
            "metric": metric,
            "value": float(found[place, row]),
            "tokens": 3,
        }
        for (name, metric), found in values.items()
        for place, step in enumerate(steps)
        for row in range(found.shape[1])
    ]
    (folder / "parts").mkdir(parents=True)
    table = pa.Table.from_pylist(lines, schema())
    sets = {name: {"rows": found.shape[1], **(facts or {})} for (name, _), found in values.items()}
    write_json(folder / "settings.json", {"run": folder.name, "sets": sets})
    whole = {name: {**_FACTS, "learnt": 3 * one["rows"], **one} for name, one in sets.items()}
    about = {"run": folder.name, "sets": whole, "metrics": sorted({metric for _, metric in values}), **_ABOUT}
    write_parquet(folder / "parts" / "step-00000000.all.0.parquet", table)
    if finished:
        write_parquet(folder / "evaluation.parquet", read_evaluation(folder))
        files = {"evaluation.parquet": file_sha256(folder / "evaluation.parquet")}
        write_json(folder / "manifest.json", {**about, "steps": steps[-1], "files": files})
    return folder


def made_run(
    folder: Path,
    losses: NDArray[np.float64],
    *,
    method: str | None = None,
    consumed: Mapping[int, Sequence[str]] | None = None,
    row_tasks: Mapping[str, str] | None = None,
    began: Mapping[str, Any] | None = None,
    other: NDArray[np.float64] | None = None,
    judge: str = "target",
    **more: Any,
) -> Path:
    """Write a run of `righttime tune` with its evaluation and the rows that each step consumed."""
    values = {(judge, "loss"): losses} | ({} if other is None else {("other", "loss"): other})
    made_evaluation(folder / "evaluation", values, **more)
    write_json(folder / "run.json", dict(began or {}))
    write_json(folder / "manifest.json", {"method": method})
    if consumed is not None:
        named = [one for ids in consumed.values() for one in ids]
        lines = [(step, one, False) for step, ids in consumed.items() for one in ids] + [(0, "lost", True)]
        columns: dict[str, Any] = {"step": [line[0] for line in lines], "micro": [0] * len(lines)}
        columns["process"] = columns["micro"]
        columns |= {"id": [line[1] for line in lines], "superseded": [line[2] for line in lines]}
        write_parquet(folder / "consumed.parquet", pa.table(columns))
        tasks = [(row_tasks or {}).get(one) for one in named]
        write_parquet(folder / "rows.parquet", pa.table({"id": named, "task": pa.array(tasks, pa.string())}))
    return folder


def made_family(
    root: Path, lower: Mapping[str, float], replicates: int = 4, noise: float = 0.02, seed: int = 0, **more: Any
) -> list[str]:
    """Orders whose losses after step 0 lie lower than the others' by so much; as words for `righttime compare`."""
    rng = np.random.default_rng(seed)
    fall = np.array([3.0, 2.4, 2.0, 1.8, 1.7])[:, None]
    words = []
    for k in range(replicates):
        rows = rng.normal(0, 0.3, 12)
        for name, by in lower.items():
            own = (by + rng.normal(0, noise)) * (fall < 3)
            losses = fall + rows - own + rng.normal(0, 0.01, (5, 12)) * (fall < 3)
            other = fall + rng.normal(0, 0.02, (5, 6)) + own
            words.append(f"{name}={made_run(root / f'{name}-{k}', losses, other=other, **more)}")
    return words


def numbers(folder: Path) -> dict[str, Any]:
    """What a comparison wrote."""
    found: dict[str, Any] = json.loads((folder / "compare.json").read_text())
    return found
