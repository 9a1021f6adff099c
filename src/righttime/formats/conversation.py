"""Conversations: OpenAI `messages`, ShareGPT `conversations`, LMSYS `conversation`, UltraChat `data`.

OpenAI, content as text, null beside tool calls, or a list of parts; righttime's own `train.jsonl` is this too:

    {"messages": [{"role": "user", "content": "hi"},
                  {"role": "assistant", "content": [{"type": "text", "value": "Hello!"}]}], "tools": "[...]"}

ShareGPT, also with function calls:

    {"id": "identity_0", "conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Vicuna."}]}

Flan-mini, a ShareGPT row whose `source` is the task:

    {"id": "1", "source": "cot_gsm8k", "conversations": [{"from": "human", "value": "2+2?"}, ...]}

UltraChat, with alternating user and assistant turns, and LIMA, which has them under the key of ShareGPT:

    {"id": "0", "data": ["How can cross training help?", "It strengthens other muscles."]}
    {"conversations": ["Can brain cells move?", "Mostly they do not."], "source": "stackexchange"}

LMSYS-Chat-1M, also WildChat:

    {"conversation_id": "33f9", "model": "vicuna-13b", "conversation": [{"role": "user", "content": "hi"}, ...]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from righttime import strict_json
from righttime.errors import unknown_name
from righttime.examples import Message
from righttime.formats.fields import BadRowError, RefusedError, kind_of, optional

__all__ = ["CALLS", "ROLES", "conversation", "messages", "sharegpt", "turns", "ultrachat"]

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
}
"""The names that files give to those who speak, and the role that each is."""

_MEDIA = {
    **dict.fromkeys(("image", "image_url", "input_image"), ("an image", "images")),
    **dict.fromkeys(("audio", "audio_url", "input_audio"), ("audio", "audio")),
    **dict.fromkeys(("video", "video_url"), ("video", "videos")),
}
CALLS = {"function_call", "tool_call"}
"""Those of them whose text may be calls."""
_EXTRA = ("name", "tool_call_id", "reasoning_content")


def messages(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read an OpenAI `messages` record."""
    return turns(record["messages"], "messages")


def sharegpt(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a ShareGPT `conversations` record, with its top-level `system` text if it has one."""
    given = record["conversations"]
    texts = isinstance(given, list) and bool(given) and all(isinstance(text, str) for text in given)
    said = _by_turns(given) if texts else turns(given, "conversations")
    system = optional(record, "system")
    return (Message("system", system), *said) if system.strip() else said


def ultrachat(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read an UltraChat `data` record: a list of texts, the user's first."""
    data = record["data"]
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise BadRowError(f"`data` must be a list of texts, user and assistant by turns, got {kind_of(data)}")
    return _by_turns(data)


def conversation(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read an LMSYS-Chat-1M or WildChat record."""
    return turns(record["conversation"], "conversation")


def _by_turns(texts: Sequence[str]) -> tuple[Message, ...]:
    return tuple(Message("assistant" if place % 2 else "user", text) for place, text in enumerate(texts))


def turns(value: Any, field: str) -> tuple[Message, ...]:
    """Read a list of turns, each with role and content or with from and value."""
    if not isinstance(value, list | tuple) or not value:
        got = "an empty list" if value == [] else kind_of(value)
        raise BadRowError(f"`{field}` must be a list of at least one turn, got {got}")
    return tuple(_turn(turn, f"{field}[{place}]") for place, turn in enumerate(value))


def _turn(turn: Any, field: str) -> Message:
    if not isinstance(turn, Mapping):
        raise BadRowError(f"`{field}` must be an object, got {kind_of(turn)}")
    by, said = ("from", "value") if "from" in turn else ("role", "content")
    name = turn.get(by)
    if not isinstance(name, str):
        raise BadRowError(f"`{field}.{by}` must name who speaks, got {kind_of(name)}")
    if name not in ROLES:
        raise BadRowError(f"`{field}.{by}`: {str(unknown_name('role', name, ROLES)).rstrip('.')}")
    content, calls, reasoning = _content(turn.get(said), f"{field}.{said}")
    extra = [(key, turn[key]) for key in _EXTRA if isinstance(turn.get(key), str)]
    if reasoning:
        extra.append(("reasoning_content", reasoning))
    calls += _openai_calls(turn, field)
    if name in CALLS and (parsed := _calls_in(content)):
        content, calls = "", parsed
    return Message(ROLES[name], content, tuple(calls), tuple(extra))


def _content(value: Any, field: str) -> tuple[str, list[Mapping[str, Any]], str]:
    """Text, tool calls and reasoning of a turn's content."""
    if value is None:
        return "", [], ""
    if isinstance(value, str):
        return value, [], ""
    if not isinstance(value, list | tuple):
        raise BadRowError(f"`{field}` must be text or a list of parts, got {kind_of(value)}")
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[Mapping[str, Any]] = []
    for place, part in enumerate(value):
        kind, said = _part(part, f"{field}[{place}]")
        parsed = _calls_in(said) if kind == "tool_call" else []
        if parsed:
            calls += parsed
        else:
            (reasoning if kind == "reasoning" else texts).append(said)
    return "\n".join(texts), calls, "\n".join(reasoning)


def _part(part: Any, field: str) -> tuple[str, str]:
    if not isinstance(part, Mapping):
        raise BadRowError(f"`{field}` must be an object with `type` and `text`, got {kind_of(part)}")
    kind = part.get("type", "text")
    if kind in _MEDIA:
        what, rows = _MEDIA[kind]
        raise RefusedError(f"`{field}` is {what}, and only text can be arranged; take the rows with {rows} out")
    if kind not in {"text", "reasoning", "tool_call"}:
        raise BadRowError(f"`{field}.type` must be text, reasoning or tool_call, got {kind!r}")
    key = "text" if part.get("text") is not None else "value"
    said = part.get(key)
    if not isinstance(said, str):
        raise BadRowError(f"`{field}.{key}` must be text, got {kind_of(said)}")
    return kind, said


def _calls_in(value: str) -> list[Mapping[str, Any]]:
    """The calls in a function_call's JSON; none where it holds anything else, so that nothing is lost."""
    try:
        loaded = strict_json.loads(value)
    except (ValueError, RecursionError):
        return []
    calls = loaded if isinstance(loaded, list) else [loaded]
    named = [isinstance(call, dict) and "name" in call and call.keys() <= {"name", "arguments"} for call in calls]
    if not all(named):
        return []
    return [_call({"name": call["name"], "arguments": call.get("arguments", {})}) for call in calls]


def _call(function: Mapping[str, Any], **other: Any) -> Mapping[str, Any]:
    return {"type": "function", "function": dict(function), **other}


def _openai_calls(turn: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """The calls under `tool_calls`, or under `function_call` as they once stood."""
    given: Sequence[Any] | None = turn.get("tool_calls")
    if given is None and isinstance(turn.get("function_call"), Mapping):
        given = [{"function": turn["function_call"]}]
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise BadRowError(f"`{field}.tool_calls` must be a list, got {kind_of(given)}")
    calls = []
    for place, call in enumerate(given):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRowError(
                f"`{field}.tool_calls[{place}]` must have a `function` with a `name`, got {kind_of(call)}"
            )
        other = {key: value for key, value in call.items() if key not in {"type", "function"} and value is not None}
        calls.append(_call(function, **other))
    return calls
