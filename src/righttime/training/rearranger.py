"""Rearranges what is left while a model trains: made once, written, and from then on read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.texts import shared_text
from righttime.errors import OrderError, SettingsError, StoreError
from righttime.results import open_result
from righttime.rows import Rows
from righttime.store import ids_sha256
from righttime.training.beyond import rows_beyond
from righttime.training.rearranged import Rearranged, left_places, read_rearranged, to_follow, write_rearranged
from righttime.training.settings import TuneSettings
from righttime.training.sharding import sharded_by

__all__ = ["Learning", "Rearranger", "Sides", "check_rearranging", "consumed_before", "rearranged_sides", "told_cost"]

_UNDONE = ("weave", "anneal", "shape", "apart", "target_weight", "widen")
"""Settings of an arrangement that decide where a row stands, and that TMA's rounds over what is left do not know."""


@dataclass(frozen=True, eq=False)
class Sides:
    """The rows that are rearranged, and those around which.

    Attributes:
        rows: The arrangement's rows, in its order, and behind them those beyond it.
        target: The target's rows.
        text: Which text stands for a row, of both.
        beyond: How many of the rows, the last, are of another pool.
        note: What a person should know of these; else empty.
    """

    rows: Rows
    target: Rows
    text: str
    beyond: int = 0
    note: str = ""

    def embedded(self, left: NDArray[np.int64]) -> list[str]:
        """Texts of the rows at some places and, after them, of the target."""
        return [*self.rows.texts(self.text, left.tolist()), *self.target.texts(self.text)]


@dataclass(frozen=True, eq=False)
class Learning:
    """A model that is being trained.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        step: Tells the steps that it has taken.
        say: Is told what was done.
        progress: Show progress on stderr.
    """

    model: Any
    tokenizer: Any
    step: Callable[[], int]
    say: Callable[[str], None] = lambda _: None
    progress: bool = False


def check_rearranging(settings: TuneSettings, world: int) -> None:
    """Make sure, before any work, that one process holds the whole model.

    Raises:
        SettingsError: If it does not.
    """
    if settings.rearrange_every is None:
        return
    if sharding := sharded_by():
        raise SettingsError(
            f"`rearrange_every` must have the whole model on one process, but {sharding[0]} shards it. "
            "Hint: start one process, without it.",
            setting="rearrange_every",
        )
    if world > 1:
        raise SettingsError(
            f"`rearrange_every` must have one process, got {world}. Hint: start one, or leave it out.",
            setting="rearrange_every",
        )


def rearranged_sides(out: Path, pool: str | None = None) -> Sides:
    """The rows of an arrangement and its target, as they are embedded while a model trains.

    Args:
        out: The arrangement's folder.
        pool: A file or folder of more rows; None: none.

    Raises:
        DataError: If these cannot be read.
        SettingsError: If the arrangement follows a setting that rearranging would undo.
        StoreError: If its target is not there any more, or was changed.
    """
    finished = open_result(out)
    settings = finished.manifest.settings
    undone = [name for name in _UNDONE if settings.get(name)]
    if undone or settings.get("within_round", "similarity") != "similarity":
        name = undone[0] if undone else "within_round"
        raise SettingsError(
            f"`rearrange_every` must start from an arrangement without {name}, which the rounds of TMA over what is "
            f"left would undo, but {out} has it. Hint: arrange without it.",
            setting="rearrange_every",
        )
    target, lost = finished.read_again("target")
    if target is None:
        raise StoreError(f"`rearrange_every` must have the target of {out}, which is not at hand: {lost}.")
    text, _ = shared_text(str(settings.get("text", "prompt+response")), target.rows)
    if pool is None:
        return Sides(finished.arranged, target.rows, text)
    more = rows_beyond(finished, target.rows, pool)
    return Sides(more.rows, target.rows, text, more.count, more.note)


