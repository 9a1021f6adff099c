"""Pictures of a comparison as SVG and PNG, where matplotlib is installed (the extra `report`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from righttime.analysis.analyse import Analysis
from righttime.analysis.comparable import PRIMARY
from righttime.analysis.described_figures import drops_figure, measured_figure, metrics_figure
from righttime.analysis.panels import bands, grid, lines, look, new_figure, sample
from righttime.analysis.verdict import replicates_told
from righttime.drawing import GRID, UNIT, legend, pictures, short, value_ticks

__all__ = ["FIGURES", "figures"]


def figures(analysis: Analysis) -> dict[str, bytes]:
    """All figures by file name; none where matplotlib is not installed, and none with nothing to show.

    ``curves``: the loss on the judge rows by step. ``differences``: from the baseline, by step and in the area.
    ``tasks``: differences by task. ``harm``: the loss on other sets by step. ``metrics``: every metric of the judge
    rows. ``drops``: the tasks whose loss fell most at once. ``measured``: the data-set measures against the loss.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return {}
    found: dict[str, bytes] = {}
    for name, draw in FIGURES.items():
        if (figure := draw(analysis)) is not None:
            found |= pictures(name, figure)
    return found


def _curves(analysis: Analysis) -> Any:
    points = [one for one in analysis.curves if (one.set, one.metric) == (analysis.judge, PRIMARY)]
    caption = f"Mean loss on the judge rows. {sample(analysis)}; {bands(points)}."
    figure, (panel,) = new_figure(analysis, (1, 1), 4.0, caption)
    lines(panel, analysis, points)
    panel.set_ylabel(UNIT)
    legend(figure, panel)
    return figure


def _differences(analysis: Analysis) -> Any:
    points = [one for one in analysis.paired if (one.set, one.metric) == (analysis.judge, PRIMARY)]
    with_intervals = any(one.simultaneous for one in analysis.differences)
    right = "simultaneous 95% intervals" if with_intervals else "no intervals: too few replicates, or nothing varies"
    caption = (
        f"Loss on the judge rows minus that of {analysis.baseline}, paired by replicate; below 0 is better. Left: by "
        f"step; {bands(points)}. Right: area under the curve; {right}; small marks are replicates. {sample(analysis)}."
    )
    figure, (left, panel) = new_figure(analysis, (1, 2), 3.4 + 0.12 * len(analysis.differences), caption, 9.5)
    lines(left, analysis, points)
    left.axhline(0, color="#444444", linewidth=0.8)
    left.set_ylabel(f"difference in {UNIT}")
    legend(figure, left)
    for place, one in enumerate(analysis.differences):
        its = {**look(analysis, one.order), "linestyle": "none"}
        panel.plot(one.each, [place + 0.22] * one.replicates, **{**its, "markersize": 3.5, "alpha": 0.6})
        if one.simultaneous:
            panel.plot(one.simultaneous, [place, place], color=its["color"], linewidth=2)
        panel.plot([one.mean], [place], markersize=8, **its)
    names = [short(one.order, 24) for one in analysis.differences]
    _forest(panel, names, f"difference in area, {UNIT}")
    return figure


def _forest(panel: Any, names: Sequence[str], label: str) -> None:
    panel.axvline(0, color="#444444", linewidth=0.8)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    value_ticks(panel)
    panel.set_xlabel(label)
    panel.grid(**GRID)


def _tasks(analysis: Analysis) -> Any:
    found = [one for one in analysis.parts if one.kind == "task" and one.difference is not None]
    if not found:
        return None
    sizes: dict[str, float] = {}
    for one in found:
        sizes[one.name] = max(sizes.get(one.name, 0.0), abs(one.difference or 0.0))
    shown = sorted(sizes, key=sizes.__getitem__, reverse=True)[:30]
    whole = f"the {len(shown)} of {len(sizes)} tasks that differ most" if len(shown) < len(sizes) else "all tasks"
    caption = (
        f"Area under the loss curve of each task minus that of {analysis.baseline}, mean over replicates; below 0 is "
        f"better; {whole}. Descriptive: no intervals. {sample(analysis)}."
    )
    orders = list(dict.fromkeys(one.order for one in found))
    figure, (panel,) = new_figure(analysis, (1, 1), 1.2 + (0.2 + 0.04 * len(orders)) * len(shown), caption)
    for number, order in enumerate(orders):
        here = [one for one in found if one.order == order and one.name in shown]
        its = {**look(analysis, order), "linestyle": "none", "markersize": 5}
        aside = 0.6 * ((number + 0.5) / len(orders) - 0.5)  # so that equal values do not hide each other
        places = [shown.index(one.name) + aside for one in here]
        panel.plot([one.difference for one in here], places, label=f" {short(order)}", **its)
    _forest(panel, [short(name) for name in shown], f"difference in area, {UNIT}")
    panel.grid(visible=False, axis="y")
    for place in range(1, len(shown)):
        panel.axhline(place - 0.5, color="#dddddd", linewidth=0.6)
    legend(figure, panel)
    return figure


def _harm(analysis: Analysis) -> Any:
    points = [one for one in analysis.curves if one.metric == PRIMARY and one.set != analysis.judge]
    sets = list(dict.fromkeys(one.set for one in points))
    if not sets:
        return None
    orders = len({one.order for one in points})
    caption = f"Mean loss on other sets. {orders} orders, {replicates_told(analysis)} of each; {bands(points)}."
    figure, panels = grid(analysis, len(sets), caption)
    for panel, name in zip(panels, sets, strict=True):
        lines(panel, analysis, [one for one in points if one.set == name])
        panel.set_title(short(name), fontsize=10)
        panel.set_ylabel(UNIT)
    legend(figure, panels[0])
    return figure


FIGURES: dict[str, Callable[[Analysis], Any]] = {
    "curves": _curves,
    "differences": _differences,
    "tasks": _tasks,
    "harm": _harm,
    "metrics": metrics_figure,
    "drops": drops_figure,
    "measured": measured_figure,
}
