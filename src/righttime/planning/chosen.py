"""What is done with the chosen rows before they are written: their lengths for a shape, rows woven among them."""

from __future__ import annotations

import numpy as np

from righttime.arrangement import SelectionInput
from righttime.arrangement.shapes import length_scores, read_shape, shape_bytes
from righttime.arrangement.weaving import drawn_in_turn, weave_bytes
from righttime.planning.stages import Stage, timed
from righttime.results import Request
from righttime.rows import Rows

__all__ = ["chosen_stages"]

_TEXTS = 2_000  # rows whose length is looked at
_DRAWN = 1 << 17  # rows that are drawn from


def chosen_stages(rows: Rows, n_own: int, n_pool: int, request: Request, asked: SelectionInput) -> list[Stage]:
    """The stages between order and writing that take time or memory; a loss that a shape goes by is one of its own.

    Args:
        rows: Rows of the pool, or some of them.
        n_own: Rows of the pool that the method may choose.
        n_pool: The same with those that can only be woven.
        request: The settings.
        asked: What the method is asked, with what is woven.
    """
    found, shape = [], read_shape(request.shape)
    budget = asked.own.budget or n_own
    if shape is not None and shape.model is None:
        seconds, note = 0.0, f"{shape.given}: sorted by what the method knows"
        if shape.scored:
            some = np.linspace(0, len(rows) - 1, min(len(rows), _TEXTS)).astype(int)
            scores = length_scores(lambda numbers: rows.texts("all", numbers))
            seconds = timed(lambda: scores(some)) * budget / len(some)
            note = f"{shape.given}: lengths of {budget:,} rows, measured on {len(some):,}"
        found.append(Stage("shape", 1, seconds, 0, 0, note, shape_bytes(budget)))
    if asked.weave is not None:
        there = n_pool - n_own if asked.weave.pool else n_own - budget
        some = np.arange(min(max(1, there), _DRAWN))
        seconds = timed(lambda: drawn_in_turn(some, len(some), 0)) * there / len(some)
        total = asked.budget or (asked.weave.total(budget) if asked.weave.last is None else budget)
        note = f"{total - budget:,} rows drawn from {there:,}"
        found.append(Stage("weave", 1, seconds, 0, 0, note, weave_bytes(n_pool)))
    return found
