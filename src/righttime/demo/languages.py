"""The family of numbers in other languages. It has no relative: the whole group is held out."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import words

__all__ = ["FAMILIES", "german", "spanish"]

_GERMAN = words(
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
)
_GERMAN_TENS = words("- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")
_SPANISH = words(
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
    "veintiocho veintinueve"
)
_SPANISH_TENS = words("- - - treinta cuarenta cincuenta sesenta setenta ochenta noventa")
_SPANISH_HUNDREDS = words(
    "- ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos"
)


def german(number: int) -> str:
    """A whole number from 0 to 999 in German.

    Example:
        >>> german(371)
        'dreihunderteinundsiebzig'
    """
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    head = f"{_GERMAN[hundreds]}hundert" if hundreds else ""
    if hundreds and not rest:
        return head
    if rest == 1:
        return f"{head}eins"
    if rest < 20:
        return head + _GERMAN[rest]
    return head + (f"{_GERMAN[ones]}und" if ones else "") + _GERMAN_TENS[tens]


def spanish(number: int) -> str:
    """A whole number from 0 to 999 in Spanish.

    Example:
        >>> spanish(371)
        'trescientos setenta y uno'
    """
    hundreds, rest = divmod(number, 100)
    if number == 100:
        return "cien"
    parts = [_SPANISH_HUNDREDS[hundreds]] if hundreds else []
    if 0 < rest < 30 or number == 0:
        parts.append(_SPANISH[rest])
    elif rest:
        tens, ones = divmod(rest, 10)
        parts.append(_SPANISH_TENS[tens] + (f" y {_SPANISH[ones]}" if ones else ""))
    return " ".join(parts)


def number_words(rng: random.Random) -> Fields:
    """A number, in German or Spanish words."""
    number = rng.randrange(10, 1000)
    language, word = rng.choice((("German", german(number)), ("Spanish", spanish(number))))
    return {"number": str(number), "language": language, "response": word}


FAMILIES = (
    Family(
        "number-words",
        "languages",
        number_words,
        (
            "How do you say {number} in {language}?",
            "Write the number {number} in {language} words.",
            "Translate into {language}, spelled out: {number}",
            "I am learning {language}. What is {number} called?",
        ),
    ),
)
