"""float32 master copies of bfloat16 weights. Importing this imports torch.

bfloat16 has eight bits of precision: an update of less than a 512th of a weight is lost in it. So the optimizer trains
float32 masters, and the model holds their rounding (Micikevicius et al., Mixed Precision Training, arXiv 1710.03740).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["MASTERS", "Masters"]

MASTERS = Path("masters") / "model.safetensors"
"""The file of a checkpoint that holds the masters: apart from the model's own, which are taken by their ending."""


class Masters:
    """The masters of a model's weights. After every step of the optimizer the weights are their rounding."""

    def __init__(self, model: Any) -> None:
        """Take the float32 weights of a model as masters, and leave it their rounding to bfloat16.

        Args:
            model: The model, before an optimizer or a wrapper knows its weights.
        """
        self._each: list[tuple[str, Any, Any]] = []
        for name, weight in model.named_parameters():
            self._each.append((name, weight, torch.nn.Parameter(weight.data, weight.requires_grad)))
            weight.data = weight.data.to(torch.bfloat16)

    def put_into(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer train the masters in place of the weights that it was made for.

        Args:
            optimizer: One that has no state yet.
        """
        for _, weight, master in self._each:
            master.data = master.data.to(weight.device)
        masters = self.by_weight
        for group in optimizer.param_groups:
            group["params"] = [masters[weight] for weight in group["params"]]
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)

    @property
    def all(self) -> list[Any]:
        """The masters, float32, in the order of the model's weights."""
        return [master for *_, master in self._each]

    @property
    def by_weight(self) -> dict[Any, Any]:
        """The master of each weight of the model."""
        return {weight: master for _, weight, master in self._each}

    def take_gradients(self) -> None:
        """Move the weights' gradients to the masters, in float32."""
        for _, weight, master in self._each:
            if weight.grad is not None:
                master.grad, weight.grad = weight.grad.float(), None

    def _before_step(self, *_: Any) -> None:
        self.take_gradients()

    def _after_step(self, *_: Any) -> None:
        for master in self.all:
            master.grad = None
        self._round()

    @torch.no_grad()
    def _round(self) -> None:
        for _, weight, master in self._each:
            weight.copy_(master)

    def write(self, checkpoint: Path) -> None:
        """Write the masters into a checkpoint.

        Args:
            checkpoint: Its folder.
        """
        from safetensors.torch import save_file

        (checkpoint / MASTERS).parent.mkdir(exist_ok=True)
        save_file({name: master.detach().contiguous() for name, _, master in self._each}, checkpoint / MASTERS)

    @torch.no_grad()
    def read(self, checkpoint: Path) -> None:
        """Go on with the masters of a checkpoint.

        Args:
            checkpoint: Its folder.
        """
        from safetensors import safe_open

        with safe_open(checkpoint / MASTERS, framework="pt") as file:
            for name, _, master in self._each:
                master.copy_(file.get_tensor(name))
        self._round()
