"""Whether what a run rearranged while it trained is what its model, and TMA's rounds or its losses, give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.represent import amplification
from righttime.errors import ModelError, RighttimeError, StoreError
from righttime.evaluation.checkpoints import load_evaluated
from righttime.results import FinishedResult, open_result
from righttime.rows import ExampleRows, Rows
from righttime.store import ids_sha256
from righttime.tokenization.loading import load_tokenizer
from righttime.training import Plan, Run
from righttime.training.anew import Weights, left_places, order_table, standing
from righttime.training.rearranged import Rearranged, read_rearranged
from righttime.training.rearranger import FED, WEIGHING, Sides, consumed_before, fed_sides, weights_of
from righttime.training.token_rows import TokenRows, token_rows
from righttime.training.ways import By, way_named
from righttime.verification.finding import Finding, equal

__all__ = ["FoundOrders", "rearranged_holds"]

_CLOSE = {"float32": 1e-5, "bf16": 0.03}
"""How far a number of a unit vector may lie from one of another machine, by the precision that made it."""
_FARTHEST = 0.05
"""The most, where centring widens such differences."""


@dataclass(eq=False)
class FoundOrders:
    """What a run rearranged, as it lies on disk; what cannot be read is taken in the arrangement's order.

    Attributes:
        run: The run.
        plan: Its plan, whose `orders` are these.
        woven: int64: the places of the arrangement's woven rows.
        wrong: By step, what is wrong with what is there.
    """

    run: Run
    plan: Plan
    woven: NDArray[np.int64]
    wrong: dict[int, str] = field(default_factory=dict)

    @property
    def follow(self) -> int:
        """Rows that are consumed from one rearrangement to the next."""
        return (self.plan.rearrange_every or 0) * self.plan.rows_per_step

    @cached_property
    def by(self) -> By:
        """By what rows are rearranged, as the settings say."""
        return way_named(self.run.begun.settings.rearrange_by)

    @cached_property
    def steps(self) -> list[int]:
        """The steps at which the run must have rearranged what is left, by what it consumed."""
        last = max((record.step for record in self.run.records.effective()), default=-1)
        return [step for step in self.plan.rearranged_at if step <= last]

    @cached_property
    def read(self) -> dict[int, Rearranged]:
        """Those that are there and as they were written, by step; of the others `wrong` says why."""
        found: dict[int, Rearranged] = {}
        for step in self.steps:
            try:
                one = read_rearranged(self.run.folder, step)
                if one is None:
                    raise StoreError("it is gone")
                places = one.places
                left = np.concatenate([self.left(step, found), self.stands(step)])
                if len(set(places.tolist())) < len(places) or not np.isin(places, left).all():
                    raise StoreError("it names rows that were not left")
                _ = one.numbers
                found[step] = one
            except StoreError as error:
                self.wrong[step] = str(error)
        return found

    def left(self, step: int, earlier: dict[int, Rearranged]) -> NDArray[np.int64]:
        """The places that are rearranged at a step: those left, in the window."""
        consumed = consumed_before({at: one.places for at, one in earlier.items()}, self.follow, step)
        return left_places(len(self.plan.ids), consumed, self.run.begun.settings.window, self.woven)

    def stands(self, step: int) -> NDArray[np.int64]:
        """What stands from a step to the next rearrangement; see `standing`."""
        return standing(self.follow, self.plan.n_rows, step * self.plan.rows_per_step, self.woven)

    def __call__(self, step: int) -> NDArray[np.int64]:
        """See `righttime.training.Plan.orders`."""
        if step in self.read:
            return self.read[step].places
        places = self.stands(step)
        free = np.flatnonzero(places < 0)
        left = self.left(step, self.read)[: len(free)]
        places[free[: len(left)]] = left
        return places


def rearranged_holds(orders: FoundOrders, rows: Rows, tokens: TokenRows | None, out: Path) -> Iterator[Finding]:
    """Compare each rearrangement with the numbers beside it, and these with the model where its checkpoint was kept.

    Args:
        orders: What was rearranged.
        rows: The arrangement's rows.
        tokens: The same, tokenized again; None where there is no tokenizer yet.
        out: The arrangement's folder, which knows the target.
    """
    said, planned = orders.run.begun.settings.rearrange_every, orders.plan.rearrange_every
    yield equal("plan and settings name the steps between rearrangements", said, planned)
    steps, numbers = orders.steps, "losses" if orders.by.focus else "vectors"
    _ = orders.read
    told = next((f"step {step}: {why}" for step, why in orders.wrong.items()), "")
    yield Finding(f"every rearrangement is there and as it was written, {numbers} too", not told, told)
    if told:
        return
    finished = open_result(out)
    around, lost = _around(orders.by, finished)
    what = "every rearrangement is TMA's rounds over its vectors and the rows left"
    if orders.by.focus:
        what = f"every rearrangement is the rows left by their losses, {orders.by.focus} first"
    if around is None and any(finished.manifest.settings.get(name) for name in WEIGHING):
        yield Finding(what, None, f"what target rows weigh is not known: {lost}")
    else:
        weights = None if around is None else weights_of(finished, around)
        wrong = ((step, _order_wrong(orders, step, around, weights)) for step in steps)
        told = next((f"step {step}: {why}" for step, why in wrong if why), "")
        yield Finding(what, not told, told or f"{len(steps)} of them")
    what = f"the rows {orders.by.way.done} were those left" + " and the target's" * orders.by.way.around
    what += ", by their texts"
    if around is None:
        yield Finding(what, None, lost)
        return
    try:
        sides = _sides(orders, rows, tokens, around)
        told = next((f"step {step}" for step in steps if not _same_texts(orders, step, sides[step])), "")
    except RighttimeError as error:
        yield Finding(what, None if isinstance(error, ModelError) else False, str(error))  # no tokenizer any more
        return
    yield Finding(what, not told, told)
    if not told:
        yield _by_the_model(orders, sides)


def _around(by: By, finished: FinishedResult) -> tuple[Rows | None, str]:
    """The target's rows, none where they decide nothing; or None, and why they are not at hand."""
    if not by.way.around:
        return ExampleRows(()), ""
    target, lost = finished.read_again("target")
    return (None if target is None else target.rows), lost


