"""Families about lists: put them in order, choose from them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from righttime.demo.family import Family, Fields
from righttime.demo.words import CATEGORIES, WORDS

__all__ = ["FAMILIES"]


def _in_some_shape(rng: random.Random, items: Sequence[str]) -> str:
    """The items as people type lists: commas, semicolons, or a line each, which starts a line of its own."""
    shapes = (", ".join(items), "; ".join(items), "".join(f"\n- {item}" for item in items))
    return rng.choice((shapes[0], *shapes))


def sort_words(rng: random.Random) -> Fields:
    """Words in alphabetical order, or against it."""
    words = rng.sample(WORDS, rng.choice((4, 5, 6)))
    order, backwards = rng.choice((("alphabetical", False), ("alphabetical", False), ("reverse alphabetical", True)))
    response = ", ".join(sorted(words, reverse=backwards))
    return {"order": order, "words": _in_some_shape(rng, words), "response": response}


def sort_numbers(rng: random.Random) -> Fields:
    """Numbers in ascending or descending order."""
    numbers = rng.sample(range(-20, 100) if rng.random() < 0.3 else range(1, 1000), rng.choice((4, 5, 6)))
    ends = ("smallest", "largest")
    backwards = rng.random() < 0.4
    start, end = reversed(ends) if backwards else ends
    response = ", ".join(map(str, sorted(numbers, reverse=backwards)))
    return {"start": start, "end": end, "numbers": _in_some_shape(rng, [*map(str, numbers)]), "response": response}


def _numbers_that(rng: random.Random) -> tuple[list[str], str, list[str]]:
    """Six numbers, a condition, and those that meet it."""
    numbers = rng.sample(range(1, 100), 6)
    limit = sorted(numbers)[3]
    condition, kept = rng.choice(
        (
            ("are even", [n for n in numbers if n % 2 == 0]),
            ("are odd", [n for n in numbers if n % 2 == 1]),
            (f"are greater than {limit}", [n for n in numbers if n > limit]),
            (f"are less than {limit}", [n for n in numbers if n < limit]),
        )
    )
    return [*map(str, numbers)], condition, [*map(str, kept)]


def _words_that(rng: random.Random) -> tuple[list[str], str, list[str]]:
    """Six words, a condition, and those that meet it: at least one."""
    items = rng.sample(WORDS, 6)
    model = rng.choice(items)
    letter, length = model[0], len(model)
    condition, kept = rng.choice(
        (
            (f"start with the letter {letter}", [word for word in items if word[0] == letter]),
            (f"have exactly {length} letters", [word for word in items if len(word) == length]),
            (f"contain the letter {letter}", [word for word in items if letter in word]),
        )
    )
    return items, condition, kept


def keep_matching(rng: random.Random) -> Fields:
    """The items of a list that meet a condition, in the order given."""
    items, condition, kept = rng.choice((_numbers_that, _words_that))(rng)
    return {"condition": condition, "items": _in_some_shape(rng, items), "response": ", ".join(kept) or "none"}


def odd_one_out(rng: random.Random) -> Fields:
    """The one item of another category."""
    many, other = rng.sample(sorted(CATEGORIES), 2)
    stranger = rng.choice(CATEGORIES[other])
    items = [*rng.sample(CATEGORIES[many], rng.choice((3, 4))), stranger]
    rng.shuffle(items)
    return {"items": ", ".join(items), "response": stranger}


FAMILIES = (
    Family(
        "sort-words",
        "lists",
        sort_words,
        (
            "Sort these words in {order} order: {words}",
            "Put the following into {order} order, separated by commas.\n{words}",
            "{words}\n\nPlease arrange the words above in {order} order.",
            "I need this list in {order} order: {words}",
        ),
    ),
    Family(
        "sort-numbers",
        "lists",
        sort_numbers,
        (
            "Sort these numbers from {start} to {end}: {numbers}",
            "Put the numbers in order, {start} first.\n{numbers}",
            "{numbers}\n\nOrder the numbers above so that they go from the {start} to the {end}.",
            "Rewrite this list of numbers with the {start} at the front and the {end} at the end: {numbers}",
        ),
    ),
    Family(
        "keep-matching",
        "lists",
        keep_matching,
        (
            "Keep only the items that {condition}: {items}",
            "Which of these {condition}? Write 'none' if there are none.\n{items}",
            "{items}\n\nFrom this list, pick all those that {condition}.",
            "Filter the list and leave the entries that {condition}: {items}",
        ),
    ),
    Family(
        "odd-one-out",
        "lists",
        odd_one_out,
        (
            "Which one does not belong: {items}?",
            "Find the odd one out: {items}",
            "One of these is a different kind of thing from the others. Which one?\n{items}",
            "{items}. Name the item that does not fit.",
        ),
    ),
)
