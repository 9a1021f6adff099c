"""Experiments as small files that can be committed, and the analysis made from these alone.

RESULTS/NAME.json               what was asked, drawn and run, on what; missing runs; tasks consumed between evaluations
RESULTS/NAME.parquet            every value of every finished run: order, replicate, step, set, row, id, task, ...
RESULTS/NAME.measures.parquet   the data-set measures of what the runs had consumed, where they were taken

Rows appear by id, task and category, never by their texts; files by their names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from righttime.analysis import PRIMARY, Analysis, Run, analyse, read_given
from righttime.analysis.consumed import consumed_rows
from righttime.analysis.falling import falling_tasks
from righttime.analysis.runs import read_run_values
from righttime.evaluation import read_evaluation
from righttime.experiment import cells, finished_runs, open_experiment, state_of
from righttime.experiment.draws import JUDGE
from righttime.experiment.layout import DRAW, Cell, is_finished
from righttime.experiment.prepare import read_draw
from righttime.experiment.report import guard_notes, missing_notes, overlap_notes

_VALUES = ("step", "set", "row", "id", "task", "category", "metric", "value")


@dataclass(frozen=True)
class Collected:
    """One experiment, read back.

    Attributes:
        name: Its name.
        about: What its JSON holds.
        analysis: The comparison; None where the baseline and another order have no replicate in common yet.
    """

    name: str
    about: Mapping[str, Any]
    analysis: Analysis | None

    @property
    def processors(self) -> list[str]:
        """What its runs were made on."""
        return sorted({run["processor"] for run in self.about["runs"]} - {""})


def collect(root: Path, results: Path) -> list[Path]:
    """Write an experiment's files, whatever of it is finished.

    Args:
        root: Its folder; the folder's name is the experiment's.
        results: Where to write.

    Returns:
        The files.
    """
    experiment, given = open_experiment(root), finished_runs(root)
    name, every = root.resolve().name, list(cells(experiment, root))
    runs = [run for of_order in read_given(given).values() for run in of_order]
    done = {(cell.order, cell.replicate): cell for cell in every if is_finished(cell)}
    about = {
        "experiment": without_folders(experiment.as_json()),
        "draws": {str(number): _drawn(root, number) for number in range(1, experiment.replicates + 1)},
        "runs": [_about_run(run, done[run.name, run.replicate]) for run in runs],
        "versions": _versions(done.values()),
        "missing": [_missing(cell) for cell in every if not is_finished(cell)],
        "notes": [*missing_notes(experiment, root), *overlap_notes(experiment, root), *guard_notes(experiment, root)],
    }
    results.mkdir(parents=True, exist_ok=True)
    made = [results / f"{name}.json"]
    made[0].write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    values = [_numbered(read_evaluation(run.folder / "evaluation").select(_VALUES), run) for run in runs]
    measures = [_numbered(pq.read_table(run.measures), run) for run in runs if run.measures]
    for path, parts in ((results / f"{name}.parquet", values), (results / f"{name}.measures.parquet", measures)):
        path.unlink(missing_ok=True)
        if parts:
            pq.write_table(pa.concat_tables(parts), path, compression="zstd", use_dictionary=True)
            made.append(path)
    return made


def without_folders(value: Any) -> Any:
    """The same with files by their names alone: folders are those of one machine.

    Example:
        >>> without_folders({"embedder": "vectors:/data/both.npz", "model": "owner/name"})
        {'embedder': 'vectors:both.npz', 'model': 'owner/name'}
    """
    if isinstance(value, Mapping):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if isinstance(value, str):
        prefix = "vectors:" if value.startswith("vectors:") else ""
        if os.path.isabs(rest := value.removeprefix(prefix)):
            return prefix + os.path.basename(rest)
    return value


def _drawn(root: Path, number: int) -> dict[str, Any] | None:
    folder = root / f"replicate-{number}"
    if not (folder / DRAW).exists():
        return None
    found = read_draw(folder)
    rows = {name: side["rows"] for name, side in found["rows"].items()}
    return {"seed": found["seed"], "counts": found["counts"], "rows": rows, **_guarded(found)}


def _guarded(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the guard found, by numbers alone: its leaks have texts."""
    told = found.get("guard", {})
    numbers = {name: told[name] for name in ("mode", "removed", "pool_rows", "target_rows", "by_test") if name in told}
    return {"guard": numbers} if numbers else {}


