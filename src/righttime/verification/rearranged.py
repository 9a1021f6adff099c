"""Whether what a run rearranged while it trained is what its model and TMA's rounds give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.represent import amplification
from righttime.errors import RighttimeError, StoreError
from righttime.evaluation.checkpoints import load_evaluated
from righttime.results import open_result
from righttime.rows import Rows
from righttime.store import ids_sha256
from righttime.tokenization.loading import load_tokenizer
from righttime.training import Plan, Run
from righttime.training.rearranged import (
    Rearranged,
    left_places,
    order_table,
    read_rearranged,
    rounds_over,
    to_follow,
)
from righttime.training.rearranger import Sides, consumed_before
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
        wrong: By step, what is wrong with what is there.
    """

    run: Run
    plan: Plan
    wrong: dict[int, str] = field(default_factory=dict)

    @property
    def follow(self) -> int:
        """Rows that are consumed from one rearrangement to the next."""
        return (self.plan.rearrange_every or 0) * self.plan.rows_per_step

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
                if len(set(places.tolist())) < len(places) or not np.isin(places, self.left(step, found)).all():
                    raise StoreError("it names rows that were not left")
                _ = one.vectors
                found[step] = one
            except StoreError as error:
                self.wrong[step] = str(error)
        return found

    def left(self, step: int, earlier: dict[int, Rearranged]) -> NDArray[np.int64]:
        """The places left at a step, in the window."""
        consumed = consumed_before({at: one.places for at, one in earlier.items()}, self.follow, step)
        return left_places(len(self.plan.ids), consumed, self.run.begun.settings.window)

    def count(self, step: int, n_left: int) -> int:
        """How many rows are consumed from a step to the next rearrangement, of so many that are left."""
        return to_follow(self.follow, n_left, self.plan.n_rows, step * self.plan.rows_per_step)

    def __call__(self, step: int) -> NDArray[np.int64]:
        """See `righttime.training.Plan.orders`."""
        if step in self.read:
            return self.read[step].places
        left = self.left(step, self.read)
        return left[: self.count(step, len(left))]


def rearranged_holds(orders: FoundOrders, rows: Rows, out: Path) -> Iterator[Finding]:
    """Compare each rearrangement with the vectors beside it, and these with the model where its checkpoint was kept.

    Args:
        orders: What was rearranged.
        rows: The arrangement's rows.
        out: The arrangement's folder, which knows the target.
    """
    said, planned = orders.run.begun.settings.rearrange_every, orders.plan.rearrange_every
    yield equal("plan and settings name the steps between rearrangements", said, planned)
    found, steps = orders.read, orders.steps
    told = next((f"step {step}: {why}" for step, why in orders.wrong.items()), "")
    yield Finding("every rearrangement is there and as it was written, vectors too", not told, told)
    if told:
        return
    target, lost = open_result(out).read_again("target")
    around = None if target is None else target.rows
    wrong = ((step, _order_wrong(orders, step, around)) for step in steps)
    told = next((f"step {step}: {why}" for step, why in wrong if why), "")
    what = "every rearrangement is TMA's rounds over its vectors and the rows left"
    yield Finding(what, not told, told or f"{len(steps)} of them")
    what = "the rows embedded were those left and the target's, by their texts"
    if around is None:
        yield Finding(what, None, lost)
        return
    sides = {step: Sides(rows, around, str(one.about["text"])) for step, one in found.items()}
    told = next((f"step {step}" for step in steps if not _same_texts(orders, step, sides[step])), "")
    yield Finding(what, not told, told)
    if not told:
        yield _by_the_model(orders, sides)


def _order_wrong(orders: FoundOrders, step: int, target: Rows | None) -> str:
    """What of a rearrangement is not what its vectors give; empty where all is."""
    one, left = orders.read[step], orders.left(step, orders.read)
    count = orders.count(step, len(left))
    if (one.about["candidates"], one.about["rows"]) != (len(left), count):
        return f"it is of {one.about['candidates']:,} rows, {len(left):,} were left"
    vectors = one.vectors
    if target is not None and len(vectors) - len(left) != len(target):
        return f"it is around {len(vectors) - len(left):,} target rows, the target has {len(target):,}"
    names = tuple(target.ids) if target is not None else tuple(map(str, range(len(vectors) - len(left))))
    want = order_table(rounds_over(vectors, len(left), count), left, count, (orders.plan.ids, names))
    for name in want.column_names:
        if (name != "picked_by" or target is not None) and one.order[name].to_pylist() != want[name].to_pylist():
            pairs = zip(one.order[name].to_pylist(), want[name].to_pylist(), strict=True)
            place = next(number for number, (a, b) in enumerate(pairs) if a != b)
            return f"`{name}` differs, first in row {place:,}"
    return ""


def _same_texts(orders: FoundOrders, step: int, sides: Sides) -> bool:
    left = orders.left(step, orders.read)
    texts, about = sides.embedded(left), orders.read[step].about
    now = ids_sha256(texts[: len(left)]), ids_sha256(texts[len(left) :])
    return now == (about["rows_sha256"], about["target_sha256"])


def _by_the_model(orders: FoundOrders, sides: dict[int, Sides]) -> Finding:
    """The vectors against those that checkpoints of the same steps give."""
    what = "the vectors are those of the model of that step"
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
    """How far the vectors of a checkpoint's model lie from the stored ones at most, and how far they may."""
    from righttime.training.live import represented_by

    one, begun = orders.read[step], orders.run.begun
    left = orders.left(step, orders.read)
    done = represented_by(
        load_evaluated(str(path)),
        load_tokenizer(str(path)),
        sides.embedded(left),
        len(left),
        begun.settings,
        name=begun.model.name,
        step=step,
        max_length=begun.rows.max_length,
        folder=None,
    )
    stored = one.vectors
    if stored.shape != done.vectors.shape:
        raise StoreError(f"vectors must have the shape {done.vectors.shape}, got {stored.shape}")
    bound = min(_CLOSE[begun.settings.precision] * amplification(done.about), _FARTHEST)
    return float(np.abs(stored - done.vectors).max()), bound
