"""Preference data (DPO): a prompt, a chosen answer and a rejected one. Read only where it is named.

The shapes that TRL documents, plain and conversational, with the prompt or with it inside both answers:

    {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}
    {"prompt": [{"role": "user", "content": "What colour is the sky?"}],
     "chosen": [{"role": "assistant", "content": "Blue."}], "rejected": [{"role": "assistant", "content": "Green."}]}
    {"chosen": [{"role": "user", ...}, {"role": "assistant", ...}], "rejected": [{"role": "user", ...}, {...}]}

The prompt's text may also stand beside the last of these (UltraFeedback), or under `question` (Orca) or `instruction`
(Alpaca, with `input`), and ShareGPT's turns under `conversations`, with one turn as each answer (LLaMA-Factory).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from righttime.examples import WORSE, Message
from righttime.formats.alpaca import alpaca
from righttime.formats.asking import asked
from righttime.formats.conversation import sharegpt, turns
from righttime.formats.fields import BadRowError, exchange, kind_of, optional

__all__ = ["PROMPTS", "preference"]

PROMPTS = ("prompt", "conversations", "question", "instruction")
"""Keys of the prompt, the first that is there counts."""


def preference(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read the prompt's turns, the chosen answer and the rejected one, in that order."""
    prompt, answers = _prompt(record), {key: _answer(record, key) for key in ("chosen", "rejected")}
    chosen, rejected = answers["chosen"], answers["rejected"]
    shared = _shared(chosen, rejected)
    if shared:
        prompt = _agreed(prompt, shared)
        answers = {key: turns_[len(shared) :] for key, turns_ in answers.items()}
    if not prompt:
        raise BadRowError("`prompt` is missing, and `chosen` and `rejected` do not begin with the same turns")
    if prompt[-1].role == "assistant":
        raise BadRowError("the prompt must end with what is to be answered, got the assistant's turn at its end")
    better, worse = (_alone(found, key) for key, found in answers.items())
    if better == worse:
        raise BadRowError("`chosen` and `rejected` must differ, got the same answer twice")
    return (*prompt, better, dataclasses.replace(worse, role=WORSE))


def _prompt(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """The prompt's turns where it is given; none where it is not."""
    key = next((key for key in PROMPTS if record.get(key) is not None), None)
    if key is None:
        return ()
    if key == "conversations":
        return sharegpt(record)
    system = optional(record, "system", "system_prompt")
    if isinstance(record[key], list | tuple):
        return (*exchange("", "", system), *turns(record[key], key))
    return alpaca(record) if key == "instruction" else exchange(asked(record, key), "", system)


def _answer(record: Mapping[str, Any], key: str) -> tuple[Message, ...]:
    """The turns under a key; a text is one turn of the assistant."""
    value = record[key]
    if isinstance(value, str):
        return (Message("assistant", value),)
    if not isinstance(value, list | tuple | Mapping):
        raise BadRowError(f"`{key}` must be text or a list of turns, got {kind_of(value)}")
    return turns([value] if isinstance(value, Mapping) else value, key)


def _shared(chosen: Sequence[Message], rejected: Sequence[Message]) -> tuple[Message, ...]:
    """The turns that both begin with, up to the last that the assistant is to answer."""
    same = 0
    while same < min(len(chosen), len(rejected)) and chosen[same] == rejected[same]:
        same += 1
    while same and chosen[same - 1].role == "assistant":
        same -= 1
    return tuple(chosen[:same])


def _agreed(prompt: tuple[Message, ...], shared: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns inside the answers, after making sure that the prompt beside them says nothing else."""
    said = {turn.content.strip() for turn in shared}
    for turn in prompt:
        if turn.role == "user" and turn.content.strip() not in said:
            raise BadRowError("`prompt` must be one of the turns that `chosen` and `rejected` begin with, got another")
    system = [turn for turn in prompt if turn.role == "system" and shared[0].role != "system"]
    return (*system, *shared)


def _alone(answer: Sequence[Message], key: str) -> Message:
    """The one turn of an answer."""
    if [turn.role for turn in answer] != ["assistant"]:
        roles = ", ".join(turn.role for turn in answer) or "none"
        raise BadRowError(f"`{key}` must hold one turn of the assistant after the prompt, got {roles}")
    if not (answer[0].content.strip() or answer[0].tool_calls):
        raise BadRowError(f"`{key}` must not be empty")
    return answer[0]
