"""The table of formats: which keys tell each, and how one record of it becomes turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from righttime.examples import Message, Parsed, first_exchange
from righttime.formats import alpaca, conversation, natural_instructions, pairs, single_turns
from righttime.formats.fields import BadRowError, RefusedError, SilentRowError, kind_of, name_of

__all__ = ["FORMATS", "Format", "format_names", "match", "parse", "refuse"]


_DPO = (
    "`chosen` and `rejected` make this preference data (DPO), which is not instruction tuning; "
    "keep one answer, for example the chosen one, and save the rows as `messages`"
)
_KTO = (
    "a true or false `label` makes this preference data (KTO), which is not instruction tuning; "
    "keep the rows with label true and save them without `label`"
)
_IMAGES = "and only text can be arranged; take the rows with images out"
_TREES = (
    "`message_tree_id` makes this Open-Assistant message trees, with several answers to a prompt; "
    "save the threads you want as `messages`"
)


def _whole(record: Mapping[str, Any], _shots: int) -> Iterator[Mapping[str, Any]]:
    yield record


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        read: Makes turns of one record.
        needs: Keys that every record has.
        answers: Keys of which one holds the response; detection asks for one, a record without it has no response.
        ids: Keys, besides `id`, under which a record may give its id.
        tasks: Keys, besides `task` and `task_name`, under which it may name its task.
        split: Makes of one record one for each row, given the number of positive examples to keep.
    """

    read: Callable[[Mapping[str, Any]], tuple[Message, ...]]
    needs: tuple[str, ...]
    answers: tuple[str, ...] = ()
    ids: tuple[str, ...] = ("uuid",)
    tasks: tuple[str, ...] = ()
    split: Callable[[Mapping[str, Any], int], Iterator[Mapping[str, Any]]] = _whole


_NI_SPLIT = natural_instructions.first_examples

FORMATS: Mapping[str, Format] = {
    "natural-instructions": Format(
        natural_instructions.natural_instructions, ("Definition", "input"), ("output",), split=_NI_SPLIT
    ),
    "natural-instructions-rows": Format(natural_instructions.flat_rows, ("definition", "inputs"), ("targets",)),
    "p3": Format(pairs.p3, ("inputs_pretokenized",), ("targets_pretokenized",)),
    "messages": Format(conversation.messages, ("messages",), ids=("prompt_id", "uuid")),
    "sharegpt": Format(conversation.sharegpt, ("conversations",), tasks=("source",)),
    "self-instruct": Format(
        alpaca.self_instruct, ("instruction", "instances"), tasks=("name",), split=alpaca.instances
    ),
    "alpaca": Format(alpaca.alpaca, ("instruction",), ("output", "response"), tasks=("category",)),
    "mt-bench": Format(single_turns.mt_bench, ("question_id", "turns"), ids=("question_id",), tasks=("category",)),
    "ifeval": Format(pairs.prompt_only, ("prompt", "instruction_id_list"), ids=("key",)),
    "prompt-completion": Format(
        pairs.prompt_completion,
        ("prompt",),
        ("completion", "response", "answer", "output"),
        ids=("prompt_id", "task_id", "uuid"),
        tasks=("category",),
    ),
    "question-answer": Format(
        pairs.question_answer, ("question",), ("answer", "response"), ids=("question_id",), tasks=("category",)
    ),
    "input-target": Format(pairs.input_target, ("input",), ("target", "output"), tasks=("category",)),
    "inputs-targets": Format(pairs.inputs_targets, ("inputs",), ("targets",), tasks=("category",)),
    "flan-cot": Format(single_turns.flan_cot, ("question",), ("answer", "explanation")),
    "ultrachat": Format(conversation.ultrachat, ("data",)),
    "prompt": Format(pairs.prompt_completion, ("prompt",), ids=("prompt_id", "task_id"), tasks=("category",)),
}
"""Every format by name. A record is of the first one whose keys it has, so the more telling ones stand first."""


def format_names() -> list[str]:
    """The names of all formats, in order of detection."""
    return list(FORMATS)


