"""Write an export: verified rows in, a folder with data, config and manifest out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from righttime.errors import FormatError, SettingsError
from righttime.exporters.data import ExportData, export_data, with_evaluation
from righttime.exporters.registry import TRAINERS, trainer_named
from righttime.exporters.settings import LORA_PREFERENCE_RATE, PREFERENCE_RATE, ExportSettings, Trainer
from righttime.exporters.versions import version_notes
from righttime.keywords import named_settings
from righttime.results import circumstances
from righttime.store import MANIFEST, file_sha256, prepare_folder, staged, write_json

__all__ = ["Exported", "export"]


_PREFERENCE_RATES = {False: PREFERENCE_RATE, True: LORA_PREFERENCE_RATE}
_HOLD = {"messages": "conversations", "text": "plain texts", "preference": "preferences"}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where it lies.
        trainer: Whom it is for.
        rows: How many rows, in order.
        evaluation: How many rows to take the loss on.
        run: The command that trains, to be typed in that folder; empty for the bare data.
        notes: Sentences that a person should read.
    """

    folder: Path
    trainer: Trainer
    rows: int
    evaluation: int
    run: str
    notes: Sequence[str]


@named_settings
def export(
    out: str | os.PathLike[str],
    to: str,
    folder: str | os.PathLike[str],
    settings: ExportSettings | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a finished arrangement for a trainer.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        to: The trainer's name in `TRAINERS`.
        folder: Where to write data, config and manifest.
        settings: What the config says of the training; None takes the defaults, which only the bare data can do with.
        overwrite: Replace a finished export there.

    Returns:
        What was written.

    Raises:
        StoreError: If `out` is no finished result, or `folder` cannot be written.
        DataError: If the rows to evaluate on cannot be read, or one has no answer.
        SettingsError: If a setting makes no sense, or the trainer cannot keep the order with it.
        FormatError: If the trainer would skip or change a row.
    """
    trainer, settings, folder = trainer_named(to), settings or ExportSettings(), Path(folder)
    settings.check()
    if trainer.written_for and not settings.model:
        raise SettingsError(
            f"a config for {trainer.title} must name a model, got none. Hint: `model='MODEL'`.", setting="model"
        )
    # The config is used in its own folder, where a path as it was typed here would lead nowhere.
    if settings.model and Path(settings.model).is_dir():
        settings = dataclasses.replace(settings, model=str(Path(settings.model).resolve()))
    notes = version_notes(trainer)
    prepare_folder(folder, trainer.files, overwrite)
    data = export_data(Path(out))
    _check_kind(data, to)
    if data.kind == "preference" and settings.learning_rate is None:
        settings = dataclasses.replace(settings, learning_rate=_PREFERENCE_RATES[settings.lora])
    resolved = {"learning_rate": settings.rate}
    resolved |= {"lora_rank": settings.rank, "lora_alpha": settings.alpha} if settings.lora else {}
    if settings.evaluation is not None:
        data = with_evaluation(data, settings.evaluation)
    trainer.check(data, settings)
    with staged(folder, trainer.files) as staging:
        written = trainer.write(data, settings, staging)
        notes += written.notes
        files = {name: file_sha256(staging / name) for name in trainer.files if (staging / name).exists()}
        manifest = {
            **circumstances(),
            "arrangement": str(out),
            "ids_sha256": data.ids_sha256,
            "rows": len(data.rows),
            "evaluation_rows": len(data.evaluation),
            "trainer": to,
            "written_for": dict(trainer.written_for),
            "settings": {**dataclasses.asdict(settings), **resolved},
            "notes": notes,
            "files": files,
        }
        write_json(staging / MANIFEST, manifest)
    return Exported(folder, trainer, len(data.rows), len(data.evaluation), written.run, notes)


def _check_kind(data: ExportData, to: str) -> None:
    """Refuse rows of a kind that a trainer's export does not take."""
    trainer = TRAINERS[to]
    if data.kind not in trainer.kinds:
        taking = " and ".join(f"`to='{name}'`" for name, other in TRAINERS.items() if data.kind in other.kinds)
        must = " or ".join(_HOLD[kind] for kind in sorted(trainer.kinds))
        raise FormatError(
            f"{data.train}: for {trainer.title} rows must be {must}, got {_HOLD[data.kind]}. "
            f"Hint: {taking} can take them."
        )
