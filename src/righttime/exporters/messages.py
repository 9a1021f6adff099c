"""The bare data: `train.jsonl` as it is, for a trainer that is not among the others."""

from __future__ import annotations

from pathlib import Path

from righttime.exporters.finished import Finished
from righttime.exporters.settings import ExportSettings, Trainer
from righttime.store import write_bytes

__all__ = ["MESSAGES"]


def _check(finished: Finished, settings: ExportSettings) -> None:
    """Whatever was arranged can be copied."""


def _write(finished: Finished, settings: ExportSettings, folder: Path) -> None:
    write_bytes(folder / "train.jsonl", (finished.folder / "train.jsonl").read_bytes())


MESSAGES = Trainer(
    title="bare messages",
    written_for={},
    oldest={},
    switches=(),
    files=("train.jsonl",),
    check=_check,
    write=_write,
    run="",
)
