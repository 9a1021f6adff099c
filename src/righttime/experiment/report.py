"""What an experiment showed: the analysis of the runs that are finished, and what is missing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from righttime.analysis import Analysis, GivenRun, analyse, read_given, write_comparison
from righttime.analysis.comparable import mean_overlap
from righttime.experiment.draws import JUDGE
from righttime.experiment.layout import ANALYSIS, DRAW, Cell, cells, is_finished, state_of
from righttime.experiment.prepare import read_draw
from righttime.experiment.settings import Experiment
from righttime.experiment.store import open_experiment

__all__ = ["analyse_experiment", "finished_runs", "guard_notes", "missing_notes", "overlap_notes", "write_analysis"]


def finished_runs(root: Path) -> list[GivenRun]:
    """The finished runs of an experiment.

    Raises:
        StoreError: If the folder holds no experiment.
    """
    experiment = open_experiment(root)
    return [
        GivenRun(cell.order, cell.replicate, cell.run, cell.measures if cell.measures.exists() else None)
        for cell in sorted(cells(experiment, root), key=lambda cell: list(experiment.orders).index(cell.order))
        if is_finished(cell)
    ]


def analyse_experiment(root: Path) -> Analysis | None:
    """Compare what is finished; None where there is not yet a replicate of the baseline and others.

    Raises:
        StoreError: If the folder holds no experiment, or a run's files are damaged.
    """
    experiment = open_experiment(root)
    given = finished_runs(root)
    replicates = {name: {run.replicate for run in given if run.name == name} for name in experiment.orders}
    begun = [name for name in experiment.orders if replicates[name] & replicates[experiment.baseline]]
    if len(begun) < 2:
        return None
    given = [run for run in given if run.name in begun]
    if not set.intersection(*(replicates[name] for name in begun)):
        return None
    found = analyse(read_given(given), experiment.baseline, JUDGE)
    notes = [*missing_notes(experiment, root), *overlap_notes(experiment, root), *guard_notes(experiment, root)]
    return dataclasses.replace(found, notes=(*found.notes, *notes))


def write_analysis(root: Path, analysis: Analysis) -> dict[str, Any]:
    """Write the analysis into the experiment's folder; see `righttime.analysis.write_comparison`."""
    return write_comparison(analysis, root / ANALYSIS, overwrite=True)


def missing_notes(experiment: Experiment, root: Path) -> list[str]:
    """Which runs are not there, in one sentence."""
    missing: list[Cell] = [cell for cell in cells(experiment, root) if not is_finished(cell)]
    if not missing:
        return []
    failed = [cell.told for cell in missing if state_of(cell) == "failed"]
    more = f"; {', '.join(failed)} failed" if failed else ""
    total = len(experiment.orders) * experiment.replicates
    return [f"{len(missing):,} of {total:,} runs are not finished{more}."]


def overlap_notes(experiment: Experiment, root: Path) -> list[str]:
    """How far the draws of replicates overlap in their pools."""
    pools = []
    for number in range(1, experiment.replicates + 1):
        folder = root / f"replicate-{number}"
        if (folder / DRAW).exists() and (folder / "pool.jsonl").exists():
            with (folder / "pool.jsonl").open(encoding="utf-8") as file:
                pools.append({json.loads(line)["id"] for line in file})
    share = mean_overlap(pools)
    return [] if share is None else [f"two replicates share {share:.0%} of their pool rows on average."]


def guard_notes(experiment: Experiment, root: Path) -> list[str]:
    """What the guard found in the pools of replicates, in one sentence; nothing where it found nothing."""
    folders = [root / f"replicate-{number}" for number in range(1, experiment.replicates + 1)]
    found = [read_draw(folder).get("guard") or {} for folder in folders if (folder / DRAW).exists()]
    leaking = [one.get("pool_rows", 0) for one in found]
    if not any(leaking):
        return []
    told = f"{min(leaking):,} to {max(leaking):,}" if min(leaking) < max(leaking) else f"{max(leaking):,}"
    did = "were left out" if experiment.guard == "remove" else "were kept, and an order may have put them first"
    return [f"{told} pool rows of a replicate repeat, hold or rephrase rows it is judged by; they {did}."]
