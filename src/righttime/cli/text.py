"""Plain text for a terminal: tables, and data that cannot steer it."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["printable", "table"]


def printable(text: str) -> str:
    """Text without control characters, so that data cannot steer the terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table: first column to the left, numbers to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    numeric = [all(not row[column] or row[column][0] in "0123456789-" for row in rows) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return ("  " + "  ".join(padded)).rstrip()

    return "\n".join([line(head), *(line(row) for row in rows)])
