"""Rows whose fields the user names: `fields={"prompt": "title", "context": "body", "response": "reply"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.errors import SettingsError, unknown_name
from righttime.examples import Message
from righttime.formats.asking import Options, joined, options_in, replied, with_context
from righttime.formats.conversation import turns
from righttime.formats.fields import BadRowError, exchange, kind_of

__all__ = ["ROLES", "check_fields", "found_in", "named"]

ROLES = ("prompt", "response", "system", "context", "options", "task", "id")
"""What a field can be named as."""


def check_fields(fields: Mapping[str, str]) -> None:
    """Refuse names of fields that cannot be used.

    Raises:
        SettingsError: If no prompt is named, or something unknown is.
    """
    for role in fields:
        if role not in ROLES:
            raise unknown_name("part of a row", role, ROLES, setting="fields")
    for role, key in fields.items():
        if not isinstance(key, str) or not key:
            raise SettingsError(f"fields must give a field's name for {role}, got {key!r}.", setting="fields")
    if fields and "prompt" not in fields:
        raise SettingsError(
            f"fields must name the prompt's field, got {', '.join(fields)}. "
            "Hint: `fields={'prompt': 'NAME', 'response': 'NAME'}`.",
            setting="fields",
        )


def found_in(record: Mapping[str, Any], key: str) -> Any:
    """The value of a field, or of one inside it by a path such as ``answers.text`` or ``turns.0.content``.

    Example:
        >>> found_in({"a": {"b": ["x"]}}, "a.b.0"), found_in({"a": 1}, "b")
        ('x', None)
    """
    if key in record:
        return record[key]
    value: Any = record
    for step in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list | tuple) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def named(record: Mapping[str, Any], fields: Mapping[str, str]) -> tuple[Message, ...]:
    """Read a record by the fields that the user named."""
    system = _text(record, fields.get("system"))
    asked = found_in(record, fields["prompt"])
    if isinstance(asked, list) and asked and isinstance(asked[0], Mapping):
        return (*exchange("", "", system), *turns(asked, fields["prompt"]), *exchange("", _response(record, fields)))
    prompt = _text(record, fields["prompt"])
    if not prompt.strip():
        raise BadRowError(f"`{fields['prompt']}`, named as the prompt, must be there and not empty")
    given = found_in(record, fields["options"]) if "options" in fields else None
    options = options_in(given) if given is not None else ()
    if options is None:
        raise BadRowError(f"`{fields['options']}`, named as the options, must be a list of texts, got {kind_of(given)}")
    context = _text(record, fields.get("context"))
    return exchange(with_context(prompt, options, [context]), _response(record, fields, options), system)


def _response(record: Mapping[str, Any], fields: Mapping[str, str], options: Options = ()) -> str:
    key = fields.get("response")
    value = None if key is None else found_in(record, key)
    if key is None or value is None:
        return ""
    said = [value] if isinstance(value, Mapping) and _is_turn(value) else value
    if isinstance(said, list) and said and _is_turn(said[-1]):  # of turns, such as preference data has, the last
        return turns(said, key)[-1].content
    return replied({key: str(value) if isinstance(value, float) else value}, (key,), options)


def _is_turn(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "from" in value)


def _text(record: Mapping[str, Any], key: str | None) -> str:
    value = None if key is None else found_in(record, key)
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    said = joined(value)
    if said is None:
        raise BadRowError(f"`{key}` must be text or a list of texts, got {kind_of(value)}")
    return said
