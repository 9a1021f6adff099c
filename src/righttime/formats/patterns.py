"""Patterns of files, such as ``shards/*.parquet``: what one matches, each file once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

__all__ = ["PATTERN", "outermost"]

PATTERN = re.compile(r"[*?\[]")
"""What makes a path a pattern."""


def outermost(found: Mapping[str, bool]) -> list[str]:
    """What a pattern matched, by name, without what lies in a folder that it matched too: ``**`` matches both.

    Args:
        found: The paths, each with whether it is a folder.

    Example:
        >>> outermost({"pool/b": True, "pool/b/2.jsonl": False, "pool/1.jsonl": False})
        ['pool/1.jsonl', 'pool/b']
    """
    folders = {PurePath(name) for name, is_folder in found.items() if is_folder}
    return sorted(name for name in found if folders.isdisjoint(PurePath(name).parents))
