"""Closed sets of choices, as types: an editor offers them, and a type checker refuses any other.

Each is checked at run time by the table that it names.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["BadRows", "Duplicates", "Engine", "FirstLook", "Guard", "Precision", "RepeatedIds", "Text", "WithinRound"]

BadRows = Literal["stop", "skip"]
Duplicates = Literal["keep", "drop"]
Engine = Literal["auto", "cpu", "cuda", "ray", "torch"]
"""`righttime.neighbours.ENGINES`."""
FirstLook = Literal["float32", "float16", "bfloat16"]
"""`righttime.neighbours.products.PRECISIONS`."""
Guard = Literal["report", "remove", "off"]
"""`righttime.guard.MODES`."""
Precision = Literal["float32", "float16", "bfloat16", "int8"]
"""`righttime.embedding.models.PRECISIONS`, and ``int8``."""
RepeatedIds = Literal["stop", "number"]
Text = Literal["prompt+response", "prompt", "all"]
"""`righttime.examples.TEXTS`."""
WithinRound = Literal["similarity", "index", "random"]
"""`righttime.arrangement.WITHIN_ROUND`."""
