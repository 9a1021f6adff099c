"""The comparison in one paragraph."""

from __future__ import annotations

import math

from righttime.analysis.analyse import Analysis
from righttime.analysis.differences import LEAST, Difference
from righttime.analysis.harm import Harm

__all__ = ["digits", "replicates_told", "rows_told", "verdict"]


def verdict(analysis: Analysis) -> str:
    """What the primary comparison says of each order, what harm there may be, and what limits it."""
    told = [_order(one) for one in analysis.differences]
    several = len(analysis.differences) > 1 and any(one.simultaneous for one in analysis.differences)
    basis = (
        f"Compared is the area under the loss curve from step {analysis.steps[0]:,} to {analysis.steps[-1]:,}, divided "
        f"by that range; {replicates_told(analysis)} of {rows_told(analysis)}"
    )
    basis += f"; the intervals hold for all {len(told)} orders at once with 95%." if several else "."
    harms = [_harm(one, analysis.baseline) for one in analysis.harm if one.against == "baseline"]
    return " ".join([*told, basis, *harms, *_deciding(analysis)])


def _order(one: Difference) -> str:
    n = f"{one.replicates} replicates" if one.replicates != 1 else "1 replicate"
    if one.simultaneous is None or one.visible is None:
        why = f"it takes {LEAST} replicates, here are {one.replicates}"
        if one.replicates >= LEAST:
            why = f"nothing varies between the {n}"
        return f"No verdict on {one.order} against {one.baseline}: {why} (mean difference {_number(one.mean)})."
    places = digits(one.simultaneous[1] - one.mean)
    low, high = one.simultaneous
    could = f"smallest difference that {n} could show: {one.visible:.{places}f}"
    if one.verdict in ("lower", "higher"):
        does, by = ("lowers", (-high, -low)) if one.verdict == "lower" else ("raises", (low, high))
        size = f"{abs(one.mean):.{places}f} [{by[0]:.{places}f}, {by[1]:.{places}f}]"
        wider = " (Holm's test tells them apart; the simultaneous interval is wider)" if low <= 0 <= high else ""
        return f"{one.order} {does} the loss on the judge rows by {size} against {one.baseline}{wider}; {could}."
    size = f"{one.mean:.{places}f} [{low:.{places}f}, {high:.{places}f}]"
    needed = f"about {one.needed:,} replicates" if one.needed else "more than 1,000 replicates"
    return (
        f"{one.order} and {one.baseline} cannot be told apart: difference {size}; {could}; a true difference of "
        f"{abs(one.mean):.{places}f} would need {needed}."
    )


def _harm(one: Harm, baseline: str) -> str:
    what = f"the loss on {one.set} after {one.step:,} steps of {one.order}"
    if one.bound is None:
        return (
            f"How far {what} may lie above that of {baseline} cannot be bounded from these replicates "
            f"(mean {_number(one.mean)})."
        )
    places = digits(one.bound - one.mean)
    lies = f"below that of {baseline} by at least" if one.bound < 0 else f"above that of {baseline} by at most"
    return f"Harm: {what} lies {lies} {abs(one.bound):.{places}f} (mean {one.mean:.{places}f})."


def _deciding(analysis: Analysis) -> list[str]:
    firsts = [one for one in analysis.deciding if one.first != one.first_without]
    if not firsts:
        return []
    others = len(firsts) - 1
    more = f" (so it does without any of {others} other tasks)" if others > 1 else ""
    more = " (so it does without one other task)" if others == 1 else more
    one = firsts[0]
    return [f"One task decides the ranking: without {one.task}, {one.first_without} comes before {one.first}{more}."]


def replicates_told(analysis: Analysis) -> str:
    """How many replicates there are.

    Returns:
        ``3 replicates``, or ``2 to 3 replicates``.
    """
    counts = [sum(run.order == order for run in analysis.runs) for order in {run.order for run in analysis.runs}]
    return _range(counts, "replicate")


def rows_told(analysis: Analysis) -> str:
    """How many judge rows a replicate has."""
    return _range([run.rows for run in analysis.runs], "judge row")


def _range(counts: list[int], what: str) -> str:
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low:,} {what}{'' if low == 1 else 's'}"
    return f"{low:,} to {high:,} {what}s"


def digits(width: float) -> int:
    """So many decimals that the width of an interval has two figures.

    Example:
        >>> digits(0.04), digits(0.4)
        (3, 2)
    """
    return max(2, min(6, 1 - math.floor(math.log10(width)))) if width > 0 else 3


def _number(value: float) -> str:
    return f"{value:.3f}"
