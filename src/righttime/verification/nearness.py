"""How far similarities of vectors that were embedded again may lie from those of the vectors of a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.embedding.represent import amplification

__all__ = ["close_to"]

_CLOSE = 1e-5
"""Vectors embedded in other company may differ by 1e-6; similarities of such vectors agree within this."""
_FARTHEST = 0.01
"""The most that they may differ by where centring widens such differences."""
_IN_HALF = (0.03, 0.05)
"""The same two of vectors computed in half precision, which rounds to 3 digits: in other company, or on another
machine, similarities of hidden states were found to differ by 0.002, of gradients by 0.008."""


def close_to(about: Mapping[str, Any]) -> float:
    """How far two similarities may lie apart.

    Args:
        about: What is known of the vectors; to verify, of those that were computed now, not what the manifest says.
    """
    close, farthest = _IN_HALF if _in_half(about) else (_CLOSE, _FARTHEST)
    return min(close * amplification(about), farthest)


def _in_half(about: Mapping[str, Any]) -> bool:
    """Whether the model, or that of a part, computes in half precision."""
    return "float16" in str(about.get("dtype")) or any(map(_in_half, about.get("parts", ())))
