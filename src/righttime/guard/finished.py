"""What ``righttime guard`` wrote into a folder, read again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.formats import InputFile
from righttime.store import MANIFEST, as_written, made, read_manifest, read_unchanged, versions_in

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LEAKS", "FinishedGuard", "is_guarded", "open_guarded"]

LEAKS = "leaks.parquet"
"""The file that holds every leak."""


@dataclass(frozen=True, eq=False)
class FinishedGuard:
    """A look of the guard at a pool and a target.

    Attributes:
        folder: Where it lies.
        pool: The pool's files.
        target: The target's.
        settings: What was asked for.
        found: The counts, the groups on both sides, and what was not looked at; see `righttime.results.guarded`.
        notes: Sentences that a person should read.
        files: The sha256 of each file.
        versions: Of righttime, Python and the libraries that take part.
    """

    folder: Path
    pool: tuple[InputFile, ...]
    target: tuple[InputFile, ...]
    settings: Mapping[str, Any]
    found: Mapping[str, Any]
    notes: tuple[str, ...]
    files: Mapping[str, str]
    versions: Mapping[str, str]

    @cached_property
    def leaks(self) -> pa.Table:
        """Every leak: pool_row, pool_id, target_row, target_id, test, part, score, span.

        Raises:
            StoreError: If the file is not as it was written.
        """
        return read_unchanged(self.folder / LEAKS, self.files.get(LEAKS), "`righttime guard`")


def is_guarded(folder: Path) -> bool:
    """Whether a folder holds what the guard found."""
    return (folder / LEAKS).is_file() and (folder / MANIFEST).is_file()


def open_guarded(path: str | os.PathLike[str]) -> FinishedGuard:
    """Open what the guard found.

    Args:
        path: A folder that ``righttime guard`` wrote.

    Raises:
        StoreError: If the folder holds nothing of it, or its manifest was changed.
    """
    folder = Path(path)
    found = read_manifest(folder)
    with as_written(folder / MANIFEST, "`righttime guard`"):
        sides = [tuple(made(InputFile, one) for one in found["inputs"][side]) for side in ("pool", "target")]
        return FinishedGuard(
            folder=folder,
            pool=sides[0],
            target=sides[1],
            settings=found["settings"],
            found=found["guard"],
            notes=tuple(map(str, found.get("notes", ()))),
            files=found["files"],
            versions=versions_in(found),
        )
