"""The optimizers that train a model, by the name that a setting has for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["OPTIMIZERS", "OptimizerKind", "state_bytes"]

_SMALL = 4096
"""bitsandbytes keeps the states of smaller tensors in float32."""
_BLOCK = 256
"""Numbers in 8 bits that share one float32 scale."""


@dataclass(frozen=True)
class OptimizerKind:
    """An optimizer.

    Attributes:
        trainer: Its name in transformers' `TrainingArguments`.
        factored: Whether it keeps one number of each row and column instead of two of each weight, and has neither
            `betas` nor `eps`.
        eight_bit: Whether its states are in 8 bits.
        paged: Whether its states may be moved to the CPU's memory while the GPU has none left.
    """

    trainer: str
    factored: bool = False
    eight_bit: bool = False
    paged: bool = False

    @property
    def keeps_moments(self) -> bool:
        """Whether its states are Adam's moments in float32, as torch keeps them."""
        return not (self.factored or self.of_bitsandbytes)

    @property
    def of_bitsandbytes(self) -> bool:
        """Whether it is bitsandbytes'."""
        return self.eight_bit or self.paged


OPTIMIZERS: Mapping[str, OptimizerKind] = MappingProxyType(
    {
        "adamw": OptimizerKind("adamw_torch_fused"),
        "adafactor": OptimizerKind("adafactor", factored=True),
        "adamw-8bit": OptimizerKind("adamw_bnb_8bit", eight_bit=True),
        "paged-adamw": OptimizerKind("paged_adamw_32bit", paged=True),
        "paged-adamw-8bit": OptimizerKind("paged_adamw_8bit", eight_bit=True, paged=True),
    }
)
"""By the name of the setting. AdamW in 8 bits: Dettmers et al., arXiv 2110.02861; in pages: arXiv 2305.14314."""


def state_bytes(name: str, shape: tuple[int, ...], embedding: bool = False) -> int:
    """Bytes of the states that an optimizer keeps of a tensor.

    Args:
        name: Of the optimizer.
        shape: The tensor's.
        embedding: Whether it is an embedding's, of which states are never in 8 bits.

    Example:
        >>> state_bytes("adamw", (64, 64)), state_bytes("adamw-8bit", (64, 64)), state_bytes("adafactor", (64, 64))
        (32768, 8320, 512)
    """
    kind, numbers = OPTIMIZERS[name], math.prod(shape)
    if kind.factored and len(shape) > 1:
        return 4 * (math.prod(shape[:-1]) + math.prod((*shape[:-2], shape[-1])))
    if kind.eight_bit and not embedding and numbers >= _SMALL:
        return 2 * (numbers + 4 * -(-numbers // _BLOCK))
    return 4 * numbers * (1 if kind.factored else 2)
