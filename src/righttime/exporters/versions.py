"""Whether the trainer that is installed here is the one that an export was written for."""

from __future__ import annotations

from importlib import metadata

from packaging.version import Version

from righttime.errors import SettingsError
from righttime.exporters.settings import Trainer

__all__ = ["version_notes"]


def version_notes(trainer: Trainer) -> list[str]:
    """Sentences about versions installed here that are not those the export was written for.

    Args:
        trainer: The trainer of the export. Packages that are not installed are ignored.

    Raises:
        SettingsError: If an installed version cannot keep an order.
    """
    notes = []
    for name, written_for in trainer.written_for.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        oldest = trainer.oldest.get(name)
        if oldest is not None and Version(found) < Version(oldest):
            raise SettingsError(
                f"{trainer.title}: {name} must be {oldest} or newer, since older ones shuffle without a word; "
                f"{found} is installed. Hint: pip install -U {name}."
            )
        if found != written_for:
            notes.append(
                f"{name} {found} is installed, the switches were read in {written_for}: "
                "look for what it changed about sampling, packing and dropped rows"
            )
    return notes
