"""Runs to compare: their evaluations as arrays, their names, and which replicate each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime import strict_json
from righttime.errors import SettingsError, StoreError
from righttime.evaluation import read_evaluation
from righttime.processor import processor_text
from righttime.store import MANIFEST
from righttime.training.manifest import with_defaults

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GivenRun", "Run", "Values", "given_runs", "read_given", "read_run_values", "read_runs"]


@dataclass(frozen=True, eq=False)
class Values:
    """One metric of one set: a value for each row at each step.

    Attributes:
        steps: int64, shape (steps,), rising.
        ids: The rows' ids, in the set's order.
        tasks: Each row's task, where it has one.
        categories: Each row's category, where it has one.
        values: float64, shape (steps, rows).
    """

    steps: NDArray[np.int64]
    ids: tuple[str, ...]
    tasks: tuple[str | None, ...]
    categories: tuple[str | None, ...]
    values: NDArray[np.float64]

    def at(self, steps: Sequence[int]) -> NDArray[np.float64]:
        """The values at some of its steps: float64, shape (len(steps), rows)."""
        return self.values[np.searchsorted(self.steps, steps)]

    def over_tasks(self, steps: Sequence[int]) -> NDArray[np.float64] | None:
        """The mean over tasks of each task's mean at these steps; None where no row has a task."""
        by_task = [self.at(steps)[:, places].mean(axis=1) for places in self.places("task").values()]
        return np.mean(by_task, axis=0) if by_task else None

    def places(self, kind: str) -> dict[str, list[int]]:
        """The rows of each task or category; rows without one are left out."""
        found: dict[str, list[int]] = {}
        for place, name in enumerate(self.tasks if kind == "task" else self.categories):
            if name is not None:
                found.setdefault(name, []).append(place)
        return found


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        name: The order that it is a replicate of.
        replicate: Which, from 1.
        folder: The folder that was given.
        run: The folder of ``righttime tune``, where there is one.
        values: By set and metric.
        settings: What decided the evaluation's numbers.
        revision: The revision of the model that it began from; empty where it is not known.
        tuning: The settings that decided its weights; empty where they are not known.
        notes: Sentences that a person should read.
        measures: The table of `righttime.measures.step_measures` of its rows, where there is one.
        processor: What computed it, in words; empty where it is not known.
    """

    name: str
    replicate: int
    folder: Path
    run: Path | None
    values: Mapping[tuple[str, str], Values]
    settings: Mapping[str, Any]
    revision: str
    tuning: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    measures: Path | None = None
    processor: str = ""

    @property
    def told(self) -> str:
        """What it is called in an error."""
        return f"{self.name}, replicate {self.replicate} ({self.folder})"


@dataclass(frozen=True)
class GivenRun:
    """A run to read.

    Attributes:
        name: The order that it is a replicate of.
        replicate: Which, from 1. Runs of one replicate share pool and target.
        folder: A run of ``righttime tune`` with an evaluation, or an evaluation.
        measures: A file with the table of `righttime.measures.step_measures` of its rows, where there is one.
    """

    name: str
    replicate: int
    folder: Path
    measures: Path | None = None


def read_given(given: Sequence[GivenRun]) -> dict[str, tuple[Run, ...]]:
    """Read runs or evaluations whose replicates are known, such as those of an experiment with gaps.

    Args:
        given: The runs, in any order; orders come as they first appear, the runs of each by replicate.

    Raises:
        StoreError: If a folder holds no evaluation, or a damaged one.
        SettingsError: If one folder is given twice.
    """
    found: dict[str, list[Run]] = {}
    seen: set[Path] = set()
    for one in given:
        evaluation, run = _evaluation_of(one.folder)
        if evaluation.resolve() in seen:
            raise SettingsError(f"runs must be different, got {one.folder} twice: a run is one replicate, not two.")
        seen.add(evaluation.resolve())
        found.setdefault(one.name, []).append(_read(one, evaluation, run))
    return {name: tuple(sorted(runs, key=lambda run: run.replicate)) for name, runs in found.items()}


def read_runs(given: Sequence[str]) -> dict[str, tuple[Run, ...]]:
    """Read runs or evaluations; the k-th of each name is its replicate k.

    Args:
        given: Each ``[NAME=]FOLDER``. Without a name a run is called by the method of its arrangement, and an
            evaluation without one by its folder.

    Raises:
        StoreError: If a folder holds no evaluation, or a damaged one.
        SettingsError: If one folder is given twice, or a name is empty.
    """
    return read_given(given_runs(given))


def given_runs(words: Sequence[str]) -> list[GivenRun]:
    """Runs as they are named on a command line; see `read_runs`."""
    counts: Counter[str] = Counter()
    numbered = []
    for word in words:
        name, folder = _named(word)
        name = name or _method_of(_evaluation_of(folder)[1]) or folder.resolve().name
        counts[name] += 1
        numbered.append(GivenRun(name, counts[name], folder))
    return numbered


def _named(word: str) -> tuple[str | None, Path]:
    """
    Example:
        >>> _named("tma=runs/1")
        ('tma', PosixPath('runs/1'))
    """
    name, equals, path = word.partition("=")
    if not equals or Path(word).is_dir():  # a folder's name may hold the sign itself
        return None, Path(word)
    if not name.strip() or not path:
        raise SettingsError(f"a run must be given as FOLDER or NAME=FOLDER, got {word!r}.")
    return name.strip(), Path(path)


def _evaluation_of(folder: Path) -> tuple[Path, Path | None]:
    """Where an evaluation lies, and the run that it is of."""
    inside = folder / "evaluation"
    if (inside / "settings.json").exists() or (inside / MANIFEST).exists():
        return inside, folder
    if not ((folder / "evaluation.parquet").exists() or (folder / "parts").is_dir()):
        raise StoreError(
            f"{folder} must hold an evaluation, as righttime tune with a target or righttime evaluate writes it, but "
            "it does not. Hint: tune with `target='FILE'` and `evaluate_every=10`."
        )
    whole = folder.resolve()
    return folder, whole.parent if whole.name == "evaluation" and (whole.parent / "run.json").exists() else None


def _method_of(run: Path | None) -> str | None:
    method = _json(run / MANIFEST).get("method") if run else None
    return method if isinstance(method, str) else None


def _read(given: GivenRun, evaluation: Path, run: Path | None) -> Run:
    folder = given.folder
    table = read_evaluation(evaluation)
    settings = _json(evaluation / "settings.json") or _json(evaluation / MANIFEST)
    values, notes = read_run_values(table, folder)
    if not (evaluation / MANIFEST).exists():
        notes = (f"{folder} is not finished: it is compared as far as it goes.", *notes)
    deciding = _json(run / "run.json") if run else {}
    revision = str((deciding.get("model") or {}).get("revision") or "")
    tuning = with_defaults(found) if (found := deciding.get("settings")) else {}
    computed = _processor(evaluation, run)
    about = (revision, tuning, notes, given.measures, computed)
    return Run(given.name, given.replicate, folder, run, values, settings, *about)


def _processor(evaluation: Path, run: Path | None) -> str:
    """What computed a run, or where the run does not say it what measured it."""
    said = (_json(folder / MANIFEST).get("processor") for folder in (run, evaluation) if folder is not None)
    return next((processor_text(found) for found in said if isinstance(found, dict) and found), "")


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is no such file."""
    if not path.exists():
        return {}
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} must be readable JSON, got: {error}.") from error
    return found if isinstance(found, dict) else {}


