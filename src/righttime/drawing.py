"""What all pictures share: colours, strokes, and how a figure of matplotlib becomes a file (the extra `report`)."""

from __future__ import annotations

import io
from typing import Any

__all__ = ["COLOURS", "GREY", "GRID", "png", "stroke"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, told apart by colour-blind readers too."""

GREY = "#999999"
"""For what the others are compared with."""

GRID: dict[str, Any] = {"alpha": 0.25}
"""How a grid is drawn."""

_STYLES = ("-", "--", ":", "-.")


def stroke(number: int) -> dict[str, Any]:
    """Colour and style of a line, no two of 28 alike.

    Example:
        >>> stroke(0), stroke(8)
        ({'color': '#0072B2', 'linestyle': '-'}, {'color': '#D55E00', 'linestyle': '--'})
    """
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _STYLES[number // len(COLOURS) % len(_STYLES)],
    }


def png(figure: Any) -> bytes:
    """A figure as a PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
