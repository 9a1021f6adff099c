"""Families about the calendar. Names of months and days are ours, so that no locale changes them."""

from __future__ import annotations

import random
from datetime import date, timedelta

from righttime.demo.family import Family, Fields
from righttime.demo.words import MONTHS, WEEKDAYS

__all__ = ["FAMILIES"]


def _some_day(rng: random.Random) -> date:
    """A day from 1950 to 2049."""
    return date(1950, 1, 1) + timedelta(days=rng.randrange(36_500))


def _forms(day: date) -> dict[str, str]:
    """The day in each form we know, by what that form is called."""
    month = MONTHS[day.month - 1]
    return {
        "ISO format (YYYY-MM-DD)": day.isoformat(),
        "DD/MM/YYYY": f"{day.day:02}/{day.month:02}/{day.year}",
        "the form 'day month year', with the month as a word": f"{day.day} {month} {day.year}",
        "the American style 'Month day, year'": f"{month} {day.day}, {day.year}",
    }


def weekday(rng: random.Random) -> Fields:
    """The day of the week of a date."""
    day = _some_day(rng)
    iso, _, words, american = _forms(day).values()
    return {"date": rng.choice((iso, words, american)), "response": WEEKDAYS[day.weekday()]}


def days_between(rng: random.Random) -> Fields:
    """The number of days from one date to a later one, at most two months on."""
    first, gap = _some_day(rng), rng.randrange(2, 60)
    form = rng.choice((0, 2, 3))
    start, end = ([*_forms(day).values()][form] for day in (first, first + timedelta(days=gap)))
    return {"start": start, "end": end, "response": f"{gap} days"}


def date_format(rng: random.Random) -> Fields:
    """A date in another form."""
    forms = _forms(_some_day(rng))
    given, wanted = rng.sample(sorted(forms), 2)
    if given == "DD/MM/YYYY":  # could be read as MM/DD/YYYY, so it is only ever asked for
        given, wanted = wanted, given
    return {"date": forms[given], "form": wanted, "response": forms[wanted]}


FAMILIES = (
    Family(
        "weekday",
        "dates",
        weekday,
        (
            "What day of the week is {date}?",
            "On which weekday does {date} fall?",
            "Name the day of the week for this date: {date}",
            "Which weekday does the calendar show for {date}?",
        ),
    ),
    Family(
        "days-between",
        "dates",
        days_between,
        (
            "How many days are there from {start} to {end}?",
            "A trip starts on {start} and ends on {end}. How many days later is the end than the start?",
            "Today is {start}. How many days is it until {end}?",
            "Work out the number of days between {start} and {end}.",
        ),
    ),
    Family(
        "date-format",
        "dates",
        date_format,
        (
            "Write the date {date} in {form}.",
            "Convert this date to {form}: {date}",
            "{date}\nHow does this date look in {form}?",
            "Our office wants dates in {form}. What do I write for {date}?",
        ),
    ),
)
