"""One file: which container it is, told by its name and its first lines, and its records."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from righttime.errors import DataError, EmptyDataError
from righttime.formats import json_text, sheets
from righttime.formats.bounds import MAX_ROW_BYTES, bounded_lines
from righttime.formats.compression import Place, opened
from righttime.formats.json_text import BOM, Record, whole
from righttime.store import file_sha256

__all__ = ["SUFFIXES", "TEXT", "FileAt", "Source", "file_source", "stem_of"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Names of data files; in a folder these alone are read."""

TEXT = ".txt"
"""A file of prompts, one a line; read where it is named, not in a folder, where it may be a licence."""

_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class FileAt:
    """What another process has to know to read a file too.

    Attributes:
        path: See `file_source`, as for all that follow but `size`.
        file: See there.
        numbered: See there.
        most: See there.
        size: Its bytes.
    """

    path: str
    file: str
    numbered: bool
    most: int
    size: int

    def source(self) -> Source | None:
        """The file; None where no file of that size lies at the path, as on a machine that does not see it."""
        try:
            if os.path.getsize(self.path) != self.size:
                return None
        except OSError:
            return None
        return file_source(self.path, self.file, numbered=self.numbered, most=self.most)


@dataclass(frozen=True, slots=True)
class Source:
    """Something that rows are read from: a file, a folder that is one data set, a data set on the hub.

    Attributes:
        path: As the user named it.
        container: What holds its records, such as ``jsonl``.
        records: Reads them, anew at each call.
        sha256: Of its content.
        by_line: Whether a record's number is a line.
        format: The format that the container implies, or None.
        note: What a person should know about it, or None.
        hint: What else to try where its format is unknown.
        expected: How many rows it holds, given how many have been read; None where that cannot be told.
        most: Bytes of the longest row.
        lines: Where each line holds a record: the lines that are not blank, with their numbers, None for one that is
            too long.
        cells: Where records are rows of a table: their numbers, the columns' names and what they hold,
            None in place of what is too long. Lists of floats are not read.
        at: Where another process finds it; None where it is no file.
    """

    path: str
    container: str
    records: Callable[[], Iterator[Record]]
    sha256: Callable[[], str]
    by_line: bool = True
    format: str | None = None
    note: str | None = None
    hint: str = ""
    expected: Callable[[int], int | None] = lambda rows: None
    most: int = MAX_ROW_BYTES
    lines: Callable[[], Iterator[tuple[int, bytes | None]]] | None = None
    cells: Callable[[], Iterator[tuple[int, tuple[str, ...], tuple[Any, ...] | None]]] | None = None
    at: FileAt | None = None

    def place(self, file: str, line: int) -> str:
        """Where a record stands, for a person: ``file:line``, or ``file: row N`` where there are no lines."""
        return f"{file}:{line}" if self.by_line else f"{file}: row {line}"


@lru_cache(maxsize=1024)  # asked for with every record
def stem_of(path: str) -> str:
    """A file's name without folders and data suffixes.

    Example:
        >>> stem_of("data/pool.v2.jsonl.gz")
        'pool.v2'
    """
    name = os.path.basename(os.path.normpath(path))
    for endings in (_COMPRESSED, (*SUFFIXES, TEXT)):
        stem, dot, ending = name.rpartition(".")
        if stem and dot + ending.lower() in endings:
            name = stem
    return name


def file_source(path: str, file: str | None = None, *, numbered: bool = False, most: int = MAX_ROW_BYTES) -> Source:
    """Find out what a file is.

    Args:
        path: Where it lies.
        file: What to call it in errors and results; the path if None.
        numbered: Whether the user named a table's columns by their numbers, which says that it has no header.
        most: Bytes of the longest row.

    Raises:
        DataError: If it is empty, damaged or neither JSON nor a table nor text.
    """
    file = file or path
    container = _container(path, file, most)
    columns, implied, note, hint, place = None, None, None, "", Place()
    if container in ("csv", "tsv"):
        with opened(path, file) as stream:
            columns = sheets.headerless(stream, most, tabs=container == "tsv", numbered=numbered)
        hint = " (columns without a header by number: `fields={'prompt': '1', 'response': '2'}`)"
    if columns is not None:
        container += "-without-header"
        implied = "flan-cot" if not columns.quoted else None
        note = f"the table has no header; its columns are taken as {', '.join(columns.names)}"
    return Source(
        file,
        container,
        lambda: _records(path, file, container, columns, most, place),
        lambda: file_sha256(Path(path)),
        by_line=container != "parquet",
        format=implied,
        note=note,
        hint=hint,
        expected=place.expected if container != "parquet" else lambda rows: sheets.parquet_rows(path),
        most=most,
        lines=(lambda: _lines(path, file, most, place)) if container == "jsonl" else None,
        cells=(lambda: sheets.parquet_cells(path, file, most, vectors=False)) if container == "parquet" else None,
        at=FileAt(path, file, numbered, most, os.path.getsize(path)),
    )


