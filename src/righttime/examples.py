"""What one example is, and the text that represents it when it is embedded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from righttime.errors import unknown_name

__all__ = [
    "PLAIN",
    "TEXTS",
    "WORSE",
    "Example",
    "Kind",
    "LeftOut",
    "Message",
    "Parsed",
    "answered",
    "answered_both_ways",
    "content_id",
    "content_text",
    "messages_in",
    "text_of",
    "turns_in",
]

PLAIN = "text"
"""The role of the one turn of a plain text, which nobody says to anybody."""
WORSE = "rejected"
"""The role of the last turn of a preference: the answer that is worse than the assistant's before it."""

Kind = Literal["messages", "text", "preference"]
"""What rows hold: a conversation, a plain text, or a prompt with a better and a worse answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``; `PLAIN` or `WORSE` in rows of other kinds.
        content: The text; empty only where the turn is nothing but tool calls.
        tool_calls: The assistant's calls as the OpenAI format has them, each
            ``{"type": "function", "function": {"name": ..., "arguments": ...}}``.
        extra: Other keys that chat templates read (``name``, ``tool_call_id``, ``reasoning_content``).
    """

    role: str
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The message as a trainer reads it, keys in a fixed order."""
        out: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            out["tool_calls"] = list(self.tool_calls)
        out.update(self.extra)
        return out


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a format's reader makes of one record, before ids are settled.

    Attributes:
        messages: The turns, in order; at least one.
        id: The id that the record gives itself, if it does.
        task: The task's name, if the record names one.
        tools: The tool descriptions as given (a JSON string or a list), or None.
    """

    messages: tuple[Message, ...]
    id: str | None = None
    task: str | None = None
    tools: Any = None


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a pool or of a target, with the place it came from.

    Attributes:
        id: Unique among the rows read together.
        task: The task's name, or None.
        source: The pool it came from, a short unique label.
        file: The file it stood in, as the user named it.
        line: Its line (JSONL, JSON, CSV, TSV) or its record number (other containers), from 1.
        messages: The turns, in order.
        tools: The tool descriptions as given, or None.
        original: The record's own JSON on one line, kept only where asked for.
    """

    id: str
    task: str | None
    source: str
    file: str
    line: int
    messages: tuple[Message, ...]
    tools: Any = None
    original: str | None = None

    @property
    def prompt(self) -> str:
        """What the user says first: the user turns before the first answer, joined by newlines."""
        return first_exchange(self.messages)[0]

    @property
    def response(self) -> str | None:
        """The assistant's first turn, or None where nobody answers."""
        return first_exchange(self.messages)[1]

    @property
    def kind(self) -> Kind:
        """What kind of row it is."""
        if self.messages[0].role == PLAIN:
            return "text"
        return "preference" if self.messages[-1].role == WORSE else "messages"

    @property
    def where(self) -> dict[str, Any]:
        """Where it stands, as errors of righttime name it: ``file``, ``line`` and ``row``."""
        return {"file": self.file, "line": self.line, "row": self.id}

    def as_dict(self) -> dict[str, Any]:
        """The row as `train.jsonl` holds it.

        ``id``, then ``messages``, of a plain text ``text``, of a preference ``prompt``, ``chosen`` and ``rejected``,
        each a list of turns; and ``tools`` where given.
        """
        turns = [message.as_dict() for message in self.messages]
        out: dict[str, Any] = {"id": self.id}
        if self.kind == "text":
            out["text"] = self.messages[0].content
        elif self.kind == "preference":
            worse = {**turns[-1], "role": "assistant"}
            out |= {"prompt": turns[:-2], "chosen": turns[-2:-1], "rejected": [worse]}
        else:
            out["messages"] = turns
        if self.tools is not None:
            out["tools"] = self.tools
        return out


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not in the result, and why. Rows are never dropped without one of these.

    Attributes:
        file: The file it stood in.
        line: Its line or record number in that file, from 1.
        row: Its pool row, or None if it could not be read.
        id: Its id, or None if it could not be read.
        reason: One of a few fixed words: ``bad-row``, ``duplicate``, ``too-long``, ``not-chosen``, ...
        detail: One sentence for a person.
    """

    file: str
    line: int
    row: int | None
    id: str | None
    reason: str
    detail: str


def first_exchange(messages: Sequence[Message]) -> tuple[str, str | None]:
    """The first prompt and the first response of a conversation.

    System turns are not part of the prompt, since they are mostly shared boilerplate. A plain text is a prompt.

    Example:
        >>> first_exchange([Message("system", "Be brief."), Message("user", "2+2?"), Message("assistant", "4")])
        ('2+2?', '4')
    """
    prompts: list[str] = []
    for message in messages:
        if message.role in ("user", PLAIN):
            prompts.append(message.content)
        elif message.role == "assistant" and prompts:
            return "\n".join(prompts), said(message)
    return "\n".join(prompts), None


def answered(messages: Sequence[Message]) -> bool:
    """Whether a row has one response, which a preference has not, or is a plain text, which wants none."""
    if messages[0].role == PLAIN:
        return True
    return messages[-1].role != WORSE and first_exchange(messages)[1] is not None


def answered_both_ways(row: Example) -> tuple[Example, Example]:
    """A preference as two conversations: with the chosen answer, and with the rejected one."""
    *prompt, better, worse = row.messages
    return (
        dataclasses.replace(row, messages=(*prompt, better)),
        dataclasses.replace(row, messages=(*prompt, dataclasses.replace(worse, role=better.role))),
    )


def turns_in(row: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The turns of a row that `Example.as_dict` wrote, or None where it is none.

    Example:
        >>> turns_in({"id": "a", "text": "Once."})
        [{'role': 'text', 'content': 'Once.'}]
    """
    if isinstance(turns := row.get("messages"), list):
        return turns
    if row.keys() <= {"id", "task", "text"} and isinstance(said := row.get("text"), str):
        return [{"role": PLAIN, "content": said}]
    parts = [row.get(name) for name in ("prompt", "chosen", "rejected")]
    if not all(isinstance(part, list) and all(isinstance(turn, dict) for turn in part) for part in parts):
        return None
    prompt, chosen, rejected = parts
    return [*prompt, *chosen, *({**turn, "role": WORSE} for turn in rejected)]  # type: ignore[misc, union-attr]


