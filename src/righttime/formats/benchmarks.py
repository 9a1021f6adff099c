"""Benchmarks and tables of exam questions.

MMLU, also as a CSV file without a header (question, the options, the letter of the right one):

    {"question": "2+2?", "subject": "arithmetic", "choices": ["3", "4", "5", "6"], "answer": 1}
    2+2?,3,4,5,6,B

SQuAD as it is published, one row a question; rows of the hub have `context`, `question` and `answers` instead:

    {"title": "Sums", "paragraphs": [{"context": "Two and two make four.", "qas": [
        {"id": "q1", "question": "How many?", "answers": [{"text": "four", "answer_start": 17}]}]}]}

MATH, MetaMathQA, MBPP:

    {"problem": "Find $x$.", "level": "Level 1", "type": "Algebra", "solution": "$x = 1$."}
    {"query": "2+2?", "response": "The answer is: 4", "type": "GSM_Rephrased", "original_question": "1+1?"}
    {"task_id": 11, "text": "Write a function to add.", "code": "def add(a, b): ...", "test_list": ["assert ..."]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from righttime.examples import Message
from righttime.formats.asking import ANSWERS, asked, options_of, replied
from righttime.formats.fields import BadRowError, exchange, kind_of
from righttime.formats.seen import Seen, forgo, spelling, unread

__all__ = ["CHOSEN", "multiple_choice", "paragraphs", "problem", "query", "squad", "text_code"]

CHOSEN = (*ANSWERS, "label")
"""Keys of the right option; AGIEval has its letter under `label`."""


def multiple_choice(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a question with options to choose from."""
    prompt = asked(record, "question", columns=True)
    return exchange(prompt, replied(record, CHOSEN, options_of(record, columns=True)))


def problem(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a problem and its solution."""
    return exchange(asked(record, "problem"), replied(record, ("solution", "generated_solution", "answer")))


def query(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a query and what answers it."""
    return exchange(asked(record, "query"), replied(record, ("response", "answer", "output")))


def text_code(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a task in words and the code that does it."""
    return exchange(asked(record, "text"), replied(record, ("code",)))


def paragraphs(record: Mapping[str, Any], _shots: int) -> Iterator[Mapping[str, Any]]:
    """Split an article of SQuAD into one record for each question."""
    name = spelling(record, "paragraphs")
    for place, part in enumerate(_list(record[name], name)):
        for qa in _list(part.get("qas"), f"{name}[{place}].qas"):
            given = {"id": qa["id"]} if qa.get("id") is not None else {}
            yield {**record, **given, name: [{**part, "qas": [qa]}]}


def _list(value: Any, field: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        raise BadRowError(f"`{field}` must be a list of objects, got {kind_of(value)}")
    return value


def squad(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read an article of SQuAD that was split into one with one question."""
    (part,) = record["paragraphs"]
    (qa,) = part["qas"]
    whole = Seen({**qa, "context": part.get("context")})
    read = exchange(asked(whole, "question"), replied(whole, ("answers",)))
    for field in unread(whole):
        if field != "id":
            forgo(record, f"paragraphs[].qas[].{field}")
    return read
