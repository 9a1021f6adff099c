"""A run on disk, begun or finished: the one owner of what its folder holds and of whether it is as it was written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from righttime.errors import StoreError
from righttime.results import FileState
from righttime.store import MANIFEST, file_sha256
from righttime.training.average import AVERAGE, MEASURED
from righttime.training.checkpoints import Checkpoint, whole_checkpoints
from righttime.training.manifest import Begun, RunManifest, read_run_manifest, typed_begun
from righttime.training.rearranged import PLANS
from righttime.training.records import Records, read_records

__all__ = ["FinishedRun", "Run", "begun_run", "open_run", "result_files"]

_RESULT = (
    "run.json",
    "rows.parquet",
    "consumed.parquet",
    "train_log.jsonl",
    "consumed",
    PLANS,
    "evaluation",
    "model",
    AVERAGE,
    MEASURED,
)


@dataclass(frozen=True, eq=False)
class Run:
    """A run that was begun. Everything but what decides it is read when it is asked for.

    Attributes:
        folder: Where it lies.
        begun: What decides it.
    """

    folder: Path
    begun: Begun

    @cached_property
    def records(self) -> Records:
        """What it consumed so far."""
        return read_records(self.folder / "consumed")

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Tokens of each row, by its id, as they were recorded.

        Raises:
            StoreError: If they cannot be read.
        """
        import pyarrow.parquet as pq

        path = self.folder / "rows.parquet"
        try:
            found = pq.read_table(path, columns=["id", "tokens"])
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{path} must be as `righttime tune` wrote it, but it cannot be read: {error}.") from error
        return dict(zip(found["id"].to_pylist(), found["tokens"].to_pylist(), strict=True))

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Its whole checkpoints, oldest first."""
        return whole_checkpoints(self.folder / "checkpoints")

    @property
    def plans(self) -> Path:
        """The folder of what rearranging made; not there where that was not asked for."""
        return self.folder / PLANS

    @property
    def model(self) -> Path:
        """The folder of the tuned model; not there before training is over, nor where it was not saved."""
        return self.folder / "model"

    @property
    def evaluation(self) -> Path:
        """The folder of what was measured while it trained; not there where nothing was."""
        return self.folder / "evaluation"

    @property
    def average(self) -> Path:
        """The folder of the mean of the last checkpoints; not there where it was not asked for or not saved."""
        return self.folder / AVERAGE

    @property
    def average_evaluation(self) -> Path:
        """The folder of what was measured of that mean; not there where nothing was."""
        return self.folder / MEASURED

    @property
    def picture(self) -> Path:
        """The losses along the run; not there without matplotlib."""
        return self.folder / "loss.png"


@dataclass(frozen=True, eq=False)
class FinishedRun(Run):
    """A run as ``righttime tune`` wrote it.

    Attributes:
        manifest: What its manifest says.
    """

    manifest: RunManifest

    def files(self) -> Iterator[FileState]:
        """Each file of the result, as it was written and as it is."""
        written, found = self.manifest.files, result_files(self.folder)
        # An evaluation may be put there later; a record or a weight more would change what the others mean.
        of_run = (name for name in found if not name.startswith("evaluation/"))
        for name in sorted({*written, *of_run}):
            yield FileState(name, written.get(name), found.get(name, ""))


def begun_run(path: str | os.PathLike[str]) -> Run:
    """Open a run, finished or not.

    Args:
        path: A folder that ``righttime tune`` wrote.

    Returns:
        A `FinishedRun` where there is a manifest.

    Raises:
        StoreError: If the folder holds no run, or its files were changed.
    """
    return open_run(path) if (Path(path) / MANIFEST).exists() else Run(Path(path), typed_begun(Path(path)))


def open_run(path: str | os.PathLike[str]) -> FinishedRun:
    """Open a finished run.

    Args:
        path: A folder that ``righttime tune`` wrote.

    Raises:
        StoreError: If the folder holds no finished run, or its files were changed.
    """
    folder = Path(path)
    return FinishedRun(folder, typed_begun(folder), read_run_manifest(folder))


def result_files(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a run's result, by its path in the folder; checkpoints are no part of it."""
    roots = (path for name in _RESULT for path in sorted([folder / name, *(folder / name).rglob("*")]))
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in roots if path.is_file()}
