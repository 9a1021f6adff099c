"""The parts of a row that may give something away, each with its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from righttime.contamination.leaks import Part
from righttime.contamination.words import grams_of, words_of
from righttime.examples import Example, first_exchange, said

__all__ = ["Unit", "parts_of", "units_of"]


@dataclass(frozen=True)
class Unit:
    """One part of a target row, which is looked for.

    Attributes:
        row: The target row.
        part: Which part of it.
        text: The text as it was written.
        words: Its words.
    """

    row: int
    part: Part
    text: str
    words: tuple[str, ...] = field(repr=False)

    @property
    def key(self) -> str:
        """Equal where two texts have the same words in the same order."""
        return " ".join(self.words)

    @cached_property
    def grams(self) -> frozenset[tuple[str, ...]]:
        """Its runs of three words."""
        return frozenset(grams_of(self.words))


def parts_of(row: Example) -> list[tuple[Part, str]]:
    """A row's first prompt and first response, every later turn, and every system turn, in that order."""
    prompt, response = first_exchange(row.messages)
    parts: list[tuple[Part, str]] = [("prompt", prompt)]
    if response is not None:
        parts.append(("response", response))
    asked = answered = False
    for message in row.messages:
        if message.role == "system":
            parts.append(("system", message.content))
        elif answered:
            parts.append(("turn", said(message)))
        asked = asked or message.role == "user"
        answered = answered or (asked and message.role == "assistant")
    return parts


def units_of(row: Example, number: int) -> list[Unit]:
    """The same as units; parts without a word are none."""
    units = [Unit(number, part, text, tuple(words_of(text))) for part, text in parts_of(row)]
    return [unit for unit in units if unit.words]
