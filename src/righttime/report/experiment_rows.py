"""The arrangements of an experiment: those of one replicate, and how far orders agree over all replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from righttime.experiment import cells, open_experiment
from righttime.experiment.layout import VECTORS
from righttime.measures.agreement import agreement
from righttime.report.arranged import Beside
from righttime.report.blocks import Block, Matrix, Text
from righttime.store import MANIFEST

__all__ = ["Replicate", "agreement_blocks", "first_replicate", "replicates"]


@dataclass(frozen=True)
class Replicate:
    """The finished arrangements of one replicate, which are of one pool and one target.

    Attributes:
        number: Which, from 1.
        folders: The arrangements, in the order of the experiment's orders.
        drew: What it drew.
    """

    number: int
    folders: Sequence[Path]
    drew: Beside


def replicates(experiment: Path) -> list[Replicate]:
    """The replicates of an experiment that have a finished arrangement."""
    by_number: dict[int, dict[Path, None]] = {}
    draws: dict[int, Path] = {}
    for cell in cells(open_experiment(experiment), experiment):
        if (cell.arrangement / MANIFEST).is_file():
            by_number.setdefault(cell.replicate, {})[cell.arrangement] = None
            draws[cell.replicate] = cell.draw
    return [Replicate(number, list(folders), _drew(draws[number])) for number, folders in sorted(by_number.items())]


def _drew(folder: Path) -> Beside:
    return Beside(folder / "pool.jsonl", folder / "steer.jsonl", folder / VECTORS)


def first_replicate(experiment: Path) -> Replicate | None:
    """The first replicate that has all of the arrangements which any has; None where there is none."""
    found = replicates(experiment)
    most = max((len(one.folders) for one in found), default=0)
    return next((one for one in found if len(one.folders) == most), None)


def agreement_blocks(experiment: Path) -> list[Block]:
    """Rows that each two orders have in common, as a mean over replicates."""
    found = replicates(experiment)
    names = max(([folder.name for folder in one.folders] for one in found), key=len, default=[])
    whole = [one for one in found if [folder.name for folder in one.folders] == names]
    if len(names) < 2:
        return []
    each = np.stack([agreement([str(folder) for folder in one.folders], names=names).jaccard[0] for one in whole])
    told = f"Jaccard index of all rows of each order: mean of {len(whole)} replicates, which draw pools of their own."
    blocks: list[Block] = [
        Matrix("Rows in common", names, each.mean(axis=0).tolist(), 0.0, 1.0, told),
    ]
    if len(whole) < len(found):
        blocks.append(Text(f"{len(found) - len(whole)} replicates lack some of the arrangements."))
    return blocks
