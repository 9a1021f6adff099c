"""Families about measures; every amount comes out exact."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import words

__all__ = ["FAMILIES"]

_UNITS = (
    ("kilometres", "metres", 1000),
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
    ("kilograms", "grams", 1000),
    ("litres", "millilitres", 1000),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("feet", "inches", 12),
    ("yards", "feet", 3),
    ("pounds", "ounces", 16),
    ("tablespoons", "teaspoons", 3),
    ("cups", "tablespoons", 16),
)

_INGREDIENTS = (
    ("g of lentils", 50),
    ("g of beans", 20),
    ("g of rice", 75),
    ("ml of cream", 100),
    ("ml of stock", 150),
    ("eggs", 1),
    ("onions", 1),
    ("tomatoes", 2),
    ("cloves of garlic", 2),
    ("spoons of oil", 1),
)

_DISHES = words("soup stew curry risotto casserole gratin goulash paella")


def convert(rng: random.Random) -> Fields:
    """An amount in a larger or a smaller unit."""
    large, small, factor = rng.choice(_UNITS)
    count = rng.randrange(2, 61)
    if rng.random() < 0.5:
        return {"amount": f"{count} {large}", "unit": small, "response": f"{count * factor} {small}"}
    return {"amount": f"{count * factor} {small}", "unit": large, "response": f"{count} {large}"}


def temperature(rng: random.Random) -> Fields:
    """Celsius to Fahrenheit and back, to a tenth of a degree."""
    tenths = rng.randrange(-40, 251) * 18 + 320  # of a degree Fahrenheit; one degree Celsius is 18 of them
    celsius = f"{(tenths - 320) // 18} °C"
    fahrenheit = f"{tenths // 10} °F" if tenths % 10 == 0 else f"{tenths / 10:.1f} °F"
    if rng.random() < 0.5:
        return {"given": celsius, "scale": "Fahrenheit", "response": fahrenheit}
    return {"given": fahrenheit, "scale": "Celsius", "response": celsius}


def scale_recipe(rng: random.Random) -> Fields:
    """The amounts of a recipe for another number of people."""
    people, guests = rng.sample((2, 3, 4, 5, 6, 8, 10, 12), 2)
    parts = [(name, each * rng.choice((1, 2))) for name, each in rng.sample(_INGREDIENTS, 2)]
    given, answer = (" and ".join(f"{each * count} {name}" for name, each in parts) for count in (people, guests))
    dish = rng.choice(_DISHES)
    return {"dish": dish, "people": str(people), "guests": str(guests), "parts": given, "response": answer}


FAMILIES = (
    Family(
        "convert-units",
        "units",
        convert,
        (
            "Convert {amount} to {unit}.",
            "How many {unit} are {amount}?",
            "Express {amount} in {unit}.",
            "I measured {amount}, but I need the value in {unit}. What is it?",
        ),
    ),
    Family(
        "temperature",
        "units",
        temperature,
        (
            "Convert {given} to {scale}.",
            "What is {given} in degrees {scale}?",
            "The thermometer shows {given}. How much is that in {scale}?",
            "My notes say {given}. Give me the temperature in {scale}, please.",
        ),
    ),
    Family(
        "scale-recipe",
        "units",
        scale_recipe,
        (
            "A recipe for {dish} for {people} people needs {parts}. How much do I need for {guests} people?",
            "Scale this {dish} recipe from {people} to {guests} servings: {parts}",
            "The {dish} for {people} took {parts}. We will be {guests} at the table. What are the new amounts?",
            "I make {dish} with {parts} for {people} people. Adjust the ingredients to {guests} people.",
        ),
    ),
)
