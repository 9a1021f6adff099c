"""The checkpoints of a warm-up, each with its mean learning rate, from what `righttime tune` left of the run.

LESS weighs the checkpoint i by the mean rate η_i of the steps that led to it since the checkpoint before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from righttime import strict_json
from righttime.errors import EmbeddingError

__all__ = ["WeighedCheckpoint", "checkpoints_of_run"]

_BEGUN, _LOG, _MARK = "run.json", "train_log.jsonl", "complete.json"


@dataclass(frozen=True)
class WeighedCheckpoint:
    """A checkpoint of a run.

    Attributes:
        path: Its folder.
        step: How many steps led to it.
        rate: The mean learning rate of the steps after the checkpoint before it, of the first one of all before it.
    """

    path: Path
    step: int
    rate: float


def checkpoints_of_run(name: str) -> list[WeighedCheckpoint]:
    """The checkpoints that a finished run kept, oldest first.

    Args:
        name: A folder; anything else may be the name of a model.

    Returns:
        Each with its rate; none where it is no run's folder.

    Raises:
        EmbeddingError: If the run is not finished, kept no checkpoint, or did not log the rate of every step.

    Example:
        >>> checkpoints_of_run("smollm2-135m")
        []
    """
    run = Path(name)
    if not (run / _BEGUN).is_file():
        return []
    steps = sorted(int(path.parent.name.partition("-")[2]) for path in run.glob(f"checkpoints/checkpoint-*/{_MARK}"))
    if not steps:
        raise EmbeddingError(
            f"gradients of a run are taken at its checkpoints, but {run / 'checkpoints'} holds no whole one. "
            "Hint: tune with `save_every` and `keep=0`."
        )
    rates = _rates(run)
    if not set(range(1, steps[-1] + 1)) <= set(rates):
        raise EmbeddingError(
            f"{run / _LOG} must hold the learning rate of each of the {steps[-1]:,} steps that led to the last "
            f"checkpoint, but it holds that of {len(rates):,}. Hint: name checkpoints and weights yourself: "
            "combine:gradients:CHECKPOINT*RATE+…"
        )
    found, before = [], 0
    for step in steps:
        rate = math.fsum(rates[one] for one in range(before + 1, step + 1)) / (step - before)
        found.append(WeighedCheckpoint(run / "checkpoints" / f"checkpoint-{step}", step, rate))
        before = step
    if unmoved := [one for one in found if one.rate <= 0]:
        raise EmbeddingError(
            f"a checkpoint must have a learning rate above 0 before it, but of {unmoved[0].path} it is "
            f"{unmoved[0].rate:g}. Hint: remove that checkpoint."
        )
    return found


def _rates(run: Path) -> dict[int, float]:
    """The learning rate of each step that was logged, by its number from 1."""
    try:
        with (run / _LOG).open(encoding="utf-8") as file:
            entries = [strict_json.loads(line) for line in file]
        return {int(entry["step"]): float(entry["learning_rate"]) for entry in entries}
    except FileNotFoundError as error:
        raise EmbeddingError(
            f"gradients of a run need one that is finished, but {run} holds no {_LOG}. Hint: go on with it, or name "
            "a checkpoint: gradients:CHECKPOINT."
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EmbeddingError(
            f"{run / _LOG} must be as `righttime tune` wrote it, but it cannot be read: {error}."
        ) from error
