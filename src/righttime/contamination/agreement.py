"""Whether two rows say the same of numbers and in their answers: what tells a rephrased row from a similar one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from righttime.contamination.words import names_in, numbers_in, words_of
from righttime.examples import Example

__all__ = ["Agreement", "Said", "agree", "agree_within", "same_answer", "same_numbers"]

Agreement = Literal["telling", "weak", "none"]

_ALIKE = 0.6
"""Share of the words of two long answers, by their bits, that say the same."""
_SHORT = 6
"""Words up to which an answer is compared as a whole."""
_RARE = 4.0
"""Bits from which a word is rare: one row in sixteen has it."""
_SHARED = 0.4
"""Share of a prompt's rare words, by their bits, that a row of the same meaning has too."""
_LETTERS = 3
"""Letters up to which a word says nothing where it stands in a longer answer: no, yes, B."""


@dataclass(frozen=True)
class Said:
    """What a row asks and answers, as words.

    Attributes:
        asks: The words of its first prompt.
        answers: Those of its first response; None where it has none.
        names: The names in its prompt, in the order in which they come up.
    """

    asks: tuple[str, ...]
    answers: tuple[str, ...] | None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Example) -> Said:
        """What a row says."""
        response = row.response
        return cls(
            tuple(words_of(row.prompt)), None if response is None else tuple(words_of(response)), names_in(row.prompt)
        )


def same_numbers(one: Sequence[str], other: Sequence[str]) -> bool | None:
    """Whether two texts have the same numbers; None where neither has any."""
    ones, others = numbers_in(one), numbers_in(other)
    return None if not ones and not others else ones == others


def same_answer(one: Said, other: Said, bits: Callable[[str], float]) -> bool | None:
    """Whether two rows are answered alike; None where a side has no answer.

    Short answers are alike where one holds the other, or both end in the same number; long ones also where most of
    their words, by `bits`, are the same. Names are the same where they come up at the same place in the prompts, since
    a row may be copied under other names.

    Args:
        one: A row.
        other: Another.
        bits: How telling a word is.
    """
    if not one.answers or not other.answers:
        return None
    as_written, renamed = (one.answers, other.answers), (_unnamed(one), _unnamed(other))
    return any(_alike(*pair, bits) for pair in dict.fromkeys((as_written, renamed)))


def _unnamed(row: Said) -> tuple[str, ...]:
    """A row's answer with each name of the prompt by its place among them."""
    places = {name: f"#{place}" for place, name in enumerate(row.names)}
    return tuple(places.get(word, word) for word in row.answers or ())


def _alike(one: Sequence[str], other: Sequence[str], bits: Callable[[str], float]) -> bool:
    short, long = sorted((one, other), key=len)
    numbers = [[word for word in words if word[0].isdecimal()] for words in (short, long)]
    if all(numbers):
        return numbers[0][-1] == numbers[1][-1]
    if len(short) <= _SHORT:
        text = f" {' '.join(long)} "
        whole = len(short) == len(long) or len(short) > 1 or len(short[0]) > _LETTERS
        return whole and f" {' '.join(short)} " in text
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
        chance; else ``weak``, and ``none`` where few of the rare words of the first prompt are in the other: rows
        under one long definition are near without any.
    """
    numbers, answers = same_numbers(one.asks, other.asks), same_answer(one, other, bits)
    if numbers is False or answers is False:
        return "none"
    shared: set[str] = set(numbers_in(one.asks)) if numbers else set()
    if answers and one.answers and other.answers:
        shared |= set(one.answers) & set(other.answers)
    return _how_far(one, shared, frozenset(other.asks), bits, needed)


def agree_within(one: Said, inside: Sequence[str], bits: Callable[[str], float], needed: float) -> Agreement:
    """How far a stretch of a longer text agrees with a row: it must hold the row's numbers, and may hold others.

    Args:
        one: The row.
        inside: The stretch's words.
        bits: How telling a word is.
        needed: Bits from which what agrees is telling.

    Returns:
        As `agree`. A stretch without the row's answer contradicts nothing, since it may end before it.
    """
    held, numbers = frozenset(inside), numbers_in(one.asks) - {"1"}
    if not numbers <= held:
        return "none"
    return _how_far(one, numbers | _answered(one.answers or (), inside, held, bits), held, bits, needed)


def _answered(
    answer: Sequence[str], inside: Sequence[str], held: frozenset[str], bits: Callable[[str], float]
) -> frozenset[str]:
    """The words of an answer that a stretch holds, where it holds the answer; none where it does not."""
    words, both = frozenset(answer), frozenset(answer) & held
    if len(answer) <= _SHORT:
        return words if f" {' '.join(answer)} " in f" {' '.join(inside)} " else frozenset()
    return both if sum(map(bits, both)) >= _ALIKE * sum(map(bits, words)) else frozenset()


def _how_far(
    one: Said, shared: Collection[str], others: frozenset[str], bits: Callable[[str], float], needed: float
) -> Agreement:
    if sum(map(bits, shared)) >= needed:
        return "telling"
    rare = {word: bits(word) for word in set(one.asks) if bits(word) >= _RARE}
    both = sum(rare[word] for word in rare.keys() & others)
    return "weak" if both >= _SHARED * sum(rare.values()) else "none"
