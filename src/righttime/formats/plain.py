"""Rows as plain as most are, read in one step: a prompt and a response, or turns, that are texts, and nothing else.

{"id": "1", "task": "sums", "question": "2+2?", "answer": "4", "url": "..."}
{"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]}

What is read so is what the format's own reader would read; whatever is less plain is left to it.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from righttime import strict_json
from righttime.formats.asking import ANSWERS, CONTEXTS, OPTIONS
from righttime.formats.conversation import CALLS, ROLES
from righttime.formats.refusing import may_refuse
from righttime.formats.registry import FORMATS, Format
from righttime.formats.seen import folded, has_text
from righttime.stored import Block

__all__ = ["Layout", "Shape", "shape_of"]

_END = "<|endoftext|>"
_BEFORE, _BETWEEN = '{"messages":[{"content":', ',"role":"user"},{"content":'
_BEHIND = ',"role":"assistant"}],"tools":null}'
_ROLES = {name: role for name, role in ROLES.items() if role in ("system", "user", "assistant") and name not in CALLS}
_SPACE = re.compile(r"[ \t\r\n]*")
_NAMES = ("id", "task", "task_name")
_OTHERS = ("input", "system", "system_prompt", "tools", "history", "label", "message_tree_id", "parent_id")


@lru_cache(maxsize=1)
def _looked_at() -> frozenset[str]:
    """The names, folded, of all fields that some reader looks at."""
    named = [
        name
        for form in FORMATS.values()
        for names in (form.needs, form.answers, form.ids, form.tasks)
        for name in names
    ]
    known = [*_NAMES, *_OTHERS, *CONTEXTS, *OPTIONS, *ANSWERS, *string.ascii_uppercase]
    return frozenset(folded(one) for name in (*named, *known) for one in name.split("|"))


@dataclass(frozen=True)
class Shape:
    """Where everything stands in records with the same keys, so that a row can be read by place.

    Attributes:
        keys: The keys.
        prompt: The place of the prompt.
        more: The place of a text that follows the prompt on a line of its own, or None.
        response: The place of the response; None where all turns stand in a list in place of the prompt.
        ids: The places of what may be the id, the first that is given counts.
        tasks: The same of the task.
        kinds: Places of what stands in for the task where none is given.
        others: Places of what is not read, unless it is the id or the task.
        stem: The task of every row, or None.
    """

    keys: tuple[str, ...]
    prompt: int
    more: int | None
    response: int | None
    ids: tuple[int, ...]
    tasks: tuple[int, ...]
    kinds: tuple[int, ...]
    others: tuple[int, ...]
    stem: str | None

    def take(
        self,
        values: Sequence[Any],
        literal: Callable[[int], str] | None,
        escaped: bool,
        into: Block,
        unread: Counter[str],
    ) -> bool:
        """Put a row into a block, if it is plain.

        Args:
            values: What stands under the keys.
            literal: Gives the JSON of the text at a place, if it is as we would write it; None: it is written.
            escaped: Whether a text may hold what UTF-8 does not.
            into: Takes the row, but for its line.
            unread: Counts the fields with text that nothing read.
        """
        said = self._turns(values[self.prompt]) if self.response is None else self._pair(values, literal)
        if said is None:
            return False
        content, prompt = said
        named, given = _name(values, self.ids)
        about, task = (0, self.stem) if self.stem is not None else _name(values, self.tasks)
        if named < 0 or about < 0:
            return False
        if task is None:
            for place in self.kinds:
                about |= 1 << place
                if type(values[place]) is str and values[place]:
                    task = values[place]
                    break
        try:
            kept = content.encode("utf-8")
            if escaped:
                f"{given}{task}".encode()
        except UnicodeEncodeError:
            return False
        known = named | about
        for place in self.others:
            if not known >> place & 1 and has_text(values[place]):
                unread[self.keys[place]] += 1
        into.given.append(given)
        into.tasks.append(task)
        into.contents.append(kept)
        into.kept.append(kept)
        into.prompts.append(prompt)
        into.answered.append(True)
        return True

    def _pair(self, values: Sequence[Any], literal: Callable[[int], str] | None) -> tuple[str, str] | None:
        """The content text and the prompt of a prompt and a response."""
        prompt, response = values[self.prompt], values[self.response or 0]
        if type(prompt) is not str or type(response) is not str or not prompt or not response:
            return None
        if prompt.isspace() or response.isspace() or response.endswith(_END):
            return None
        if literal is not None:
            asked, said = literal(self.prompt), literal(self.response or 0)
        else:
            asked, said = encode_basestring(prompt), encode_basestring(response)
        if self.more is not None and (more := values[self.more]) is not None:
            if type(more) is not str:
                return None
            if more and not more.isspace():
                prompt = f"{prompt}\n{more}"
                behind = encode_basestring(more) if literal is None else literal(self.more)
                asked = f"{asked[:-1]}\\n{behind[1:]}"
        return f"{_BEFORE}{asked}{_BETWEEN}{said}{_BEHIND}", prompt

    def _turns(self, turns: Any) -> tuple[str, str] | None:
        """The same of a list of turns that have a role and a text each, and nothing else."""
        if type(turns) is not list or not turns:
            return None
        parts, asked, answered = [], [], False
        for turn in turns:
            if type(turn) is not dict or len(turn) != 2:
                return None
            by, said = ("role", "content") if "role" in turn else ("from", "value")
            name, text = turn.get(by), turn.get(said)
            if type(name) is not str or type(text) is not str or name not in _ROLES or not text or text.isspace():
                return None
            role = _ROLES[name]
            parts.append(f'{{"content":{encode_basestring(text)},"role":"{role}"}}')
            if role == "user" and not answered:
                asked.append(text)
            answered = answered or (role == "assistant" and bool(asked))
        if not answered:
            return None
        return f'{{"messages":[{",".join(parts)}],"tools":null}}', "\n".join(asked)


def _name(values: Sequence[Any], places: Sequence[int]) -> tuple[int, str | None]:
    """The first name that is given, and the places that were looked at as bits; -1 where it takes another look."""
    seen = 0
    for place in places:
        value = values[place]
        seen |= 1 << place
        if type(value) is str:
            if value:
                return seen, value
        elif type(value) is int:
            return seen, str(value)
        elif value is not None:
            return -1, None
    return seen, None


def shape_of(keys: tuple[Any, ...], form: Format, task_field: str | None, stem: str) -> Shape | None:
    """How plain records with these keys are read; None where they are not plain, whatever they hold.

    Args:
        keys: The keys, all different.
        form: The format.
        task_field: ``@file``, another field that the user named, or None.
        stem: The file's name without its suffixes.
    """
    if form.plain is None or task_field not in (None, "@file") or not all(type(key) is str for key in keys):
        return None
    if len(set(keys)) < len(keys):
        return None
    asks, more, answers = form.plain
    at = {key: place for place, key in enumerate(keys)}
    response = next((key for key in answers if key in at), None)
    if asks not in at or (answers and response is None):
        return None
    ids, tasks = ([key for key in names if key in at] for names in (("id", *form.ids), ("task", "task_name")))
    kinds = [key for key in form.tasks if key in at]
    ours = {asks, *answers, *ids, *tasks, *kinds, *([more] if more else [])}
    strange = [key for key in keys if key not in ours]
    if any(folded(key) in _looked_at() for key in strange) or any(folded(key) != key for key in ours & at.keys()):
        return None
    if may_refuse(keys):
        return None
    read = {asks, response, more}
    return Shape(
        keys,
        at[asks],
        at.get(more) if more else None,
        None if response is None else at[response],
        ids=tuple(at[key] for key in ids),
        tasks=() if task_field else tuple(at[key] for key in tasks),
        kinds=() if task_field else tuple(at[key] for key in kinds),
        others=tuple(place for key, place in at.items() if key not in read),
        stem=stem if task_field else None,
    )


class Layout:
    """The text of JSON objects that have the same keys and the same space around them."""

    def __init__(self, heads: Sequence[str], end: str, keys: tuple[str, ...]) -> None:
        """Objects of these keys.

        Args:
            heads: What stands before each value, from the end of the one before.
            end: What stands behind the last.
            keys: The keys.
        """
        self.keys, self._end = keys, end
        self._heads = tuple((head, len(head)) for head in heads)

    @classmethod
    def of(cls, text: str, value: Mapping[str, Any]) -> Layout:
        """The layout of a text whose value is known."""
        decode, heads, end = strict_json.DECODER.raw_decode, [], 0
        for _ in value:
            start = _SPACE.match(text, _SPACE.match(text, end).end() + 1).end()  # type: ignore[union-attr]
            start = decode(text, start)[1]
            start = _SPACE.match(text, _SPACE.match(text, start).end() + 1).end()  # type: ignore[union-attr]
            heads.append(text[end:start])
            end = decode(text, start)[1]
        return cls(heads, text[end:], tuple(value))

    def read(self, text: str) -> tuple[list[Any], list[int]] | None:
        """The values of a text and where each ends, or None if it is laid out in another way."""
        values: list[Any] = []
        ends: list[int] = []
        at, scan, starts, hold, mark = 0, _SCAN, text.startswith, values.append, ends.append
        try:
            for head, length in self._heads:
                if not starts(head, at):
                    return None
                value, at = scan(text, at + length)
                hold(value)
                mark(at)
        except (StopIteration, ValueError, RecursionError):
            return None  # for the reader who says what is wrong
        return (values, ends) if text[at:] == self._end else None

    def literal(self, text: str, ends: Sequence[int], place: int) -> str:
        """The JSON of one of the values."""
        return text[(ends[place - 1] if place else 0) + self._heads[place][1] : ends[place]]


_SCAN: Callable[[str, int], tuple[Any, int]] = strict_json.DECODER.scan_once  # type: ignore[attr-defined]
