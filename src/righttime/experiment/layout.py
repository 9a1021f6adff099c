"""Where everything of an experiment lies, and how far each of its runs is.

    EXP/experiment.json                        what was asked, resolved, with the one comparison that decides
    EXP/replicate-1/pool.jsonl, steer.jsonl, judge.jsonl, SET.jsonl   what the replicate drew
    EXP/replicate-1/NAME.jsonl                 what it drew of a side pool
    EXP/replicate-1/sources/N-NAME.jsonl       the pool by its sources, where an order has caps of them
    EXP/replicate-1/vectors.safetensors        their vectors: pool, target, judge, side.NAME
    EXP/replicate-1/draw.json                  counts, seeds, hashes; written last
    EXP/replicate-1/arrangements/NAME/         arrangements, as `righttime arrange` writes them
    EXP/replicate-1/runs/ORDER/run/            runs, as `righttime tune` writes them
    EXP/replicate-1/runs/ORDER/measures.parquet   the data-set measures of what it consumed, by step
    EXP/replicate-1/runs/ORDER/log.txt, failed.json   what it printed, and why it failed, if it did
    EXP/analysis/                              what `righttime compare EXP` writes

A run is finished when its manifest and that of its evaluation are there, on whatever machine it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from righttime.experiment.settings import Experiment
from righttime.store import MANIFEST

__all__ = ["ANALYSIS", "ASKED", "DRAW", "VECTORS", "Cell", "State", "cells", "is_done", "is_finished", "state_of"]

ASKED, ANALYSIS = "experiment.json", "analysis"
DRAW, VECTORS = "draw.json", "vectors.safetensors"
State = Literal["finished", "failed", "begun", "empty"]


@dataclass(frozen=True)
class Cell:
    """One run of the matrix.

    Attributes:
        root: The experiment's folder.
        order: The order.
        replicate: The replicate, from 1.
        arrangement: The folder of its arrangement; orders that differ in tuning alone share it.
    """

    root: Path
    order: str
    replicate: int
    arrangement: Path

    @property
    def draw(self) -> Path:
        """What the replicate drew."""
        return self.root / f"replicate-{self.replicate}"

    @property
    def folder(self) -> Path:
        """All of this cell."""
        return self.draw / "runs" / self.order

    @property
    def run(self) -> Path:
        """The run."""
        return self.folder / "run"

    @property
    def measures(self) -> Path:
        """The data-set measures of what it consumed."""
        return self.folder / "measures.parquet"

    @property
    def failed(self) -> Path:
        """Why it failed; not there where it did not."""
        return self.folder / "failed.json"

    @property
    def log(self) -> Path:
        """What its process printed."""
        return self.folder / "log.txt"

    @property
    def told(self) -> str:
        """What it is called."""
        return f"{self.order}, replicate {self.replicate}"


def cells(experiment: Experiment, root: Path) -> Iterator[Cell]:
    """Every run in the order of priority."""
    names, numbers = list(experiment.orders), range(1, experiment.replicates + 1)
    if experiment.priority == "replicates":
        pairs = [(name, number) for number in numbers for name in names]
    else:
        pairs = [(name, number) for name in names for number in numbers]
    shared = {name: _first_alike(experiment, name) for name in names}
    for name, number in pairs:
        yield Cell(root, name, number, root / f"replicate-{number}" / "arrangements" / shared[name])


def _first_alike(experiment: Experiment, name: str) -> str:
    """The first order with the same settings of arranging: theirs is one arrangement."""
    wanted = _fingerprint(experiment, name)
    return next(other for other in experiment.orders if _fingerprint(experiment, other) == wanted)


def _fingerprint(experiment: Experiment, name: str) -> str:
    told = json.dumps(dict(experiment.orders[name].arranging), sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def is_finished(cell: Cell) -> bool:
    """Whether a run can be analysed."""
    return (cell.run / MANIFEST).exists() and (cell.run / "evaluation" / MANIFEST).exists()


def is_done(cell: Cell) -> bool:
    """Whether nothing is left to do: measures take the replicate's vectors, which a copy of runs alone lacks."""
    return is_finished(cell) and (cell.measures.exists() or not (cell.draw / VECTORS).exists())


def state_of(cell: Cell) -> State:
    """How far a run is."""
    if is_done(cell):
        return "finished"
    if cell.failed.exists():
        return "failed"
    return "begun" if cell.run.exists() else "empty"
