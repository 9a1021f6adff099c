"""What a reader asks of one record's fields, and how it says that a record is bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.examples import Message

__all__ = [
    "BadRowError",
    "RefusedError",
    "SilentRowError",
    "answer",
    "exchange",
    "kind_of",
    "name_of",
    "optional",
    "text",
]


class BadRowError(Exception):
    """One record cannot be used; the message is one sentence without its place, which the reading loop adds."""


class RefusedError(BadRowError):
    """One record is of a kind that cannot be arranged at all, such as preference data."""


class SilentRowError(BadRowError):
    """One record of a pool holds no response."""


def kind_of(value: Any) -> str:
    """What a JSON value is, in words.

    Example:
        >>> kind_of(3.5), kind_of(None), kind_of([])
        ('a number', 'null', 'a list')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    return "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def text(record: Mapping[str, Any], key: str) -> str:
    """The prompt that stands under `key`, which must be text and not empty."""
    value = record.get(key)
    if not isinstance(value, str):
        raise BadRowError(f"`{key}` must be text, got {kind_of(value)}")
    if not value.strip():
        raise BadRowError(f"`{key}` is the prompt and must not be empty, got {value!r:.20}")
    return value


def optional(record: Mapping[str, Any], *keys: str) -> str:
    """The text under the first of `keys` that is there and not null, or ``""``."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, str):
            return value
        if value is not None:
            raise BadRowError(f"`{key}` must be text, got {kind_of(value)}")
    return ""


def answer(value: Any, key: str) -> str:
    """A response that may be given as text or as a list of texts, of which the first counts."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    if first is None or (isinstance(first, list | tuple) and not first):
        return ""
    if not isinstance(first, str):
        raise BadRowError(f"`{key}` must be text or a list of texts, got {kind_of(first)}")
    return first


def exchange(prompt: str, response: str, system: str = "") -> tuple[Message, ...]:
    """One prompt and its response as turns; an empty response or system text gives no turn."""
    turns = (Message("system", system), Message("user", prompt), Message("assistant", response))
    return tuple(turn for turn in turns if turn.content.strip())


def name_of(record: Mapping[str, Any], key: str) -> str | None:
    """An id or a task's name: text or a whole number; null and ``""`` mean that none is given."""
    value = record.get(key)
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRowError(f"`{key}` must be text or a whole number, got {kind_of(value)}")
    return str(value)
