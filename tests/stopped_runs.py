"""Runs that stop as if the power failed, and the weights that a run ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

__all__ = ["StopAt", "weights"]


class StopAt(TrainerCallback):  # type: ignore[misc]
    """Fails at the start of a step, as a machine might."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **settings: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("power failure")


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The tuned model's weights, or its adapters', by name."""
    (path,) = (run / "model").glob("*model.safetensors")
    return dict(load_file(path))
