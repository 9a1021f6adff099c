"""Adam's moments of adapters in a file of safetensors, in every checkpoint: what LESS represents pool rows by.

The Trainer keeps them too, in a pickle by the parameters' numbers, to resume from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from righttime.embedding.adapters import MOMENTS
from righttime.store import write_bytes

__all__ = ["write_moments"]


def write_moments(folder: Path, model: Any, optimizer: Any, rate: float) -> None:
    """Write the moments of all adapters; nothing where there are none, or another optimizer than Adam's trains them.

    Args:
        folder: A checkpoint's folder, or another.
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
        data = save(tensors, {name: repr(value) for name, value in about.items()})
        write_bytes(folder / MOMENTS, _in_order(data))


def _in_order(data: bytes) -> bytes:
    """The same file with its header sorted: safetensors writes metadata in any order, and the file is known by hash."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return b"".join((len(header).to_bytes(8, "little"), header, data[end:]))
