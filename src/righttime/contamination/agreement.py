"""Whether two rows say the same of numbers and in their answers: what tells a rephrased row from a similar one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from righttime.contamination.words import numbers_in, words_of
from righttime.examples import Example

__all__ = ["Said", "agree", "same_answer", "same_numbers"]

Agreement = Literal["telling", "weak", "none"]

_ALIKE = 0.6
"""Share of the words of two long answers, by their bits, that say the same."""
_SHORT = 6
"""Words up to which an answer is compared as a whole."""


@dataclass(frozen=True)
class Said:
    """What a row asks and answers, as words.

    Attributes:
        asks: The words of its first prompt.
        answers: Those of its first response; None where it has none.
    """

    asks: tuple[str, ...]
    answers: tuple[str, ...] | None

    @classmethod
    def of(cls, row: Example) -> Said:
        """What a row says."""
        response = row.response
        return cls(tuple(words_of(row.prompt)), None if response is None else tuple(words_of(response)))


def same_numbers(one: Sequence[str], other: Sequence[str]) -> bool | None:
    """Whether two texts have the same numbers; None where neither has any."""
    ones, others = numbers_in(one), numbers_in(other)
    return None if not ones and not others else ones == others


def same_answer(one: Said, other: Said, bits: Callable[[str], float]) -> bool | None:
    """Whether two rows are answered alike; None where a side has no answer.

    Short answers are alike where one holds the other, or both end in the same number; long ones also where most of
    their words, by `bits`, are the same.

    Args:
        one: A row.
        other: Another.
        bits: How telling a word is.
    """
    if not one.answers or not other.answers:
        return None
    short, long = sorted((one.answers, other.answers), key=len)
    numbers = [[word for word in words if word[0].isdecimal()] for words in (short, long)]
    if all(numbers):
        return numbers[0][-1] == numbers[1][-1]
    if len(short) <= _SHORT:
        text = f" {' '.join(long)} "
        return f" {' '.join(short)} " in text and (short == long or len(short) > 1 or len(short[0]) > 3)
    both, either = set(short) & set(long), set(short) | set(long)
    return sum(map(bits, both)) >= _ALIKE * sum(map(bits, either))


def agree(one: Said, other: Said, bits: Callable[[str], float], needed: float) -> Agreement:
    """How far two rows agree in numbers and answers.

    Args:
        one: A row.
        other: Another.
        bits: How telling a word is.
        needed: Bits from which what agrees is telling.

    Returns:
        ``none`` where the numbers asked about or the answers differ; ``telling`` where what agrees would not by
        chance; else ``weak``.
    """
    numbers, answers = same_numbers(one.asks, other.asks), same_answer(one, other, bits)
    if numbers is False or answers is False:
        return "none"
    shared: set[str] = set(numbers_in(one.asks)) if numbers else set()
    if answers and one.answers and other.answers:
        shared |= set(one.answers) & set(other.answers)
    return "telling" if sum(map(bits, shared)) >= needed else "weak"
