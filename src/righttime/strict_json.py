"""JSON as it must be to be believed: every key once in its object, and not nested too deeply to be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

__all__ = ["DECODER", "loads", "once"]


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, each key once.

    Raises:
        ValueError: If a key stands twice: which of the two was meant cannot be told.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"an object must hold each key once, got {twice[:80]!a} twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=once)
"""Reads one value out of a longer text."""


def loads(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: If it is not JSON, has a key twice in an object, or is nested too deeply.

    Example:
        >>> loads('{"a": 1, "a": 2}')
        Traceback (most recent call last):
            ...
        ValueError: an object must hold each key once, got 'a' twice
    """
    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply to be read") from error
