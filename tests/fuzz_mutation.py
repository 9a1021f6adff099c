"""Inputs that nobody meant to write: valid files, changed byte by byte or in what their JSON says, by a seed."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

_TOKENS: tuple[bytes, ...] = (
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r",
)
_TOKENS += (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 400,
    b"\\ud800",
    b"\\u0000",
    b"null",
    b"\t",
    b"-",
    b"&a",
    b"*a",
    b"!!",
)


def _values() -> list[Any]:
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    wide: list[Any] = [None, True, 0, -1, 10**400, 2**63, 0.5, float("nan"), float("inf"), "", " ", "\x00", "\ud800"]
    return [
        *wide,
        "\u202e\x85\ufffe",
        "x" * 5000,
        [],
        {},
        [[]],
        [None],
        [{}],
        {"": None},
        {"a": {"b": []}},
        deep,
        "٣",
        -(2**70),
    ]


def changed_bytes(seed: bytes, draw: random.Random) -> bytes:
    """The bytes with one to four changes: flips, cuts, repeats and tokens that parsers trip over."""
    data = bytearray(seed)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + draw.randint(1, 16)]
        elif kind == 3:
            data[at:at] = draw.choice(_TOKENS)
        elif kind == 4:
            data[at:at] = data[at : at + draw.randint(1, 64)]
        elif at < len(data):
            data[at] = draw.randrange(256)
    return bytes(data)


def changed_value(value: Any, draw: random.Random) -> Any:
    """The value with one to three of its parts swapped for another kind, taken away, doubled or renamed."""
    found = [copy.deepcopy(value)]
    for _ in range(draw.randint(1, 3)):
        places = list(_places(found))
        inside, key = draw.choice(places)
        kind = draw.randrange(5)
        if kind == 0 and inside is not found:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict):
            inside[draw.choice(["", "\ud800", "messages", "input", key * 2])] = inside.pop(key)
        elif kind == 2:
            other_in, other = draw.choice(places)
            inside[key] = copy.deepcopy(other_in[other])
        else:
            inside[key] = copy.deepcopy(draw.choice(_values()))
    return found[0]


def _places(value: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [value]
    while waiting:
        inside = waiting.pop()
        keys = inside if isinstance(inside, dict) else range(len(inside))
        for key in keys:
            found.append((inside, key))
            if isinstance(inside[key], dict | list):
                waiting.append(inside[key])
    return found


def as_json(value: Any, draw: random.Random) -> bytes:
    """JSON of a value, now and then with a key twice or nested very deeply."""
    text = json.dumps(value)
    if draw.random() < 0.03:
        text = text.replace('""', "[" * 5000 + "]" * 5000)
    if draw.random() < 0.05 and text.startswith('{"'):
        text = '{"id": 1, "id": 2, ' + text[1:]
    return text.encode()
