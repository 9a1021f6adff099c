"""Tables: CSV and TSV with a header, FLAN's TSV without one, Parquet.

instruction,input,output
"Rewrite it.","freind","friend"
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import IO

from righttime.errors import DataError
from righttime.formats.json_text import Record
from righttime.formats.table import match

__all__ = ["headerless", "parquet", "parquet_rows", "separated"]

_LONGEST = 2**31 - 1  # characters in one field; the csv module's own limit is 131,072
_FLAN = ("question", "answer", "explanation")


def _text(stream: IO[bytes]) -> io.TextIOWrapper:
    # Bytes that are not UTF-8 become lone surrogates, which the reading loop finds and lays to their row.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


def headerless(stream: IO[bytes]) -> bool:
    """Whether a TSV's first line is a row of FLAN's three columns and not a header."""
    cells = _text(stream).readline().rstrip("\r\n").split("\t")
    named = all(re.fullmatch(r"\w+", cell) for cell in cells)
    return len(cells) == len(_FLAN) and not named and match(dict.fromkeys(cells)) is None


def separated(stream: IO[bytes], file: str, *, tabs: bool, header: bool) -> Iterator[Record]:
    """Records of a CSV or TSV file, each by the line that it starts on.

    Raises:
        DataError: If quotes do not close or two columns have one name.
    """
    csv.field_size_limit(_LONGEST)
    rows = csv.reader(
        _text(stream),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_MINIMAL if header else csv.QUOTE_NONE,
        strict=True,
    )
    names: list[str] = [] if header else list(_FLAN)
    line = 1
    try:
        for cells in rows:
            if not names and cells:
                names = cells
                if len(set(names)) < len(names):
                    raise DataError(f"{file}:{line}: every column must have its own name, got {', '.join(names)}")
            elif cells and len(cells) != len(names):
                problem = f"the row must have as many cells as there are columns ({len(names)}), got {len(cells)}"
                yield Record(file, line, problem=problem)
            elif cells:
                yield Record(file, line, dict(zip(names, cells, strict=True)))
            line = rows.line_num + 1
    except csv.Error as error:
        why = f"the row that starts here is not well-formed ({error})"
        raise DataError(f"{file}:{line}: {why}; skipping bad rows does not help, put the quotes right") from error


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
        raise DataError(f"{file}: the Parquet file is damaged {where} ({first}); write or fetch it again") from error


def parquet_rows(path: str) -> int:
    """How many rows a Parquet file says that it holds."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
