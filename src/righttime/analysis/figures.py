"""Pictures of a comparison as SVG and PNG, where matplotlib is installed (the extra `report`)."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from righttime.analysis.analyse import Analysis
from righttime.analysis.comparable import PRIMARY
from righttime.analysis.curves import Point
from righttime.analysis.verdict import replicates_told, rows_told

__all__ = ["COLOURS", "FIGURES", "figures"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart by colour-blind readers too."""

_STYLES, _MARKS = ("-", "--", ":", "-."), "osD^vPX*"
_UNIT = "loss (nats per token)"


def figures(analysis: Analysis) -> dict[str, bytes]:
    """All figures by file name; none where matplotlib is not installed.

    ``curves``: the loss on the judge rows by step. ``differences``: from the baseline, by step and in the area.
    ``tasks``: differences by task, where rows have tasks. ``harm``: the loss on other sets by step, where there are
    any.
    """
    try:
        import matplotlib
    except ImportError:
        return {}
    found = {}
    # Without a salt of its own every SVG would have other ids.
    with matplotlib.rc_context({"svg.hashsalt": "righttime", "font.size": 10}):
        for name, draw in FIGURES.items():
            if (figure := draw(analysis)) is not None:
                found[f"{name}.svg"] = _bytes(figure, "svg", {"Date": None})
                found[f"{name}.png"] = _bytes(figure, "png", {"Software": None})
    return found


