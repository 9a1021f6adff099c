"""The table of formats: which keys tell each, and how one record of it becomes turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from righttime.examples import PLAIN, Message, Parsed, first_exchange
from righttime.formats import (
    alpaca,
    benchmarks,
    conversation,
    named,
    natural_instructions,
    pairs,
    preference,
    single_turns,
    texts,
)
from righttime.formats.asking import ANSWERS
from righttime.formats.fields import BadRowError, SilentRowError, kind_of, name_of
from righttime.formats.seen import Seen, folded

__all__ = ["FORMATS", "Format", "by_fields", "format_names", "match", "missing", "parse"]


def _whole(record: Mapping[str, Any], _shots: int) -> Iterator[Mapping[str, Any]]:
    yield record


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        read: Makes turns of one record.
        needs: Keys that every record has; ``choices|options`` stands for either.
        answers: Keys of which one holds the response; detection asks for one, a record without it has no response.
        ids: Keys, besides `id`, under which a record may give its id.
        tasks: Keys, besides `task` and `task_name`, under which it may name its task.
        looks: What a row looks like, for a person.
        split: Makes of one record one for each row, given the number of positive examples to keep.
        plain: The keys of a prompt, of a text that follows it on a line of its own (or None), and of responses, the
            first that is there counts: what `read` reads of a record that holds these as texts, and besides nothing
            that any reader looks at. Without keys of responses, of a list of turns. None: `read` does more than that.
        by_name: Read only where the user names it, never detected: its rows are trained on in another way.
        lone: The key whose text a record that is nothing but a text stands for; None where it cannot be one.
    """

    read: Callable[[Mapping[str, Any]], tuple[Message, ...]]
    needs: tuple[str, ...]
    answers: tuple[str, ...] = ()
    ids: tuple[str, ...] = ("uuid",)
    tasks: tuple[str, ...] = ()
    looks: str = ""
    split: Callable[[Mapping[str, Any], int], Iterator[Mapping[str, Any]]] = _whole
    plain: tuple[str, str | None, tuple[str, ...]] | None = None
    by_name: bool = False
    lone: str | None = None


_NI_SPLIT = natural_instructions.first_examples

