"""What an export is asked for, and what a trainer is to an export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from righttime.errors import SettingsError
from righttime.exporters.finished import Finished

__all__ = ["ExportSettings", "Switch", "Trainer"]


@dataclass(frozen=True)
class ExportSettings:
    """What a person decides of the training that a config describes.

    Attributes:
        model: A folder or hub name; only the bare data needs none. A folder is written with its full path.
        batch_size: Rows that one process takes at once.
        accumulation: Batches that one optimizer step sums up.
        processes: Processes that train together.
        max_length: Tokens of a row, after which it is cut.
        learning_rate: Constant over the run, since a decaying rate confounds order with rate.
        dtype: ``bf16`` on a GPU that has it, else ``fp32``.
    """

    model: str | None = None
    batch_size: int = 16
    accumulation: int = 1
    processes: int = 1
    max_length: int = 2048
    learning_rate: float = 1e-5
    dtype: Literal["bf16", "fp32"] = "bf16"

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            SettingsError: Names the setting.
        """
        for name in ("batch_size", "accumulation", "processes", "max_length"):
            if getattr(self, name) < 1:
                raise SettingsError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise SettingsError(f"--learning-rate must be more than 0, got {self.learning_rate}.")

    @property
    def rows_a_round(self) -> int:
        """Rows that all processes together take at once."""
        return self.batch_size * self.processes


@dataclass(frozen=True)
class Switch:
    """One setting of a trainer without which the order would be lost.

    Attributes:
        key: Its name; a dot enters a section.
        value: What it must be.
        why: One sentence: what would happen otherwise.
    """

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Trainer:
    """What an export must know of a trainer.

    Attributes:
        title: Its name as people write it.
        written_for: Distribution to the version whose source the switches were read in.
        oldest: Distribution to the oldest version that can keep an order at all.
        switches: Every one of them is needed.
        files: The names of the files that `write` makes.
        check: Raises where this trainer cannot keep the order of these rows.
        write: Writes the files into a folder.
        run: The command that trains, to be typed in the export's folder.
    """

    title: str
    written_for: Mapping[str, str]
    oldest: Mapping[str, str]
    switches: Sequence[Switch]
    files: Sequence[str]
    check: Callable[[Finished, ExportSettings], None]
    write: Callable[[Finished, ExportSettings, Path], None]
    run: str
