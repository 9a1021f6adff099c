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
from righttime.results import ResultManifest, open_result
from righttime.store import MANIFEST

__all__ = ["Replicate", "agreement_blocks", "first_replicate", "replicates"]


@dataclass(frozen=True)
class Replicate:
    """The finished arrangements of one replicate, which are of one pool and one target.

    Attributes:
        number: Which, from 1.
        folders: The arrangements, in the order of the experiment's orders.
        drew: What it drew.
        apart: Those of other rows than the first: of a side pool as well, or of the pool by its sources.
    """

    number: int
    folders: Sequence[Path]
    drew: Beside
    apart: Sequence[Path] = ()


def replicates(experiment: Path) -> list[Replicate]:
    """The replicates of an experiment that have a finished arrangement."""
    by_number: dict[int, dict[Path, None]] = {}
    draws: dict[int, Path] = {}
    for cell in cells(open_experiment(experiment), experiment):
        if (cell.arrangement / MANIFEST).is_file():
            by_number.setdefault(cell.replicate, {})[cell.arrangement] = None
            draws[cell.replicate] = cell.draw
    return [_of_one_side(number, list(folders), _drew(draws[number])) for number, folders in sorted(by_number.items())]


def _of_one_side(number: int, folders: Sequence[Path], drew: Beside) -> Replicate:
    """The arrangements that are of the same pool and target as the first, and those that are not."""
    sides = [_sides(open_result(folder).manifest) for folder in folders]
    alike, apart = (
        [folder for folder, its in zip(folders, sides, strict=True) if (its == sides[0]) is same]
        for same in (True, False)
    )
    return Replicate(number, alike, drew, apart)


def _sides(manifest: ResultManifest) -> tuple[object, ...]:
    """What an arrangement's rows are: the files of both sides, and those that widened the target."""
    files = [tuple(file.sha256 for file in side) for side in (manifest.pool, manifest.target)]
    return *files, None if manifest.widening is None else manifest.settings["widen"]


def _drew(folder: Path) -> Beside:
    return Beside(folder / "pool.jsonl", folder / "steer.jsonl", folder / VECTORS)


def first_replicate(experiment: Path) -> Replicate | None:
    """The first replicate that has all of the arrangements which any has; None where there is none."""
    found = replicates(experiment)
    most = max((len(one.folders) + len(one.apart) for one in found), default=0)
    return next((one for one in found if len(one.folders) + len(one.apart) == most), None)


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
    if apart := sorted({folder.name for one in found for folder in one.apart}):
        blocks.append(Text(f"Not compared, since they are of other rows: {', '.join(apart)}."))
    if len(whole) < len(found):
        blocks.append(Text(f"{len(found) - len(whole)} replicates lack some of the arrangements."))
    return blocks