FORMATS: Mapping[str, Format] = {
    "natural-instructions": Format(
        natural_instructions.natural_instructions,
        ("Definition", "input"),
        ("output",),
        split=_NI_SPLIT,
        looks=(
            "Natural Instructions: a folder with `tasks/*.json` and `splits/default/`, as POOL its training "
            "tasks, as TARGET its test tasks; or one task file, v2 or v1. `positive_examples=N` puts N "
            "worked examples into the prompt; the file's name is the task"
        ),
    ),
    "natural-instructions-rows": Format(
        natural_instructions.flat_rows,
        ("definition", "inputs"),
        ("targets",),
        looks='`{"definition", "inputs", "targets"}`, as on the hub',
    ),
    "p3": Format(
        pairs.p3,
        ("inputs_pretokenized",),
        ("targets_pretokenized",),
        plain=("inputs_pretokenized", None, ("targets_pretokenized",)),
        looks='`{"inputs_pretokenized", "targets_pretokenized"}`',
    ),
    "messages": Format(
        conversation.messages,
        ("messages",),
        ids=("prompt_id", "uuid"),
        plain=("messages", None, ()),
        looks=(
            '`{"messages": [{"role", "content"}], "tools"?}`, content a string or a list of parts; our own '
            "`train.jsonl`"
        ),
    ),
    "sharegpt": Format(
        conversation.sharegpt,
        ("conversations",),
        tasks=("source",),
        plain=("conversations", None, ()),
        looks=(
            '`{"conversations": [{"from": "human", "value": ...}, ...], "tools"?, "system"?}`; Flan-mini is '
            "this with the task in `source`; LIMA is this with a list of texts"
        ),
    ),
    "self-instruct": Format(
        alpaca.self_instruct,
        ("instruction", "instances"),
        tasks=("name",),
        split=alpaca.instances,
        looks='`{"id", "name", "instruction", "instances": [{"input", "output"}]}`, one row an instance',
    ),
    "alpaca": Format(
        alpaca.alpaca,
        ("instruction",),
        ("output", "response"),
        tasks=("category",),
        plain=("instruction", "input", ("output", "response")),
        looks='`{"instruction", "input", "output"}`, also `response`, `context`, `history`, `system`',
    ),
    "mt-bench": Format(
        single_turns.mt_bench,
        ("question_id", "turns"),
        ids=("question_id",),
        tasks=("category",),
        looks='`{"question_id", "turns"}`: the first turn; targets only',
    ),
    "ifeval": Format(
        pairs.prompt_only,
        ("prompt", "instruction_id_list"),
        ids=("key",),
        looks='`{"key", "prompt", "instruction_id_list"}`: targets only',
    ),
    "prompt-completion": Format(
        pairs.prompt_completion,
        ("prompt",),
        pairs.COMPLETIONS,
        ids=("prompt_id", "task_id", "uuid"),
        tasks=("category",),
        plain=("prompt", None, pairs.COMPLETIONS),
        looks=(
            '`{"prompt", "completion"}`, also `response`, `answer`, `output`, `canonical_solution`, '
            "`solution`, `code` or `target`; a final `<|endoftext|>` is stripped"
        ),
    ),
    "multiple-choice": Format(
        benchmarks.multiple_choice,
        ("question", "choices|options|B"),
        benchmarks.CHOSEN,
        ids=("question_id",),
        tasks=("subject", "category"),
        looks=(
            '`{"question", "choices", "answer"}`, also `options`, or columns `A`, `B`, ...; the answer also under '
            "`label`"
        ),
    ),
    "question-answer": Format(
        pairs.question_answer,
        ("question",),
        ANSWERS,
        ids=("question_id",),
        tasks=("category",),
        plain=("question", None, ANSWERS),
        looks=(
            '`{"question", "answer"}`, also `response`, `answers`, `answerKey`, `correct_answer`, `correct`, '
            "`best_answer`, `output` or `solution`"
        ),
    ),
    "input-target": Format(
        pairs.input_target,
        ("input",),
        pairs.TARGETS,
        tasks=("category",),
        plain=("input", None, ("target", "output")),
        looks=(
            '`{"input", "target"}`, `output` or `ideal`, the input a text or a list of turns; also inside one object, '
            '`{"examples": [...]}`'
        ),
    ),
    "inputs-targets": Format(
        pairs.inputs_targets,
        ("inputs",),
        ("targets",),
        tasks=("category",),
        plain=("inputs", None, ("targets",)),
        looks='`{"inputs", "targets"}`',
    ),
    "flan-cot": Format(
        single_turns.flan_cot,
        ("question",),
        ("answer", "explanation"),
        looks=("TSV without a header: question, answer, explanation; the response is the explanation, then the answer"),
    ),
    "ultrachat": Format(
        conversation.ultrachat, ("data",), looks='`{"id", "data": ["user says", "assistant says", ...]}`'
    ),
    "problem-solution": Format(
        benchmarks.problem,
        ("problem",),
        ("solution", "generated_solution", "answer"),
        tasks=("type", "subject"),
        plain=("problem", None, ("solution", "generated_solution", "answer")),
        looks='`{"problem", "solution"}`, also `generated_solution` or `answer`',
    ),
    "query-response": Format(
        benchmarks.query,
        ("query",),
        ("response", "answer", "output"),
        tasks=("type", "category"),
        plain=("query", None, ("response", "answer", "output")),
        looks='`{"query", "response"}`, also `answer` or `output`',
    ),
    "text-code": Format(benchmarks.text_code, ("text", "code"), ids=("task_id",), looks='`{"text", "code"}`'),
    "squad": Format(
        benchmarks.squad,
        ("paragraphs",),
        split=benchmarks.paragraphs,
        looks=(
            '`{"title", "paragraphs": [{"context", "qas": [...]}]}`, also inside `{"data": [...]}`, one row a question'
        ),
    ),
    "conversation": Format(
        conversation.conversation,
        ("conversation",),
        ids=("conversation_id",),
        plain=("conversation", None, ()),
        looks='`{"conversation": [{"role", "content"}]}`',
    ),
    "prompt": Format(
        pairs.prompt_completion,
        ("prompt",),
        ids=("prompt_id", "task_id"),
        tasks=("category",),
        looks='`{"prompt"}`: targets only',
        lone="prompt",
    ),
    "instruction": Format(
        alpaca.alpaca, ("instruction",), tasks=("category", "skill"), looks='`{"instruction"}`: targets only'
    ),
    "question": Format(
        pairs.question_answer,
        ("question",),
        ids=("question_id",),
        tasks=("category",),
        looks='`{"question"}`: targets only',
    ),
    "input": Format(
        pairs.input_target,
        ("input",),
        tasks=("category",),
        looks='`{"input"}`, a text or a list of turns: targets only',
    ),
    "preference": Format(
        preference.preference,
        ("chosen", "rejected"),
        looks=(
            '`{"prompt", "chosen", "rejected"}` (DPO), each a text or a list of turns, the prompt also inside both '
            "lists; only where it is named"
        ),
        by_name=True,
    ),
    "text": Format(
        texts.plain_text,
        ("text",),
        looks='`{"text"}`, or a `.txt` file: plain texts for continued pre-training; only where it is named',
        by_name=True,
        lone="text",
    ),
}
"""Every format by name. A record is of the first one whose keys it has, so the more telling ones stand first."""


