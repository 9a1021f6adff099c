"""Rearranges what is left while a model trains: made once, written, and from then on read."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.texts import shared_text
from righttime.errors import OrderError, SettingsError, StoreError
from righttime.results import FinishedResult, open_result
from righttime.rows import ExampleRows, Rows
from righttime.store import ids_sha256
from righttime.tokenization.masking import Tokens
from righttime.training.anew import Weights, left_places, standing
from righttime.training.beyond import rows_beyond
from righttime.training.rearranged import Rearranged, read_rearranged, write_rearranged
from righttime.training.settings import TuneSettings
from righttime.training.sharding import sharded_by
from righttime.training.token_rows import tokens_key
from righttime.training.ways import By, way_named

if TYPE_CHECKING:
    from righttime.training.live import Asked, Said

__all__ = [
    "FED",
    "WEIGHING",
    "Learning",
    "Rearranger",
    "Sides",
    "check_rearranging",
    "consumed_before",
    "fed_sides",
    "rearranged_sides",
    "told_cost",
    "weights_of",
    "woven_places",
]

_UNDONE = ("shape", "apart")
"""Settings of an arrangement that decide where a row stands, and that TMA's rounds over what is left do not know."""

WEIGHING = ("target_weight", "widen")
"""Settings of an arrangement that make target rows weigh differently."""

FED = "as it is fed"
"""What a plan calls the text of a row whose tokens are read."""


@dataclass(frozen=True, eq=False)
class Sides:
    """The rows that are rearranged, and those around which.

    Attributes:
        rows: The arrangement's rows, in its order, and behind them those beyond it.
        target: The target's rows; none where they decide nothing.
        text: Which text stands for a row, of both.
        beyond: How many of the rows, the last, are of another pool.
        note: What a person should know of these; else empty.
        fed: Tokens of the rows and of the target's, as the run feeds them; None where their texts are read.
        woven: int64: the places of rows that were woven in, which keep them.
        weights: What each target row weighs; None: all the same.
    """

    rows: Rows
    target: Rows
    text: str
    beyond: int = 0
    note: str = ""
    fed: tuple[Sequence[Tokens], Sequence[Tokens]] | None = None
    woven: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    weights: Weights | None = None

    def asked(self, left: NDArray[np.int64]) -> Asked:
        """The rows at some places and, after them, the target's, as a model is asked about them."""
        from righttime.training.live import Asked

        if self.fed is None:
            return Asked([*self.rows.texts(self.text, left.tolist()), *self.target_texts], len(left))
        tokens = [*(self.fed[0][place] for place in left.tolist()), *self.fed[1]]
        return Asked([tokens_key(row) for row in tokens], len(left), tokens)

    @cached_property
    def target_texts(self) -> list[str]:
        """What stands for each of the target's rows."""
        return list(self.target.texts(self.text)) if self.fed is None else [tokens_key(row) for row in self.fed[1]]


@dataclass(frozen=True, eq=False)
class Learning:
    """A model that is being trained.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        step: Tells the steps that it has taken.
        write_moments: Writes Adam's moments into a folder, as they are.
        say: Is told what was done.
        progress: Show progress on stderr.
    """

    model: Any
    tokenizer: Any
    step: Callable[[], int]
    write_moments: Callable[[Path], None]
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


def rearranged_sides(out: Path, pool: str | None = None, by: By | None = None) -> Sides:
    """The rows of an arrangement and its target, as a model is asked about them while it trains.

    Args:
        out: The arrangement's folder.
        pool: A file or folder of more rows; None: none.
        by: By what rows are arranged; None takes the default.

    Raises:
        DataError: If these cannot be read.
        SettingsError: If the arrangement follows a setting that rearranging would undo.
        StoreError: If its target decides and is not there any more, or was changed.
    """
    by = by or way_named(TuneSettings.rearrange_by)
    finished = open_result(out)
    settings = finished.manifest.settings
    undone = [name for name in _UNDONE if settings.get(name)]
    if undone or settings.get("within_round", "similarity") != "similarity":
        name = undone[0] if undone else "within_round"
        raise SettingsError(
            f"`rearrange_every` must start from an arrangement without {name}, which rearranging what is left would "
            f"undo, but {out} has it. Hint: arrange without it.",
            setting="rearrange_every",
        )
    woven = woven_places(finished)
    if not by.way.around and pool is None:
        return Sides(finished.arranged, ExampleRows(()), FED, woven=woven)
    target, lost = finished.read_again("target")
    if target is None:
        raise StoreError(f"`rearrange_every` must have the target of {out}, which is not at hand: {lost}.")
    around = target.rows if by.way.around else ExampleRows(())
    weights = weights_of(finished, around)
    text = FED if by.way.fed else shared_text(str(settings.get("text", "prompt+response")), target.rows)[0]
    if pool is None:
        return Sides(finished.arranged, around, text, woven=woven, weights=weights)
    more = rows_beyond(finished, target.rows, pool)
    return Sides(more.rows, around, text, more.count, more.note, woven=woven, weights=weights)


