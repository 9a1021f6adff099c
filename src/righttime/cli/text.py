"""Text for a terminal: tables, and data that cannot steer it."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Sequence

__all__ = ["printable", "sentence", "table"]


_KEPT = (120, 40)
_LONG = re.compile(r"'[^'\n]{200,}'|\"[^\"\n]{200,}\"|\S{400,}")
_MOST = 4000


def printable(text: str) -> str:
    r"""Text with control characters, marks of direction and lone surrogates escaped: data cannot steer the terminal.

    Example:
        >>> print(printable("a\x1b[31m\u202eb\nc"))
        a\x1b[31m\u202eb
        c
    """
    return "".join(
        character if character.isprintable() or character == "\n" else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def sentence(text: str) -> str:
    """A message as `printable`, with what is long in it cut: values of data, lists of names, paths.

    Example:
        >>> sentence("got '" + "x" * 9000 + "'.").count("x")
        158
    """
    shown = _LONG.sub(_cut, printable(text))
    return shown if len(shown) <= _MOST else f"{shown[:_MOST]}… ({len(shown):,} characters)"


def _cut(found: re.Match[str]) -> str:
    long = found[0]
    return f"{long[: _KEPT[0]]}…{long[-_KEPT[1] :]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: text to the left, numbers to the right. A terminal gets one that fits it, a file or pipe plain text."""
    rows = [[printable(cell) for cell in row] for row in rows]
    numeric = [all(not row[column] or row[column][0] in "0123456789-…" for row in rows) for column in range(len(head))]
    if sys.stdout.isatty():
        return _for_terminal(head, rows, numeric)
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return ("  " + "  ".join(padded)).rstrip()

    return "\n".join([line(head), *(line(row) for row in rows)])


def _for_terminal(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """A table with a line under its head; long cells wrap. Without colours: escapes would be taken for data's."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(head, numeric, strict=True):
        made.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    width = shutil.get_terminal_size((120, 24)).columns
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as caught:
        console.print(made)
    return "\n".join(line.rstrip() for line in caught.get().strip("\n").splitlines())
