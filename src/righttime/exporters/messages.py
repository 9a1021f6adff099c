"""The bare data: `train.jsonl` as it is, for a trainer that is not among the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from righttime.exporters.finished import Finished
from righttime.exporters.settings import ExportSettings, Trainer, Written
from righttime.exporters.turns import write_rows
from righttime.store import write_bytes

__all__ = ["MESSAGES"]


def _check(finished: Finished, settings: ExportSettings) -> None:
    """Whatever was arranged can be copied."""


def _write(finished: Finished, settings: ExportSettings, folder: Path) -> Written:
    write_rows(replace(finished, rows=()), folder, dict)
    write_bytes(folder / "train.jsonl", (finished.folder / "train.jsonl").read_bytes())
    return Written()


MESSAGES = Trainer(
    title="bare messages",
    written_for={},
    oldest={},
    switches=(),
    files=("eval.jsonl", "train.jsonl"),
    check=_check,
    write=_write,
)
