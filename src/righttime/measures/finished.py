"""Measures on disk: what ``righttime similarity`` wrote into a folder, and of which arrangements."""

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

__all__ = ["TABLE", "FinishedMeasures", "Measured", "is_measures", "open_measures"]

TABLE = "measures.parquet"
"""The file that holds the curves."""


@dataclass(frozen=True)
class Measured:
    """An arrangement that was measured.

    Attributes:
        name: What it is called in the table.
        path: Its folder, as it was given.
        method: Its method.
        rows: Its rows.
        ids_sha256: The fingerprint of its order.
    """

    name: str
    path: str
    method: str
    rows: int
    ids_sha256: str


@dataclass(frozen=True, eq=False)
class FinishedMeasures:
    """Measures as ``righttime similarity`` wrote them.

    Attributes:
        folder: Where they lie.
        arrangements: What was measured.
        target: The files of the target that it was measured against.
        settings: What was asked for.
        notes: Sentences that a person should read.
        files: The sha256 of each file.
        versions: Of righttime, Python and the libraries that take part.
    """

    folder: Path
    arrangements: tuple[Measured, ...]
    target: tuple[InputFile, ...]
    settings: Mapping[str, Any]
    notes: tuple[str, ...]
    files: Mapping[str, str]
    versions: Mapping[str, str]

    @cached_property
    def table(self) -> pa.Table:
        """Arrangement, n, task (null for the whole target), measure, value.

        Raises:
            StoreError: If it is not as it was written.
        """
        return read_unchanged(self.folder / TABLE, self.files.get(TABLE), "measure again")


def is_measures(folder: Path) -> bool:
    """Whether a folder holds finished measures of arrangements."""
    return (folder / TABLE).is_file() and (folder / MANIFEST).is_file()


def open_measures(path: str | os.PathLike[str]) -> FinishedMeasures:
    """Open measures of arrangements.

    Args:
        path: A folder that ``righttime similarity`` wrote.

    Raises:
        StoreError: If the folder holds none, or its manifest was changed.
    """
    folder = Path(path)
    found = read_manifest(folder)
    with as_written(folder / MANIFEST, "`righttime similarity`"):
        return FinishedMeasures(
            folder=folder,
            arrangements=tuple(made(Measured, one) for one in found["arrangements"]),
            target=tuple(made(InputFile, one) for one in found["inputs"]["target"]),
            settings=found["settings"],
            notes=tuple(map(str, found.get("notes", ()))),
            files=found["files"],
            versions=versions_in(found),
        )
