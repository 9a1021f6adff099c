"""A comparison on disk.

COMPARE/compare.json     all numbers
COMPARE/*.csv            runs, differences, curves, saved, drops, parts, harm, measured, ...: the same as tables
COMPARE/*.svg, *.png     curves, differences, tasks, harm, metrics, drops, measured, where matplotlib is installed
COMPARE/manifest.json    written last: what was compared, the sha256 of every file
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from righttime.analysis.analyse import Analysis
from righttime.analysis.figures import FIGURES, figures
from righttime.analysis.verdict import verdict
from righttime.store import MANIFEST, file_sha256, prepare_folder, staged, write_bytes, write_json

__all__ = ["COMPARISON", "FILES", "prepare_comparison", "write_comparison"]

_TABLES = (
    "runs",
    "differences",
    "curves",
    "paired",
    "onsets",
    "saved",
    "drops",
    "falling",
    "parts",
    "deciding",
    "harm",
    "indicators",
    "measured",
)
COMPARISON = "compare.json"
FILES = (
    COMPARISON,
    *(f"{name}.csv" for name in _TABLES),
    *(f"{name}.{form}" for name in FIGURES for form in ("svg", "png")),
)
"""What a comparison consists of besides its manifest."""


def prepare_comparison(out: Path, overwrite: bool = False) -> None:
    """Make sure that a comparison can be written into a folder.

    Raises:
        StoreError: If it holds a finished result or somebody else's files, or cannot be written.
    """
    prepare_folder(out, FILES, overwrite)


def write_comparison(analysis: Analysis, out: Path, overwrite: bool = False) -> dict[str, Any]:
    """Write a comparison: numbers, tables and figures, the manifest last.

    Args:
        analysis: The comparison.
        out: The folder.
        overwrite: Replace a finished result there.

    Returns:
        What ``compare.json`` holds.

    Raises:
        StoreError: If it cannot be written.
    """
    from righttime.results import circumstances

    prepare_comparison(out, overwrite)
    found = {"verdict": verdict(analysis), **analysis.as_json()}
    with staged(out, FILES) as folder:
        write_json(folder / COMPARISON, found)
        for name in _TABLES:
            if lines := getattr(analysis, name):
                write_bytes(folder / f"{name}.csv", _table(lines))
        for name, data in figures(analysis).items():
            write_bytes(folder / name, data)
        files = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
        about = {name: found[name] for name in ("baseline", "judge", "steps", "verdict", "notes")}
        folders = [[run.order, run.replicate, run.folder] for run in analysis.runs]
        write_json(folder / MANIFEST, {**circumstances(), **about, "runs": folders, "files": files})
    return found


def _table(lines: Sequence[Any]) -> bytes:
    """Dataclasses as CSV; what is not one number or text is JSON in its cell."""
    names = [entry.name for entry in dataclasses.fields(lines[0])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(line, name)) for name in names] for line in lines)
    return text.getvalue().encode("utf-8")


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple | list | dict) else value
