"""Families that find or name one thing about a short text."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import CITIES, NAMES, SURNAMES, words

__all__ = ["FAMILIES"]

_REVIEWED = words("hotel film book restaurant phone museum blender concert course campsite headset cafe")
_OPINIONS = {
    "positive": (
        "I loved it from the first moment",
        "it was better than I had hoped",
        "I would recommend it to anyone",
        "it was worth every penny",
        "it made my week",
        "I cannot praise it enough",
    ),
    "negative": (
        "I regret that I ever chose it",
        "it was a waste of money",
        "I was disappointed from the start",
        "it was far worse than promised",
        "I will never go near it again",
        "it let us down badly",
    ),
}

_HEADLINES = {
    "sports": (
        "{city} win the cup after late goal",
        "{name} breaks the sprint record in {city}",
        "Coach of {city} resigns after third defeat",
        "{name} out for the season with knee injury",
    ),
    "weather": (
        "Heavy snow closes roads around {city}",
        "Heatwave in {city} to last until Friday",
        "Storm warning issued for {city}",
        "{city} wakes up to thick fog",
    ),
    "business": (
        "Shares of {name} Motors fall by a tenth",
        "{city} bank to cut two hundred jobs",
        "{name} Foods reports record profits",
        "Interest rates rise, say lenders in {city}",
    ),
    "science": (
        "Researchers in {city} discover a new beetle",
        "Doctor {name} tests vaccine against malaria",
        "Telescope near {city} spots distant planet",
        "{city} laboratory grows heart cells",
    ),
    "culture": (
        "Gallery in {city} shows lost paintings",
        "Novelist {name} wins book prize",
        "{city} opera opens with new tenor",
        "Film by {name} to premiere in {city}",
    ),
}


def extract_field(rng: random.Random) -> Fields:
    """One detail out of a note."""
    name, surname, city = rng.choice(NAMES), rng.choice(SURNAMES), rng.choice(CITIES)
    email = f"{name.lower()}.{surname.lower()}@example.{rng.choice(('com', 'org', 'net'))}"
    phone = f"555-01{rng.randrange(100):02}"
    hour = f"{rng.randrange(8, 19)}:{rng.choice(('00', '15', '30', '45'))}"
    note = rng.choice(
        (
            f"Call {name} {surname} in {city} back before {hour}, phone {phone}, or write to {email}.",
            f"{name} {surname} ({email}, tel. {phone}) moves to {city}; the van comes at {hour}.",
            f"Meeting at {hour} with {name} {surname} from {city}. Phone {phone}. Mail {email}.",
        )
    )
    field, answer = rng.choice(
        (
            ("email address", email),
            ("phone number", phone),
            ("city", city),
            ("time", hour),
            ("surname", surname),
        )
    )
    return {"note": note, "field": field, "response": answer}


def sentiment(rng: random.Random) -> Fields:
    """Whether a review praises or complains."""
    label = rng.choice(sorted(_OPINIONS))
    first, second = rng.sample(_OPINIONS[label], 2)
    opening = rng.choice(("We tried the {} last week", "About the {}", "My view of this {}", "The {} in short"))
    review = f"{opening.format(rng.choice(_REVIEWED))}: {first}, and {second}."
    return {"review": review, "response": label}


def topic(rng: random.Random) -> Fields:
    """The section of a newspaper that a headline belongs in."""
    label = rng.choice(sorted(_HEADLINES))
    headline = rng.choice(_HEADLINES[label]).format(city=rng.choice(CITIES), name=rng.choice(SURNAMES))
    return {"headline": headline, "response": label}


FAMILIES = (
    Family(
        "extract-field",
        "labelling",
        extract_field,
        (
            "Find the {field} in this note: {note}",
            "{note}\n\nWhich {field} is mentioned?",
            "Extract the {field}. {note}",
            "Copy only the {field} from the message below.\n\n{note}",
        ),
    ),
    Family(
        "sentiment",
        "labelling",
        sentiment,
        (
            "Is this review positive or negative? {review}",
            "Classify the sentiment as positive or negative.\n{review}",
            "{review}\n\nDid the customer like it? Answer positive or negative.",
            "Label the mood of this comment (positive/negative): {review}",
        ),
    ),
    Family(
        "topic",
        "labelling",
        topic,
        (
            "Is this headline about sports, weather, business, science or culture? {headline}",
            "'{headline}': which section does it go in: sports, weather, business, science, culture?",
            "Choose the topic of the headline from sports, weather, business, science and culture.\n{headline}",
            "{headline}\n\nTopic (business, culture, science, sports or weather):",
        ),
    ),
)
