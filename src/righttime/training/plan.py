"""Which rows each process consumes at each step: planned before training, and what the oracle holds training to.

A row's *place* is its number in the arrangement, from 0. A *step* is one optimizer step, counted from 0 over all
epochs; it consumes the next ``world × batch × accumulation`` places of its epoch's order. Inside a step come
*micro-batches*: in micro-batch m, process p takes the next `batch` places after those of process p - 1. So a step is
one consecutive block of the order, on one process as on several. The last step of an epoch takes what is left, filled
in the same way; a process for which nothing is left takes an empty micro-batch.

With `batch_tokens` a step consumes the same rows, but inside it they are grouped by length; with `pack_tokens` they are
packed in order: see `righttime.training.layout`.

With `rearrange_every` the order is the arrangement's for so many steps. After each so many the places that are left get
another order, which is known only when training gets there: see `righttime.training.rearranged`. So steps are laid out
one by one, none before it is asked for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.store import ids_sha256
from righttime.training.layout import packed_layout, step_layout

__all__ = ["Batch", "Orders", "Plan"]

Orders = Callable[[int], NDArray[np.int64]]
"""Gives of a step after which rows are rearranged the places that are consumed until the next one, in order."""


@dataclass(frozen=True)
class Batch:
    """One micro-batch of one process, as planned.

    Attributes:
        step: The optimizer step, from 0.
        micro: The micro-batch in that step, from 0.
        process: The process, from 0.
        epoch: The epoch, from 0.
        places: The places in the arrangement, in order; empty where nothing is left for this process.
    """

    step: int
    micro: int
    process: int
    epoch: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The planned consumption of an arrangement.

    Attributes:
        ids: The rows' ids in the order of the arrangement; all different.
        epochs: How often every row is consumed.
        world: How many processes train.
        batch: Rows of one micro-batch of one process.
        accumulation: Micro-batches of one step.
        shuffle_after: Follow the arrangement for so many steps, then shuffle what is left of that epoch, and every
            later epoch whole; None follows it in every epoch.
        seed: Decides those shuffles.
        batch_tokens: Group the rows of a step by length into micro-batches of at most so many tokens with padding;
            None keeps them in order.
        lengths: With `batch_tokens` or `pack_tokens`: the tokens of each row.
        pack_tokens: Pack the rows of a step in order, each whole, into sequences of at most so many tokens, one for a
            micro-batch; None packs nothing.
        rearrange_every: Rearrange what is left after each so many steps; None never.
        orders: With `rearrange_every`: what is rearranged.
        beyond: How many of the ids, the last, are of another pool: they are consumed only where rearranging takes them,
            in the place of others.

    Raises:
        SettingsError: If a number is out of range, there is no row, an id stands twice, there is not a length for each
            row, or rows are to be both grouped and packed.

    Example:
        >>> plan = Plan(("a", "b", "c", "d", "e"), world=2, batch=1)
        >>> [batch.places for batch in plan.batches(process=0)], [batch.places for batch in plan.batches(process=1)]
        ([(0,), (2,), (4,)], [(1,), (3,), ()])
    """

    ids: tuple[str, ...]
    epochs: int = 1
    world: int = 1
    batch: int = 1
    accumulation: int = 1
    shuffle_after: int | None = None
    seed: int = 0
    batch_tokens: int | None = None
    lengths: tuple[int, ...] = ()
    pack_tokens: int | None = None
    rearrange_every: int | None = None
    orders: Orders | None = field(default=None, compare=False, repr=False)
    beyond: int = 0

    def __post_init__(self) -> None:
        positive = ("epochs", "world", "batch", "accumulation", "batch_tokens", "pack_tokens", "rearrange_every")
        for name in positive:
            if (value := getattr(self, name)) is not None and value < 1:
                raise SettingsError(f"{name} must be at least 1, got {value}.", setting=name)
        if self.shuffle_after is not None and self.shuffle_after < 0:
            raise SettingsError(
                f"shuffle_after must not be negative, got {self.shuffle_after}.", setting="shuffle_after"
            )
        if not self.ids:
            raise SettingsError("a plan must have at least one row, got none.")
        if len(set(self.ids)) != len(self.ids):
            twice = Counter(self.ids).most_common(1)[0][0]
            raise SettingsError(f"the ids of a plan must all be different, got {twice!r} twice.")
        if self.batch_tokens is not None and self.pack_tokens is not None:
            raise SettingsError(
                f"rows must be either grouped or packed, got batch_tokens {self.batch_tokens} and pack_tokens "
                f"{self.pack_tokens}.",
                setting="pack_tokens",
            )
        if self.by_length and len(self.lengths) != len(self.ids):
            given = "batch_tokens" if self.pack_tokens is None else "pack_tokens"
            raise SettingsError(
                f"with {given} a plan must have a length for each of {len(self.ids)} rows, got {len(self.lengths)}.",
                setting="lengths",
            )

        if self.beyond and (self.rearrange_every is None or not 0 < self.beyond < len(self.ids)):
            raise SettingsError(
                f"beyond must be some of the {len(self.ids):,} rows of a plan with rearrange_every, got {self.beyond}.",
                setting="beyond",
            )
        if self.rearrange_every is not None and (self.epochs > 1 or self.shuffle_after is not None):
            raise SettingsError(
                "with rearrange_every a plan must have one epoch and no shuffle, got "
                f"{self.epochs} epochs and shuffle_after {self.shuffle_after}.",
                setting="rearrange_every",
            )
        if self.pack_tokens is not None and 0 in self.lengths:
            raise SettingsError(
                f"with pack_tokens every row must have a token, got none in {self.ids[self.lengths.index(0)]!r}.",
                setting="pack_tokens",
            )

    @property
    def by_length(self) -> bool:
        """Whether the layout inside a step follows from the rows' lengths, so that steps differ in micro-batches."""
        return self.batch_tokens is not None or self.pack_tokens is not None

    @property
    def n_rows(self) -> int:
        """Rows that an epoch consumes."""
        return len(self.ids) - self.beyond

    @property
    def rows_per_step(self) -> int:
        """Rows that one optimizer step consumes: world × batch × accumulation."""
        return self.world * self.batch * self.accumulation

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch, the last one perhaps of fewer rows."""
        return -(-self.n_rows // self.rows_per_step)

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all epochs."""
        return self.epochs * self.steps_per_epoch

    @property
    def rearranged_at(self) -> range:
        """The steps before which what is left is rearranged.

        Example:
            >>> list(Plan(tuple("abcdefg"), rearrange_every=2).rearranged_at)
            [2, 4, 6]
        """
        return range(self.rearrange_every, self.n_steps, self.rearrange_every) if self.rearrange_every else range(0)

    def micros_in(self, epoch: int) -> int:
        """Micro-batches of each process in an epoch: the same number for all, so that none waits for another."""
        if not self.by_length:
            return -(-self.n_rows // (self.world * self.batch))
        return sum(len(step) for step in self._layouts(epoch))

    @cached_property
    def n_batches(self) -> int:
        """Micro-batches of all processes in all epochs."""
        return self.world * sum(self.micros_in(epoch) for epoch in range(self.epochs))

    def consumed(self, steps: int) -> int:
        """Rows that so many optimizer steps consume.

        Example:
            >>> plan = Plan(tuple("abcde"), epochs=2, batch=2)
            >>> [plan.consumed(steps) for steps in (0, 1, 3, 4, 6)]
            [0, 2, 5, 7, 10]
        """
        epochs, more = divmod(steps, self.steps_per_epoch)
        return epochs * self.n_rows + more * self.rows_per_step

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The places in the order in which an epoch consumes them, but for what is rearranged.

        Returns:
            int64, shape (n,), a permutation of range(n).

        Example:
            >>> Plan(tuple("abcdef"), shuffle_after=2).order(0).tolist()
            [0, 1, 4, 2, 3, 5]
        """
        places = np.arange(self.n_rows, dtype=np.int64)
        if self.shuffle_after is None:
            return places
        steps_before = epoch * self.steps_per_epoch
        kept = max(0, self.shuffle_after - steps_before) * self.rows_per_step
        rest = places[kept:]
        return np.concatenate([places[:kept], np.random.default_rng([self.seed, epoch]).permutation(rest)])

    def batches(self, process: int, epoch: int | None = None) -> Iterator[Batch]:
        """The micro-batches of one process in their order.

        Args:
            process: The process, from 0.
            epoch: Only this epoch's; None takes all.
        """
        for number in range(self.epochs) if epoch is None else (epoch,):
            for together in self.steps(process, number):
                yield from together

    def steps(self, process: int, epoch: int) -> Iterator[list[Batch]]:
        """The same of an epoch, the micro-batches of each step together; a step is laid out when it is asked for."""
        first = epoch * self.steps_per_epoch
        for step, layout in enumerate(self._layouts(epoch), first):
            yield [Batch(step, micro, process, epoch, places[process]) for micro, places in enumerate(layout)]

    def all_batches(self) -> Iterator[Batch]:
        """The micro-batches of all processes, by step, micro-batch and process: the order of the rows."""
        for together in zip(*(self.batches(process) for process in range(self.world)), strict=True):
            yield from together

    def facts(self) -> dict[str, Any]:
        """Everything that decides the plan, ids and lengths as their sha256; nothing of a layout that there is not.

        So a plan without one has the fingerprint that earlier versions gave it.
        """
        apart = ("ids", "batch_tokens", "lengths", "pack_tokens", "rearrange_every", "orders", "beyond")
        facts = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self) if entry.name not in apart}
        own, more = self.ids[: self.n_rows], self.ids[self.n_rows :]
        facts = {"rows": len(own), "ids_sha256": ids_sha256(own), **facts}
        facts |= {"beyond": len(more), "beyond_sha256": ids_sha256(more)} if more else {}
        facts |= {"rearrange_every": self.rearrange_every} if self.rearrange_every is not None else {}
        if not self.by_length:
            return facts
        budgets = {"batch_tokens": self.batch_tokens, "pack_tokens": self.pack_tokens}
        facts |= {name: budget for name, budget in budgets.items() if budget is not None}
        return {**facts, "lengths_sha256": ids_sha256(map(str, self.lengths))}

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of `facts`: equal for equal plans only."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()

    def _layouts(self, epoch: int) -> Iterator[Sequence[tuple[tuple[int, ...], ...]]]:
        """For each step of an epoch its micro-batches, and for each of them the places of every process."""
        for order in self._stretches(epoch):
            for start in range(0, len(order), self.rows_per_step):
                yield self._laid_out(order[start : start + self.rows_per_step])

    def _stretches(self, epoch: int) -> Iterator[list[int]]:
        """The places of an epoch in their order, a stretch of steps at a time."""
        order = self.order(epoch).tolist()
        if self.rearrange_every is None:
            yield order
            return
        if self.orders is None:
            raise SettingsError("with rearrange_every a plan must be given the orders, got none.", setting="orders")
        yield order[: self.rearrange_every * self.rows_per_step]
        for step in self.rearranged_at:
            yield self.orders(step).tolist()

    def _laid_out(self, block: list[int]) -> Sequence[tuple[tuple[int, ...], ...]]:
        """The micro-batches of one step, and for each of them the places of every process."""
        if self.by_length:
            laid_out = step_layout if self.pack_tokens is None else packed_layout
            return laid_out(block, self.lengths, self.batch_tokens or self.pack_tokens or 1, self.world)
        together = self.world * self.batch
        return [
            tuple(
                tuple(block[at + process * self.batch : at + (process + 1) * self.batch])
                for process in range(self.world)
            )
            for at in range(0, len(block), together)
        ]
