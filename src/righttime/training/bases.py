"""Bases of adapters that are held in 4 bits, and the bytes that they take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["BASES", "base_bytes"]

BASES: Mapping[str, bool] = MappingProxyType({"nf4": False, "nf4-double": True})
"""By name (NF4, Dettmers et al., QLoRA, arXiv 2305.14314), and whether their scales are quantised as well."""

_BLOCK, _BLOCKS = 64, 256
"""Weights that share a scale, and scales that share one of theirs."""


def base_bytes(base: str, weights: int) -> int:
    """Bytes of a layer's weights in 4 bits, with their scales.

    Args:
        base: A name of `BASES`.
        weights: How many there are.

    Example:
        >>> base_bytes("nf4", 4096), base_bytes("nf4-double", 4096)
        (2304, 2116)
    """
    scales = -(-weights // _BLOCK)
    return -(-weights // 2) + (scales + 4 * -(-scales // _BLOCKS) if BASES[base] else 4 * scales)