def _sides(orders: FoundOrders, rows: Rows, tokens: TokenRows | None, around: Rows) -> dict[int, Sides]:
    """What was rearranged and around what, by step, since each says which text it read."""
    found = {step: Sides(rows, around, str(one.about["text"])) for step, one in orders.read.items()}
    if not orders.by.way.fed:
        return found
    begun = orders.run.begun
    tokenizer, fed = load_tokenizer(begun.model.name), begun.rows

    def tokenised(some: Rows) -> TokenRows:
        return token_rows(some, tokenizer, fed.form, fed.max_length, answer_end=fed.answer_end)

    own = (tokens or tokenised(rows)).tokens
    sides = fed_sides(Sides(rows, around, ""), orders.by, lambda target: tokenised(target).tokens, own)
    return {step: dataclasses.replace(one, fed=sides.fed) for step, one in found.items()}


def _order_wrong(orders: FoundOrders, step: int, target: Rows | None, weights: Weights | None) -> str:
    """What of a rearrangement is not what its numbers give; empty where all is."""
    one, left = orders.read[step], orders.left(step, orders.read)
    stands = orders.stands(step)
    if (one.about["candidates"], one.about["rows"]) != (len(left), len(stands)):
        return f"it is of {one.about['candidates']:,} rows, {len(left):,} were left"
    if one.by_losses != (orders.by.focus is not None) or (one.about["text"] == FED) != orders.by.way.fed:
        return f"it was not made by {orders.by.name}"
    numbers, targets = one.numbers, one.about["targets"]
    if target is not None and targets != len(target):
        return f"it is around {targets:,} target rows, the target has {len(target):,}"
    names = tuple(target.ids) if target is not None else tuple(map(str, range(targets)))
    want = order_table(numbers, left, stands, (orders.plan.ids, names), orders.by.focus, weights)
    for name in want.column_names:
        if (name != "picked_by" or target is not None) and one.order[name].to_pylist() != want[name].to_pylist():
            pairs = zip(one.order[name].to_pylist(), want[name].to_pylist(), strict=True)
            place = next(number for number, (a, b) in enumerate(pairs) if a != b)
            return f"`{name}` differs, first in row {place:,}"
    return ""


def _same_texts(orders: FoundOrders, step: int, sides: Sides) -> bool:
    asked, about = sides.asked(orders.left(step, orders.read)), orders.read[step].about
    texts, n_left = asked.texts, asked.n_left
    return (ids_sha256(texts[:n_left]), ids_sha256(texts[n_left:])) == (about["rows_sha256"], about["target_sha256"])


def _by_the_model(orders: FoundOrders, sides: dict[int, Sides]) -> Finding:
    """The numbers against those that checkpoints of the same steps give."""
    what = f"the {'losses' if orders.by.focus else 'vectors'} are those of the model of that step"
    kept = {one.step: one.path for one in orders.run.checkpoints if one.step in orders.read}
    exact = True
    for step, path in kept.items():
        try:
            off, bound = _difference(orders, step, path, sides[step])
        except RighttimeError as error:
            return Finding(what, False, f"step {step}: {error}")
        if off > bound:
            return Finding(what, False, f"step {step}: a number is off by {off:.1e}")
        exact &= off == 0.0
    if not kept:
        return Finding(what, None, "no checkpoint of such a step was kept")
    told = f"of {len(kept)} of {len(orders.read)} steps, whose checkpoints were kept"
    return Finding(what, True, told + (", to the bit" if exact else ""))


def _difference(orders: FoundOrders, step: int, path: Path, sides: Sides) -> tuple[float, float]:
    """How far the numbers of a checkpoint's model lie from the stored ones at most, and how far they may."""
    from righttime.training.live import said_by

    one, begun = orders.read[step], orders.run.begun
    left, lora = orders.left(step, orders.read), begun.settings.lora
    said = said_by(
        load_evaluated(str(path), base=None if lora is None else lora.base),
        load_tokenizer(str(path)),
        sides.asked(left),
        begun.settings,
        name=begun.model.name,
        step=step,
        max_length=begun.rows.max_length,
        folder=None,
        moments=path,
    )
    stored, now = one.numbers, said.numbers
    if stored.shape != now.shape:
        raise StoreError(f"vectors must have the shape {now.shape}, got {stored.shape}")
    if not np.array_equal(np.isnan(stored), np.isnan(now)):
        raise StoreError("the rows without a loss must be those with nothing to learn, but others have none")
    bound = min(_CLOSE[begun.settings.precision] * amplification(said.about), _FARTHEST)
    off = np.abs(stored - now) / np.maximum(1, np.abs(stored))  # losses may be above 1
    return float(np.nanmax(off, initial=0.0)), bound
