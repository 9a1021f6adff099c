"""The style all pictures share, as SVG and PNG: colours, lines, captions, legends (matplotlib: the extra `report`)."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

__all__ = [
    "COLOURS",
    "GREY",
    "GRID",
    "UNIT",
    "captioned",
    "cut",
    "escaped",
    "legend",
    "pictures",
    "png",
    "short",
    "stroke",
    "value_ticks",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, which colour-blind readers can distinguish too."""

GREY = COLOURS[-1]
"""For what is in the background."""

GRID: dict[str, Any] = {"alpha": 0.25}
"""How a grid is drawn."""

UNIT = "loss (nats per token)"

_DPI = 150
_STYLES, _MARKS = ("-", "--", ":", "-."), "osD^vPX*"


def stroke(number: int) -> dict[str, Any]:
    """Colour, line and mark of a line: a colour that comes again comes with another line and another mark.

    Example:
        >>> stroke(0), stroke(8)
        ({'color': '#0072B2', 'linestyle': '-', 'marker': 'o'}, {'color': '#0072B2', 'linestyle': '--', 'marker': 's'})
    """
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _STYLES[turn % len(_STYLES)],
        "marker": _MARKS[(number + turn) % len(_MARKS)],
    }


def captioned(
    shape: tuple[int, int], height: float, caption: str, names: Sequence[str] = (), width: float = 7.5
) -> tuple[Any, Any]:
    """A figure whose panels keep their height, however many lines the legend above and the caption below have.

    Args:
        shape: Rows and columns of panels.
        height: Of the panels, in inches.
        caption: The text below.
        names: Those in the legend above.
        width: In inches.

    Returns:
        The figure and its panels, row by row.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    wrapped = textwrap.wrap(caption, int(15.5 * width))
    height += 0.16 * len(wrapped)
    if names:
        height += 0.25 * -(-len(names) // _columns(names, width))
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    panels = figure.subplots(*shape, squeeze=False).ravel()
    figure.supxlabel(escaped("\n".join(wrapped)), fontsize=8.5, x=0.01, ha="left")
    return figure, panels


def _columns(names: Sequence[str], width: float) -> int:
    return max(1, min(4, int(11 * width) // (max(len(short(name)) for name in names) + 8)))


def legend(figure: Any, panel: Any) -> None:
    """One legend for all panels, above them."""
    handles, texts = panel.get_legend_handles_labels()
    columns = _columns(texts, figure.get_figwidth())
    figure.legend(handles, texts, loc="outside upper center", ncols=columns, frameon=False)


def value_ticks(panel: Any, most: int = 5) -> None:
    """Few ticks on the axis of values below."""
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator(nbins=most))


def escaped(name: str) -> str:
    r"""A text as matplotlib shows it: no formula, no control character.

    Example:
        >>> escaped("a $b\t")
        'a \\$b�'
    """
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in name).replace("$", r"\$")


def short(name: str, most: int = 40) -> str:
    """A name of at most so many characters, escaped."""
    return escaped(cut(name, most))


def cut(name: str, most: int) -> str:
    """A name of at most so many characters.

    Example:
        >>> cut("arrangement", 8)
        'arrange…'
    """
    return name if len(name) <= most else name[: most - 1] + "…"


def png(figure: Any) -> bytes:
    """A figure as a PNG; the same figure gives the same bytes."""
    _lay_out(figure)
    return _bytes(figure, "png", {"Software": None})


def pictures(name: str, figure: Any) -> dict[str, bytes]:
    """A figure as ``name.svg`` and ``name.png``; the same figure gives the same bytes."""
    import matplotlib

    # Without a salt of its own every SVG would have other ids.
    with matplotlib.rc_context({"svg.hashsalt": "righttime"}):
        made = png(figure)  # which lays it out
        return {f"{name}.svg": _bytes(figure, "svg", {"Date": None}), f"{name}.png": made}


def _lay_out(figure: Any) -> None:
    """Place the panels once: each format would do it anew, which takes as long as drawing them."""
    import matplotlib

    with matplotlib.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.draw_without_rendering()
        figure.set_layout_engine(None)


def _bytes(figure: Any, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=_DPI, metadata=metadata)
    return buffer.getvalue()
