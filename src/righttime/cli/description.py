"""What `righttime show` tells of an arrangement, as data: counts, rounds, tasks, the first rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from righttime.arrangement import Arrangement, method_named
from righttime.arrangement.falloff import Falloff
from righttime.arrangement.shapes import read_shape
from righttime.examples import PLAIN, turns_in
from righttime.formats import InputFile
from righttime.results import FinishedResult, Widening, open_result
from righttime.results.manifest import Counts
from righttime.rows import ExampleRows, Rows

__all__ = ["Description", "Round", "Row", "Task", "describe", "scored_by"]


@dataclass(frozen=True)
class Round:
    """A round: its number, its rows, and their similarities."""

    round: int
    rows: int
    mean: float
    highest: float
    lowest: float


@dataclass(frozen=True)
class Task:
    """A task of the pool: its rows, where they stand, and the target task that picked most of them."""

    task: str
    rows: int
    first_position: int
    median_position: float
    picked_most_by: str | None
    picked: int


@dataclass(frozen=True)
class Row:
    """A row of the order, and what picked it (or, without rounds, its most similar target row)."""

    position: int
    id: str
    task: str | None
    round: int | None
    similarity: float | None
    distance: float | None
    text: str
    picked_by: str | None
    picked_by_prompt: str | None
    woven: bool = False
    score: float | None = None


@dataclass(frozen=True)
class Description:
    """An arrangement in short.

    Attributes:
        out: Its folder.
        method: What ordered it.
        distance: What the method ranked by; None where it ranks by no distance.
        pool: The pool's files.
        target: The target's files.
        counts: How many rows there are of what.
        notes: Sentences that a person should read.
        rounds: Every round; None without rounds.
        falloff: Where quality falls; None where that is not known.
        n_tasks: How many tasks the order holds.
        whole: Whether the order holds the whole pool; then tasks are ordered by median position, otherwise by rows.
        tasks: The first tasks by that.
        rows: The first rows.
        scored_by: What the scores of the rows are: ``loss`` or ``length``; None where a shape goes by neither.
        widening: How the target was widened; None where it was not.
    """

    out: Path
    method: str
    distance: str | None
    pool: tuple[InputFile, ...]
    target: tuple[InputFile, ...]
    counts: Counts
    notes: tuple[str, ...]
    rounds: tuple[Round, ...] | None
    falloff: Falloff | None
    n_tasks: int
    whole: bool
    tasks: tuple[Task, ...]
    rows: tuple[Row, ...]
    scored_by: str | None = None
    widening: Widening | None = None


def describe(out: Path, first: int = 10, tasks: int = 20) -> Description:
    """Describe a result.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        first: How many rows of the order to give.
        tasks: How many tasks to give.

    Raises:
        StoreError: If the folder is not a finished result.
    """
    finished = open_result(out)
    manifest, arrangement = finished.manifest, finished.arrangement
    read, _ = finished.read_again("target")
    target: Rows = read.rows if read is not None else ExampleRows(())
    found = _tasks(arrangement, target)
    return Description(
        out=out,
        method=manifest.method,
        distance=str(manifest.settings["distance"]) if "distance" in method_named(manifest.method).needs else None,
        pool=manifest.pool,
        target=manifest.target,
        counts=manifest.counts,
        notes=manifest.notes,
        rounds=_rounds(arrangement),
        falloff=manifest.falloff,
        n_tasks=len(found),
        whole=len(arrangement) == arrangement.n_pool,
        tasks=tuple(found[:tasks]),
        rows=tuple(_rows(finished, target, first)),
        scored_by=scored_by(finished),
        widening=manifest.widening,
    )


def scored_by(finished: FinishedResult) -> str | None:
    """What the scores of the rows of a result are; None where they have none."""
    shape = read_shape(finished.manifest.settings.get("shape"))
    return shape.by if shape is not None and finished.arrangement.score is not None else None


def _rounds(arrangement: Arrangement) -> tuple[Round, ...] | None:
    arrangement = arrangement.arranged()
    if arrangement.round is None or arrangement.similarity is None:
        return None
    rounds = []
    for number in np.unique(arrangement.round):
        inside = arrangement.similarity[arrangement.round == number]
        rounds.append(Round(int(number), len(inside), float(inside.mean()), float(inside.max()), float(inside.min())))
    return tuple(rounds)


def _tasks(arrangement: Arrangement, target: Rows) -> list[Task]:
    """Tasks by how many or how early their rows are, with the target tasks that picked their rows."""
    labels = arrangement.labels
    if labels is None or not any(labels.task):
        return []
    target_task = dict(zip(target.ids, target.tasks, strict=True))
    positions: dict[str, list[int]] = {}
    pickers: dict[str, Counter[str]] = {}
    for position, (task, picked_by) in enumerate(zip(labels.task, labels.picked_by, strict=True)):
        positions.setdefault(task or "(none)", []).append(position)
        if picker := target_task.get(picked_by or ""):
            pickers.setdefault(task or "(none)", Counter())[picker] += 1
    found = []
    for task, at in positions.items():
        most, picked = next(iter(pickers.get(task, Counter()).most_common(1)), (None, 0))
        found.append(Task(task, len(at), at[0], float(np.median(at)), most, picked))
    if len(arrangement) < arrangement.n_pool:  # a task with one row in front did not "come first"
        return sorted(found, key=lambda task: (-task.rows, task.task))
    return sorted(found, key=lambda task: (task.median_position, task.task))


def _rows(finished: FinishedResult, target: Rows, first: int) -> Iterable[Row]:
    arrangement, labels = finished.arrangement, finished.arrangement.labels
    if labels is None:
        return
    numbers = {name: number for number, name in enumerate(target.ids)}
    for position, text in enumerate(_texts(finished, first)):
        picker = labels.picked_by[position]
        yield Row(
            position=position,
            id=labels.id[position],
            task=labels.task[position],
            round=arrangement.at("round", position),
            similarity=arrangement.at("similarity", position),
            distance=arrangement.at("distance", position),
            text=text,
            picked_by=picker,
            woven=arrangement.woven is not None and bool(arrangement.woven[position]),
            score=arrangement.at("score", position),
            picked_by_prompt=next(target.texts("prompt", [numbers[picker]])) if picker in numbers else None,
        )


def _texts(finished: FinishedResult, first: int) -> Iterable[str]:
    """What the first rows say, whatever their form."""
    for row in finished.lines(first):
        turns = turns_in(row) if isinstance(row, dict) else None
        if turns is not None:
            yield next((str(turn.get("content", "")) for turn in turns if turn.get("role") in ("user", PLAIN)), "")
        else:
            yield json.dumps(row, ensure_ascii=False)