def weights_of(finished: FinishedResult, target: Rows) -> Weights | None:
    """What each row of an arrangement's target weighs in rounds; None where all weigh the same, or there are none.

    Args:
        finished: The arrangement, whatever its method makes of weights.
        target: Its target, those rows behind its own that it was widened by.
    """
    manifest = finished.manifest
    return manifest.request().weights_in_rounds(target, manifest.widening) if len(target) else None


def woven_places(finished: FinishedResult) -> NDArray[np.int64]:
    """The places of an arrangement's woven rows: int64, ascending."""
    marks = finished.arrangement.woven
    return np.flatnonzero([] if marks is None else marks).astype(np.int64)


def fed_sides(sides: Sides, by: By, tokenised: Callable[[Rows], Sequence[Tokens]], rows: Sequence[Tokens]) -> Sides:
    """The same with tokens, where the way reads rows as the run feeds them.

    Args:
        sides: From `rearranged_sides`.
        by: By what rows are arranged.
        tokenised: What tokenizes rows as the run does.
        rows: The tokens of the sides' rows.

    Raises:
        SettingsError: If too few of the target's rows have anything to learn.
    """
    if not by.way.fed:
        return sides
    target = tokenised(sides.target)
    least, learning = int(by.read.get("subspace") or 1), sum(bool(row.learnt.any()) for row in target)
    if by.way.around and learning < least:
        wanted = "a row" if least == 1 else f"{least:,} rows"
        raise SettingsError(
            f"`rearrange_by={by.name}` must have a target with {wanted} to take the loss on, but {learning:,} of its "
            f'{len(target):,} rows have a response. Hint: `rearrange_by="centred"` reads prompts alone.',
            setting="rearrange_by",
        )
    return dataclasses.replace(sides, fed=(rows, target))


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
        self._by = way_named(settings.rearrange_by)
        self._known: dict[int, NDArray[np.int64]] = {}
        self._target_sha256 = ids_sha256(sides.target_texts)
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
        learning = self.learning
        if learning is None or learning.step() != step:
            raise OrderError(
                f"rows must be rearranged at step {step} by the model of that step, but it is not there. "
                f"Hint: {self._run / 'plans'} lacks what was rearranged; begin the run anew with `overwrite=True`."
            )
        began = time.perf_counter()
        n = len(self.sides.rows)
        consumed = consumed_before(self._known, self._follow, step)
        left = left_places(n, consumed, self._settings.window, self.sides.woven)
        stands = standing(self._follow, n - self.sides.beyond, len(consumed), self.sides.woven)
        asked = self.sides.asked(left)
        said = self._said(learning, asked, step)
        about: dict[str, Any] = {"text": self.sides.text, "rows_sha256": ids_sha256(asked.texts[: len(left)])}
        about |= {"target_sha256": self._target_sha256, "representation": said.about}
        ids = tuple(self.sides.rows.ids), tuple(self.sides.target.ids)
        write_rearranged(self._run, step, left, said.numbers, stands, ids, about, self._by.focus, self.sides.weights)
        learning.say(
            f"step {step:,}: {len(left):,} rows that are left {self._by.way.done} by the model as it is, and arranged "
            f"anew ({time.perf_counter() - began:.1f} s)"
        )
        found = read_rearranged(self._run, step)
        if found is None:
            raise StoreError(f"{self._run / 'plans'} must hold what was written, but it is gone.")
        return found

    def _said(self, learning: Learning, asked: Asked, step: int) -> Said:
        """What the model says of rows, with Adam's moments as they are where these are asked for."""
        from righttime.training.live import said_by

        with tempfile.TemporaryDirectory(dir=self._run, prefix=".moments-", suffix=".partial") as moments:
            if self._by.adam:
                learning.write_moments(Path(moments))
            return said_by(
                learning.model,
                learning.tokenizer,
                asked,
                self._settings,
                name=self._name,
                step=step,
                max_length=self._max_length,
                folder=self._run,
                moments=Path(moments),
                progress=learning.progress,
            )


def told_cost(n: int, settings: TuneSettings, steps: range, woven: NDArray[np.int64]) -> str:
    """How often rows are rearranged, and how many are read for it, in a sentence's part."""
    rows, way = settings.batch * settings.accumulation, way_named(settings.rearrange_by).way
    most = n if settings.window is None else settings.window
    consumed = rows * np.asarray(steps)
    left = n - len(woven) - (consumed - np.searchsorted(woven, consumed))
    embedded = int(np.minimum(left, most).sum())
    told = f"{len(steps):,} times, {embedded:,} rows {way.done} in all" + (" beside the target's" * way.around)
    return told + (f"; {len(woven):,} woven rows keep their places" if len(woven) else "")
