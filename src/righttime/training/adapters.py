"""Adapters that are trained in place of a model's own weights, and how its weights are held under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from righttime.errors import unknown_name
from righttime.keywords import named_fields

__all__ = ["Base", "Lora"]

Base = Literal["float32", "bf16", "stored", "nf4", "nf4-double"]


@named_fields
@dataclass(frozen=True)
class Lora:
    """Train small adapters of every linear layer instead of all weights.

    Attributes:
        rank: Their rank.
        alpha: Their scale, before division by the rank.
        dropout: The share of their inputs that is dropped.
        target_modules: Names of the layers that get adapters, such as ``q_proj``; None takes all linear layers.
        dora: Split weights into size and direction, and train both (DoRA, arXiv 2402.09353).
        rank_stabilised: Divide the scale by the root of the rank, not by the rank (rsLoRA, arXiv 2312.03732).
        base: How the base's weights, which are not trained, are held: ``float32``, ``bf16``, ``stored`` for as they lie
            in its files, or linear layers in 4 bits and all else in ``bf16`` (QLoRA, arXiv 2305.14314): ``nf4``, or
            ``nf4-double``, whose scales are quantised too. Adapters are float32 throughout.

    Raises:
        SettingsError: If `base` is unknown.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None
    dora: bool = False
    rank_stabilised: bool = False
    base: Base = "float32"

    def __post_init__(self) -> None:
        if self.base not in get_args(Base):
            raise unknown_name("base", self.base, get_args(Base))

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Lora:
        """Adapters as a mapping of JSON or YAML has them, in which a tuple is a list."""
        names = found.get("target_modules")
        return cls(**{**found, "target_modules": tuple(names) if isinstance(names, list) else names})