def _lines(path: str, file: str, most: int, place: Place) -> Iterator[tuple[int, bytes | None]]:
    with opened(path, file, place) as stream:
        yield from json_text.bodies(stream, most)


def _records(
    path: str, file: str, container: str, columns: sheets.Columns | None, most: int, place: Place | None = None
) -> Iterator[Record]:
    if container == "parquet":
        yield from sheets.parquet(path, file, most)
        return
    with opened(path, file, place) as stream:
        if container == "jsonl":
            yield from json_text.lines(stream, file, most)
        elif container == "json-array":
            yield from json_text.array(stream, file, most)
        elif container == "json-object":
            yield from json_text.single(_decoded(stream.read()), file, stem_of(path), most)
        elif container == "text":
            yield from json_text.text_lines(stream, file, most)
        else:
            yield from sheets.separated(stream, file, most, tabs=container.startswith("tsv"), columns=columns)


def _decoded(data: bytes) -> str:
    # Bytes that are not UTF-8 become lone surrogates, which the reading loop finds and lays to their row.
    return data.decode("utf-8-sig", errors="surrogateescape")


def _container(path: str, file: str, most: int) -> str:
    name = _plain_name(path)
    with opened(path, file) as stream:
        first, second = _first_lines(stream, most)
    if first.startswith(b"PAR1") or name.endswith(".parquet"):
        return "parquet"
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{file}: the file must be UTF-8, got UTF-16; save it as UTF-8", file=file)
    if not first:
        raise EmptyDataError(f"{file}: the file must hold rows, got an empty file", file=file)
    if name.endswith(".csv"):
        return "csv"
    if name.endswith(".tsv"):
        return "tsv"
    if name.endswith(TEXT) and first not in (b"{", b"[") and not isinstance(whole(_decoded(first)), dict | list):
        return "text"
    if first.startswith(b"["):
        inside = first[1:].lstrip()[:1] or second[:1]
        alone = inside == b'"' and not second.startswith(b"[")  # a list of prompts
        return "json-array" if name.endswith(".json") or inside in (b"{", b"]", b"") or alone else "jsonl"
    if first.startswith(b"{"):
        return "jsonl" if _one_a_line(path, file, name, first, second) else "json-object"
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return "jsonl"
    known = ", ".join(SUFFIXES)
    raise DataError(
        f"{file}: the file must be JSON or a table ({known}, each also .gz or .zst), or prompts, one a line of a "
        f"{TEXT} file, got {first[:40]!r}",
        file=file,
    )


def _plain_name(path: str) -> str:
    name = path.lower()
    return next((name.removesuffix(ending) for ending in _COMPRESSED if name.endswith(ending)), name)


def _first_lines(stream: IO[bytes], most: int) -> tuple[bytes, bytes]:
    """The first two lines that are not blank, stripped; of one that is too long to be a row its beginning."""
    found: list[bytes] = []
    start = cast(io.BufferedReader, stream).peek(4096)[:4096]
    for number, line in enumerate(bounded_lines(stream, most)):
        if line is None:
            line = start if number == 0 else b""
        body = (line.removeprefix(BOM) if number == 0 else line).strip()
        if body:
            found.append(body)
        if len(found) == 2:
            break
    first, second, *_ = [*found, b"", b""]
    return first, second


def _one_a_line(path: str, file: str, name: str, first: bytes, second: bytes) -> bool:
    """Whether a file that opens with a brace has one object a line, broken ones included, or is one object."""
    named = name.endswith((".jsonl", ".ndjson"))
    objects = [isinstance(whole(_decoded(line)), dict) for line in (first, second)]
    if objects[0] or (named and objects[1]):
        return bool(second)
    with opened(path, file) as stream:
        if isinstance(whole(_decoded(stream.read())), dict):
            return False
    return named or objects[1]
