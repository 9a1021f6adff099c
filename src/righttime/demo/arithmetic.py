"""Families of small sums."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import NAMES, words

__all__ = ["FAMILIES"]

_THINGS = words("apples marbles stamps pencils coins stickers postcards shells buttons candles tickets cards")

_GAINS = (
    "{name} has {a} {things} and buys {b} more. How many {things} does {name} have now?",
    "{name} collected {a} {things} on Monday and {b} on Tuesday. How many {things} is that altogether?",
    "There are {a} {things} in one box and {b} in another. How many {things} are there in total?",
    "{name} owns {a} {things}. {other} owns {b} more than {name}. How many {things} does {other} own?",
)
_LOSSES = (
    "{name} has {a} {things} and gives {b} of them to {other}. How many {things} are left?",
    "A shop had {a} {things} in the morning and sold {b} during the day. How many {things} remain?",
    "{name} needs {a} {things} and already has {b}. How many {things} are still missing?",
)
_TIMES = (
    "{name} fills {b} bags with {a} {things} each. How many {things} are in the bags?",
    "One packet holds {a} {things}. How many {things} are there in {b} packets?",
)


def story_sum(rng: random.Random) -> Fields:
    """A sum, a difference or a product told as a story."""
    name, other = rng.sample(NAMES, 2)
    things = rng.choice(_THINGS)
    a, b = rng.randrange(20, 90), rng.randrange(3, 18)
    kind = rng.choice("+--*")
    if kind == "*":
        a, b = rng.randrange(3, 13), rng.randrange(2, 10)
    story = rng.choice({"+": _GAINS, "-": _LOSSES, "*": _TIMES}[kind])
    result = {"+": a + b, "-": a - b, "*": a * b}[kind]
    return {
        "story": story.format(name=name, other=other, things=things, a=a, b=b),
        "response": f"{result} {things}",
    }


def discount(rng: random.Random) -> Fields:
    """A price after so many percent off; always whole dollars."""
    item = rng.choice(words("coat lamp bicycle radio kettle desk watch rug backpack mirror printer tent"))
    price, percent = rng.randrange(20, 401, 20), rng.randrange(5, 80, 5)
    response = f"${price - price * percent // 100}"
    return {"item": item, "price": f"${price}", "percent": f"{percent}%", "response": response}


def next_term(rng: random.Random) -> Fields:
    """The next number of a sequence that grows or shrinks evenly, or doubles."""
    shown = rng.choice((4, 5))
    if rng.random() < 0.2:
        start = rng.randrange(1, 30)
        terms = [start * 2**place for place in range(shown + 1)]
    else:
        start, step = rng.randrange(1, 60), rng.choice((*range(2, 13), -2, -3, -4, -5, 20, 25))
        terms = [start + step * place for place in range(shown + 1)]
    return {"terms": ", ".join(map(str, terms[:-1])), "response": str(terms[-1])}


FAMILIES = (
    Family(
        "story-sum",
        "arithmetic",
        story_sum,
        (
            "{story}",
            "Solve this word problem. {story}",
            "{story} Reply with the amount only.",
            "Here is a question from a maths book: {story}",
        ),
    ),
    Family(
        "discount",
        "arithmetic",
        discount,
        (
            "The {item} costs {price} and is on sale for {percent} off. What is the sale price?",
            "How much do I pay for this {item}, normally {price}, with a discount of {percent}?",
            "Take {percent} off the price of this {item}: {price}",
            "A shop reduces a {item} from {price} by {percent}. What does it cost now?",
        ),
    ),
    Family(
        "next-term",
        "arithmetic",
        next_term,
        (
            "What number comes next? {terms}, ...",
            "Continue the sequence by one term: {terms}",
            "{terms}\nFind the pattern and give the next number.",
            "Which number follows in the series {terms}?",
        ),
    ),
)
