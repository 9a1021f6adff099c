"""All that a reading holds, to be compared."""

from __future__ import annotations

from typing import Any

from righttime.formats import Reading

__all__ = ["all_of"]


def all_of(read: Reading) -> tuple[Any, ...]:
    """Rows, whole and by column, what was left out, and the files."""
    rows = read.rows
    return (
        list(rows.examples()),
        *(list(getattr(rows, name)) for name in ("ids", "tasks", "sources", "files", "lines", "answered")),
        rows.contents.tolist(),
        rows.prompt_keys.tolist(),
        read.left_out,
        read.inputs,
        read.of_last,
    )
