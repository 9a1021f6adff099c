"""Families about the letters of words."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import JOBS, WORDS, words

__all__ = ["FAMILIES"]

_PLACES = words("Northern Southern Eastern Western Central United Royal National Global Coastal Alpine Urban")
_SUBJECTS = words("River Mountain Chess Garden Bicycle Theatre Weather Poetry Railway Bakery Kite Museum")
_BODIES = words("Society Club Union League Institute Network Office Trust Academy Forum")


def reverse_word(rng: random.Random) -> Fields:
    """A word, backwards."""
    word = rng.choice(WORDS + JOBS)
    return {"word": word, "response": word[::-1]}


def count_letter(rng: random.Random) -> Fields:
    """How often a letter occurs in two words."""
    phrase = " ".join(rng.sample(WORDS, 2))
    letter = rng.choice(phrase.replace(" ", "") + "aeiost")
    return {"phrase": phrase, "letter": letter, "response": str(phrase.count(letter))}


def acronym(rng: random.Random) -> Fields:
    """The first letters of a made-up body's name."""
    words = [rng.choice(_PLACES), *rng.sample(_SUBJECTS, rng.choice((1, 2))), rng.choice(_BODIES)]
    return {"phrase": " ".join(words), "response": "".join(word[0] for word in words)}


FAMILIES = (
    Family(
        "reverse-word",
        "strings",
        reverse_word,
        (
            "Write the word '{word}' backwards.",
            "Reverse the letters of this word: {word}",
            "Spell {word} from the last letter to the first.",
            "What do you get when you read '{word}' from right to left?",
            "Flip the spelling of {word} around. Give only the result.",
        ),
    ),
    Family(
        "count-letter",
        "strings",
        count_letter,
        (
            "How many times does the letter {letter} appear in '{phrase}'?",
            "Count the letter '{letter}' in: {phrase}",
            "Look at the words '{phrase}'. How many of the letters are {letter}?",
            "{phrase}\n\nHow often is the letter {letter} used above? Answer with a number.",
        ),
    ),
    Family(
        "acronym",
        "strings",
        acronym,
        (
            "What is the acronym of {phrase}?",
            "Abbreviate the name '{phrase}' to its first letters.",
            "Make an acronym: {phrase}",
            "Our group is called the {phrase}. What would the initials be?",
            "Take the first letter of each word: {phrase}",
        ),
    ),
)