def _bytes(figure: Any, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
    return buffer.getvalue()


def _figure(
    analysis: Analysis, shape: tuple[int, int], height: float, caption: str, width: float = 7.5
) -> tuple[Any, Any]:
    """A figure whose panels keep their height, however many lines the legend above and the caption below have."""
    from matplotlib.figure import Figure

    lines = textwrap.wrap(_text(caption), int(16 * width))
    orders = list(dict.fromkeys(run.order for run in analysis.runs))
    height += 0.16 * len(lines) + 0.25 * -(-len(orders) // _columns(orders, width))
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(*shape, squeeze=False).ravel()
    figure.supxlabel("\n".join(lines), fontsize=8.5, x=0.01, ha="left")
    return figure, panels


def _columns(names: Sequence[str], width: float) -> int:
    return max(1, min(4, int(11 * width) // (max(len(_short(name)) for name in names) + 8)))


def _text(name: str) -> str:
    """A name as matplotlib shows it: no formula, no control character."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in name).replace("$", r"\$")


def _short(name: str, most: int = 40) -> str:
    return _text(name if len(name) <= most else name[: most - 1] + "…")


def _look(analysis: Analysis, order: str) -> dict[str, Any]:
    """The same colour, line and mark for an order in every figure."""
    orders = list(dict.fromkeys(run.order for run in analysis.runs))
    place = orders.index(order)
    turn = place // len(COLOURS)  # a colour that comes again comes with another line and another mark
    mark = _MARKS[(place + turn) % len(_MARKS)]
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": _STYLES[turn % len(_STYLES)], "marker": mark}


def _lines(panel: Any, analysis: Analysis, points: Sequence[Point]) -> None:
    """One line for each order, with its band; where there is none, each replicate as a faint line."""
    for order in dict.fromkeys(one.order for one in points):
        here, look = [one for one in points if one.order == order], _look(analysis, order)
        steps = [one.step for one in here]
        # A label that begins with an underscore would be left out of the legend.
        panel.plot(steps, [one.mean for one in here], linewidth=1.6, markersize=3.5, label=f" {_short(order)}", **look)
        banded = [(one.step, *one.band) for one in here if one.band]
        if banded:
            panel.fill_between(*zip(*banded, strict=True), color=look["color"], alpha=0.15, linewidth=0)
        elif len(here[0].each) > 1:
            for each in zip(*(one.each for one in here), strict=True):
                panel.plot(steps, each, linewidth=0.6, alpha=0.5, color=look["color"], linestyle=look["linestyle"])
    _step_axis(panel)


def _step_axis(panel: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_xlabel("optimizer steps")
    panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    panel.grid(alpha=0.25)
    panel.margins(x=0.02)


def _legend(figure: Any, panel: Any) -> None:
    handles, texts = panel.get_legend_handles_labels()
    columns = _columns(texts, figure.get_figwidth())
    figure.legend(handles, texts, loc="outside upper center", ncols=columns, frameon=False)


def _bands(points: Sequence[Point]) -> str:
    if any(one.band for one in points):
        return "bands: 95% t intervals over replicates, at each step alone"
    return "no bands: fewer than three replicates, or nothing varies between them"


def _sample(analysis: Analysis) -> str:
    return f"{replicates_told(analysis)}, {rows_told(analysis)} in each"


def _curves(analysis: Analysis) -> Any:
    points = [one for one in analysis.curves if (one.set, one.metric) == (analysis.judge, PRIMARY)]
    caption = f"Mean loss on the judge rows. {_sample(analysis)}; {_bands(points)}."
    figure, (panel,) = _figure(analysis, (1, 1), 4.0, caption)
    _lines(panel, analysis, points)
    panel.set_ylabel(_UNIT)
    _legend(figure, panel)
    return figure


def _differences(analysis: Analysis) -> Any:
    points = [one for one in analysis.paired if (one.set, one.metric) == (analysis.judge, PRIMARY)]
    with_intervals = any(one.simultaneous for one in analysis.differences)
    right = "simultaneous 95% intervals" if with_intervals else "no intervals: too few replicates, or nothing varies"
    caption = (
        f"Loss on the judge rows minus that of {analysis.baseline}, paired by replicate; below 0 is better. Left: by "
        f"step; {_bands(points)}. Right: area under the curve; {right}; small marks are replicates. "
        f"{_sample(analysis)}."
    )
    figure, (left, panel) = _figure(analysis, (1, 2), 3.4 + 0.12 * len(analysis.differences), caption, 9.5)
    _lines(left, analysis, points)
    left.axhline(0, color="#444444", linewidth=0.8)
    left.set_ylabel(f"difference in {_UNIT}")
    _legend(figure, left)
    for place, one in enumerate(analysis.differences):
        look = {**_look(analysis, one.order), "linestyle": "none"}
        panel.plot(one.each, [place] * one.replicates, **{**look, "markersize": 3.5, "alpha": 0.45})
        if one.simultaneous:
            panel.plot(one.simultaneous, [place, place], color=look["color"], linewidth=2)
        panel.plot([one.mean], [place], markersize=8, **look)
    names = [_short(one.order, 24) for one in analysis.differences]
    _forest(panel, names, f"difference in area, {_UNIT}")
    return figure


def _forest(panel: Any, names: Sequence[str], label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.axvline(0, color="#444444", linewidth=0.8)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=5))
    panel.set_xlabel(label)
    panel.grid(alpha=0.25)


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
        f"better; {whole}. Descriptive: no intervals. {_sample(analysis)}."
    )
    figure, (panel,) = _figure(analysis, (1, 1), 1.2 + 0.24 * len(shown), caption)
    for order in dict.fromkeys(one.order for one in found):
        here = [one for one in found if one.order == order and one.name in shown]
        look = {**_look(analysis, order), "linestyle": "none"}
        panel.plot(
            [one.difference for one in here], [shown.index(one.name) for one in here], label=f" {_short(order)}", **look
        )
    _forest(panel, [_short(name) for name in shown], f"difference in area, {_UNIT}")
    _legend(figure, panel)
    return figure


def _harm(analysis: Analysis) -> Any:
    points = [one for one in analysis.curves if one.metric == PRIMARY and one.set != analysis.judge]
    sets = list(dict.fromkeys(one.set for one in points))
    if not sets:
        return None
    caption = f"Mean loss on other sets. {replicates_told(analysis)}; {_bands(points)}."
    columns = min(2, len(sets))
    rows = -(-len(sets) // columns)
    figure, panels = _figure(analysis, (rows, columns), 0.4 + 3.2 * rows, caption, 5.0 + 2.5 * columns)
    for panel, name in zip(panels, sets, strict=False):
        _lines(panel, analysis, [one for one in points if one.set == name])
        panel.set_title(_short(name), fontsize=10)
        panel.set_ylabel(_UNIT)
    for panel in panels[len(sets) :]:
        panel.set_visible(False)
    _legend(figure, panels[0])
    return figure


FIGURES: dict[str, Callable[[Analysis], Any]] = {
    "curves": _curves,
    "differences": _differences,
    "tasks": _tasks,
    "harm": _harm,
}
