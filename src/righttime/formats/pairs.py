"""A prompt and a response under two keys: formats that differ in the keys alone, two of them without a response.

{"prompt": "Wall St. Bears ...", "completion": "Business<|endoftext|>"}       prompt-completion, also with `response`
{"prompt": [{"role": "user", ...}], "completion": [{"role": "assistant", ...}]}      the same, as TRL has it
{"task_id": "HumanEval/0", "prompt": "def f():", "canonical_solution": "..."}  the same: HumanEval
{"question": "2+2?", "answer": "4"}                                           question-answer (gsm8k)
{"question": "How many?", "context": "...", "answers": {"text": ["4"]}}       the same: SQuAD on the hub
{"input": "not ( True ) is", "target": "False"}                               input-target (BBH), also with `output`
{"input": [{"role": "user", ...}], "ideal": ["4", "four"]}                    the same: OpenAI's evals
{"inputs": "2+2?", "targets": "4"}                                            inputs-targets (FLAN)
{"inputs_pretokenized": "2+2?", "targets_pretokenized": "4"}                  p3
{"key": 1000, "prompt": "Write a summary.", "instruction_id_list": [], "kwargs": []}  ifeval: prompts only
{"prompt": "Write a summary."}                                                prompt: prompts only
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.examples import Message
from righttime.formats.asking import ANSWERS, asked, options_of, replied
from righttime.formats.conversation import turns
from righttime.formats.fields import exchange, optional, text

__all__ = [
    "COMPLETIONS",
    "TARGETS",
    "input_target",
    "inputs_targets",
    "p3",
    "prompt_completion",
    "prompt_only",
    "question_answer",
]

COMPLETIONS = (
    "completion",
    "response",
    "answer",
    "output",
    "canonical_solution",
    "solution",
    "code",
    "target",
)
"""Keys of what completes a prompt, the first that is there counts; HumanEval's and MBPP's among them."""

TARGETS = ("target", "output", "ideal")
"""Keys of what an input leads to, `ideal` in OpenAI's evals."""

_END = "<|endoftext|>"


def _pair(record: Mapping[str, Any], prompt: str, *responses: str) -> tuple[Message, ...]:
    """A prompt that is whole in itself and its response."""
    response = optional(record, *responses).removesuffix(_END)
    return exchange(text(record, prompt), response, _system(record))


def _system(record: Mapping[str, Any]) -> str:
    return optional(record, "system", "system_prompt")


def _asked(record: Mapping[str, Any], prompt: str, *responses: str) -> tuple[Message, ...]:
    """A prompt with the options and the context beside it, and its response."""
    options = options_of(record)
    response = replied(record, responses, options) if options else optional(record, *responses).removesuffix(_END)
    return exchange(asked(record, prompt), response, _system(record))


def prompt_completion(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read prompt and completion, each text or a list of turns."""
    prompt, completion = record["prompt"], record.get("completion")
    if not isinstance(prompt, list):
        return _asked(record, "prompt", *COMPLETIONS)
    return (*turns(prompt, "prompt"), *(turns(completion, "completion") if completion else ()))


def question_answer(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read question and answer."""
    return exchange(asked(record, "question"), replied(record, ANSWERS, options_of(record)), _system(record))


def input_target(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read input and target, each under any of its keys; the input may be a list of turns."""
    given = record["input"]
    if isinstance(given, list):
        return (*turns(given, "input"), *exchange("", replied(record, TARGETS)))
    if "target" in record or "output" in record:
        return _asked(record, "input", "target", "output")
    return exchange(asked(record, "input"), replied(record, ("ideal",)), _system(record))


def inputs_targets(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read inputs and targets."""
    return _pair(record, "inputs", "targets")


def p3(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read P3's pretokenized texts."""
    return _pair(record, "inputs_pretokenized", "targets_pretokenized")


def prompt_only(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a prompt that nobody answers."""
    return exchange(text(record, "prompt"), "")
