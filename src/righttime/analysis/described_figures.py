"""Figures of what describes the runs: every metric, sudden drops of single tasks, measures against the loss."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from righttime.analysis.analyse import Analysis
from righttime.analysis.comparable import PRIMARY
from righttime.analysis.falling import FallingTask
from righttime.analysis.measured import MeasureLink
from righttime.analysis.panels import bands, grid, lines, look, new_figure, sample, step_axis
from righttime.analysis.verdict import replicates_told, rows_told
from righttime.drawing import COLOURS, UNIT, cut, escaped, legend, short

__all__ = ["drops_figure", "measured_figure", "metrics_figure"]

_TASKS_NAMED = 2


def metrics_figure(analysis: Analysis) -> Any:
    """Every metric of the judge rows by step; None where only the loss was measured."""
    points = [one for one in analysis.curves if one.set == analysis.judge]
    metrics = sorted({one.metric for one in points}, key=lambda name: (name != PRIMARY, name))
    if len(metrics) < 2:
        return None
    caption = f"Means over the judge rows that have the metric. {sample(analysis)}; {bands(points)}."
    figure, panels = grid(analysis, len(metrics), caption)
    for panel, name in zip(panels, metrics, strict=True):
        lines(panel, analysis, [one for one in points if one.metric == name])
        panel.set_title(short(name), fontsize=10)
        panel.set_ylabel(UNIT if name == PRIMARY else f"mean {short(name, 24)}")
    legend(figure, panels[0])
    return figure


def drops_figure(analysis: Analysis) -> Any:
    """The tasks whose loss fell most at once, each along its run; None where there is no drop."""
    found = analysis.falling
    if not found:
        return None
    of_rows = sorted({one.rows for one in found})
    rows = f"{of_rows[0]:,}" + (f" to {of_rows[-1]:,}" if len(of_rows) > 1 else "")
    caption = (
        f"Mean loss of the {len(found)} tasks that fell most between two neighbouring evaluations (black), each in the "
        "one run named above it, beyond what the noise of its rows explains; with the rows consumed between the two, "
        f"by their task. Single runs: no bands. {rows} judge rows of each task; {len(analysis.drops):,} drops "
        f"in all, in {len(analysis.runs):,} runs."
    )
    figure, panels = grid(analysis, len(found), caption, height=2.4)
    for panel, one in zip(panels, found, strict=True):
        _falling(panel, analysis, one)
    return figure


def _falling(panel: Any, analysis: Analysis, one: FallingTask) -> None:
    its = look(analysis, one.order)
    panel.plot(one.steps, one.losses, linewidth=1.4, markersize=3.5, **its)
    at = [one.steps.index(step) for step in (one.before, one.step)]
    high, low = (one.losses[place] for place in at)
    panel.plot([one.before, one.step], [high, low], color="#000000", linewidth=3, solid_capstyle="round", zorder=3)
    panel.annotate(
        f" −{high - low:.2g}", (one.step, (high + low) / 2), xytext=(4, 0), textcoords="offset points", va="center"
    )
    consumed = textwrap.wrap(_consumed(one.consumed, one.of_tasks), 58)
    title = f"{short(one.task)}: {short(one.order, 18)}, replicate {one.replicate}"
    panel.set_title("\n".join([title, *map(escaped, consumed)]), fontsize=8.5, loc="left")
    panel.set_ylabel(UNIT)
    step_axis(panel, one.steps)


def _consumed(rows: int | None, tasks: Mapping[str, int]) -> str:
    """
    Example:
        >>> _consumed(6, {"coqa": 3, "squad": 2, "boolq": 1})
        '6 rows: 3 of coqa, 2 of squad, 1 of other tasks'
    """
    if rows is None:
        return "no record of the rows consumed"
    named = list(tasks.items())[:_TASKS_NAMED]
    parts = [f"{count:,} of {cut(task, 30)}" for task, count in named]
    if rest := sum(tasks.values()) - sum(count for _, count in named):
        parts.append(f"{rest:,} of other tasks")
    return f"{rows:,} rows" + (": " if parts else "") + ", ".join(parts)


def measured_figure(analysis: Analysis) -> Any:
    """Each measure's correlation with the loss on all judge rows by step; None where there is none."""
    found = [one for one in analysis.measured if one.task is None and one.mean is not None]
    if not found:
        return None
    names = list(dict.fromkeys(one.measure for one in found))
    banded = any(one.interval for one in found)
    band = "bands: 95% t intervals over replicates, at each step alone" if banded else "no bands: too few replicates"
    caption = (
        f"Spearman's rank correlation across the {found[0].orders} orders, within each replicate, of each measure of "
        "the rows consumed so far and the mean loss on the judge rows. Above 0: orders whose rows are nearer have the "
        f"lower loss. {replicates_told(analysis)}, {rows_told(analysis)} in each; {band}. Descriptive: the orders are "
        "few, and not drawn at random."
    )
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, panels = new_figure(analysis, (rows, columns), 0.3 + 2.0 * rows, caption, 9.5)
    for place, (panel, name) in enumerate(zip(panels, names, strict=False)):
        _link(panel, [one for one in found if one.measure == name], last=place + columns >= len(names))
        panel.set_title(escaped(name), fontsize=10)
        if place % columns == 0:
            panel.set_ylabel("rank correlation")
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    legend(figure, panels[0])
    return figure


def _link(panel: Any, found: list[MeasureLink], last: bool) -> None:
    steps = [one.step for one in found]
    panel.axhline(0, color="#444444", linewidth=0.8)
    for k in range(len(found[0].each)):
        each = [one.each[k] for one in found]
        label = "one replicate" if k == 0 else None
        panel.plot(steps, each, color=COLOURS[-1], linewidth=0.8, marker=".", markersize=3, label=label)
    if banded := [(one.step, *one.interval) for one in found if one.interval]:
        panel.fill_between(*zip(*banded, strict=True), color=COLOURS[0], alpha=0.15, linewidth=0)
    panel.plot(
        steps, [one.mean for one in found], color=COLOURS[0], linewidth=1.6, marker="o", markersize=3.5, label="mean"
    )
    panel.set_ylim(-1.08, 1.08)
    step_axis(panel, steps, label=last)
