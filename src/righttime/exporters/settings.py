"""What an export is asked for, and what a trainer is to an export."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from righttime.errors import SettingsError, unknown_name
from righttime.examples import Kind
from righttime.exporters.data import ExportData
from righttime.keywords import named_fields

__all__ = [
    "EVEN_BATCHES",
    "LEARNING_RATE",
    "LORA_LEARNING_RATE",
    "LORA_PREFERENCE_RATE",
    "PREFERENCE_RATE",
    "TRACKERS",
    "ExportSettings",
    "Switch",
    "Trainer",
    "Written",
    "check_trackers",
]


LEARNING_RATE = 1e-5
"""For all weights, where none is given."""
LORA_LEARNING_RATE = 1e-4
"""For adapters, which begin at nothing and take a rate some ten times as high."""

PREFERENCE_RATE = 1e-6
"""For all weights where preferences are trained on, TRL's own default; a tenth of the others' for adapters too."""
LORA_PREFERENCE_RATE = 1e-5

LORA_RANK = 16

TRACKERS = (
    *("azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow", "mlflow", "neptune"),
    *("swanlab", "tensorboard", "trackio", "wandb"),
)
"""The names of ``report_to`` in transformers 5.23.0."""

_MOST: Mapping[str, float] = {
    **dict.fromkeys(("batch_size", "accumulation", "processes"), 65_536),
    **dict.fromkeys(("max_length", "logging_steps", "eval_every"), 10_000_000),
    "learning_rate": 1,
    "lora_rank": 8_192,
    "lora_alpha": 65_536,
}


@named_fields
@dataclass(frozen=True)
class ExportSettings:
    """What a person decides of the training that a config describes.

    Attributes:
        model: A folder or hub name; only the bare data needs none. A folder is written with its full path.
        batch_size: Rows that one process takes at once.
        accumulation: Batches that one optimizer step sums up.
        processes: Processes that train together.
        max_length: Tokens of a row, after which it is cut.
        learning_rate: Constant over the run, since a decaying rate confounds order with rate. None takes
            `LEARNING_RATE`, or `LORA_LEARNING_RATE` with adapters; a tenth of that for preferences.
        dtype: ``bf16`` on a GPU that has it, else ``fp32``.
        lora: Train adapters of all linear layers instead of all weights.
        lora_rank: Their rank; None takes `LORA_RANK`.
        lora_alpha: Their scale, before division by the rank; None takes twice the rank.
        evaluation: A file of rows to take the loss on while training, in any format, or None.
        eval_every: Take it every so many steps; None takes it ten times in the run.
        logging_steps: Log the training loss every so many steps.
        report_to: Names of trackers, as transformers knows them.
    """

    model: str | None = None
    batch_size: int = 16
    accumulation: int = 1
    processes: int = 1
    max_length: int = 2048
    learning_rate: float | None = None
    dtype: Literal["bf16", "fp32"] = "bf16"
    lora: bool = False
    lora_rank: int | None = None
    lora_alpha: float | None = None
    evaluation: str | None = None
    eval_every: int | None = None
    logging_steps: int = 1
    report_to: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            SettingsError: Names the setting.
        """
        for name, most in _MOST.items():
            value, option = getattr(self, name), f"`{name}`"
            least, above = (1, "at least 1") if isinstance(value, int) else (0, "more than 0")
            if value is not None and not (least <= value <= most and value > 0):
                raise SettingsError(f"{option} must be {above} and at most {most:,}, got {value}.", setting=name)
        for tracker in self.report_to:
            if tracker not in TRACKERS:
                raise unknown_name("tracker in `report_to`", tracker, TRACKERS, setting="report_to")
        if not self.lora and (self.lora_rank is not None or self.lora_alpha is not None):
            raise SettingsError(
                "`lora_rank` and `lora_alpha` are of adapters, got no `lora`. Hint: `lora=True`.", setting="lora_rank"
            )
        if self.eval_every is not None and self.evaluation is None:
            raise SettingsError(
                "`eval_every` needs rows to evaluate on, got no `evaluation`. Hint: `evaluation='FILE'`.",
                setting="eval_every",
            )

    @property
    def rate(self) -> float:
        """The learning rate: as given, or what fits all weights or adapters."""
        return self.learning_rate or (LORA_LEARNING_RATE if self.lora else LEARNING_RATE)

    @property
    def rank(self) -> int:
        """The adapters' rank: as given, or `LORA_RANK`."""
        return self.lora_rank or LORA_RANK

    @property
    def alpha(self) -> float:
        """The adapters' scale: as given, or twice their rank; whole where it can be."""
        alpha = 2 * self.rank if self.lora_alpha is None else self.lora_alpha
        return int(alpha) if float(alpha).is_integer() else alpha

    @property
    def rows_a_round(self) -> int:
        """Rows that all processes together take at once."""
        return self.batch_size * self.processes

    def steps_between_evaluations(self, rows: int) -> int:
        """After how many optimizer steps the loss on `evaluation` is taken: as given, or ten times in `rows` rows."""
        steps = math.ceil(rows / (self.rows_a_round * self.accumulation))
        return self.eval_every or math.ceil(steps / 10)


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


EVEN_BATCHES = Switch(
    "accelerator_config", {"even_batches": False}, "True would fill the last round up with the first rows again."
)
"""What every trainer on Accelerate needs."""


@dataclass(frozen=True)
class Written:
    """What a trainer's export wrote, beyond the files.

    Attributes:
        run: The command that trains, to be typed in the export's folder; empty for the bare data.
        notes: Sentences that a person should read.
    """

    run: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Trainer:
    """What an export must know of a trainer.

    Attributes:
        title: Its name as people write it.
        written_for: Distribution to the version whose source the switches were read in.
        oldest: Distribution to the oldest version that can keep an order at all.
        switches: Every one of them is needed.
        files: The names of the files that `write` may make, the config last.
        check: Raises where this trainer cannot keep the order of these rows, or cannot do what is asked for.
        write: Writes the files into a folder.
        run: How to train in that folder, in a few words; empty for the bare data.
        kinds: The kinds of rows that it takes.
    """

    title: str
    written_for: Mapping[str, str]
    oldest: Mapping[str, str]
    switches: Sequence[Switch]
    files: Sequence[str]
    check: Callable[[ExportData, ExportSettings], None]
    write: Callable[[ExportData, ExportSettings, Path], Written]
    run: str = ""
    kinds: frozenset[Kind] = frozenset({"messages"})


def check_trackers(settings: ExportSettings, title: str, known: Iterable[str]) -> None:
    """Refuse trackers that `title` cannot report to.

    Raises:
        SettingsError: Names the first.
    """
    for tracker in settings.report_to:
        if tracker not in known:
            raise unknown_name(f"tracker of {title}", tracker, known, setting="report_to")
