"""What a page consists of: sections of blocks, which the page's script knows how to draw.

Each block is one kind of thing to look at, by its numbers alone: colours, sizes and how numbers are written are the
page's business. `as_json` gives what the script reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

__all__ = [
    "Block",
    "Cell",
    "Chart",
    "Column",
    "Facts",
    "Heading",
    "Interval",
    "Intervals",
    "Mark",
    "Matrix",
    "Missing",
    "Page",
    "Pre",
    "Section",
    "Series",
    "Share",
    "Shares",
    "Table",
    "Text",
    "as_json",
]

Cell: TypeAlias = str | float | int | None


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning stands out."""

    kind: ClassVar[str] = "text"
    text: str
    tone: Literal["warning", "good"] | None = None


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values, one below the other."""

    kind: ClassVar[str] = "facts"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand on the right."""

    name: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Table:
    """A table that the reader can sort."""

    kind: ClassVar[str] = "table"
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: Its name in the legend.
        x: Rising.
        y: As many values; None is a gap.
        low: The lower edge of its band at each x; None without a band.
        high: The upper edge.
        grey: Whether it is in the background.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    grey: bool = False


@dataclass(frozen=True)
class Mark:
    """A place on the horizontal axis that is named, of one line where `series` is its number."""

    x: float
    label: str
    series: int | None = None


@dataclass(frozen=True)
class Chart:
    """Lines with bands over one horizontal axis."""

    kind: ClassVar[str] = "chart"
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    caption: str = ""
    x_log: bool = False


@dataclass(frozen=True)
class Interval:
    """A value with its interval; None where there is none."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Intervals:
    """Values with intervals beside a line at zero."""

    kind: ClassVar[str] = "intervals"
    title: str
    label: str
    rows: Sequence[Interval]
    caption: str = ""


@dataclass(frozen=True)
class Share:
    """One part's share of each column, from 0 to 1."""

    name: str
    shares: Sequence[float]


@dataclass(frozen=True)
class Shares:
    """What several wholes are made of, side by side."""

    kind: ClassVar[str] = "shares"
    title: str
    columns: Sequence[str]
    rows: Sequence[Share]
    caption: str = ""


@dataclass(frozen=True)
class Matrix:
    """A square of numbers between `low` and `high`."""

    kind: ClassVar[str] = "matrix"
    title: str
    names: Sequence[str]
    values: Sequence[Sequence[float | None]]
    low: float
    high: float
    caption: str = ""


@dataclass(frozen=True)
class Pre:
    """Text as it is, to be copied; one with a title is shown when it is opened."""

    kind: ClassVar[str] = "pre"
    text: str
    title: str = ""


Block: TypeAlias = Text | Heading | Facts | Table | Chart | Intervals | Shares | Matrix | Pre


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        id: Its name in links.
        title: Its heading.
        blocks: What it shows, from top to bottom.
        view: The part of the page that draws the rows themselves, below the blocks; None without.
    """

    id: str
    title: str
    blocks: Sequence[Block] = ()
    view: Literal["map", "targets", "pool"] | None = None


@dataclass(frozen=True)
class Missing:
    """A part that the page lacks, and why, with a hint where there is one."""

    part: str
    why: str


@dataclass(frozen=True)
class Page:
    """All but the rows and their texts.

    Attributes:
        title: Its heading.
        made: Version, time and command.
        sections: In the order of display.
        missing: What could not be shown.
    """

    title: str
    made: Mapping[str, str]
    sections: Sequence[Section]
    missing: Sequence[Missing] = ()


def as_json(value: Any) -> Any:
    """A page, or a part of it, as the page's script reads it: NaN and infinity are null."""
    if isinstance(value, Chart):
        found = _fields(value)
        labels = {"x": {"label": found.pop("x_label"), "log": found.pop("x_log")}, "y": {"label": found.pop("y_label")}}
        return {"kind": value.kind, **found, **labels}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return {**kind, **_fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None  # neither infinite nor NaN
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {entry.name: as_json(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
