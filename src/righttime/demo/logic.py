"""Families about what follows from what."""

from __future__ import annotations

import random
from itertools import pairwise

from righttime.demo.family import Family, Fields
from righttime.demo.words import NAMES, words

__all__ = ["FAMILIES"]

_SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("richer", "poorer", "richest", "poorest"),
    ("stronger", "weaker", "strongest", "weakest"),
)

_NONSENSE = words("blip dorn fane glim jorp krell lumo mib norp plink quon sarg tove vark wug yim zant zib")


def _expression(rng: random.Random, depth: int) -> tuple[str, bool]:
    """A Boolean expression and its value."""
    if depth == 0:
        value = rng.random() < 0.5
        return str(value), value
    left, left_value = _expression(rng, depth - 1)
    kind = rng.choice(("and", "or", "not"))
    if kind == "not":
        return f"not {left}" if depth == 1 else f"not ({left})", not left_value
    right, right_value = _expression(rng, rng.randrange(depth))
    value = left_value and right_value if kind == "and" else left_value or right_value
    left, right = (f"({side})" if " " in side else side for side in (left, right))
    return f"{left} {kind} {right}", value


def boolean(rng: random.Random) -> Fields:
    """The value of a Boolean expression."""
    expression, value = _expression(rng, 3)
    return {"expression": expression, "response": str(value)}


def ranking(rng: random.Random) -> Fields:
    """Who stands at one end of an order told pair by pair."""
    more, less, most, least = rng.choice(_SCALES)
    order = rng.sample(NAMES, rng.choice((3, 4)))
    clues = [
        f"{high} is {more} than {low}." if rng.random() < 0.6 else f"{low} is {less} than {high}."
        for high, low in pairwise(order)
    ]
    rng.shuffle(clues)
    end, answer = rng.choice(((most, order[0]), (least, order[-1])))
    return {"clues": " ".join(clues), "end": end, "response": answer}


def syllogism(rng: random.Random) -> Fields:
    """Whether a conclusion about invented creatures follows, is ruled out, or stays open."""
    name = rng.choice(NAMES)
    a, b, c = rng.sample(_NONSENSE, 3)
    premises, question, answer = rng.choice(
        (
            (f"All {a}s are {b}s. All {b}s are {c}s.", f"Is every {a} a {c}?", "yes"),
            (f"All {a}s are {b}s. No {b} is a {c}.", f"Can a {a} be a {c}?", "no"),
            (f"All {a}s are {b}s. {name} is a {a}.", f"Is {name} a {b}?", "yes"),
            (f"All {a}s are {b}s. {name} is not a {b}.", f"Is {name} a {a}?", "no"),
            (f"All {a}s are {b}s. {name} is a {b}.", f"Is {name} a {a}?", "cannot tell"),
            (f"Some {a}s are {b}s. {name} is a {a}.", f"Is {name} a {b}?", "cannot tell"),
            (f"No {a} is a {b}. {name} is a {b}.", f"Is {name} a {a}?", "no"),
        )
    )
    return {"premises": premises, "question": question, "response": answer}


FAMILIES = (
    Family(
        "boolean",
        "logic",
        boolean,
        (
            "Evaluate this Boolean expression: {expression}",
            "Is the statement '{expression}' True or False?",
            "{expression}\nWhat is the truth value?",
            "Simplify to a single True or False: {expression}",
        ),
    ),
    Family(
        "ranking",
        "logic",
        ranking,
        (
            "{clues} Who is the {end}?",
            "Read the clues and name the {end} person. {clues}",
            "Who is the {end} if the following is true? {clues}",
            "{clues}\nFrom this we know who is the {end}. Who is it?",
        ),
    ),
    Family(
        "syllogism",
        "logic",
        syllogism,
        (
            "{premises} {question} Answer yes, no or cannot tell.",
            "Suppose this is true: {premises} {question} (yes / no / cannot tell)",
            "{premises}\nDoes it follow? {question} Say yes, no or cannot tell.",
            "Use logic only, not what you know of the world. {premises} {question} Reply with yes, no or cannot tell.",
        ),
    ),
)
