"""A nested method's order within caps: walked from the front, as deep as it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from righttime.arrangement.caps import Room
from righttime.arrangement.methods.distance import in_order
from righttime.arrangement.selection import Selection, SelectionInput

__all__ = ["walked"]


def walked(order: Callable[[SelectionInput], Selection], inputs: SelectionInput) -> Selection:
    """A nested method's order, walked from the front: rows of a task or source that is full are skipped.

    Args:
        order: The method.
        inputs: With caps in rows.
    """
    n, wanted = len(inputs.pool), inputs.budget
    deep = n if wanted is None else min(n, 2 * wanted)
    while True:
        found = order(dataclasses.replace(inputs, budget=deep, caps=()))
        places = Room(inputs.caps).within(found.order[:deep], wanted)
        if deep == n or len(places) == wanted:
            return in_order(found, places)
        deep = min(n, 4 * deep)
