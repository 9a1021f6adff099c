"""Alpaca and its kin: an instruction, perhaps an input, and an output; Self-Instruct's seeds.

{"instruction": "Rewrite it.", "input": "freind", "output": "friend", "history": [["hi", "Hello!"]], "system": "..."}
{"instruction": "Who won?", "context": "...", "response": "Nobody.", "category": "closed_qa"}        (Dolly)
{"id": "seed_task_0", "name": "breakfast", "instruction": "Suggest.", "instances": [{"input": "", "output": "Oats."}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from righttime.examples import Message
from righttime.formats.asking import asked, options_of, replied
from righttime.formats.fields import BadRowError, exchange, kind_of, optional
from righttime.formats.seen import Seen, forgo, spelling, unread

__all__ = ["alpaca", "instances", "self_instruct"]


def alpaca(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read an instruction with its input and output, after the `system` text and the `history` if there are any."""
    prompt = asked(record, "instruction", always=("input", "context"))
    system = exchange("", "", optional(record, "system"))
    return (*system, *_history(record), *exchange(prompt, _response(record)))


def _response(record: Mapping[str, Any]) -> str:
    """The output; where there are options, it may be the number of one."""
    options = options_of(record)
    if options:
        return replied(record, ("output", "response", "answer"), options)
    return optional(record, "output", "response")


def _history(record: Mapping[str, Any]) -> Iterator[Message]:
    for place, pair in enumerate(record.get("history") or ()):
        texts = isinstance(pair, list | tuple) and [isinstance(said, str) for said in pair]
        if texts != [True, True]:
            raise BadRowError(f"`history[{place}]` must be a list of a question and an answer, got {kind_of(pair)}")
        yield Message("user", pair[0])
        yield Message("assistant", pair[1])


def instances(record: Mapping[str, Any], _shots: int) -> Iterator[Mapping[str, Any]]:
    """Split a Self-Instruct record into one record for each instance, the k-th further id ending in ``-k``."""
    name = spelling(record, "instances")
    given = record[name]
    if not isinstance(given, list) or len(given) < 2:
        yield record
        return
    for place, instance in enumerate(given):
        ending = {"id": f"{record['id']}-{place}"} if place and record.get("id") not in (None, "") else {}
        yield {**record, **ending, name: [instance]}


def self_instruct(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a Self-Instruct record of one instance."""
    given = record["instances"]
    if not isinstance(given, list) or not given or not isinstance(given[0], Mapping):
        raise BadRowError(f"`instances` must be a list of at least one object, got {kind_of(given)}")
    inside = Seen({"instruction": record["instruction"], **given[0]})
    read = alpaca(inside)
    for field in unread(inside):
        forgo(record, f"instances[].{field}")
    return read
