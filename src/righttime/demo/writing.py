"""Families that answer with a short text of their own."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import NAMES, WEEKDAYS

__all__ = ["FAMILIES"]

_DRINKS = ("a latte", "a green tea", "an espresso", "a hot chocolate", "a lemonade", "an iced coffee")
_SNACKS = ("a muffin", "an almond croissant", "a cheese sandwich", "a slice of carrot cake", "a bagel", "a cookie")
_EVENTS = ("team lunch", "book club", "budget meeting", "choir practice", "garden party", "parents' evening")
_PLACES = ("in the garden", "in room 4", "at the library", "in the town hall", "at the station cafe", "on the roof")
_BRINGS = ("a salad", "a notebook", "some ideas", "a warm coat", "the keys", "two chairs")


def cafe_reply(rng: random.Random) -> Fields:
    """What the person behind the counter answers, with the sum to pay."""
    drink, snack = rng.choice(_DRINKS), rng.choice(_SNACKS)
    cost, extra = rng.randrange(2, 7), rng.randrange(2, 8)
    order = rng.choice(
        (
            f"Hello, could I have {drink} and {snack}, please?",
            f"Hi! I'd like {drink} and {snack}.",
            f"Good morning, {drink} and {snack} for me, please.",
        )
    )
    return {
        "order": order,
        "prices": f"{drink.split(' ', 1)[1]} ${cost}, {snack.split(' ', 1)[1]} ${extra}",
        "response": f"Of course! {drink[0].upper()}{drink[1:]} and {snack}, that is ${cost + extra}, please.",
    }


def short_email(rng: random.Random) -> Fields:
    """An invitation from its main points."""
    reader, writer = rng.sample(NAMES, 2)
    event, place, bring, day = rng.choice(_EVENTS), rng.choice(_PLACES), rng.choice(_BRINGS), rng.choice(WEEKDAYS)
    hour = rng.randrange(9, 20)
    points = [f"{event} on {day} at {hour}:00", place, f"bring {bring}"]
    if rng.random() < 0.5:
        points.append("ask for a reply")
    body = f"The {event} is on {day} at {hour}:00 {place}. Please bring {bring}."
    ask = " Let me know if you can come." if len(points) == 4 else ""
    return {
        "reader": reader,
        "writer": writer,
        "points": rng.choice(("".join(f"\n- {point}" for point in points), "; ".join(points))),
        "response": f"Dear {reader},\n{body}{ask}\nBest wishes, {writer}",
    }


FAMILIES = (
    Family(
        "cafe-reply",
        "writing",
        cafe_reply,
        (
            "You work in a cafe. Prices: {prices}. A guest says: '{order}' What do you reply?",
            "Play the barista and answer the customer.\nMenu: {prices}\nCustomer: {order}",
            "Customer: {order}\nBarista (prices are {prices}):",
            "Write the waiter's next line. On the menu: {prices}. The guest: '{order}'",
        ),
    ),
    Family(
        "short-email",
        "writing",
        short_email,
        (
            "Write a short email from {writer} to {reader} with these points: {points}",
            "I am {writer}. Draft a message inviting {reader}. Details: {points}",
            "Turn these notes into an email to {reader}, signed {writer}: {points}",
            "Compose a brief invitation. To: {reader}. From: {writer}. Content: {points}",
        ),
    ),
)
