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
from righttime.leaving import Detail, LeftOutRows
from righttime.results.request import Request
from righttime.rows import Rows, as_numbers

__all__ = ["not_chosen"]


def not_chosen(
    rows: Rows,
    kept: Sequence[int],
    arrangement: Arrangement,
    request: Request,
    best: NDArray[np.float32] | None,
    others: int = 0,
) -> Sequence[LeftOut]:
    """The rows that took part and are not in the order: too dissimilar to any target row, or not chosen.

    Args:
        rows: The whole pool.
        kept: The rows that took part, ascending.
        arrangement: The order.
        request: What was asked for.
        best: Of each row that took part its similarity to its most similar target row; None without a least one.
        others: How many of `kept`, the last, could only be woven among the arranged rows.
    """
    numbers, full = as_numbers(kept), _full(rows, arrangement)
    far = np.zeros(len(numbers), dtype=np.bool_) if best is None else ~reaches(best, request.min_similarity)
    out = np.flatnonzero(far | ~np.isin(numbers, arrangement.order))
    detail = f"not among the rows that {_limits(arrangement, request)} took"
    not_drawn = f"not among the rows of {without_secrets(request.woven_pool or '')} that were drawn to be woven"

    def in_vain(place: int) -> str:
        return detail if out[place] < len(numbers) - others else not_drawn

    def too_dissimilar(place: int) -> str:
        at = 0.0 if best is None else best[out[place]]
        return f"its most similar target row is at {at:.4f}, below {request.min_similarity:g}"

    def too_many(place: int) -> str:
        return (full(int(numbers[out[place]])) or ("", ""))[1]

    caps = [f"{of}-full" for of in arrangement.settings.get("caps", {})]
    why: dict[str, Detail] = {"not-chosen": in_vain if others else detail, "too-dissimilar": too_dissimilar}
    why |= dict.fromkeys(caps, too_many)
    which = far[out].astype(np.int8)
    for place in np.flatnonzero(~far[out]).tolist() if caps else ():
        if said := full(int(numbers[out[place]])):
            which[place] = 2 + caps.index(said[0])
    return LeftOutRows(rows, numbers[out], why, which)


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
