"""The nine measures along the first rows of orders, as ``righttime similarity`` wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from righttime.measures import MEASURES
from righttime.measures.finished import FinishedMeasures, open_measures
from righttime.report.blocks import Block, Chart, Section, Series, Text

__all__ = ["measures_section"]


def measures_section(folder: Path, name: str, number: int) -> Section:
    """One chart for each measure, one line for each arrangement.

    Raises:
        StoreError: If the folder's files were changed.
    """
    found = open_measures(folder)
    rows = sum(file.rows for file in found.target)
    told = (
        f"How near the first n rows of each order are to {rows:,} target rows, by nine measures; smaller is nearer. "
        f"Vectors: {found.settings.get('embedder')}; text: {found.settings.get('text')}."
    )
    blocks: list[Block] = [Text(told), *map(Text, found.notes), *_charts(found)]
    if found.settings.get("per_task"):
        blocks.append(Text("Curves towards single target tasks are in the folder's table."))
    return Section(f"measures-{number}", f"Measures: {name}", blocks)


def _charts(found: FinishedMeasures) -> Iterator[Chart]:
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in found.table.to_pylist():
        if line["task"] is None:
            of_measure = curves.setdefault(line["measure"], {})
            of_measure.setdefault(line["arrangement"], []).append((line["n"], line["value"]))
    for measure, by_order in curves.items():
        series = [Series(name, [n for n, _ in at], [value for _, value in at]) for name, at in by_order.items()]
        does = MEASURES[measure].does if measure in MEASURES else ""
        unit = "nats" if measure == "kl" else "distance"
        yield Chart(measure, "first rows of the order", unit, series, caption=does)
