"""What kinds of folders a page shows beside arrangements, and what it says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from righttime.errors import StoreError
from righttime.experiment import is_experiment
from righttime.guard.finished import is_guarded, open_guarded
from righttime.measures.finished import is_measures
from righttime.report.arranged import Arranged, named_folders
from righttime.report.blocks import Block, Section
from righttime.report.leaks import guard_section, is_of
from righttime.report.measured import measures_section
from righttime.report.trial_provenance import (
    comparison_provenance,
    evaluation_provenance,
    experiment_provenance,
    guard_provenance,
    measures_provenance,
    run_provenance,
)
from righttime.report.trials import (
    comparison_section,
    experiment_section,
    is_comparison,
    is_evaluation,
    is_run,
    run_section,
)

__all__ = ["Trial", "sorted_out", "trial_provenances", "trial_sections"]

Known = Mapping[str, Path]


@dataclass(frozen=True)
class Kind:
    """One kind of folder.

    Attributes:
        has: Whether a folder is one.
        section: What the page shows of it: of folder, name, number on the page, and folders of known orders.
        provenance: How it came to be: of folder, name and known orders.
    """

    has: Callable[[Path], bool]
    section: Callable[[Path, str, int, Known], Section]
    provenance: Callable[[Path, str, Known], Iterable[Block]]


KINDS: Mapping[str, Kind] = {
    "experiment": Kind(
        is_experiment,
        lambda folder, name, number, _: experiment_section(folder, name, number),
        lambda folder, name, _: experiment_provenance(folder, name),
    ),
    "comparison": Kind(
        is_comparison,
        lambda folder, name, number, _: comparison_section(folder, name, number),
        lambda folder, name, _: comparison_provenance(folder, name),
    ),
    "run": Kind(is_run, run_section, run_provenance),
    "evaluation": Kind(is_evaluation, run_section, lambda folder, name, _: evaluation_provenance(folder, name)),
    "measures": Kind(
        is_measures,
        lambda folder, name, number, _: measures_section(folder, name, number),
        lambda folder, name, _: measures_provenance(folder, name),
    ),
    "guard": Kind(
        is_guarded,
        lambda folder, name, number, _: guard_section(open_guarded(folder), name, number),
        lambda folder, name, _: guard_provenance(folder, name),
    ),
}
"""In the order in which a folder is asked; what is none of them must be an arrangement."""


@dataclass(frozen=True)
class Trial:
    """A folder beside the arrangements.

    Attributes:
        folder: Where it lies.
        kind: One of `KINDS`.
        name: What it is called on the page.
        number: Its number among them, from 1.
    """

    folder: Path
    kind: str
    name: str
    number: int


def sorted_out(paths: Sequence[Path]) -> tuple[list[Path], list[Trial]]:
    """Arrangements, and what else there is to show.

    Raises:
        StoreError: If a folder is not there.
    """
    kinds: list[str | None] = []
    for path in paths:
        if not path.is_dir():
            raise StoreError(f"{path} must be a folder that righttime wrote, but there is none.")
        kinds.append(next((name for name, kind in KINDS.items() if kind.has(path)), None))
    others = [(path, kind) for path, kind in zip(paths, kinds, strict=True) if kind is not None]
    names = named_folders([path for path, _ in others])
    trials = [
        Trial(path, kind, name, number)
        for number, ((path, kind), name) in enumerate(zip(others, names, strict=True), 1)
    ]
    return [path for path, kind in zip(paths, kinds, strict=True) if kind is None], trials


def known_orders(arranged: Arranged | None) -> dict[str, Path]:
    """The folders of the arrangements on a page, by the sha256 of their ids in order."""
    return {} if arranged is None else {one.manifest.ids_sha256: one.folder for one in arranged.finished}


def trial_sections(trials: Sequence[Trial], arranged: Arranged | None) -> Iterator[Section]:
    """A section of each; what the guard found in an arrangement on the page is shown there."""
    known = known_orders(arranged)
    for one in trials:
        shown_there = one.kind == "guard" and arranged is not None and is_of(open_guarded(one.folder), arranged)
        if not shown_there:
            yield KINDS[one.kind].section(one.folder, one.name, one.number, known)


def trial_provenances(trials: Sequence[Trial], arranged: Arranged | None) -> Iterator[Block]:
    """How each came to be."""
    known = known_orders(arranged)
    for one in trials:
        yield from KINDS[one.kind].provenance(one.folder, one.name, known)
