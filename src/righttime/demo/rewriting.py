"""Families that say a sentence in another way."""

from __future__ import annotations

import random

from righttime.demo.family import Family, Fields
from righttime.demo.words import NAMES, words

__all__ = ["FAMILIES"]

# Of each verb: base, with -s, past, participle, and what it is done to.
_VERBS: tuple[tuple[str, str, str, str, str], ...] = (
    ("paint", "paints", "painted", "painted", "fence wall door"),
    ("write", "writes", "wrote", "written", "letter report song"),
    ("clean", "cleans", "cleaned", "cleaned", "kitchen window oven"),
    ("sing", "sings", "sang", "sung", "ballad song hymn"),
    ("drive", "drives", "drove", "driven", "bus tractor van"),
    ("choose", "chooses", "chose", "chosen", "winner menu colour"),
    ("repair", "repairs", "repaired", "repaired", "roof clock bicycle"),
    ("carry", "carries", "carried", "carried", "suitcase ladder basket"),
    ("break", "breaks", "broke", "broken", "vase lock record"),
    ("bake", "bakes", "baked", "baked", "cake bread pie"),
    ("teach", "teaches", "taught", "taught", "class course lesson"),
    ("steal", "steals", "stole", "stolen", "wallet necklace map"),
    ("wash", "washes", "washed", "washed", "car blanket shirt"),
    ("draw", "draws", "drew", "drawn", "map portrait plan"),
    ("sell", "sells", "sold", "sold", "house boat piano"),
    ("open", "opens", "opened", "opened", "parcel gate meeting"),
    ("buy", "buys", "bought", "bought", "lamp farm newspaper"),
    ("hide", "hides", "hid", "hidden", "key treasure present"),
    ("take", "takes", "took", "taken", "photo bag medicine"),
    ("find", "finds", "found", "found", "answer ring path"),
)

_DOERS = (*NAMES, *(f"the {who}" for who in words("teacher gardener doctor pilot neighbour student captain cook")))
_WHEN = ("", " after lunch", " in the morning", " with a friend", " before dinner", " on Sundays", " in the evening")


def _capital(sentence: str) -> str:
    """The sentence with its first letter in upper case, the rest untouched."""
    return sentence[0].upper() + sentence[1:]


def _draw(rng: random.Random) -> tuple[str, tuple[str, str, str, str, str], str, str]:
    """Who, the verb's forms, what it is done to, and when."""
    verb = rng.choice(_VERBS)
    return rng.choice(_DOERS), verb, f"the {rng.choice(verb[4].split())}", rng.choice(_WHEN)


def active_voice(rng: random.Random) -> Fields:
    """A passive sentence, made active."""
    who, (_, _, past, participle, _), what, _ = _draw(rng)
    return {"sentence": f"{_capital(what)} was {participle} by {who}.", "response": f"{_capital(who)} {past} {what}."}


def polite_request(rng: random.Random) -> Fields:
    """An order, made a polite request."""
    _, (base, *_), what, _ = _draw(rng)
    when = rng.choice(("", " today", " now", " tomorrow", " before you leave"))
    return {"sentence": f"{_capital(base)} {what}{when}!", "response": f"Could you please {base} {what}{when}?"}


def negate(rng: random.Random) -> Fields:
    """A statement, made its opposite."""
    who, (base, now, past, _, _), what, when = _draw(rng)
    verb, helper = rng.choice(((now, "does"), (past, "did")))
    response = f"{_capital(who)} {helper} not {base} {what}{when}."
    return {"sentence": f"{_capital(who)} {verb} {what}{when}.", "response": response}


def past_tense(rng: random.Random) -> Fields:
    """A sentence of today, in the past tense."""
    who, (_, now, past, _, _), what, when = _draw(rng)
    return {"sentence": f"{_capital(who)} {now} {what}{when}.", "response": f"{_capital(who)} {past} {what}{when}."}


def future_tense(rng: random.Random) -> Fields:
    """A sentence of today, in the future tense."""
    who, (base, now, _, _, _), what, when = _draw(rng)
    response = f"{_capital(who)} will {base} {what}{when}."
    return {"sentence": f"{_capital(who)} {now} {what}{when}.", "response": response}


FAMILIES = (
    Family(
        "active-voice",
        "rewriting",
        active_voice,
        (
            "Rewrite in the active voice: {sentence}",
            "Change this passive sentence into an active one. {sentence}",
            "{sentence}\nSay the same without the passive.",
            "Turn the sentence around so that the doer comes first: {sentence}",
        ),
    ),
    Family(
        "polite-request",
        "rewriting",
        polite_request,
        (
            "Make this more polite: {sentence}",
            "Rephrase the order as a polite question. {sentence}",
            "{sentence} That sounds rude. How can I ask it kindly?",
            "Turn this command into a friendly request: {sentence}",
        ),
    ),
    Family(
        "negate",
        "rewriting",
        negate,
        (
            "Make this sentence negative: {sentence}",
            "Write the opposite statement, using 'not'. {sentence}",
            "{sentence}\nThis is false. Say what is true instead.",
            "Negate the following: {sentence}",
        ),
    ),
    Family(
        "past-tense",
        "rewriting",
        past_tense,
        (
            "Put this sentence into the past tense: {sentence}",
            "Rewrite the sentence as something that already happened. {sentence}",
            "{sentence}\nChange the verb to the simple past.",
            "How would you say this about yesterday or last year? {sentence}",
        ),
    ),
    Family(
        "future-tense",
        "rewriting",
        future_tense,
        (
            "Put this sentence into the future tense: {sentence}",
            "Rewrite the sentence with 'will'. {sentence}",
            "{sentence}\nSay that this is going to happen later, using will.",
            "Change the verb so that the sentence speaks about the future: {sentence}",
        ),
    ),
)
