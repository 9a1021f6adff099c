"""A prompt and a response under two keys: formats that differ in the keys alone, two of them without a response.

{"prompt": "Wall St. Bears ...", "completion": "Business<|endoftext|>"}       prompt-completion, also with `response`
{"prompt": [{"role": "user", ...}], "completion": [{"role": "assistant", ...}]}      the same, as TRL has it
{"question": "2+2?", "answer": "4"}                                           question-answer (gsm8k)
{"input": "not ( True ) is", "target": "False"}                               input-target (BBH), also with `output`
{"inputs": "2+2?", "targets": "4"}                                            inputs-targets (FLAN)
{"inputs_pretokenized": "2+2?", "targets_pretokenized": "4"}                  p3
{"key": 1000, "prompt": "Write a summary.", "instruction_id_list": [], "kwargs": []}  ifeval: prompts only
{"prompt": "Write a summary."}                                                prompt: prompts only
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.examples import Message
from righttime.formats.conversation import turns
from righttime.formats.fields import exchange, optional, text

__all__ = [
    "input_target",
    "inputs_targets",
    "p3",
    "prompt_completion",
    "prompt_only",
    "question_answer",
]

_END = "<|endoftext|>"


def _pair(record: Mapping[str, Any], prompt: str, *responses: str) -> tuple[Message, ...]:
    response = optional(record, *responses).removesuffix(_END)
    return exchange(text(record, prompt), response, optional(record, "system", "system_prompt"))


def prompt_completion(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read prompt and completion, each text or a list of turns."""
    prompt, completion = record["prompt"], record.get("completion")
    if not isinstance(prompt, list):
        return _pair(record, "prompt", "completion", "response", "answer", "output")
    return (*turns(prompt, "prompt"), *(turns(completion, "completion") if completion else ()))


def question_answer(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read question and answer."""
    return _pair(record, "question", "answer", "response")


def input_target(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read input and target, or input and output."""
    return _pair(record, "input", "target", "output")


def inputs_targets(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read inputs and targets."""
    return _pair(record, "inputs", "targets")


def p3(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read P3's pretokenized texts."""
    return _pair(record, "inputs_pretokenized", "targets_pretokenized")


def prompt_only(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a prompt that nobody answers."""
    return exchange(text(record, "prompt"), "")
