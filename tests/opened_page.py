"""A page read back: what its blocks of data hold."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_of", "numbers", "opened", "policy_of", "rows_of"]

_KINDS = {"u16": "<u2", "u32": "<u4", "f32": "<f4"}


def data_of(html: str) -> dict[str, Any]:
    """The JSON of each block by its id."""
    found = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', html, re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def policy_of(html: str) -> dict[str, str]:
    """The content security policy by directive."""
    (text,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    return dict(part.split(" ", 1) for part in text.split("; "))


def opened(packed: str) -> bytes:
    return gzip.decompress(base64.b64decode(packed))


def numbers(column: Mapping[str, Any]) -> NDArray[Any]:
    found = np.frombuffer(opened(column["data"]), dtype=_KINDS[column["type"]])
    assert len(found) == column["n"]
    return found


def rows_of(texts: Mapping[str, Any], side: str) -> list[dict[str, Any]]:
    """All rows of a side: id, turns, and how long they were where they are cut."""
    return [row for block in texts[side] for row in json.loads(opened(block))]
