"""Curves as a picture, where matplotlib is installed (the extra `report`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.drawing import GRID, captioned, legend, pictures, short, stroke
from righttime.measures.dataset import Curves

__all__ = ["draw_curves"]


def draw_curves(curves: Mapping[str, Curves], target_rows: int, vectors: str, name: str) -> dict[str, bytes]:
    """The measures as a grid of panels, one line for each arrangement.

    Args:
        curves: By the arrangements' names, each with one curve for a measure.
        target_rows: How many rows the target has.
        vectors: Where the vectors are from.
        name: Of the files, without their ending.

    Returns:
        An SVG and a PNG by file name; nothing where matplotlib is not installed.
    """
    names = list(next(iter(curves.values())).columns)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    caption = _caption(curves, target_rows, vectors)
    try:
        figure, panels = captioned((rows, columns), 0.4 + 2.5 * rows, caption, list(curves), 3.7 * columns)
    except ImportError:
        return {}
    for place, (panel, measured) in enumerate(zip(panels, names, strict=False)):
        for number, (label, found) in enumerate(curves.items()):
            its: dict[str, Any] = {**stroke(number), "marker": "o" if len(found.n) == 1 else None, "markersize": 4}
            # A label that begins with an underscore would be left out of the legend.
            panel.plot(found.n, found.columns[measured], linewidth=1.6, label=f" {short(label)}", **its)
        panel.set_title(_title(measured), fontsize=10)
        panel.set_ylabel(_unit(measured), fontsize=9)
        _rows_axis(panel, last=place + columns >= len(names))
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    legend(figure, panels[0])
    return pictures(name, figure)


def _rows_axis(panel: Any, last: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=12))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(labelsize=8.5)
    panel.grid(**GRID)
    panel.margins(x=0.02)
    if last:
        panel.set_xlabel("first n rows of the order (log)")


def _caption(curves: Mapping[str, Curves], target_rows: int, vectors: str) -> str:
    sizes = sorted({int(found.n[-1]) for found in curves.values()})
    rows = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
    many = f"{len(curves)} arrangements" if len(curves) > 1 else "One arrangement"
    return (
        f"How far the first n rows of each order are from the {target_rows:,} target rows; smaller is nearer. {many} "
        f"of {rows} rows; vectors: {vectors}. Cosine: minus that of two vectors. Euclidean: the distance of "
        "two unit vectors. Single orders: no bands."
    )


def _title(name: str) -> str:
    """
    Example:
        >>> _title("cosine-avg"), _title("kl")
        ('Cosine-Avg', 'KL of word bigrams')
    """
    return "KL of word bigrams" if name == "kl" else name.title()


def _unit(name: str) -> str:
    """
    Example:
        >>> _unit("cosine-avg"), _unit("kl"), _unit("euclidean-min")
        ('minus cosine', 'nats', 'distance')
    """
    return "nats" if name == "kl" else "minus cosine" if name.startswith("cosine") else "distance"
