"""Natural Instructions (NI), versions 1 and 2: a file for each task, whose instances share one definition.

    {"Definition": ["In this task, ..."], "Positive Examples": [{"input": "a", "output": "b", "explanation": "..."}],
     "Instances": [{"id": "task033-9ac9", "input": "The actor ...", "output": ["unicycle"]}]}

Version 1 has its positive examples under ``"Examples": {"Positive Examples": [...]}`` and no ids. A record that reaches
the reader is one instance with its task's definition and examples beside it. Rows as on the Hugging Face hub:

    {"task_name": "task033", "id": "task033-9ac9", "definition": "In this task, ...", "inputs": "...", "targets": "..."}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from righttime.examples import Message
from righttime.formats.fields import BadRowError, answer, exchange, kind_of, optional, text
from righttime.formats.seen import text_keys

__all__ = ["beside", "first_examples", "flat_rows", "is_task", "natural_instructions", "task_header"]


def is_task(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a task file of NI."""
    return "Definition" in value and isinstance(value.get("Instances"), list)


def task_header(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What each instance of a task file is given from its task."""
    older = value.get("Examples")
    examples = older.get("Positive Examples") if isinstance(older, Mapping) else value.get("Positive Examples")
    header = {"task": name, "Categories": value.get("Categories"), "Definition": value["Definition"]}
    return {**header, "Positive Examples": examples}


def beside(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of a task file that no instance is given, such as its negative examples."""
    taken = ("Instances", "Categories", "Definition", "Positive Examples")
    older = value.get("Examples")
    flat = {**value, **older} if isinstance(older, Mapping) else value
    return tuple(key for key in text_keys(flat, "Examples") if key not in taken)


def first_examples(record: Mapping[str, Any], shots: int) -> Iterator[Mapping[str, Any]]:
    """Keep only as many positive examples as the prompt is to show."""
    given = record.get("Positive Examples")
    yield {**record, "Positive Examples": given[:shots]} if isinstance(given, list) else record


def natural_instructions(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read one instance: zero-shot, or with the positive examples that it brings (Tk-Instruct's form)."""
    definition = answer(record["Definition"], "Definition").strip()
    given = text(record, "input").strip()
    shots = [_shot(place, example) for place, example in enumerate(record.get("Positive Examples") or (), 1)]
    last = f"Now complete the following example -\nInput: {given}\nOutput:" if shots else given
    return exchange(
        "\n\n".join(part for part in (definition, *shots, last) if part), answer(record.get("output"), "output")
    )


def _shot(number: int, example: Any) -> str:
    if not isinstance(example, Mapping):
        raise BadRowError(f"`Positive Examples[{number - 1}]` must be an object, got {kind_of(example)}")
    given, output = optional(example, "input").strip(), answer(example.get("output"), "output").strip()
    return f"Positive Example {number} -\nInput: {given}\nOutput: {output}"


def flat_rows(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a row that carries its definition beside inputs and targets."""
    parts = (optional(record, "definition").strip(), text(record, "inputs").strip())
    return exchange("\n\n".join(part for part in parts if part), answer(record.get("targets"), "targets"))
