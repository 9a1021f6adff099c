"""Curves as a picture, where matplotlib is installed (the extra `report`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.drawing import GRID, png, stroke
from righttime.measures.dataset import Curves

__all__ = ["draw_curves"]


def draw_curves(curves: Mapping[str, Curves]) -> bytes | None:
    """The measures as a grid of panels, one line for each arrangement.

    Args:
        curves: By the arrangements' names, each with one curve for a measure.

    Returns:
        A PNG, or None where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    except ImportError:
        return None
    names = list(next(iter(curves.values())).columns)
    lines = (len(curves) + 5) // 6
    figure = Figure(figsize=(12, 9.2 + 0.3 * lines), dpi=100, layout="constrained")
    panels = figure.subplots(-(-len(names) // 3), 3, sharex=True, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        for number, (label, found) in enumerate(curves.items()):
            mark: dict[str, Any] = {"marker": "o", "markersize": 4} if len(found.n) == 1 else {}
            panel.plot(found.n, found.columns[name], **stroke(number), linewidth=1.6, label=label, **mark)
        panel.set_title(_title(name), fontsize=12)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(axis="x", labelrotation=35)
        panel.grid(**GRID)
        panel.margins(x=0.02)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[-3:]:
        panel.set_xlabel("first n rows of the order")
    figure.suptitle("Distance of the first n rows to the target (smaller is nearer)", fontsize=13)
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=min(6, len(curves)), frameon=False, fontsize=11)
    return png(figure)


def _title(name: str) -> str:
    """
    Example:
        >>> _title("cosine-avg"), _title("kl")
        ('Cosine-Avg', 'KL of word bigrams')
    """
    return "KL of word bigrams" if name == "kl" else name.title()
