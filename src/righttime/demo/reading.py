"""Families of questions about a few lines on invented people."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import CITIES, JOBS, NAMES, words

__all__ = ["FAMILIES"]

_PETS = words("cat dog parrot hamster rabbit canary tortoise goldfish")
_STEPS = (
    "moved to {city}",
    "opened a shop in {city}",
    "studied in {city}",
    "won a prize",
    "bought a boat",
    "wrote a novel",
    "learned to fly",
    "sold the farm",
    "ran a marathon",
)


def _a(noun: str) -> str:
    """The noun with its article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _people(rng: random.Random) -> list[tuple[str, str, str, str]]:
    """Three people with their cities, jobs and pets, nothing twice."""
    return [*zip(*(rng.sample(from_, 3) for from_ in (NAMES, CITIES, JOBS, _PETS)), strict=True)]


def _told(people: list[tuple[str, str, str, str]]) -> str:
    """The facts about them, as a paragraph."""
    (n1, c1, j1, p1), (n2, c2, j2, p2), (n3, c3, j3, p3) = people
    return (
        f"{n1} lives in {c1}, works as {_a(j1)} and has {_a(p1)}. {n2} is {_a(j2)} in {c2} who owns {_a(p2)}. "
        f"In {c3} you will find {n3}, {_a(j3)} with {_a(p3)}."
    )


def fact_question(rng: random.Random) -> Fields:
    """A question that one fact answers."""
    people = _people(rng)
    name, city, job, pet = rng.choice(people)
    question, answer = rng.choice(
        (
            (f"Where is {name} at home?", city),
            (f"What is {name}'s job?", job),
            (f"Which pet does {name} keep?", pet),
            (f"Who is the {job}?", name),
            (f"Who has the {pet}?", name),
            (f"What does the person in {city} do for a living?", job),
        )
    )
    return {"text": _told(people), "question": question, "response": answer}


def fact_yes_no(rng: random.Random) -> Fields:
    """Whether a statement agrees with the facts; half do."""
    people = _people(rng)
    true, false = rng.sample(people, 2)
    _, city, job, pet = true if (agrees := rng.random() < 0.5) else false
    predicate = rng.choice((f"live in {city}", f"work as {_a(job)}", f"own {_a(pet)}"))
    return {"text": _told(people), "name": true[0], "claim": predicate, "response": "yes" if agrees else "no"}


def timeline(rng: random.Random) -> Fields:
    """The first or last of three events, told out of order."""
    name = rng.choice(NAMES)
    steps = [step.format(city=rng.choice(CITIES)) for step in rng.sample(_STEPS, 3)]
    years = sorted(rng.sample(range(1950, 2025), 3))
    told = [f"in {year} {name} {step}" for year, step in zip(years, steps, strict=True)]
    rng.shuffle(told)
    end, step = rng.choice((("first", steps[0]), ("last", steps[-1])))
    return {
        "text": " ".join(f"{event[0].upper()}{event[1:]}." for event in told),
        "name": name,
        "end": end,
        "response": f"{name} {step}.",
    }


def summary(rng: random.Random) -> Fields:
    """Three short facts about somebody, in one sentence."""
    name, city, job, pet = _people(rng)[0]
    facts = [f"{name} lives in {city}.", f"{name} works as {_a(job)}.", f"{name} has {_a(pet)}."]
    rng.shuffle(facts)
    return {"facts": " ".join(facts), "response": f"{name} is {_a(job)} in {city} with {_a(pet)}."}


FAMILIES = (
    Family(
        "fact-question",
        "reading",
        fact_question,
        (
            "{text}\n\n{question}",
            "Read the text and answer the question in one word.\n\n{text}\n\n{question}",
            "{question}\n\n{text}",
            "Here is what we know: {text} {question}",
        ),
    ),
    Family(
        "fact-yes-no",
        "reading",
        fact_yes_no,
        (
            "{text}\n\nDoes {name} {claim}? Answer yes or no.",
            "Yes or no: does {name} {claim}?\n\n{text}",
            "According to the text, does {name} {claim}? Say yes or no.\n\n{text}",
            "{text} Given these facts, is it right to say that {name} does {claim}? (yes/no)",
        ),
    ),
    Family(
        "timeline",
        "reading",
        timeline,
        (
            "{text} What did {name} do {end}?",
            "Put the events in order. Which came {end}?\n\n{text}",
            "{text}\n\nWhich of these events happened {end}?",
            "Of everything told here about {name}, what happened {end}? {text}",
        ),
    ),
    Family(
        "summary",
        "reading",
        summary,
        (
            "Summarise in one sentence: {facts}",
            "{facts}\nCombine these into a single sentence.",
            "Shorten this to one sentence without losing a fact. {facts}",
            "Join the short sentences about this person into one. {facts}",
        ),
    ),
)