def _about_run(run: Run, cell: Cell) -> dict[str, Any]:
    took = cell.folder / "took.json"
    seconds = json.loads(took.read_text(encoding="utf-8"))["seconds"] if took.exists() else None
    about: dict[str, Any] = {"order": run.name, "replicate": run.replicate, "seconds": seconds}
    about |= {"processor": run.processor, "revision": run.revision, "tuning": dict(run.tuning)}
    return {**about, "sets": run.settings.get("sets") or {}, "consumed": _consumed(run)}


def _versions(done: Any) -> list[dict[str, str]]:
    """Versions of the libraries that made the runs, each combination once."""
    found: list[dict[str, str]] = []
    for cell in done:
        manifest = json.loads((cell.run / "manifest.json").read_text(encoding="utf-8"))
        versions = {"righttime": manifest.get("righttime", ""), **manifest.get("versions", {})}
        if versions not in found:
            found.append(versions)
    return found


def _missing(cell: Cell) -> dict[str, Any]:
    return {"order": cell.order, "replicate": cell.replicate, "state": state_of(cell)}


def _consumed(run: Run) -> list[dict[str, Any]]:
    """How many rows of which task were consumed between every two evaluations."""
    records = consumed_rows(run)
    if records is None:
        return []
    steps, found = run.values[JUDGE, PRIMARY].steps.tolist(), []
    for before, step in pairwise(steps):
        ids = records.between(before, step)
        tasks = Counter(records.tasks[one] for one in ids if one in records.tasks)
        found.append({"before": before, "step": step, "rows": len(ids), "tasks": dict(tasks.most_common())})
    return found


def _numbered(table: pa.Table, run: Run) -> pa.Table:
    """A run's table with its order and replicate."""
    n = len(table)
    table = table.add_column(0, "order", pa.array([run.name] * n, pa.string()))
    table = table.add_column(1, "replicate", pa.array([run.replicate] * n, pa.int32()))
    return table.replace_schema_metadata(None)


def read_collected(results: Path) -> dict[str, Collected]:
    """Every experiment of a folder, by name, analysed again from its files."""
    return {path.stem: _read(results, path.stem) for path in sorted(results.glob("*.json"))}


def _read(results: Path, name: str) -> Collected:
    about = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="righttime-") as folder:
        return Collected(name, about, _analysed(about, _runs(results, name, about, Path(folder))))


def _runs(results: Path, name: str, about: Mapping[str, Any], folder: Path) -> dict[str, tuple[Run, ...]]:
    """Runs as `righttime.analysis.read_given` gives them; their tables of measures are put into a folder."""
    if not about["runs"]:
        return {}
    values, path = pq.read_table(results / f"{name}.parquet"), results / f"{name}.measures.parquet"
    measures = pq.read_table(path) if path.exists() else None
    found: dict[str, list[Run]] = {}
    for run in about["runs"]:
        order, replicate = run["order"], run["replicate"]
        where = Path(name) / f"replicate-{replicate}" / "runs" / order / "run"
        numbers, notes = read_run_values(_of(values, order, replicate), where)
        of_run = None if measures is None else _of(measures, order, replicate)
        written = None
        if of_run is not None and len(of_run):
            written = folder / f"{order}-{replicate}.parquet"
            pq.write_table(of_run, written)
        settings, began = {"sets": run["sets"]}, (run["revision"], run["tuning"])
        made = Run(order, replicate, where, None, numbers, settings, *began, notes, written, run["processor"])
        found.setdefault(order, []).append(made)
    return {order: tuple(found[order]) for order in about["experiment"]["orders"] if order in found}


def _of(table: pa.Table, order: str, replicate: int) -> pa.Table:
    names = pc.cast(table["order"], pa.string())
    return table.filter(pc.and_(pc.equal(names, order), pc.equal(table["replicate"], replicate)))


def _analysed(about: Mapping[str, Any], runs: Mapping[str, Sequence[Run]]) -> Analysis | None:
    baseline = about["experiment"]["baseline"]
    own = {run.replicate for run in runs.get(baseline, ())}
    begun = {order: found for order, found in runs.items() if own & {run.replicate for run in found}}
    if len(begun) < 2:
        return None
    analysis = analyse(begun, baseline, JUDGE)
    consumed = {
        (run["order"], run["replicate"], one["before"], one["step"]): {"rows": one["rows"], "tasks": one["tasks"]}
        for run in about["runs"]
        for one in run["consumed"]
    }
    dropped = tuple(
        dataclasses.replace(drop, **consumed.get((drop.order, drop.replicate, drop.before, drop.step), {}))
        for drop in analysis.drops
    )
    falling = tuple(falling_tasks(begun, dropped, JUDGE, PRIMARY))
    notes = (*analysis.notes, *about["notes"])
    return dataclasses.replace(analysis, drops=dropped, falling=falling, notes=notes)
