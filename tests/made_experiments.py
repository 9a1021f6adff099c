"""A small experiment on made rows: files, given vectors, and an experiment's YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from righttime.experiment.cell import main as run_in_process

__all__ = ["InProcess", "made_data", "written"]

TASKS = ("add", "sort", "spell")


def made_data(folder: Path, n_pool: int = 60, n_target: int = 18) -> Path:
    """Write pool.jsonl, target.jsonl, other.jsonl and both.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    sizes = {"pool": n_pool, "target": n_target, "other": 6}
    for name, size in sizes.items():
        rows = [
            {
                "id": f"{name}-{k}",
                "task": f"{TASKS[k % 3]}_{name}",
                "category": TASKS[k % 3],
                "prompt": f"{TASKS[k % 3]} {name} number {k}",
                "response": f"the answer is {k * 7 % 11}",
            }
            for k in range(size)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    vectors = {name: rng.normal(size=(sizes[name], 8)).astype(np.float32) for name in ("pool", "target")}
    np.savez(folder / "both.npz", pool=vectors["pool"], target=vectors["target"])
    return folder


def written(folder: Path, model: str, **changes: Any) -> Path:
    """Write experiment.yaml beside the data; None takes an entry away."""
    asked: dict[str, Any] = {
        "pool": "pool.jsonl",
        "target": "target.jsonl",
        "sets": {"other": "other.jsonl"},
        "model": model,
        "budget": 8,
        "replicates": 3,
        "orders": {"random": {}, "tma": {}, "back": {"method": "tma-farthest"}},
        "arrange": {"embedder": "vectors:both.npz"},
        "tuning": {"batch_size": 4, "learning_rate": 1e-3},
        "evaluate": {"at": [0, 1]},
    }
    asked = {name: value for name, value in {**asked, **changes}.items() if value is not None}
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(asked, sort_keys=False), encoding="utf-8")
    return path


class InProcess:
    """Makes runs in this process, and counts them; `fail` names orders whose runs end as if they were killed."""

    def __init__(self, fail: Sequence[str] = ()) -> None:
        self.made: list[tuple[str, str]] = []
        self._fail = fail

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        root, replicate, order = command[-3:]
        self.made.append((order, replicate))
        return 137 if order in self._fail else run_in_process([root, replicate, order])

    def stop(self) -> None:
        pass
