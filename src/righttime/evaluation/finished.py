"""A finished evaluation on disk: its manifest, its values, and whether they are as they were written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from righttime.errors import StoreError
from righttime.evaluation.folder import VALUES, read_evaluation
from righttime.evaluation.manifest import EvaluationManifest, read_evaluation_manifest
from righttime.results import FileState
from righttime.store import MANIFEST, file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FinishedEvaluation", "open_evaluation"]


@dataclass(frozen=True, eq=False)
class FinishedEvaluation:
    """An evaluation as ``righttime evaluate`` wrote it, or ``righttime tune`` while it trained.

    Attributes:
        folder: Where it lies.
        manifest: What its manifest says.
    """

    folder: Path
    manifest: EvaluationManifest

    @cached_property
    def table(self) -> pa.Table:
        """Every row's values: run, step, set, row, id, task, category, metric, value, tokens; answer, if kept."""
        return read_evaluation(self.folder)

    def files(self) -> Iterator[FileState]:
        """Each file, as it was written and as it is."""
        for name, written in self.manifest.files.items():
            there = (self.folder / name).exists()
            yield FileState(name, written, file_sha256(self.folder / name) if there else "")


def open_evaluation(path: str | os.PathLike[str]) -> FinishedEvaluation:
    """Open a finished evaluation.

    Args:
        path: The folder that was written; of a run the folder ``evaluation`` in it.

    Raises:
        StoreError: If the folder holds no finished evaluation, or it was changed.
    """
    folder = Path(path)
    finished = FinishedEvaluation(folder, read_evaluation_manifest(folder))
    if not (folder / VALUES).exists():
        raise StoreError(f"{folder / MANIFEST} says that {VALUES} is there, but it is gone.")
    return finished
