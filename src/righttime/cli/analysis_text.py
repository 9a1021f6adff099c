"""An analysis as a person reads it on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from righttime.cli.flags import in_flags
from righttime.cli.text import printable, table

if TYPE_CHECKING:
    from righttime.analysis import Analysis
    from righttime.experiment import Outcome

__all__ = ["analysis_lines", "matrix_table", "orders_table"]


def analysis_lines(analysis: Analysis) -> list[str]:
    """The table of orders, the verdict, and what limits it."""
    from righttime.analysis import verdict

    notes = [f"note: {printable(in_flags(note))}" for note in analysis.notes]
    return [orders_table(analysis), "", printable(verdict(analysis)), *([""] if notes else []), *notes]


def orders_table(analysis: Analysis) -> str:
    """Each order in one line."""
    lines = []
    for order in dict.fromkeys(run.order for run in analysis.runs):
        here = [run for run in analysis.runs if run.order == order]
        over = [one for one in analysis.onsets if one.order == order and one.replicate is None]
        single = [one for one in analysis.onsets if one.order == order and one.replicate is not None]
        onsets = sorted(one.step for one in over or single if one.step is not None)
        onset = "-" if not onsets else f"{onsets[0]:,}" + (f" to {onsets[-1]:,}" if onsets[-1] > onsets[0] else "")
        means = [sum(getattr(run, name) for run in here) / len(here) for name in ("first", "last", "area")]
        lines.append([order, str(len(here)), *(f"{mean:.4f}" for mean in means), onset])
    first, last = analysis.steps[0], analysis.steps[-1]
    return table(["order", "replicates", f"step {first:,}", f"step {last:,}", "area", "onset"], lines)


def matrix_table(found: Outcome) -> str:
    """Each order's runs and how far they are."""
    orders = list(dict.fromkeys(cell.order for cell, _ in found.states))
    numbers = sorted({cell.replicate for cell, _ in found.states})
    states = {(cell.order, cell.replicate): state for cell, state in found.states}
    lines = [[name, *(states[name, number] for number in numbers)] for name in orders]
    return table(["runs", *(f"replicate {number}" for number in numbers)], lines)
