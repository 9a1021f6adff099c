"""Kinds of data that cannot be arranged, each with a sentence on what it is and what to do."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from righttime.formats.fields import RefusedError
from righttime.formats.seen import Seen, folded

__all__ = ["may_refuse", "refuse"]

_PAIRS = (
    ("conversation_a", "conversation_b"),
    ("response_a", "response_b"),
    ("response_0", "response_1"),
    ("response_j", "response_k"),
    ("answer_a", "answer_b"),
    ("human_ref_a", "human_ref_b"),
    ("preferred", "dispreferred"),
)
"""Keys of two answers of which one is preferred, besides those with the words chosen and rejected in them."""

_PROMPTS = ("prompt", "instruction", "question", "input", "query", "conversations", "messages")
_DPO = (
    "make this preference data (DPO), which is not instruction tuning; {both}keep one answer, for example by "
    "`fields={{'prompt': {prompt!r}, 'response': {kept!r}}}`, or save the rows as `messages`"
)
_BOTH = "read both answers with `format='preference'`, or "
_KTO = (
    "a true or false `label` makes this preference data (KTO), which is not instruction tuning; "
    "keep the rows with label true and save them without `label`"
)
_MEDIA = {
    key: f"{what}, and only text can be arranged; take the rows with {what} out"
    for what, keys in {
        "images": ("images", "image"),
        "audio": ("audios", "audio"),
        "videos": ("videos", "video"),
    }.items()
    for key in keys
}
_TREES = (
    "`message_tree_id` makes this Open-Assistant message trees, with several answers to a prompt; "
    "save the threads you want as `messages`"
)

_TELLING = frozenset((*_MEDIA, "label", "message_tree_id"))


def refuse(record: Seen, named: bool = False) -> None:
    """Say what a record is if it is of a kind that cannot be arranged.

    Args:
        record: The record.
        named: Whether the user named the fields, and with them the answer to keep, or a format that must be named.

    Raises:
        RefusedError: If it is preference data, comes with images, audio or video, or is an Open-Assistant tree.
    """
    for key in _MEDIA:
        if record.peek(key):
            raise RefusedError(f"`{key}` says that the row comes with {_MEDIA[key]}")
    if named:
        return
    if pair := _preference(record):
        prompt = next((place for key in _PROMPTS if (place := record.place(key))), "NAME")
        both = _BOTH if tuple(map(folded, pair)) == ("chosen", "rejected") else ""
        raise RefusedError(f"`{pair[0]}` and `{pair[1]}` {_DPO.format(prompt=prompt, kept=pair[0], both=both)}")
    turns = "messages" in record or "conversations" in record or ("prompt" in record and "completion" in record)
    if turns and isinstance(record.peek("label"), bool):
        raise RefusedError(_KTO)
    if "message_tree_id" in record and ("prompt" in record or "parent_id" in record):
        raise RefusedError(_TREES)


def may_refuse(keys: tuple[Any, ...]) -> bool:
    """Whether `refuse` may refuse some record with these keys, whatever it holds besides."""
    return bool(_pairs_in(keys)) or not _TELLING.isdisjoint(map(folded, keys))


def _preference(record: Seen) -> tuple[str, str] | None:
    """The fields of the two answers, if that is what a record holds."""
    for pair in _pairs_in(tuple(record.raw)):
        if all(record.raw[key] is not None for key in pair):
            return pair
    return None


@lru_cache(maxsize=4096)
def _pairs_in(keys: tuple[Any, ...]) -> tuple[tuple[str, str], ...]:
    """Every two of a record's keys that name two answers of which one is preferred."""
    words = {key: re.split(r"[^a-z0-9]+", key.lower()) for key in keys if isinstance(key, str)}
    found = [(one, other) for one in words if "chosen" in words[one] for other in words if "rejected" in words[other]]
    folded = {"_".join(parts): key for key, parts in words.items()}
    found += [(folded[one], folded[other]) for one, other in _PAIRS if one in folded and other in folded]
    return tuple(found)
