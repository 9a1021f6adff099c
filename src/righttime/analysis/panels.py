"""What the figures of a comparison share: captions with n, looks of orders, lines with bands, axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from righttime.analysis.analyse import Analysis
from righttime.analysis.curves import Point
from righttime.analysis.verdict import replicates_told, rows_told
from righttime.drawing import GRID, captioned, short, stroke

__all__ = ["bands", "grid", "lines", "look", "new_figure", "sample", "step_axis"]

_SPREAD = 8  # from so many times the first step on, steps are shown by their logarithm
_CHARACTER = 0.62  # the width of a digit, of the size of its font


def new_figure(
    analysis: Analysis, shape: tuple[int, int], height: float, caption: str, width: float = 7.5
) -> tuple[Any, Any]:
    """A figure with a caption and room for a legend of the orders; see `righttime.drawing.captioned`."""
    orders = list(dict.fromkeys(run.order for run in analysis.runs))
    return captioned(shape, height, caption, orders, width)


def grid(analysis: Analysis, number: int, caption: str, columns: int = 2, height: float = 3.0) -> tuple[Any, Any]:
    """A figure of so many panels of one height, in inches, side by side and below each other."""
    columns = min(columns, number)
    rows = -(-number // columns)
    figure, panels = new_figure(analysis, (rows, columns), 0.4 + height * rows, caption, 5.0 + 4.5 * (columns > 1))
    for panel in panels[number:]:
        panel.set_visible(False)
    return figure, panels[:number]


def look(analysis: Analysis, order: str) -> dict[str, Any]:
    """The same colour, line and mark for an order in every figure."""
    return stroke(list(dict.fromkeys(run.order for run in analysis.runs)).index(order))


def lines(panel: Any, analysis: Analysis, points: Sequence[Point]) -> None:
    """One line for each order, with its band; where there is none, each replicate as a faint line."""
    orders = list(dict.fromkeys(one.order for one in points))
    for order in orders:
        here, its = [one for one in points if one.order == order], look(analysis, order)
        steps = [one.step for one in here]
        # A label that begins with an underscore would be left out of the legend.
        panel.plot(steps, [one.mean for one in here], linewidth=1.6, markersize=3.5, label=f" {short(order)}", **its)
        if any(one.band for one in here):  # at a step where nothing varies, as often at 0, it has no width
            low, high = zip(*(one.band or (one.mean, one.mean) for one in here), strict=True)
            alpha = 0.15 if len(orders) < 4 else 0.08
            panel.fill_between(steps, low, high, color=its["color"], alpha=alpha, linewidth=0)
            for edge in (low, high):
                panel.plot(steps, edge, color=its["color"], alpha=0.45, linewidth=0.6)
        elif len(here[0].each) > 1:
            for each in zip(*(one.each for one in here), strict=True):
                panel.plot(steps, each, linewidth=0.6, alpha=0.5, color=its["color"], linestyle=its["linestyle"])
    step_axis(panel, sorted({one.step for one in points}))


def step_axis(panel: Any, steps: Sequence[int], label: bool = True) -> None:
    """The axis of steps: by their logarithm, with the evaluated steps named, where they span a wide range.

    Args:
        panel: The panel.
        steps: The steps shown, rising.
        label: Whether the axis has a label.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

    first = next((step for step in steps if step > 0), 0)
    wide = first > 0 and steps[-1] >= _SPREAD * first
    if wide:
        # From 0 to the first step it is as far as from there to twice that.
        panel.set_xscale("symlog", base=2, linthresh=first, linscale=0.5)
        named = _named_steps(steps, [_place(step, first) for step in steps], _width(panel))
        panel.xaxis.set_major_locator(FixedLocator(named))
        panel.xaxis.set_major_formatter(FixedFormatter([f"{step:,}" for step in named]))
        panel.xaxis.set_minor_locator(FixedLocator([step for step in steps if step not in named]))
    else:
        panel.xaxis.set_major_locator(MaxNLocator(nbins=max(2, min(8, int(2 * _width(panel)))), integer=True))
    if label:
        panel.set_xlabel(f"optimizer steps (log from {first:,})" if wide else "optimizer steps")
    panel.grid(**GRID)
    panel.margins(x=0.02)


def _place(step: int, first: int) -> float:
    return step / first if step <= first else 1 + math.log2(step / first)


def _width(panel: Any) -> float:
    """About how wide a panel is, in inches, before it is laid out."""
    columns = panel.get_subplotspec().get_gridspec().ncols
    return float(panel.figure.get_figwidth() / columns - 0.8)


def _named_steps(steps: Sequence[int], places: Sequence[float], width: float) -> list[int]:
    """The steps whose names have room: the first, the last, and what lies between them without touching.

    Example:
        >>> _named_steps([0, 1, 2, 3], [0, 1, 2, 2.1], 3.0)
        [0, 1, 3]
    """
    scale = width / max(places[-1] - places[0], 1e-9)

    def room(one: int, other: int) -> bool:
        characters = len(f"{steps[one]:,}") + len(f"{steps[other]:,}")
        return abs(places[one] - places[other]) * scale > (characters / 2 + 1) * _CHARACTER * 10 / 72

    named, last = [0], len(steps) - 1
    for place in range(1, last):
        if room(named[-1], place) and room(place, last):
            named.append(place)
    return [steps[place] for place in (*named, last)]


def bands(points: Sequence[Point]) -> str:
    """What the bands are, for a caption."""
    if any(one.band for one in points):
        return "bands: 95% t intervals over replicates, at each step alone"
    return "no bands: fewer than three replicates, or nothing varies between them"


def sample(analysis: Analysis) -> str:
    """How many replicates and judge rows there are, for a caption."""
    orders = len({run.order for run in analysis.runs})
    return f"{orders} orders, {replicates_told(analysis)} of each, {rows_told(analysis)} in each"
