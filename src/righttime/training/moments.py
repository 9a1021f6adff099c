"""Adam's moments of adapters beside a checkpoint, as safetensors: what LESS represents pool rows by.

The Trainer keeps them too, in a pickle by the parameters' numbers, to resume from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save

from righttime.embedding.adapters import MOMENTS
from righttime.store import write_bytes

__all__ = ["write_moments"]


def write_moments(checkpoint: Path, model: Any, optimizer: Any, rate: float) -> None:
    """Write the moments of all adapters; nothing where there are none, or another optimizer than Adam's trains them.

    Args:
        checkpoint: The folder.
        model: The model.
        optimizer: The optimizer.
        rate: The learning rate of the next step.

    Raises:
        StoreError: If the file cannot be written.
    """
    tensors, step = {}, 0
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {}) if ".lora_" in name and parameter.requires_grad else {}
        if "exp_avg" in state and "exp_avg_sq" in state:
            tensors[f"{name}.mean"] = state["exp_avg"].float().cpu().contiguous()
            tensors[f"{name}.square"] = state["exp_avg_sq"].float().cpu().contiguous()
            step = int(state["step"])
    if tensors:
        group = optimizer.param_groups[0]
        betas = group["betas"]
        about = {"step": step, "rate": rate, "beta1": betas[0], "beta2": betas[1], "eps": group["eps"]}
        write_bytes(checkpoint / MOMENTS, save(tensors, {name: repr(value) for name, value in about.items()}))
