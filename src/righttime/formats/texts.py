"""Plain texts for continued pre-training: `{"text": "Once upon a time ..."}`. Read only where they are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.examples import PLAIN, Message
from righttime.formats.fields import BadRowError, kind_of

__all__ = ["plain_text"]


def plain_text(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a text as it is, with the white space around it."""
    said = record["text"]
    if not isinstance(said, str):
        raise BadRowError(f"`text` must be text, got {kind_of(said)}")
    if not said.strip():
        raise BadRowError(f"`text` must not be empty, got {said!r:.20}")
    return (Message(PLAIN, said),)
