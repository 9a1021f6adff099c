"""Answers that are numbers, dates, measures or lists, worked out again from what the prompt shows."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from math import prod

import pytest

from righttime.demo import FAMILIES
from righttime.demo.family import Fields
from righttime.demo.languages import german, spanish
from righttime.demo.words import CATEGORIES

LARGER = {
    "kilometres metres": 1000,
    "metres centimetres": 100,
    "centimetres millimetres": 10,
    "kilograms grams": 1000,
    "litres millilitres": 1000,
    "hours minutes": 60,
    "minutes seconds": 60,
    "days hours": 24,
    "weeks days": 7,
    "feet inches": 12,
    "yards feet": 3,
    "pounds ounces": 16,
    "tablespoons teaspoons": 3,
    "cups tablespoons": 16,
}


def instances(name: str) -> list[tuple[Fields, str]]:
    """The fields of many instances of a family, and the response that goes with them."""
    drawn = [FAMILIES[name].make(random.Random(f"{name} {number}")) for number in range(200)]
    return [(fields, fields.pop("response")) for fields in drawn]


def items_of(text: str) -> list[str]:
    return [item.strip() for item in re.split(r"[,;]\s|\n?- |\n", f"\n{text}".replace("\n- ", "\n")) if item.strip()]


def day_of(text: str) -> date:
    for form in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise AssertionError(text)


def sorted_words(f: Fields) -> str:
    return ", ".join(sorted(items_of(f["words"]), reverse=f["order"].startswith("reverse")))


def sorted_numbers(f: Fields) -> str:
    assert {f["start"], f["end"]} == {"smallest", "largest"}
    return ", ".join(map(str, sorted(map(int, items_of(f["numbers"])), reverse=f["start"] == "largest")))


def kept(f: Fields) -> str:
    last = f["condition"].split()[-1]
    tests: dict[str, Callable[[str], bool]] = {
        "are even": lambda item: int(item) % 2 == 0,
        "are odd": lambda item: int(item) % 2 == 1,
        "are greater": lambda item: int(item) > int(last),
        "are less": lambda item: int(item) < int(last),
        "start": lambda item: item.startswith(last),
        "contain": lambda item: last in item,
        "have": lambda item: len(item) == int(f["condition"].split()[2]),
    }
    (test,) = (test for start, test in tests.items() if f["condition"].startswith(start))
    return ", ".join(item for item in items_of(f["items"]) if test(item)) or "none"


def stranger(f: Fields) -> str:
    kinds = {item: next(k for k, words in CATEGORIES.items() if item in words) for item in items_of(f["items"])}
    (answer,) = (item for item, kind in kinds.items() if [*kinds.values()].count(kind) == 1)
    return answer


def told_sum(f: Fields) -> str:
    a, b = map(int, re.findall(r"\d+", f["story"]))
    (things,) = set(re.findall(r"[Hh]ow many (\w+)", f["story"]))
    if re.search("each|holds", f["story"]):
        return f"{a * b} {things}"
    return f"{a - b if re.search('gives|sold|needs', f['story']) else a + b} {things}"


def sale_price(f: Fields) -> str:
    return f"${Fraction(f['price'][1:]) * (100 - Fraction(f['percent'][:-1])) / 100}"


def next_number(f: Fields) -> str:
    terms = [*map(int, f["terms"].split(", "))]
    steps = {b - a for a, b in pairwise(terms)}
    if len(steps) == 1:
        return str(terms[-1] + steps.pop())
    assert all(b == 2 * a for a, b in pairwise(terms))
    return str(terms[-1] * 2)


def in_form(f: Fields) -> str:
    day = day_of(f["date"])
    if "ISO" in f["form"]:
        return day.strftime("%Y-%m-%d")
    if "/" in f["form"]:
        return day.strftime("%d/%m/%Y")
    return day.strftime(f"%B {day.day}, %Y") if "American" in f["form"] else day.strftime(f"{day.day} %B %Y")


def converted(f: Fields) -> str:
    count, unit = f["amount"].split()
    factor = LARGER.get(f"{unit} {f['unit']}") or Fraction(1, LARGER[f"{f['unit']} {unit}"])
    return f"{int(count) * factor} {f['unit']}"


def degrees(f: Fields) -> str:
    value = Fraction(f["given"].split()[0])
    if f["given"].endswith("°C"):
        assert f["scale"] == "Fahrenheit"
        return f"{float(value * 9 / 5 + 32):g} °F"
    assert f["scale"] == "Celsius"
    return f"{float((value - 32) * 5 / 9):g} °C"


def rescaled(f: Fields) -> str:
    ratio = Fraction(int(f["guests"]), int(f["people"]))
    return re.sub(r"\d+", lambda number: str(int(number[0]) * ratio), f["parts"])


def facing(f: Fields) -> str:
    heading = {"north": 1j, "east": 1 + 0j, "south": -1j, "west": -1 + 0j}
    turns = {"right": -1j, "left": 1j, "around": -1 + 0j}
    end = heading[f["start"]] * prod(turns[turn] for turn in re.findall(r"turn (\w+)", f["path"]))
    (answer,) = (name for name, way in heading.items() if way == end)
    return answer


ANSWERS: dict[str, Callable[[Fields], str]] = {
    "reverse-word": lambda f: "".join(reversed(f["word"])),
    "count-letter": lambda f: str(sum(letter == f["letter"] for letter in f["phrase"])),
    "acronym": lambda f: "".join(re.findall(r"\b[A-Z]", f["phrase"])),
    "sort-words": sorted_words,
    "sort-numbers": sorted_numbers,
    "keep-matching": kept,
    "odd-one-out": stranger,
    "story-sum": told_sum,
    "discount": sale_price,
    "next-term": next_number,
    "weekday": lambda f: day_of(f["date"]).strftime("%A"),
    "days-between": lambda f: f"{(day_of(f['end']) - day_of(f['start'])).days} days",
    "date-format": in_form,
    "convert-units": converted,
    "temperature": degrees,
    "scale-recipe": rescaled,
    "facing": facing,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_right(name: str) -> None:
    for fields, response in instances(name):
        assert ANSWERS[name](fields) == response, fields


GERMAN = """1 eins 7 sieben 10 zehn 12 zwölf 16 sechzehn 17 siebzehn 20 zwanzig 21 einundzwanzig 30 dreißig
    66 sechsundsechzig 77 siebenundsiebzig 99 neunundneunzig 100 einhundert 101 einhunderteins 111 einhundertelf
    216 zweihundertsechzehn 371 dreihunderteinundsiebzig 550 fünfhundertfünfzig 999 neunhundertneunundneunzig"""
SPANISH = """0 cero, 1 uno, 15 quince, 16 dieciséis, 20 veinte, 21 veintiuno, 22 veintidós, 26 veintiséis, 30 treinta,
    31 treinta y uno, 99 noventa y nueve, 100 cien, 101 ciento uno, 116 ciento dieciséis, 200 doscientos,
    500 quinientos, 555 quinientos cincuenta y cinco, 700 setecientos, 730 setecientos treinta, 900 novecientos,
    923 novecientos veintitrés, 971 novecientos setenta y uno"""


def test_numbers_in_words_are_those_of_the_languages() -> None:
    for number, word in re.findall(r"(\d+) (\w+)", GERMAN):
        assert german(int(number)) == word
    for entry in SPANISH.split(","):
        number, word = entry.strip().split(" ", 1)
        assert spanish(int(number)) == word
    assert len({spelled(n) for spelled in (german, spanish) for n in range(1000)}) == 2000


def test_number_words_answers_in_the_language_asked_for() -> None:
    for fields, response in instances("number-words"):
        assert response == {"German": german, "Spanish": spanish}[fields["language"]](int(fields["number"]))
