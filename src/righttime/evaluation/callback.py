"""Evaluation while training: at the start, every k steps and at the end, with no checkpoint written for it.

Importing this imports torch and transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from righttime.errors import SettingsError
from righttime.evaluation.first import first_values
from righttime.evaluation.folder import EvaluationFolder
from righttime.evaluation.means import facts_of, means
from righttime.evaluation.measurement import MeasureSettings, check_measurable, measured_set, unkept_notes
from righttime.evaluation.registry import Value
from righttime.evaluation.sets import EvaluationSet, inputs_of
from righttime.processor import processor

__all__ = ["DenseEvaluation"]

T = TypeVar("T")


class DenseEvaluation(TrainerCallback):  # type: ignore[misc]
    """A callback of transformers' Trainer that measures the model on sets of rows and leaves it as it was.

    Training with it gives the same weights as without. Of several processes each measures its share of the rows.
    """

    def __init__(
        self,
        sets: Sequence[EvaluationSet],
        folder: Path,
        *,
        run: str,
        every: int | None = None,
        at: Sequence[int] = (),
        tokenizer: Any,
        settings: MeasureSettings | None = None,
        deciding: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        reopen: bool = False,
        first: Path | None = None,
        progress: bool = False,
    ) -> None:
        """Say what to measure.

        Args:
            sets: The target, and any others.
            folder: Where the values land; see `righttime.evaluation.folder`.
            run: What the run is called in the results.
            every: Measure at step 0 and every so many optimizer steps.
            at: Measure at these steps, beside or instead of `every`; 0 is before the first. The last step always is.
            tokenizer: The model's tokenizer.
            settings: What to measure; None measures the loss.
            deciding: What else decides the numbers, as JSON, for the record.
            overwrite: Take away an earlier evaluation there.
            reopen: Go on with a finished evaluation there, as a run does that was killed before it was finished itself.
            first: An evaluation of another run, finished or not, whose values at step 0 are taken where it has them of
                the same sets, metrics and form of text; else they are measured. Both runs must begin from one model,
                and the sets' references must be the same.
            progress: Show on stderr how far each measurement is.

        Raises:
            SettingsError: If `every` is less than 1, a step of `at` is negative or stands twice, there is neither, or
                two sets have one name.
            EmptyDataError: If a set has no row that can be measured.
        """
        _check_steps(every, at)
        if len({data.name for data in sets}) < len(sets):
            raise SettingsError(f"sets must have different names, got {', '.join(data.name for data in sets)}.")
        self._sets, self._every, self._at, self._tokenizer = tuple(sets), every, frozenset(at), tokenizer
        self._settings = settings or MeasureSettings()
        check_measurable(self._sets, self._settings)
        self._folder = EvaluationFolder(folder, run, self._settings.keep_answers)
        # Evaluations begun before lists were known have no "at"; without a list they go on as they began.
        listed = {"at": sorted(self._at)} if self._at else {}
        self._deciding = {**facts_of(self._sets, self._settings), "every": every, **listed, **(deciding or {})}
        self._overwrite, self._reopen, self._progress, self._last = overwrite, reopen, progress, -1
        self._first = first
        self._trainer: Any = None

    @property
    def notes(self) -> list[str]:
        """What a person should know before it begins."""
        return unkept_notes(self._sets, self._settings)

    def attach(self, trainer: Any) -> None:
        """Tell the trainer's trackers of the means too; without this they stand in its log history alone.

        Args:
            trainer: The trainer that this is a callback of.
        """
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Measure the model before the first step; after a resume forget what came after the checkpoint.

        Raises:
            SettingsError: If a step that was asked for lies beyond the last.
        """
        if beyond := sorted(step for step in self._at if step > state.max_steps):
            raise SettingsError(
                f"steps to evaluate at must be at most the run's last, {state.max_steps:,}, got {beyond[0]:,}. "
                "Hint: the last step is measured anyway."
            )
        if args.process_index == 0:
            self._folder.begin(self._deciding, self._overwrite, reopen=self._reopen or state.global_step > 0)
            self._folder.forget_after(int(state.global_step))
        _wait()
        if state.global_step == 0 and self._wanted(0):
            self._measure(args, state, more["model"], self._taken(args))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Measure every so many steps, and at those that were listed."""
        if self._wanted(int(state.global_step)):
            # To log is to fulfil the trainer's own wish to, too: it would keep this step's loss for the next line.
            wanted = control.should_log
            self._measure(args, state, more["model"])
            control.should_log = wanted

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Measure the last step, and put everything into one file."""
        if state.global_step != self._last:
            self._measure(args, state, more["model"])
        _wait()
        if args.process_index == 0:
            self._folder.finish({**self._facts(args, state), "first_from": self._folder.first_from})

    def measure_average(self, folder: Path, averaged: Sequence[int], trainer: Any) -> None:
        """Measure the mean of the last checkpoints on the same sets, into a folder of its own.

        Args:
            folder: Where the values land; what is there is replaced.
            averaged: The steps of those checkpoints, for the record.
            trainer: The trainer after the last step, whose model holds that mean now.
        """
        args, state = trainer.args, trainer.state
        other = EvaluationFolder(folder, self._folder.run, self._folder.answers)
        share, shown = (args.process_index, args.world_size), self._progress and args.process_index == 0
        if args.process_index == 0:
            other.begin({**self._deciding, "averaged": list(averaged)}, overwrite=True)
        _wait()
        for data in self._sets:
            values = measured_set(trainer.model, self._tokenizer, data, self._settings, share, shown)
            other.add(int(state.global_step), data, values, args.process_index)
        _wait()
        if args.process_index == 0:
            other.finish(self._facts(args, state))

    def _facts(self, args: TrainingArguments, state: TrainerState) -> dict[str, Any]:
        facts = {"steps": int(state.global_step), "processes": args.world_size, "inputs": inputs_of(self._sets)}
        return {**facts, "processor": processor()}

    def _wanted(self, step: int) -> bool:
        return step in self._at or (self._every is not None and step % self._every == 0)

    def _taken(self, args: TrainingArguments) -> dict[str, list[Value]] | None:
        """The values at step 0 of another run, in the main process; None, in all of them, where they are measured."""
        found = None
        if self._first is not None:
            found = first_values(self._first, self._sets, self._settings.metrics, self._deciding)
            if not all(_of_all([found is not None], args)):
                found = None
        if args.process_index > 0:
            return found and {name: [] for name in found}
        self._folder.tell_first("/".join(self._first.resolve().parts[-2:]) if self._first and found else None)
        return found

    def _measure(
        self,
        args: TrainingArguments,
        state: TrainerState,
        model: Any,
        taken: Mapping[str, list[Value]] | None = None,
    ) -> None:
        step, share = int(state.global_step), (args.process_index, args.world_size)
        for data in self._sets:
            shown = self._progress and args.process_index == 0
            if taken is None:
                values = measured_set(model, self._tokenizer, data, self._settings, share, shown)
            else:
                values = taken[data.name]
            self._folder.add(step, data, values, args.process_index)
            found = {f"{data.name}_{metric}": mean for metric, mean in means(_of_all(values, args)).items()}
            if self._trainer is not None:
                self._trainer.log(found)
            else:
                state.log_history.append({"step": step, **found})
        self._last = step


def _check_steps(every: int | None, at: Sequence[int]) -> None:
    if every is None and not at:
        raise SettingsError("an evaluation must come every so many steps, or at listed ones, got neither.")
    if every is not None and every < 1:
        raise SettingsError(f"an evaluation must come every 1 step or more, got {every}.")
    if any(step < 0 for step in at) or len(set(at)) < len(at):
        raise SettingsError(f"steps to evaluate at must be 0 or more, each once, got {', '.join(map(str, at))}.")


def _of_all(values: list[T], args: TrainingArguments) -> list[T]:
    """What all processes have."""
    if args.world_size == 1:
        return values
    from accelerate.utils import gather_object

    return list(gather_object(values))


def _wait() -> None:
    from accelerate import PartialState

    PartialState().wait_for_everyone()
