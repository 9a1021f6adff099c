"""The bare data: `train.jsonl` as it is, for a trainer that is not among the others."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from righttime.exporters.data import ExportData
from righttime.exporters.settings import ExportSettings, Trainer, Written
from righttime.exporters.turns import write_rows
from righttime.store import write_bytes

__all__ = ["MESSAGES"]


def _check(data: ExportData, settings: ExportSettings) -> None:
    """Whatever was arranged can be copied."""


def _write(data: ExportData, settings: ExportSettings, folder: Path) -> Written:
    write_rows(replace(data, rows=()), folder, dict)
    write_bytes(folder / "train.jsonl", data.train.read_bytes())
    idle = [entry.name for entry in fields(settings) if getattr(settings, entry.name) != entry.default]
    idle = [name for name in idle if name != "evaluation"]
    if not idle:
        return Written()
    return Written(notes=[f"the bare data comes without a config, so nothing comes of {', '.join(idle)}"])


MESSAGES = Trainer(
    title="bare messages",
    written_for={},
    oldest={},
    switches=(),
    files=("eval.jsonl", "train.jsonl"),
    check=_check,
    write=_write,
    kinds=frozenset({"messages", "text", "preference"}),
)
