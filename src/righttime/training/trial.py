"""How long a step of tuning takes on this machine: some steps of `righttime.tune` itself, with its settings."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from righttime.errors import SettingsError
from righttime.examples import Example, Message
from righttime.pipeline import arrange_into
from righttime.planning.stages import Stage
from righttime.results import Request, open_result
from righttime.store import write_lines
from righttime.tokenization.loading import load_tokenizer
from righttime.tokenization.masking import resolve_form, tokenised
from righttime.training.models import trainable_length
from righttime.training.run import tune
from righttime.training.settings import TuneSettings

__all__ = ["Trial", "measured_stages", "try_steps"]

_STEPS = 5  # that count; the first one, which is slower, comes before
_LEARNT = 4  # one token in so many, where nobody says it
_WORD = " one"
_PLAIN: dict[str, Any] = {
    **dict.fromkeys(("average_last", "average_decay", "rearrange_every", "rearrange_pool", "window", "shuffle_after")),
    **{name: getattr(TuneSettings, name) for name in ("rearrange_by", "save_every")},
    **{"epochs": 1, "warmup": 0, "save_model": False, "report_to": ()},
}
"""Settings of the trial that change nothing in a step, or that would add checkpoints and rearranging to it."""


@dataclass(frozen=True)
class Trial:
    """What was measured.

    Attributes:
        start: Seconds until the first step is done, its own included: loading, tokenizing, warming up.
        steps: Seconds of each step after that.
        rows: Rows of a step.
        tokens: The mean number of tokens of a row.
        learnt: Of them learnt.
    """

    start: float
    steps: tuple[float, ...]
    rows: int
    tokens: float
    learnt: float

    @property
    def step(self) -> float:
        """Seconds of a step: the mean, since the steps of a run add up."""
        return statistics.fmean(self.steps)

    @property
    def told(self) -> str:
        """How long a step takes, in words."""
        return (
            f"{self.step:.3g} s a step of {self.rows:,} rows of {self.tokens:,.0f} tokens, {self.learnt:,.0f} of them "
            f"learnt: the mean of {len(self.steps):,} steps of {min(self.steps):.3g} to {max(self.steps):.3g} s"
        )


def measured_stages(
    model: str,
    settings: TuneSettings,
    *,
    out: Path | None = None,
    n_rows: int | None = None,
    row_tokens: int | None = None,
    learnt: int | None = None,
) -> tuple[Stage, ...]:
    """The stages of tuning that take time, by a trial of some steps.

    Args:
        model: A model's folder or hub name; it is loaded.
        settings: How to tune.
        out: An arrangement whose rows are tuned on; None makes rows.
        n_rows: How many rows the run has; None takes those of `out`, and without it a step alone is told.
        row_tokens: See `try_steps`.
        learnt: See `try_steps`.

    Raises:
        RighttimeError: As `try_steps`.
    """
    trial = try_steps(model, settings, out=out, row_tokens=row_tokens, learnt=learnt)
    n_rows = len(open_result(out).arranged) if n_rows is None and out is not None else n_rows
    start = Stage("start", 1, trial.start, 0, 0, "measured: loading, tokenizing the trial's rows and the first step")
    if n_rows is None:
        return start, Stage("a step", 1, trial.step, 0, 0, trial.told)
    steps = settings.epochs * math.ceil(n_rows / trial.rows)
    beside = "evaluations, checkpoints" + (" and rearranging" if settings.rearrange_every else "")
    note = f"{trial.told}; {n_rows:,} rows × {settings.epochs:,} epochs; {beside} come on top"
    return start, Stage("steps", steps, (steps - 1) * trial.step, 0, 0, note)


def try_steps(
    model: str,
    settings: TuneSettings,
    *,
    out: Path | None = None,
    row_tokens: int | None = None,
    learnt: int | None = None,
    steps: int = _STEPS,
) -> Trial:
    """Tune for some steps, in a folder that is taken away, and measure each.

    Args:
        model: A model's folder or hub name.
        settings: How to tune; what changes nothing in a step is left out.
        out: An arrangement; rows from all over it are taken. None makes rows.
        row_tokens: Tokens of a made row, as nearly as whole words allow; None takes the most that a row may have.
        learnt: Tokens of a made row that are learnt; None takes a quarter.
        steps: How many are measured, after a first one that is not.

    Raises:
        ModelError: If the model or its tokenizer is not there.
        SettingsError: If a number is out of range, or `out` goes with a length.
        RighttimeError: Whatever `righttime.tune` raises.
    """
    if out is not None and (row_tokens is not None or learnt is not None):
        raise SettingsError(
            "`row_tokens` and `learnt_tokens` are for made rows, got them with an arrangement, whose rows have their "
            "own length. Hint: leave them out.",
            setting="row_tokens",
        )
    settings = dataclasses.replace(settings, **_PLAIN)
    length = trainable_length(model, settings.max_length)
    tokenizer = load_tokenizer(model)
    wanted = settings.batch * settings.accumulation * (steps + 1)
    if out is None:
        made = _made_row(tokenizer, settings, length, row_tokens, learnt)
        rows: Sequence[Example] = [dataclasses.replace(made, id=f"row-{number}") for number in range(wanted)]
    else:
        arranged = open_result(out, unchanged=True).arranged
        places = np.linspace(0, len(arranged) - 1, min(wanted, len(arranged))).astype(int).tolist()
        rows = list(arranged.examples(places))
    with tempfile.TemporaryDirectory(prefix="righttime-") as folder:
        return _tried(model, settings, rows, Path(folder), tokenizer, length)


def _tried(
    model: str, settings: TuneSettings, rows: Sequence[Example], folder: Path, tokenizer: Any, length: int
) -> Trial:
    form = resolve_form(tokenizer, settings.form)
    tokens = [tokenised(row, tokenizer, form, length, settings.answer_end) for row in rows]
    pool = folder / "pool.jsonl"
    write_lines(pool, (json.dumps(row.as_dict(), ensure_ascii=False) for row in rows))
    named = _format_of(rows[0])
    asked = Request(method="random", guard="off", format=named, target_format=named, repeated_ids="number")
    arrange_into(folder / "arranged", [pool], [pool], asked)
    clock, begun = _clock(), time.perf_counter()
    tune(folder / "arranged", model, folder / "run", settings, callbacks=[clock])
    if len(clock.ends) < 2:
        raise SettingsError(
            f"a measurement must have at least 2 steps, got {len(clock.ends)} from {len(rows):,} rows. "
            "Hint: a smaller `batch`, or made rows.",
            setting="measure",
        )
    return Trial(
        start=clock.ends[0] - begun,
        steps=tuple(np.diff(clock.ends).tolist()),
        rows=settings.batch * settings.accumulation,
        tokens=statistics.fmean(len(row.ids) for row in tokens),
        learnt=statistics.fmean(int(row.learnt.sum()) for row in tokens),
    )


def _format_of(row: Example) -> str | None:
    """The format that must be named for rows that are no conversations."""
    return "text" if "text" in row.as_dict() else None


def _clock() -> Any:
    """A callback that notes when each step ends."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        ends: list[float]

        def __init__(self) -> None:
            self.ends = []

        def on_step_end(self, *args: Any, **more: Any) -> None:
            self.ends.append(time.perf_counter())

    return Clock()


