"""Arrangements of one pool and one target, with what can still be had of their rows and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from righttime.errors import SettingsError
from righttime.formats import InputFile, Reading
from righttime.formats.folders import labels
from righttime.inputs import read_side
from righttime.report.blocks import Missing
from righttime.report.vectors import Vectors, vectors_of
from righttime.results import FinishedResult, open_result
from righttime.results.sources import widened_again
from righttime.rows import Rows

__all__ = ["Arranged", "Beside", "arranged_from", "named_folders"]

_TEXTS = "texts"
_VECTORS = "map, nearest rows"


@dataclass(frozen=True)
class Beside:
    """Where data of arrangements lies now, for where it is not any more where they were made from it.

    Attributes:
        pool: The pool.
        target: The target.
        vectors: A file of given vectors, of the same name as then.
    """

    pool: Path
    target: Path
    vectors: Path


@dataclass(frozen=True, eq=False)
class Arranged:
    """What a page shows of arrangements.

    Attributes:
        finished: The arrangements, all of one pool and one target.
        names: What each is called.
        pool: The pool's rows; None where they cannot be had.
        target: The target's.
        vectors: None where they cannot be had, or the methods need none.
        missing: What cannot be shown, and why.
    """

    finished: Sequence[FinishedResult]
    names: Sequence[str]
    pool: Rows | None
    target: Rows | None
    vectors: Vectors | None
    missing: Sequence[Missing] = field(default=())

    @property
    def first(self) -> FinishedResult:
        """The arrangement that stands for all where they share something."""
        return self.finished[0]

    @property
    def prefixed(self) -> list[tuple[FinishedResult, str]]:
        """Each arrangement, and what a sentence about it begins with: its name, where there are several."""
        several = len(self.finished) > 1
        return [(one, f"{name}: " * several) for one, name in zip(self.finished, self.names, strict=True)]


def arranged_from(
    folders: Sequence[Path],
    pool: Sequence[str] | None = None,
    target: Sequence[str] | None = None,
    cache: Path | None = None,
    beside: Beside | None = None,
) -> Arranged:
    """Open arrangements and read again what they were made from; nothing is embedded.

    Args:
        folders: Folders that ``righttime arrange`` wrote.
        pool: The pool, where it has moved.
        target: The target, where it has moved.
        cache: The folder of cached vectors; None takes the user's.
        beside: Where all of it lies now; None looks where it was then.

    Raises:
        StoreError: If a folder is no arrangement, or one that was changed.
        SettingsError: If they are of different pools or targets, or of one that was read in different ways, or `pool`
            or `target` is other data.
    """
    finished = [open_result(folder, unchanged=True) for folder in folders]
    _require_one_data(finished)
    missing: list[Missing] = []
    sides: list[Reading | None] = []
    given_sides: tuple[tuple[Literal["pool", "target"], Sequence[str] | None], ...]
    given_sides = ("pool", pool), ("target", target)
    for side, given in given_sides:
        read, why = _side(finished[0], side, given, beside)
        sides.append(read)
        if read is None:
            missing.append(Missing(f"{_TEXTS} of the {side}", f"{why}. Hint: `{side}`"))
    names = named_folders(folders)
    moved = None if beside is None else beside.vectors
    vectors, why = vectors_of(list(zip(names, finished, strict=True)), sides[0], sides[1], cache, moved)
    if why:
        missing.append(Missing(_VECTORS, why))
    rows = [None if side is None else side.rows for side in sides]
    return Arranged(finished, names, rows[0], rows[1], vectors, missing)


def named_folders(folders: Sequence[Path]) -> list[str]:
    """What folders are called: by their last names, with as much before those as tells them apart."""
    return labels([str(folder) for folder in folders])


def _require_one_data(finished: Sequence[FinishedResult]) -> None:
    first = finished[0]
    for other in finished[1:]:
        for side in ("pool", "target"):
            then, now = ([file.sha256 for file in _inputs(one, side)] for one in (first, other))
            if then != now:
                raise SettingsError(
                    f"arrangements on one page must be of one {side}, but {first.folder} and {other.folder} are of "
                    f"different ones. Hint: make a page of each."
                )
            one, two = _reading(first, side), _reading(other, side)
            if differing := [name for name in one if one[name] != two[name]]:
                name = differing[0]
                raise SettingsError(
                    f"arrangements on one page must read their {side} in one way, but {first.folder} was made with "
                    f"{name} {one[name]} and {other.folder} with {two[name]}. Hint: make a page of each."
                )


def _inputs(finished: FinishedResult, side: str) -> tuple[InputFile, ...]:
    return finished.manifest.pool if side == "pool" else finished.manifest.target


def _reading(finished: FinishedResult, side: str) -> dict[str, str]:
    """How a side's files became rows: the same bytes read in another way are other rows."""
    files, settings = _inputs(finished, side), finished.manifest.settings
    fields = settings.get("fields" if side == "pool" else "target_fields") or {}
    return {
        "the format": ", ".join(file.format for file in files),
        "the fields": ",".join(f"{part}={name}" for part, name in sorted(fields.items())) or "of its format",
        "the task field": str(settings.get("task_field") or "of its format"),
        "positive examples": str(settings.get("positive_examples") or 0),
        "usable rows": ", ".join(f"{file.rows:,}" for file in files),
    }


def _side(
    finished: FinishedResult, side: Literal["pool", "target"], given: Sequence[str] | None, beside: Beside | None
) -> tuple[Reading | None, str]:
    then = [file.sha256 for file in _inputs(finished, side)]
    if given is None:
        read, why = finished.read_again(side)
        path = None if beside is None else beside.pool if side == "pool" else beside.target
        if read is None and path is not None and path.is_file() and not finished.manifest.own_embedder:
            moved = read_side(str(path), side, finished.manifest.request())
            if [file.sha256 for file in moved.inputs] == then:
                return _whole(finished, side, moved)
        return read, why
    read = read_side(list(given), side, finished.manifest.request())
    if [file.sha256 for file in read.inputs] != then:
        raise SettingsError(
            f"`{side}` must be the data that {finished.folder} was made from, but its content has another sha256."
        )
    return _whole(finished, side, read)


def _whole(finished: FinishedResult, side: str, read: Reading) -> tuple[Reading | None, str]:
    """A side with what it was widened by."""
    return widened_again(finished.manifest, read) if side == "target" else (read, "")
