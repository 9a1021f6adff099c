"""A nested method's order within caps: walked from the front, as deep as it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from righttime.arrangement.caps import Cap, Room
from righttime.arrangement.methods.distance import in_order
from righttime.arrangement.selection import Selection, SelectionInput

__all__ = ["times_walked", "walked"]


def walked(order: Callable[[SelectionInput], Selection], inputs: SelectionInput) -> Selection:
    """A nested method's order, walked from the front: rows of a task or source that is full are skipped.

    Args:
        order: The method.
        inputs: With caps in rows.
    """
    n, wanted = len(inputs.pool), inputs.budget
    for deep in _depths(n, wanted):
        found = order(dataclasses.replace(inputs, budget=deep, caps=()))
        places = Room(inputs.caps).within(found.order[:deep], wanted)
        if deep == n or len(places) == wanted:
            break
    return in_order(found, places)


def times_walked(caps: Sequence[Cap], n: int, wanted: int | None) -> int:
    """How often `walked` asks the method, if its order has nothing to do with tasks and sources.

    Args:
        caps: In rows, with the names of `n` rows.
        n: Rows of the pool.
        wanted: The budget.
    """
    order, times = np.random.default_rng(0).permutation(n), 0
    for times, deep in enumerate(_depths(n, wanted), 1):  # noqa: B007 - the last one counts
        if len(Room(caps).within(order[:deep], wanted)) == wanted:
            break
    return times


def _depths(n: int, wanted: int | None) -> Iterator[int]:
    """How many rows are looked at, until they suffice: all in the end."""
    deep = n if wanted is None else min(n, 2 * wanted)
    while deep < n:
        yield deep
        deep = min(n, 4 * deep)
    yield n
