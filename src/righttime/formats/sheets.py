"""Tables: CSV and TSV, with a header or without one, Parquet.

instruction,input,output
"Rewrite it.","freind","friend"
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from righttime.errors import DataError
from righttime.formats.bounds import MOST_RATIO, size_of, too_long
from righttime.formats.json_text import Record
from righttime.formats.registry import match

__all__ = ["Columns", "headerless", "parquet", "parquet_rows", "separated"]

_LONGEST = 2**31 - 1  # the most that the csv module takes as its limit on the characters of a field
_FLAN = ("question", "answer", "explanation")
_NAME = re.compile(r"[^\W\d]\w*(?:[ ./()#-]+\w+){0,3}[)]?")


def _text(stream: IO[bytes]) -> io.TextIOWrapper:
    # Bytes that are not UTF-8 become lone surrogates, which the reading loop finds and lays to their row.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _lines(text: io.TextIOWrapper, most: int) -> Iterator[str]:
    """The lines of a table.

    Raises:
        csv.Error: If one is longer than `most` characters, of which no more are held.
    """
    for line in iter(partial(text.readline, most + 1), ""):
        if len(line) > most and not line.endswith(("\n", "\r")):
            raise csv.Error(too_long("a line", most))
        yield line


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a table without a header are taken for.

    Attributes:
        names: Their names.
        quoted: Whether cells may stand in quotes.
    """

    names: tuple[str, ...]
    quoted: bool = True


def headerless(stream: IO[bytes], most: int, *, tabs: bool, numbered: bool = False) -> Columns | None:
    """What the columns are where a table's first line is a row, None where it is a header.

    A first line is a header if a format knows its names, or if every cell looks like a name: short, no sentence, no
    number, none twice. Else FLAN's three columns of a TSV, MMLU's question, options and letter, a prompt and a response
    in two columns and a prompt in one are known; any other columns are called 1, 2 and so on.

    Args:
        stream: The file.
        most: Characters of the longest line.
        tabs: Whether tabs part the cells.
        numbered: Whether the user named columns by their numbers, which says that there is no header.
    """
    text = _text(stream)
    line = text.readline(most)
    if tabs and not numbered:
        cells = line.rstrip("\r\n").split("\t")
        words = all(re.fullmatch(r"\w+", cell) for cell in cells)
        if len(cells) == len(_FLAN) and not words and match(dict.fromkeys(cells)) is None:
            return Columns(_FLAN, quoted=False)
    cells = _first_row(itertools.chain([line], _lines(text, most)), tabs, most)
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


def _first_row(lines: Iterable[str], tabs: bool, most: int) -> list[str]:
    csv.field_size_limit(min(most, _LONGEST))
    try:
        return next((cells for cells in csv.reader(lines, delimiter="\t" if tabs else ",") if cells), [])
    except csv.Error:
        return []  # said with its line when the table is read


def separated(stream: IO[bytes], file: str, most: int, *, tabs: bool, columns: Columns | None) -> Iterator[Record]:
    """Records of a CSV or TSV file, each by the line that it starts on.

    Args:
        stream: The file.
        file: What to call it.
        most: Characters of the longest line, and of the longest cell.
        tabs: Whether tabs part the cells.
        columns: What the columns are; None if the first line says so.

    Raises:
        DataError: If quotes do not close or two columns have one name.
    """
    csv.field_size_limit(min(most, _LONGEST))
    rows = csv.reader(
        _lines(_text(stream), most),
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


def parquet(path: str, file: str, most: int) -> Iterator[Record]:
    """Records of a Parquet file, read batch by batch.

    Args:
        path: Where it lies.
        file: What to call it.
        most: Bytes of the longest row.

    Raises:
        DataError: If it is not a sound Parquet file, on opening or on the damaged batch; if a part of it becomes far
            larger than it is.
    """
    for number, names, values in parquet_cells(path, file, most):
        yield cells_record(file, number, names, values, most)


def cells_record(file: str, number: int, names: tuple[str, ...], values: tuple[Any, ...] | None, most: int) -> Record:
    """The record of one of the `parquet_cells`."""
    if values is None:
        return Record(file, number, problem=too_long("a row", most))
    return Record(file, number, dict(zip(names, values, strict=True)))


def parquet_cells(
    path: str, file: str, most: int, *, vectors: bool = True
) -> Iterator[tuple[int, tuple[str, ...], tuple[Any, ...] | None]]:
    """Rows of a Parquet file: the number of each, the names of the columns, what they hold or None if it is too long.

    Args:
        path: See `parquet`, as for all that follow.
        file: What to call it.
        most: Bytes of the longest row.
        vectors: Read columns of lists of floats too, which are neither text nor id; else they hold None.

    Raises:
        DataError: As `parquet`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            _require_ratio(table.metadata, file, max(most, MOST_RATIO * os.path.getsize(path)))
            names, read = tuple(table.schema_arrow.names), None if vectors else _but_vectors(table.schema_arrow)
            for batch in table.iter_batches(batch_size=1024, columns=read):
                large, found = batch.nbytes > most, dict(zip(batch.schema.names, batch.columns, strict=True))
                given = batch.columns if read is None else [found.get(name) for name in names]
                columns = [[None] * len(batch) if column is None else column.to_pylist() for column in given]
                for values in zip(*columns, strict=True) if columns else itertools.repeat((), batch.num_rows):
                    number += 1
                    yield number, names, None if large and size_of(list(values)) > most else values
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        where = f"after row {number}" if number else "from its start"
        raise DataError(
            f"{file}: the Parquet file is damaged {where} ({first}); write or fetch it again", file=file
        ) from error


def _but_vectors(schema: Any) -> list[str] | None:
    """The columns that are no lists of floats; None where all are read."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    vectors = {
        field.name
        for field in schema
        if any(kind(field.type) for kind in lists) and pa.types.is_floating(field.type.value_type)
    }
    left = [name for name in schema.names if name not in vectors]
    # Arrow takes a name with a dot for a path, and of two columns of one name it cannot be said which is meant.
    plain = len(set(schema.names)) == len(schema.names) and not any("." in name for name in left)
    return left if vectors and left and plain else None


def _require_ratio(metadata: Any, file: str, most: int) -> None:
    # By the size of the file, not of the group's columns: Arrow ends the process where those are damaged.
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.total_byte_size > most:
            raise DataError(
                f"{file}: a part of the file must not become more than {MOST_RATIO:,} times its size, and row group "
                f"{number} does, with {group.total_byte_size:,} bytes; write it again if it is meant to",
                file=file,
            )


def parquet_rows(path: str) -> int:
    """How many rows a Parquet file says that it holds."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
