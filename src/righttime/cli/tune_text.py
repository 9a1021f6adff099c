"""What a run of ``righttime tune`` did, in words and for a program."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from righttime.training.run import Tuned

__all__ = ["tuned_facts", "tuned_lines"]


def tuned_facts(done: Tuned, arrangement: Path, evaluated: bool) -> dict[str, Any]:
    """What a run did, for a program."""
    from righttime.cli.evaluation_tables import evaluation_facts
    from righttime.evaluation import open_evaluation
    from righttime.training import open_run

    out = done.job.folder
    run = open_run(out)
    average, measured = run.average, run.average_evaluation
    return {
        "out": out,
        "arrangement": arrangement,
        "model": out / "model" if done.job.settings.save_model else None,
        "counts": dataclasses.asdict(done.manifest.counts),
        "first_difference": done.manifest.first_difference,
        "attempt": done.start.attempt,
        "evaluation": evaluation_facts(open_evaluation(out / "evaluation").table) if evaluated else None,
        "average": average if average.is_dir() else None,
        "average_evaluation": evaluation_facts(open_evaluation(measured).table) if measured.is_dir() else None,
        "notes": done.manifest.notes,
    }


def tuned_lines(done: Tuned, arrangement: Path, evaluated: bool) -> Iterator[str]:
    """The same for a person, line by line."""
    from righttime.cli.evaluation_tables import evaluation_tables
    from righttime.evaluation import open_evaluation
    from righttime.training.picture import NO_PICTURE

    out, counts = done.job.folder, done.manifest.counts
    proven = done.manifest.first_difference or "in the planned order, each row once in each epoch"
    yield f"consumed {counts.consumed:,} rows in {counts.steps:,} steps: {proven}"
    if evaluated:
        yield f"\n{evaluation_tables(open_evaluation(out / 'evaluation').table)}\n"
        yield f"every row's values are in {out / 'evaluation' / 'evaluation.parquet'}"
    yield from _average_lines(out, done.manifest.averaged)
    picture = out / "loss.png"
    yield f"the losses along the run are in {picture}" if picture.exists() else NO_PICTURE
    model = f"the model is in {out / 'model'}" if done.job.settings.save_model else "the model was not saved"
    yield f"{model}; verify the run: righttime verify {shlex.join(map(str, (out, arrangement)))}"


def _average_lines(out: Path, averaged: Sequence[int]) -> Iterator[str]:
    from righttime.cli.evaluation_tables import evaluation_tables
    from righttime.evaluation import open_evaluation
    from righttime.training import open_run

    if not averaged:
        return
    run, told = open_run(out), f"the mean of the checkpoints of steps {', '.join(map(str, averaged))}"
    if run.average_evaluation.is_dir():
        yield f"{told}:\n\n{evaluation_tables(open_evaluation(run.average_evaluation).table)}\n"
    yield f"{told} is in {run.average}" if run.average.is_dir() else f"{told} was not saved"