def match(keys: Mapping[str, Any]) -> str | None:
    """The name of the first format whose keys a record has, or None."""
    for name, form in FORMATS.items():
        if all(key in keys for key in form.needs) and (not form.answers or any(key in keys for key in form.answers)):
            return name
    return None


def refuse(record: Mapping[str, Any]) -> None:
    """Say what a record is if it is of a kind that cannot be arranged.

    Raises:
        RefusedError: If it is preference data, comes with images, or is an Open-Assistant tree.
    """
    if record.get("chosen") is not None and record.get("rejected") is not None:
        raise RefusedError(_DPO)
    turns = "messages" in record or "conversations" in record or ("prompt" in record and "completion" in record)
    if turns and isinstance(record.get("label"), bool):
        raise RefusedError(_KTO)
    for key in ("images", "image"):
        if record.get(key):
            raise RefusedError(f"`{key}` says that the row comes with images, {_IMAGES}")
    if "message_tree_id" in record and ("prompt" in record or "parent_id" in record):
        raise RefusedError(_TREES)


def parse(record: Mapping[str, Any], name: str, role: str, task_field: str | None, stem: str) -> Parsed:
    """Read one record of the format `name`.

    Args:
        record: The record.
        name: A name in `FORMATS`.
        role: ``pool`` or ``target``; a pool's row must have a response.
        task_field: The key of the task's name, ``@file``, or None for the format's own.
        stem: The file's name without its suffixes, the task for ``@file``.

    Raises:
        BadRowError: If the record cannot be used; says which field is to blame.
    """
    form = FORMATS[name]
    missing = next((key for key in form.needs if key not in record), None)
    if missing:
        found = ", ".join(map(str, list(record)[:12])) or "none"
        raise BadRowError(f"`{missing}` is missing, the file being read as {name}; the record's keys are {found}")
    turns = _spoken(form.read(record))
    prompt, response = first_exchange(turns)
    if not prompt.strip():
        raise BadRowError("no user turn says anything, but a row must have a prompt")
    if role == "pool" and not (response or "").strip():
        where = f" (looked under {' and '.join(f'`{key}`' for key in form.answers)})" if form.answers else ""
        raise SilentRowError(f"a pool's row must have a response, got none{where}; it may serve as `--target`")
    return Parsed(turns, _id(record, form), _task(record, form, task_field, stem), _tools(record))


def _spoken(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns without empty system texts and empty last answers; any other empty turn is an error."""
    kept = [turn for turn in turns if turn.role != "system" or turn.content.strip()]
    while kept and kept[-1].role == "assistant" and not (kept[-1].content.strip() or kept[-1].tool_calls):
        kept.pop()
    for number, turn in enumerate(kept, 1):
        if turn.role in {"user", "assistant"} and not (turn.content.strip() or turn.tool_calls or turn.extra):
            raise BadRowError(f"turn {number} ({turn.role}) is empty, but every turn must say something")
    return tuple(kept)


def _id(record: Mapping[str, Any], form: Format) -> str | None:
    return next((given for key in ("id", *form.ids) if (given := name_of(record, key)) is not None), None)


def _task(record: Mapping[str, Any], form: Format, task_field: str | None, stem: str) -> str | None:
    if task_field == "@file":
        return stem
    if task_field is not None:
        if task_field not in record:
            found = ", ".join(map(str, list(record)[:12]))
            raise BadRowError(f"`{task_field}`, named as the task field, is missing; the record's keys are {found}")
        return name_of(record, task_field)
    given = name_of(record, "task") or name_of(record, "task_name")
    other = (record[key] for key in form.tasks if isinstance(record.get(key), str) and record[key])
    return given or next(other, None)


def _tools(record: Mapping[str, Any]) -> Any:
    tools = record.get("tools")
    if tools is None or (isinstance(tools, str) and tools.strip() in {"", "[]", "null"}) or tools == []:
        return None
    if not isinstance(tools, str | list):
        raise BadRowError(f"`tools` must be text or a list, got {kind_of(tools)}")
    return tools
