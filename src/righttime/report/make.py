"""A page from what lies on disk: arrangements, runs, experiments, comparisons."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError, StoreError
from righttime.experiment import is_experiment
from righttime.progress import counting
from righttime.report.along import agreement_section, composition, similarity_section
from righttime.report.arranged import Arranged, arranged_from, named_folders
from righttime.report.blocks import Block, Missing, Page, Section, Text, as_json
from righttime.report.html import page_html
from righttime.report.leaks import leaks_section
from righttime.report.projection import Projection, project
from righttime.report.provenance import provenance
from righttime.report.rows import Nearness, nearness, rows_json
from righttime.report.shown import MAX_ROWS, Shown, shown_rows
from righttime.report.summary import summary
from righttime.report.texts import texts_json
from righttime.report.trials import comparison_section, experiment_section, is_comparison, is_run, run_section
from righttime.store import write_bytes
from righttime.version import __version__

__all__ = ["Report", "make_report", "write_report"]

Path_ = str | Path


@dataclass(frozen=True, eq=False)
class Report:
    """A page, ready to be written.

    Attributes:
        html: The file.
        shown: Rows shown, of the pool and of the target; None without an arrangement.
        total: Rows there are.
        missing: What the page lacks, and why.
    """

    html: str
    shown: tuple[int, int] | None
    total: tuple[int, int] | None
    missing: tuple[Missing, ...]


def write_report(folders: Sequence[Path_], out: Path_, *, overwrite: bool = False, **how: Any) -> Report:
    """Make a page and write it to one HTML file.

    Args:
        folders: See `make_report`, as for all else that is given by name.
        out: The file.
        overwrite: Replace a file that is there.
        **how: As for `make_report`.

    Raises:
        StoreError: If the file is there already or cannot be written, or a folder is nothing of righttime's.
        SettingsError: As for `make_report`.
    """
    path = Path(out)
    if path.is_dir():
        raise StoreError(f"{path} must be a file to write, but it is a folder. Hint: {path / 'page.html'}.")
    if path.exists() and not overwrite:
        raise StoreError(f"{path} is there already. Hint: `overwrite=True`, or another name.")
    report = make_report(folders, **how)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, report.html.encode("utf-8", "replace"))
    return report


def make_report(
    folders: Sequence[Path_],
    *,
    pool: Sequence[str] | None = None,
    target: Sequence[str] | None = None,
    max_rows: int = MAX_ROWS,
    projection: Literal["auto", "umap", "tsne", "pca"] = "auto",
    cache: Path_ | None = None,
    command: str = "",
    progress: bool = False,
) -> Report:
    """One self-contained page: it holds everything, asks for nothing, and opens from disk.

    Args:
        folders: What ``righttime arrange``, ``tune``, ``evaluate``, ``experiment`` or ``compare`` wrote, in any mix;
            arrangements must be of one pool and one target.
        pool: The pool, where it is not where the arrangement was made from it.
        target: The target, likewise.
        max_rows: Rows of both sides that the page shows; of more, a part is chosen by a rule that the page states.
        projection: How the map is made; see `righttime.report.projection`.
        cache: The folder of cached vectors and maps; None takes the user's. Nothing is embedded.
        command: The command that made the page, to be said on it.
        progress: Show progress on stderr.

    Raises:
        SettingsError: If there is no folder, arrangements are of different data, or a setting is out of range.
        StoreError: If a folder is nothing of righttime's, or was changed.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise SettingsError("there must be at least one folder to show, got none.", setting="folders")
    if max_rows < 10:
        raise SettingsError(f"`max_rows` must be at least 10, got {max_rows}.", setting="max_rows")
    kept = None if cache is None else Path(cache)
    outs, others = _sorted_out(paths)
    sections: list[Section] = []
    missing: list[Missing] = []
    data: dict[str, Any] = {}
    shown: Shown | None = None
    if outs:
        with counting("report", 4, shown=progress) as tell:
            arranged = arranged_from(outs, pool, target, kept)
            tell(1)
            missing += arranged.missing
            counts = arranged.first.manifest.counts
            orders = [one.arrangement.order for one in arranged.finished]
            shown = shown_rows(counts.pool_rows, counts.target_rows, orders, max_rows)
            near, points, on_map = _looked_at(arranged, shown, projection, kept)
            tell(1)
            sections += _arranged_sections(arranged, near, shown, points)
            data["rows"] = rows_json(arranged, shown, near, points, on_map)
            tell(1)
            data["texts"] = texts_json(arranged, shown)
            tell(1)
    sections += list(_other_sections(others))
    if outs:
        sections.append(provenance(arranged))
    if missing:
        sections[0] = _with_missing(sections[0], missing)
    title = f"righttime: {', '.join(named_folders(paths)[:3])}{' and others' if len(paths) > 3 else ''}"
    time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes")
    made = {"version": __version__, "time": time, "command": command}
    data = {"page": as_json(Page(title, made, sections, missing)), **data}
    total = (counts.pool_rows, counts.target_rows) if outs else None
    sizes = None if shown is None else (len(shown.pool), len(shown.target))
    return Report(page_html(title, data), sizes, total, tuple(missing))


def _sorted_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Arrangements, and what else there is to show."""
    outs: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise StoreError(f"{path} must be a folder that righttime wrote, but there is none.")
        (others if is_experiment(path) or is_comparison(path) or is_run(path) else outs).append(path)
    return outs, others


def _looked_at(
    arranged: Arranged, shown: Shown, projection: Literal["auto", "umap", "tsne", "pca"], cache: Path | None
) -> tuple[Nearness | None, Projection | None, NDArray[np.bool_] | None]:
    vectors = arranged.vectors
    if vectors is None or not len(vectors.pool):
        return None, None, None
    places, known = vectors.places(shown.pool)
    both = np.concatenate([vectors.pool[places], vectors.target[shown.target]])
    return nearness(vectors, shown), project(both, projection, cache), known


def _arranged_sections(
    arranged: Arranged, near: Nearness | None, shown: Shown, points: Projection | None
) -> Iterator[Section]:
    rule: list[Block] = [Text(shown.rule)] if shown.rule else []
    yield summary(arranged, near)
    if points is not None:
        yield Section("map", "Map", [*rule, Text(points.told)], "map")
    yield Section("targets", "Target rows", rule, "targets")
    yield Section("pool", "Pool rows", rule, "pool")
    for section in (
        composition(arranged),
        similarity_section(arranged, near),
        agreement_section(arranged),
        leaks_section(arranged),
    ):
        if section is not None:
            yield section


def _other_sections(folders: Iterable[Path]) -> Iterator[Section]:
    paths = list(folders)
    for number, (folder, name) in enumerate(zip(paths, named_folders(paths), strict=True), 1):
        if is_experiment(folder):
            yield experiment_section(folder, name, number)
        elif is_comparison(folder):
            yield comparison_section(folder, name, number)
        else:
            yield run_section(folder, name, number)


def _with_missing(section: Section, missing: Sequence[Missing]) -> Section:
    lines = [Text(f"Not shown: {one.part}: {one.why}", "warning") for one in missing]
    return Section(section.id, section.title, [*section.blocks, *lines], section.view)