def read_run_values(table: pa.Table, folder: Path) -> tuple[dict[tuple[str, str], Values], tuple[str, ...]]:
    """An evaluation's table as arrays by set and metric; steps at which rows lack are left out and named.

    Args:
        table: What `righttime.evaluation.read_evaluation` gives.
        folder: Where it was read, for errors.

    Raises:
        StoreError: If a value is no number, or a row has two values of one metric at one step.
    """
    columns = {
        name: np.asarray(table[name].to_pylist(), object) for name in ("set", "metric", "id", "task", "category")
    }
    numbers = {name: table[name].to_numpy(zero_copy_only=False) for name in ("step", "row", "value")}
    if not np.isfinite(numbers["value"]).all():
        raise StoreError(f"{folder} must hold finite values, but one of its evaluation is not.")
    found, notes = {}, []
    for key in sorted(set(zip(columns["set"].tolist(), columns["metric"].tolist(), strict=True))):
        here = np.flatnonzero((columns["set"] == key[0]) & (columns["metric"] == key[1]))
        made, left_out = _values(columns, numbers, here, f"{folder}, set {key[0]}, {key[1]}")
        found[key] = made
        if left_out:
            notes.append(f"{folder}: {key[1]} of {key[0]} lacks rows at step {', '.join(map(str, left_out))}.")
    return found, tuple(notes)


def _values(
    columns: Mapping[str, NDArray[Any]], numbers: Mapping[str, NDArray[Any]], here: NDArray[np.int64], where: str
) -> tuple[Values, list[int]]:
    steps, step_places = np.unique(numbers["step"][here], return_inverse=True)
    rows, first, row_places = np.unique(numbers["row"][here], return_index=True, return_inverse=True)
    values = np.full((len(steps), len(rows)), np.nan)
    values[step_places, row_places] = numbers["value"][here]
    if len(here) != np.isfinite(values).sum():
        raise StoreError(f"{where} must hold one value for each row and step, but a row has two.")
    whole = np.isfinite(values).all(axis=1)
    ids, tasks, categories = (tuple(columns[name][here][first].tolist()) for name in ("id", "task", "category"))
    return Values(steps[whole].astype(np.int64), ids, tasks, categories, values[whole]), steps[~whole].tolist()
