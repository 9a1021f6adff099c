"""Tables: CSV and TSV, with a header or without one, Parquet.

instruction,input,output
"Rewrite it.","freind","friend"
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from righttime.errors import DataError
from righttime.formats.json_text import Record
from righttime.formats.registry import match

__all__ = ["Columns", "headerless", "parquet", "parquet_rows", "separated"]

_LONGEST = 2**31 - 1  # characters in one field; the csv module's own limit is 131,072
_FLAN = ("question", "answer", "explanation")
_NAME = re.compile(r"[^\W\d]\w*(?:[ ./()#-]+\w+){0,3}[)]?")


def _text(stream: IO[bytes]) -> io.TextIOWrapper:
    # Bytes that are not UTF-8 become lone surrogates, which the reading loop finds and lays to their row.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a table without a header are taken for.

    Attributes:
        names: Their names.
        quoted: Whether cells may stand in quotes.
    """

    names: tuple[str, ...]
    quoted: bool = True


def headerless(stream: IO[bytes], *, tabs: bool, numbered: bool = False) -> Columns | None:
    """What the columns are where a table's first line is a row, None where it is a header.

    A first line is a header if a format knows its names, or if every cell looks like a name: short, no sentence, no
    number, none twice. Else FLAN's three columns of a TSV, MMLU's question, options and letter, a prompt and a response
    in two columns and a prompt in one are known; any other columns are called 1, 2 and so on.

    Args:
        stream: The file.
        tabs: Whether tabs part the cells.
        numbered: Whether the user named columns by their numbers, which says that there is no header.
    """
    text = _text(stream)
    line = text.readline()
    if tabs and not numbered:
        cells = line.rstrip("\r\n").split("\t")
        words = all(re.fullmatch(r"\w+", cell) for cell in cells)
        if len(cells) == len(_FLAN) and not words and match(dict.fromkeys(cells)) is None:
            return Columns(_FLAN, quoted=False)
    cells = _first_row(itertools.chain([line], text), tabs)
    numbers = tuple(str(number) for number in range(1, len(cells) + 1))
    if numbered:
        return Columns(numbers)
    named = all(not cell or _NAME.fullmatch(cell.strip()) for cell in cells) and len(set(cells)) == len(cells)
    if not cells or named or match(dict.fromkeys(cells)) is not None:
        return None
    letters = string.ascii_uppercase[: len(cells) - 2]
    if len(letters) > 1 and cells[-1].strip() in tuple(letters):
        return Columns(("question", *letters, "answer"))
    return Columns({1: ("prompt",), 2: ("prompt", "response")}.get(len(cells), numbers))


def _first_row(lines: Iterable[str], tabs: bool) -> list[str]:
    csv.field_size_limit(_LONGEST)
    try:
        return next((cells for cells in csv.reader(lines, delimiter="\t" if tabs else ",") if cells), [])
    except csv.Error:
        return []  # said with its line when the table is read


def separated(stream: IO[bytes], file: str, *, tabs: bool, columns: Columns | None) -> Iterator[Record]:
    """Records of a CSV or TSV file, each by the line that it starts on.

    Args:
        stream: The file.
        file: What to call it.
        tabs: Whether tabs part the cells.
        columns: What the columns are; None if the first line says so.

    Raises:
        DataError: If quotes do not close or two columns have one name.
    """
    csv.field_size_limit(_LONGEST)
    rows = csv.reader(
        _text(stream),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_MINIMAL if columns is None or columns.quoted else csv.QUOTE_NONE,
        strict=True,
    )
    names: list[str] = [] if columns is None else list(columns.names)
    line = 1
    try:
        for cells in rows:
            if not names and cells:
                names = cells
                if len(set(names)) < len(names):
                    raise DataError(
                        f"{file}:{line}: every column must have its own name, got {', '.join(names)}",
                        file=file,
                        line=line,
                    )
            elif cells and len(cells) != len(names):
                problem = f"the row must have as many cells as there are columns ({len(names)}), got {len(cells)}"
                yield Record(file, line, problem=problem)
            elif cells:
                yield Record(file, line, dict(zip(names, cells, strict=True)))
            line = rows.line_num + 1
    except csv.Error as error:
        why = f"the row that starts here is not well-formed ({error})"
        raise DataError(
            f"{file}:{line}: {why}; skipping bad rows does not help, put the quotes right", file=file, line=line
        ) from error


def parquet(path: str, file: str) -> Iterator[Record]:
    """Records of a Parquet file, read batch by batch.

    Raises:
        DataError: If it is not a sound Parquet file; on opening or on the damaged batch.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for value in batch.to_pylist():
                    number += 1
                    yield Record(file, number, value)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        where = f"after row {number}" if number else "from its start"
        raise DataError(
            f"{file}: the Parquet file is damaged {where} ({first}); write or fetch it again", file=file
        ) from error


def parquet_rows(path: str) -> int:
    """How many rows a Parquet file says that it holds."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
