"""How long an experiment takes: by the runs that are there, or by a trial of two steps."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from righttime.experiment.draws import Draw
from righttime.experiment.layout import Cell, is_finished
from righttime.experiment.matrix import threads_of
from righttime.experiment.settings import Evaluation, Experiment
from righttime.training.settings import TuneSettings

__all__ = ["Estimate", "estimate_by_runs", "estimate_by_trial", "evaluations_of"]


@dataclass(frozen=True)
class Estimate:
    """How long one run takes.

    Attributes:
        seconds: Of one run.
        told: Where that comes from, in words.
    """

    seconds: float
    told: str


def evaluations_of(evaluation: Evaluation, steps: int) -> int:
    """How often a run of so many steps is evaluated.

    Example:
        >>> evaluations_of(Evaluation(at=(0, 1, 2, 4)), 10), evaluations_of(Evaluation(every=5), 12)
        (5, 4)
    """
    every = range(0, steps + 1, evaluation.every) if evaluation.every else ()
    return len({*evaluation.at, *every, steps})


def estimate_by_runs(cells: list[Cell]) -> Estimate | None:
    """The mean of what finished runs took on this machine; None where none tells."""
    seconds = [found for cell in cells if is_finished(cell) and (found := _took(cell)) is not None]
    if not seconds:
        return None
    mean = sum(seconds) / len(seconds)
    return Estimate(mean, f"the mean of {len(seconds):,} finished run{'s' if len(seconds) > 1 else ''}")


def _took(cell: Cell) -> float | None:
    try:
        return float(json.loads((cell.folder / "took.json").read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError):
        return None


def estimate_by_trial(
    experiment: Experiment, draw: Draw, jobs: int = 1, say: Callable[[str], None] = lambda _: None
) -> Estimate:
    """Two steps on rows of a draw, and an evaluation before and after, with the model itself.

    Args:
        experiment: The experiment.
        draw: What replicate 1 draws.
        jobs: Runs at a time: on CPUs the trial takes the threads that each will have.
        say: Is told what is done.

    Raises:
        RighttimeError: If a run would fail at its start.
    """
    import torch

    if jobs > 1 and not torch.cuda.is_available():
        torch.set_num_threads(int(threads_of(jobs)["OMP_NUM_THREADS"]))
    order = next(iter(experiment.orders))
    plain: dict[str, Any] = {
        "average_last": None,
        "average_decay": None,
        "rearrange_every": None,
        "window": None,
        "rearrange_by": TuneSettings.rearrange_by,
    }
    settings = dataclasses.replace(experiment.tune_settings(order, 1), save_model=False, **plain)
    rows = min(2 * settings.batch * settings.accumulation, len(draw.pool))
    steps = max(experiment.steps(name, len(draw.pool)) or 1 for name in experiment.orders)
    say(f"trying {-(-rows // (settings.batch * settings.accumulation))} steps to tell how long a run takes")
    with tempfile.TemporaryDirectory(prefix="righttime-") as folder:
        begin = time.monotonic()
        clock = _trial(experiment, draw, settings, rows, Path(folder))
        whole = time.monotonic() - begin
    evaluations = evaluations_of(experiment.evaluation, steps)
    start = max(0.0, whole - clock.evaluating - sum(clock.steps))
    step, evaluating = min(clock.steps), clock.evaluating / 2
    told = f"a trial: {start:.0f} s to start, {step:.1f} s a step, {evaluating:.1f} s an evaluation"
    if any(experiment.tune_settings(name, 1).rearrange_every for name in experiment.orders):
        told += "; rearranging while a model trains comes on top"
    return Estimate(start + steps * step + evaluations * evaluating, told)


class _Clock:
    """Times of a trial, in seconds."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.evaluating, self.begun = 0.0, 0.0

    def begin(self) -> None:
        """Something begins."""
        self.begun = time.monotonic()

    @property
    def passed(self) -> float:
        """Seconds since."""
        return time.monotonic() - self.begun


def _before(clock: _Clock) -> Any:
    """A callback that stands before an evaluation, and so is called before it begins."""
    from transformers import TrainerCallback

    class Before(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: Any, **more: Any) -> None:
            clock.begin()

        def on_step_begin(self, *args: Any, **more: Any) -> None:
            clock.begin()

        def on_step_end(self, *args: Any, **more: Any) -> None:
            clock.steps.append(clock.passed)

        def on_train_end(self, *args: Any, **more: Any) -> None:
            clock.begin()

    return Before()


def _after(clock: _Clock) -> Any:
    """A callback that stands behind an evaluation, and so is called when it is over."""
    from transformers import TrainerCallback

    class After(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *args: Any, **more: Any) -> None:
            clock.evaluating += clock.passed

        def on_train_end(self, *args: Any, **more: Any) -> None:
            clock.evaluating += clock.passed

    return After()


def _trial(experiment: Experiment, draw: Draw, settings: Any, rows: int, folder: Path) -> _Clock:
    from righttime.evaluation import GenerationSettings
    from righttime.evaluation.while_training import dense_evaluation
    from righttime.experiment.draws import JUDGE, as_line
    from righttime.pipeline import arrange_into
    from righttime.results import Request
    from righttime.store import write_lines
    from righttime.training import tune

    sides = {"pool": draw.pool, JUDGE: draw.judge, **draw.sets}
    for name, side in sides.items():
        write_lines(folder / f"{name}.jsonl", map(as_line, side.examples()))
    pool, judge = (str(folder / f"{name}.jsonl") for name in ("pool", JUDGE))
    arrange_into(folder / "arranged", [pool], [judge], Request(method="random", budget=rows))
    sets = {name: str(folder / f"{name}.jsonl") for name in (JUDGE, *draw.sets)}
    how: dict[str, Any] = {"at": (0,), "form": settings.form, "answer_end": settings.answer_end}
    how["generation"] = GenerationSettings(experiment.evaluation.max_new_tokens)
    measuring = dense_evaluation(folder / "run", experiment.model, sets, metrics=experiment.evaluation.metrics, **how)
    clock = _Clock()
    around = [_before(clock), measuring, _after(clock)]
    tune(folder / "arranged", experiment.model, folder / "run", settings, callbacks=around)
    return clock
