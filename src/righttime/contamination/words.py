"""The words of a text after normalisation: what is left when writing, marks and white space are put aside."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["asked_in", "grams_of", "names_in", "numbers_in", "words_of"]

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# Operators say what is computed, so they are words where they stand between operands.
_WORD = re.compile(
    r"[^\W\d_]+|\d+(?:\.\d+)?"
    r"|(?:[+=<>×÷](?=\s?[\w(])|[-/*^%](?<![^\W\d_].)(?=\s?\d))(?:(?<=[\w)].)|(?<=[\w)]\s.))",
    re.DOTALL,
)
_SPECIAL = re.compile(r"[\d+=<>]")
_LETTERS = {code: " " for code in range(128) if not chr(code).isalpha()}
_NAME = re.compile(r"(?<=[a-z0-9,;] )[A-Z][a-z]{2,}\b")
_SENTENCE = re.compile(r"[^.?!\n]*[.?!]?", re.DOTALL)
# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}
# fmt: on
# "One" is mostly a pronoun.
_NUMBERS = {name: n for n, name in enumerate(_SMALL) if name != "one"} | _TENS
_IN_DIGITS = {name: str(value) for name, value in _NUMBERS.items()}


def words_of(text: str) -> list[str]:
    """The words of a text: NFKC, case folded, without punctuation and invisible marks.

    Numbers are words, in digits up to 99, without marks between thousands and without zeros at the end of decimals; so
    are operators between operands. Of scripts without spaces every character is a word.

    Example:
        >>> words_of("Add 1,250 + 3!"), words_of("\u200bＡＤＤ: 1250 + 3")
        (['add', '1250', '+', '3'], ['add', '1250', '+', '3'])
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
        text = _UNSPACED.sub(r" \1 ", text)
    text = text.casefold()
    if text.isascii() and not _SPECIAL.search(text):
        words = text.translate(_LETTERS).split()  # the same words, found faster
    else:
        words = _WORD.findall(_THOUSANDS.sub("", text) if "," in text else text)
        if "." in text:
            words = [word.rstrip("0").rstrip(".") if "." in word else word for word in words]
    if _NUMBERS.keys().isdisjoint(words):
        return words
    return [_IN_DIGITS.get(word, word) for word in words] if _TENS.keys().isdisjoint(words) else _digits(words)


def grams_of(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Its runs of three words, or all of it where it has fewer.

    Example:
        >>> list(grams_of(["a", "b", "c", "d"])), list(grams_of(["a"]))
        ([('a', 'b', 'c'), ('b', 'c', 'd')], [('a',)])
    """
    if len(words) < 3:
        return [tuple(words)] if words else []
    return zip(words, words[1:], words[2:], strict=False)


def _digits(words: list[str]) -> list[str]:
    """Words with the numbers among them in digits."""
    found: list[str] = []
    tens = 0
    for word in words:
        value = _NUMBERS.get(word) if not (tens and word == "one") else 1
        if tens and value is not None and value < 10:
            found[-1] = str(tens + value)
        else:
            found.append(word if value is None else str(value))
        tens = value if value is not None and value >= 20 else 0
    return found


def numbers_in(words: Iterable[str]) -> frozenset[str]:
    """The numbers among words.

    Example:
        >>> sorted(numbers_in(words_of("Forty-eight of 1,200 eggs, then 3.50")))
        ['1200', '3.5', '48']
    """
    return frozenset(word for word in words if word[0].isdecimal())


def names_in(text: str) -> tuple[str, ...]:
    """Words that are written as names, with a capital inside a sentence, in the order in which they come up.

    Example:
        >>> names_in("Then Carl met Ben. They left Carl alone.")
        ('carl', 'ben')
    """
    return tuple(dict.fromkeys(name.casefold() for name in _NAME.findall(text)))


def asked_in(text: str) -> str:
    """The last sentence of a text that ends in a question mark; empty where none does.

    Example:
        >>> asked_in("It was built in 1890. Who built it? Be brief.")
        'Who built it?'
    """
    asked = [sentence for sentence in _SENTENCE.findall(text) if sentence.endswith(("?", "？"))]
    return asked[-1].strip() if asked else ""
