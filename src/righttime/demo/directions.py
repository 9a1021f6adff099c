"""The family of turns on the spot. It has no relative: the whole group is held out."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields

__all__ = ["FAMILIES"]

_COMPASS = ("north", "east", "south", "west")
_TURNS = (("turn right", 1), ("turn left", 3), ("turn around", 2))
_WALKS = ("walk to the bridge", "walk three blocks", "go past the church", "cross the square", "take ten steps")


def facing(rng: random.Random) -> Fields:
    """The way one looks after a few turns; walking straight on changes nothing."""
    heading = rng.randrange(4)
    start, steps = _COMPASS[heading], []
    for turn, quarters in (rng.choice(_TURNS) for _ in range(rng.choice((2, 3)))):
        steps += [turn, rng.choice(_WALKS)]
        heading += quarters
    return {"start": start, "path": ", ".join(steps[:-2]) + f" and then {steps[-2]}", "response": _COMPASS[heading % 4]}


FAMILIES = (
    Family(
        "facing",
        "directions",
        facing,
        (
            "You face {start}. You {path}. Which way do you face now?",
            "Start looking {start}, then {path}. In which compass direction are you looking at the end?",
            "A hiker heads {start}. The guide says: {path}. Which way is the hiker going now?",
            "Heading {start}, I follow these directions: {path}. Am I now going north, east, south or west?",
        ),
    ),
)