def _made_row(
    tokenizer: Any, settings: TuneSettings, length: int, row_tokens: int | None, learnt: int | None
) -> Example:
    """A row of at most so many tokens, of which at most so many are learnt: the longest of whole words."""
    wanted = length if row_tokens is None else row_tokens
    answer = max(1, wanted // _LEARNT) if learnt is None else learnt
    if not 1 <= wanted <= length:
        raise SettingsError(
            f"`row_tokens` must be from 1 to the {length:,} tokens that a row may have, got {wanted}.",
            setting="row_tokens",
        )
    form = resolve_form(tokenizer, settings.form)

    def row(asked: int, said: int) -> Example:
        messages = (Message("user", "?" + _WORD * asked), Message("assistant", "!" + _WORD * said))
        return Example("row", None, "made", "made", 1, messages)

    def sizes(asked: int, said: int) -> tuple[int, int]:
        """Tokens, and how many of them are learnt."""
        found = tokenised(row(asked, said), tokenizer, form, 1 << 30, settings.answer_end)
        return len(found.ids), int(found.learnt.sum())

    said = _most(lambda n: sizes(0, n)[1] <= answer, wanted)
    asked = _most(lambda n: sizes(n, said)[0] <= wanted, wanted)
    least, _ = sizes(0, 0)
    if sizes(asked, said)[0] > wanted:
        raise SettingsError(
            f"`row_tokens` and `learnt_tokens` must leave room for the form of a row, which takes {least:,} tokens "
            f"with one word each, got {wanted:,} and {answer:,}.",
            setting="row_tokens",
        )
    return row(asked, said)


def _most(fits: Callable[[int], bool], most: int) -> int:
    """The largest number from 0 to `most` that fits, if 0 does; what is smaller fits too."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