def messages_in(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns of a row that `Example.as_dict` wrote."""
    return tuple(map(_message, turns_in(row) or ()))


def _message(turn: Mapping[str, Any]) -> Message:
    extra = tuple((key, value) for key, value in turn.items() if key not in ("role", "content", "tool_calls"))
    return Message(turn["role"], turn["content"], tuple(turn.get("tool_calls", ())), extra)


def said(message: Message) -> str:
    """A message's text with its tool calls as JSON after it."""
    calls = [json.dumps(call, ensure_ascii=False) for call in message.tool_calls]
    return "\n".join([message.content, *calls] if message.content else calls)


def _prompt_and_response(example: Example) -> str:
    prompt, response = first_exchange(example.messages)
    return prompt if response is None or example.kind == "preference" else f"{prompt} {response}"


def _all_turns(example: Example) -> str:
    return " ".join(said(message) for message in example.messages)


TEXTS: Mapping[str, Callable[[Example], str]] = {
    "prompt+response": _prompt_and_response,
    "prompt": lambda example: example.prompt,
    "all": _all_turns,
}
"""Which text represents a row; the first is the paper's choice for TMA and the measures, of a preference the prompt."""


def text_of(example: Example, which: str = "prompt+response") -> str:
    """The text that represents a row when it is embedded.

    Args:
        example: The row.
        which: ``prompt+response`` of the first exchange (the paper's choice), ``prompt`` or ``all`` turns.

    Raises:
        SettingsError: If `which` names no text.

    Example:
        >>> row = Example("a", None, "p", "p.jsonl", 1, (Message("user", "2+2?"), Message("assistant", "4")))
        >>> text_of(row)
        '2+2? 4'
    """
    if which not in TEXTS:
        raise unknown_name("text", which, TEXTS)
    return TEXTS[which](example)


_COMPACT = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def content_text(messages: Sequence[Message], tools: Any = None) -> bytes:
    """What a row says: the compact UTF-8 JSON, keys sorted, of ``{"messages": [...], "tools": ...}``.

    Example:
        >>> content_text([Message("user", "2+2?")])
        b'{"messages":[{"content":"2+2?","role":"user"}],"tools":null}'
    """
    return _COMPACT({"messages": [message.as_dict() for message in messages], "tools": tools}).encode("utf-8")


def content_id(messages: Sequence[Message], tools: Any = None) -> str:
    """An id made from what the row says: the first 16 hex digits of the sha256 of its `content_text`.

    Example:
        >>> content_id([Message("user", "2+2?"), Message("assistant", "4")])
        '0014d653805e838f'
    """
    return hashlib.sha256(content_text(messages, tools)).hexdigest()[:16]
