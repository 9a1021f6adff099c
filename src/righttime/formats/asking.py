"""What is asked, with the options and the context that belong to it, and what is answered.

One rule for every format of a prompt and a response: what is asked comes first, its options follow as lettered lines,
then `input` and the context, each on lines of its own, as Alpaca has its input after its instruction:

    {"question": "Who won?", "options": ["Ann", "Bob"], "passage": "Bob beat Ann.", "answer": 1}

    Who won?
    A. Ann
    B. Bob

    Bob beat Ann.                                                               -> B
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from righttime.formats.fields import BadRowError, answer, optional, text
from righttime.formats.seen import forgo, has_text

__all__ = [
    "ANSWERS",
    "CONTEXTS",
    "OPTIONS",
    "Options",
    "asked",
    "joined",
    "options_in",
    "options_of",
    "replied",
    "with_context",
]

CONTEXTS = ("context", "passage", "article", "paragraph", "story", "document", "background", "support")
"""Keys of what a question is about: text, or a list of texts."""

OPTIONS = ("choices", "options")
"""Keys of the answers to choose from; columns named A, B, C and so on are options too."""

_KEYED = ("answers", "answerKey", "answer_key", "correct_answer", "correct", "best_answer")
ANSWERS = ("answer", "response", *_KEYED, "output", "solution")
"""Keys of what answers a question, the first that is there counts."""

_LETTERS = string.ascii_uppercase
_END = "<|endoftext|>"

Options = Sequence[tuple[str, str]]


def asked(record: Mapping[str, Any], key: str, *, columns: bool = False, always: Sequence[str] = ()) -> str:
    """The prompt under `key`, with the record's options, `input` and context after it.

    Args:
        record: The record.
        key: Where what is asked stands.
        columns: Whether fields named A, B and so on are options.
        always: Fields that are added even where the prompt holds their text already.
    """
    options = options_of(record, columns=columns)
    parts = {"input": optional(record, "input") if key != "input" else ""}
    parts |= {name: _context(record, name) for name in CONTEXTS if name in record}
    question = text(record, key)
    kept = [part for name, part in parts.items() if part.strip() and (name in always or part.strip() not in question)]
    return with_context(question, options, kept)


def with_context(question: str, options: Options, contexts: Sequence[str]) -> str:
    """One prompt of its parts; options that the question lists already are not listed again."""
    lines = [f"{label}. {said}" if label else said for label, said in options]
    listed = all(line in question for line in lines)
    parts = "\n".join(part for part in contexts if part.strip())
    if listed:
        return f"{question}\n{parts}" if parts else question
    question = "\n".join([question, *lines])
    return f"{question}\n\n{parts}" if parts else question


def _context(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if (said := joined(value)) is not None:
        return said
    if has_text(value):
        forgo(record, key)  # an object, such as HotpotQA's: reported, not read
    return ""


def joined(value: Any) -> str | None:
    """Text, or the texts of a list a line each; None where it is something else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return None


def options_of(record: Mapping[str, Any], *, columns: bool = False) -> Options:
    """The options of a record, each with its letter; none where there are none."""
    for key in OPTIONS:
        value = record.get(key)
        if value is not None and (has_text(value) or isinstance(value, list)):
            options = options_in(value)
            if options is None:
                forgo(record, key)  # of another shape, or settings: reported, not read
            return options or ()
    there = list(itertools.takewhile(lambda letter: letter in record, _LETTERS)) if columns else []
    filled = {letter: record[letter] for letter in there if record[letter] not in (None, "")}
    return (options_in(filled) or ()) if filled else ()


def options_in(value: Any) -> Options | None:
    """Options in any form that files have them in; None if these are no options.

    Example:
        >>> options_in(["red", "blue"]), options_in(["A) red", "B) blue"])
        ([('A', 'red'), ('B', 'blue')], [('', 'A) red'), ('', 'B) blue')])
        >>> options_in({"text": ["red", "blue"], "label": ["1", "2"]}), options_in({"style": "short"})
        ([('1', 'red'), ('2', 'blue')], None)
    """
    if isinstance(value, str):
        return [("", value)] if value.strip() else None
    if isinstance(value, Mapping):
        texts, labels = value.get("text"), value.get("label")
        if not (isinstance(texts, list | tuple) and isinstance(labels, list | tuple) and len(texts) == len(labels)):
            given = {label: said for label, said in value.items() if said is not None}
            texts, labels = list(given.values()), list(given)
        return _labelled(labels, texts)
    if not isinstance(value, list | tuple):
        return None
    if value and all(isinstance(option, Mapping) for option in value):
        return _labelled(
            [option.get("label", option.get("key")) for option in value], [one.get("text") for one in value]
        )
    return _named([str(text) for text in value]) if len(value) > 1 and all(map(_is_option, value)) else None


def _labelled(labels: Sequence[Any], texts: Sequence[Any]) -> Options | None:
    """Options under short labels, such as letters; objects of another kind have longer keys."""
    if len(texts) < 2 or not all(map(_is_option, texts)) or not all(len(str(label)) <= 2 for label in labels):
        return None
    return [(str(label), str(text)) for label, text in zip(labels, texts, strict=True)]


def _named(texts: Sequence[str]) -> Options:
    """Letters before texts that do not bear their own; numbers where the letters do not suffice."""
    names = list(_LETTERS) if len(texts) <= len(_LETTERS) else [str(number) for number in range(1, len(texts) + 1)]
    own = [re.match(rf"\s*\(?{name}\s*[).:]", said) for name, said in zip(names, texts, strict=False)]
    return [("" if all(own) else name, said) for name, said in zip(names, texts, strict=False)]


def _is_option(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def replied(record: Mapping[str, Any], keys: Sequence[str], options: Options = ()) -> str:
    """The response under the first of `keys` that is there and not null.

    Text is taken as it is, of a list the first text, of an object its ``text`` or ``value``. A whole number is the
    option of that number, counted from 0, where there are options, and else itself; true and false are yes and no.
    """
    for key in keys:
        value = record.get(key)
        if value is not None:
            return _reply(value, key, options).removesuffix(_END)
    return ""


def _reply(value: Any, key: str, options: Options) -> str:
    if isinstance(value, list | tuple) and value and not isinstance(value[0], str):
        value = value[0]
    if isinstance(value, Mapping):
        inside = next((name for name in ("text", "value") if name in value), None)
        if inside is None:
            raise BadRowError(f"`{key}` must be text, or an object with `text` or `value`, got {', '.join(value)}")
        return answer(value.get(inside), f"{key}.{inside}")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return answer(value, key)
    if not options:
        return str(value)
    listed = len(options) > 1  # else they are one text, in which they bear their letters
    if not 0 <= value < (len(options) if listed else len(_LETTERS)):
        raise BadRowError(f"`{key}` must number one of the {len(options)} options from 0, got {value}")
    return (options[value][0] if listed else "") or _LETTERS[value]
