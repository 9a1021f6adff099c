"""Which rows took part in vain, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement
from righttime.arrangement.floor import reaches
from righttime.examples import LeftOut
from righttime.formats.remote import without_secrets
from righttime.results.request import Request
from righttime.rows import Rows, left_out

__all__ = ["not_chosen"]


def not_chosen(
    rows: Rows,
    kept: Sequence[int],
    arrangement: Arrangement,
    request: Request,
    best: NDArray[np.float32] | None,
    others: int = 0,
) -> list[LeftOut]:
    """The rows that took part and are not in the order: too dissimilar to any target row, or not chosen.

    Args:
        rows: The whole pool.
        kept: The rows that took part, ascending.
        arrangement: The order.
        request: What was asked for.
        best: Of each row that took part its similarity to its most similar target row; None without a least one.
        others: How many of `kept`, the last, could only be woven among the arranged rows.
    """
    chosen = set(arrangement.order.tolist())
    full = _full(rows, arrangement)
    far = np.zeros(len(kept), dtype=np.bool_) if best is None else ~reaches(best, request.min_similarity)
    detail = f"not among the rows that {_limits(arrangement, request)} took"
    left = []
    for place, number in enumerate(kept):
        if best is not None and far[place]:
            why = f"its most similar target row is at {best[place]:.4f}, below {request.min_similarity:g}"
            left.append(left_out(rows, number, "too-dissimilar", why))
        elif number in chosen:
            continue
        elif said := full(number):
            left.append(left_out(rows, number, *said))
        else:
            not_drawn = f"not among the rows of {without_secrets(request.woven_pool or '')} that were drawn to be woven"
            why = detail if place < len(kept) - others else not_drawn
            left.append(left_out(rows, number, "not-chosen", why))
    return left


def _full(rows: Rows, arrangement: Arrangement) -> Callable[[int], tuple[str, str] | None]:
    """Tells of a row that is not in the order whether its task or source has given all that it may: reason, detail."""
    names = {"task": rows.tasks, "source": rows.sources}
    caps = arrangement.settings.get("caps", {})
    counts = {of: Counter(names[of][row] for row in arrangement.order.tolist()) for of in caps}

    def said(number: int) -> tuple[str, str] | None:
        for of, most in caps.items():
            name = names[of][number]
            if counts[of][name] >= most:
                return f"{of}-full", f"its {of} {name} has the {most} rows that `cap_{of}` allows"
        return None

    return said


def _limits(arrangement: Arrangement, request: Request) -> str:
    """What bounds the order: rounds, a budget, or else the method itself."""
    limits = []
    if request.rounds is not None:
        start, stop = request.rounds
        limits.append(f"rounds {start}:{'' if stop is None else stop}")
    if request.budget is not None:
        share = f" ({request.budget})" if isinstance(request.budget, str) else ""
        limits.append(f"budget {arrangement.settings['budget']}{share}")
    return " and ".join(limits) or f"method {request.method}"