def consumed_before(orders: Mapping[int, NDArray[np.int64]], first: int, step: int) -> NDArray[np.int64]:
    """The places that all steps before one consume.

    Args:
        orders: What was rearranged at each earlier step.
        first: How many rows are consumed before the first rearrangement.
        step: The step.
    """
    earlier = [places for at, places in orders.items() if at < step]
    return np.concatenate([np.arange(first, dtype=np.int64), *earlier])


class Rearranger:
    """The orders of a run: those on disk as they are, those that are not there yet made by the model as it is."""

    def __init__(self, run: Path, sides: Sides, settings: TuneSettings, *, name: str, max_length: int) -> None:
        """Begin with nothing known.

        Args:
            run: The run's folder.
            sides: What is rearranged, and around what.
            settings: Of the run.
            name: What the model is called.
            max_length: Tokens to read of each text.
        """
        assert settings.rearrange_every is not None
        self._run, self.sides, self._settings = run, sides, settings
        self._name, self._max_length = name, max_length
        self._every = settings.rearrange_every
        self._follow = self._every * settings.batch * settings.accumulation
        self._known: dict[int, NDArray[np.int64]] = {}
        self._target_sha256 = ids_sha256(sides.target.texts(sides.text))
        self.learning: Learning | None = None

    def __call__(self, step: int) -> NDArray[np.int64]:
        """The places that follow a step, int64, in order; made, written and read where they are not there yet.

        Raises:
            StoreError: If what is there is not as it was written.
            SettingsError: If it was made around another target.
            OrderError: If it is not there, and the model is not at that step.
        """
        if step not in self._known:
            found = read_rearranged(self._run, step) or self._made(step)
            if found.about["target_sha256"] != self._target_sha256:
                raise SettingsError(
                    f"a run must go on around the target that it began with, but {found.folder} is of another one. "
                    "Hint: the first target, or choose another `out`.",
                    setting="rearrange_every",
                )
            self._known[step] = found.places
        return self._known[step]

    def _made(self, step: int) -> Rearranged:
        from righttime.training.live import represented_by

        learning = self.learning
        if learning is None or learning.step() != step:
            raise OrderError(
                f"rows must be rearranged at step {step} by the model of that step, but it is not there. "
                f"Hint: {self._run / 'plans'} lacks what was rearranged; begin the run anew with `overwrite=True`."
            )
        began = time.perf_counter()
        n = len(self.sides.rows)
        consumed = consumed_before(self._known, self._follow, step)
        left = left_places(n, consumed, self._settings.window)
        count = to_follow(self._follow, len(left), n - self.sides.beyond, len(consumed))
        texts = self.sides.embedded(left)
        done = represented_by(
            learning.model,
            learning.tokenizer,
            texts,
            len(left),
            self._settings,
            name=self._name,
            step=step,
            max_length=self._max_length,
            folder=self._run,
            progress=learning.progress,
        )
        about: dict[str, Any] = {"text": self.sides.text, "rows_sha256": ids_sha256(texts[: len(left)])}
        about |= {"target_sha256": self._target_sha256, "representation": done.about}
        ids = tuple(self.sides.rows.ids), tuple(self.sides.target.ids)
        write_rearranged(self._run, step, left, done.vectors, count, ids, about)
        learning.say(
            f"step {step:,}: {len(left):,} rows that are left embedded by the model as it is, and arranged anew "
            f"({time.perf_counter() - began:.1f} s)"
        )
        found = read_rearranged(self._run, step)
        if found is None:
            raise StoreError(f"{self._run / 'plans'} must hold what was written, but it is gone.")
        return found


def told_cost(n: int, settings: TuneSettings, steps: range) -> str:
    """How often rows are rearranged, and how many are embedded for it, in a sentence's part."""
    rows = settings.batch * settings.accumulation
    most = n if settings.window is None else settings.window
    embedded = sum(min(n - step * rows, most) for step in steps)
    return f"{len(steps):,} times, {embedded:,} rows embedded in all beside the target's"
