"""A page from what lies on disk: arrangements, runs, experiments, comparisons."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError, StoreError
from righttime.guard.finished import FinishedGuard, open_guarded
from righttime.progress import counting
from righttime.report.along import agreement_section, composition, similarity_section
from righttime.report.arranged import Arranged, arranged_from, named_folders
from righttime.report.blocks import Block, Heading, Missing, Page, Section, Text, as_json
from righttime.report.experiment_rows import Replicate, first_replicate
from righttime.report.folders import Trial, sorted_out, trial_provenances, trial_sections
from righttime.report.html import page_html
from righttime.report.leaks import leaks_section
from righttime.report.projection import Projection, project
from righttime.report.provenance import command_blocks, provenance
from righttime.report.rows import Nearness, nearness, rows_json
from righttime.report.shown import MAX_ROWS, Shown, shown_rows
from righttime.report.summary import summary
from righttime.report.texts import texts_json
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
    outs, trials = sorted_out(paths)
    replicate = None if outs else _replicate(trials)
    beside = None
    if replicate is not None:
        outs, beside = list(replicate.folders), replicate.drew
    arranged, of_rows = None, _Rows([], {}, None, None)
    if outs:
        with counting("report", 4, "parts", shown=progress) as tell:
            arranged = arranged_from(outs, pool, target, kept, beside)
            tell(1)
            guards = [open_guarded(one.folder) for one in trials if one.kind == "guard"]
            of_rows = _rows_of(arranged, guards, (max_rows, projection, kept), tell)
    sections = [*of_rows.sections, *trial_sections(trials, arranged)]
    if replicate is not None:  # then they are a part of what the experiment is
        sections = [*trial_sections(trials, arranged), *_as_part(of_rows.sections, replicate, trials)]
    missing = () if arranged is None else tuple(arranged.missing)
    sections.append(_provenance(arranged if replicate is None else None, trials, command))
    title = f"righttime: {', '.join(named_folders(paths)[:3])}{' and others' if len(paths) > 3 else ''}"
    time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes")
    made = {"version": __version__, "time": time, "command": command}
    data = {"page": as_json(Page(title, made, sections, missing)), **of_rows.data}
    return Report(page_html(title, data), of_rows.shown, of_rows.total, missing)


@dataclass(frozen=True)
class _Rows:
    """What a page shows of the rows of arrangements."""

    sections: Sequence[Section]
    data: Mapping[str, Any]
    shown: tuple[int, int] | None
    total: tuple[int, int] | None


def _rows_of(
    arranged: Arranged,
    guards: Sequence[FinishedGuard],
    how: tuple[int, Literal["auto", "umap", "tsne", "pca"], Path | None],
    tell: Callable[[int], object],
) -> _Rows:
    max_rows, projection, cache = how
    counts = arranged.first.manifest.counts
    orders = [one.arrangement.order for one in arranged.finished]
    shown = shown_rows(counts.pool_rows, counts.target_rows, orders, max_rows)
    near, points, on_map = _looked_at(arranged, shown, projection, cache)
    tell(1)
    first, *others = _arranged_sections(arranged, guards, near, shown, points)
    lacking = [Text(f"Not shown: {one.part}: {one.why}", "warning") for one in arranged.missing]
    first = dataclasses.replace(first, blocks=[*first.blocks, *lacking])
    rows = rows_json(arranged, shown, near, points, on_map)
    tell(1)
    data = {"rows": rows, "texts": texts_json(arranged, shown)}
    tell(1)
    sizes = (len(shown.pool), len(shown.target))
    return _Rows([first, *others], data, sizes, (counts.pool_rows, counts.target_rows))


def _replicate(trials: Sequence[Trial]) -> Replicate | None:
    """The replicate whose rows are shown where an experiment comes without arrangements beside it."""
    found = (first_replicate(one.folder) for one in trials if one.kind == "experiment")
    return next((one for one in found if one is not None), None)


def _as_part(sections: Sequence[Section], replicate: Replicate, trials: Sequence[Trial]) -> Iterator[Section]:
    first, *others = sections
    folder = replicate.folders[0].parent
    experiment = next(one for one in trials if one.folder == folder.parent.parent)
    told = (
        f"Rows, here and below, are those that replicate {replicate.number} of {experiment.name} drew, in the orders "
        f"of its arrangements. Each replicate draws a pool of its own; give the folders in {experiment.folder}/"
        "replicate-K/arrangements to see those of another."
    )
    if replicate.apart:
        told += f" Not shown, since they are of other rows: {', '.join(folder.name for folder in replicate.apart)}."
    title = f"Rows of replicate {replicate.number}"
    yield dataclasses.replace(first, title=title, blocks=[Text(told), *first.blocks])
    yield from others


def _provenance(arranged: Arranged | None, trials: Sequence[Trial], command: str) -> Section:
    blocks: list[Block] = [] if arranged is None else provenance(arranged)
    blocks += trial_provenances(trials, arranged)
    if command:
        blocks += [Heading("This page"), *command_blocks(f"cd {shlex.quote(os.getcwd())}\n{command}")]
    return Section("provenance", "Provenance", blocks)


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
    arranged: Arranged,
    guards: Sequence[FinishedGuard],
    near: Nearness | None,
    shown: Shown,
    points: Projection | None,
) -> Iterator[Section]:
    rule: list[Block] = [Text(shown.rule)] if shown.rule else []
    yield summary(arranged, near)
    if points is not None:
        sentences = [] if arranged.vectors is None else arranged.vectors.sentences()
        yield Section("map", "Map", [*rule, Text(" ".join([points.told, *sentences]))], "map")
    yield Section("targets", "Target rows", rule, "targets")
    yield Section("pool", "Pool rows", rule, "pool")
    for section in (
        composition(arranged),
        similarity_section(arranged, near),
        agreement_section(arranged),
        leaks_section(arranged, guards),
    ):
        if section is not None:
            yield section