def _folded(form: Format) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    """A format's keys, and its answers, however they are spelled."""
    needs = tuple(frozenset(map(folded, need.split("|"))) for need in form.needs)
    return needs, frozenset(map(folded, form.answers))


_FOLDED = {name: _folded(form) for name, form in FORMATS.items() if not form.by_name}


def format_names() -> list[str]:
    """The names of all formats, in order of detection."""
    return list(FORMATS)


def match(keys: Mapping[str, Any]) -> str | None:
    """The name of the first format whose keys a record has, whatever their case, or None; none that must be named."""
    there = {folded(key) for key in keys}
    for name, (needs, answers) in _FOLDED.items():
        if all(not there.isdisjoint(either) for either in needs) and not (answers and there.isdisjoint(answers)):
            return name
    return None


def missing(record: Mapping[str, Any], form: Format) -> str | None:
    """The first key that a format needs and a record has not, or None."""
    if all(need in record for need in form.needs):
        return None
    seen = Seen(record)
    return next((need for need in form.needs if not any(key in seen for key in need.split("|"))), None)


def by_fields(fields: Mapping[str, str]) -> Format:
    """The format of rows whose fields the user named."""
    return Format(
        lambda record: named.named(record, fields), (), (fields["response"],) if "response" in fields else (), ids=()
    )


def parse(
    record: Mapping[str, Any], form: Format, role: str, task_field: str | None, stem: str, fields: Mapping[str, str]
) -> Parsed:
    """Read one record.

    Args:
        record: The record, with all keys that the format needs.
        form: Its format.
        role: ``pool`` or ``target``; a pool's row must have a response.
        task_field: The key of the task's name, ``@file``, or None for the format's own.
        stem: The file's name without its suffixes, the task for ``@file``.
        fields: The fields that the user named; empty for a format's own.

    Raises:
        BadRowError: If the record cannot be used; says which field is to blame.
    """
    turns = _spoken(form.read(record))
    prompt, response = first_exchange(turns)
    if not prompt.strip():
        raise BadRowError("no user turn says anything, but a row must have a prompt")
    if role == "pool" and turns[0].role != PLAIN and not (response or "").strip():
        where = f" (looked under {' and '.join(f'`{key}`' for key in form.answers)})" if form.answers else ""
        raise SilentRowError(f"a pool's row must have a response, got none{where}; it may serve as the target")
    task = _task(record, form, task_field or fields.get("task"), stem)
    return Parsed(turns, _id(record, form, fields.get("id")), task, _tools(record))


def _spoken(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns without empty system texts and empty last answers; any other empty turn is an error."""
    kept = [turn for turn in turns if turn.role != "system" or turn.content.strip()]
    while kept and kept[-1].role == "assistant" and not (kept[-1].content.strip() or kept[-1].tool_calls):
        kept.pop()
    for number, turn in enumerate(kept, 1):
        if turn.role in {"user", "assistant"} and not (turn.content.strip() or turn.tool_calls or turn.extra):
            raise BadRowError(f"turn {number} ({turn.role}) is empty, but every turn must say something")
    return tuple(kept)


def _id(record: Mapping[str, Any], form: Format, named_id: str | None) -> str | None:
    if named_id is not None:
        return name_of({named_id: named.found_in(record, named_id)}, named_id)
    return next((given for key in ("id", *form.ids) if (given := name_of(record, key)) is not None), None)


def _task(record: Mapping[str, Any], form: Format, task_field: str | None, stem: str) -> str | None:
    if task_field == "@file":
        return stem
    if task_field is not None:
        value = named.found_in(record, task_field)
        if value is None and task_field not in record:
            found = ", ".join(map(str, list(record)[:12]))
            raise BadRowError(f"`{task_field}`, named as the task field, is missing; the record's keys are {found}")
        return name_of({task_field: value}, task_field)
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
