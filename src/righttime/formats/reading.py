"""Reading pools and targets: every record becomes an example or is accounted for."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from righttime.errors import EmptyDataError, SettingsError, unknown_name
from righttime.examples import Example, LeftOut
from righttime.formats.bounds import MAX_ROW_BYTES, check_max_row_bytes
from righttime.formats.files import Source
from righttime.formats.folders import find_sources, labels, some_sources
from righttime.formats.ids import settled
from righttime.formats.json_text import Record
from righttime.formats.named import check_fields
from righttime.formats.records import Found, Settings, dumped
from righttime.formats.registry import FORMATS
from righttime.formats.seen import unread_note
from righttime.formats.side_by_side import read_sources
from righttime.growing import Runs
from righttime.rows import Rows
from righttime.stored import Store, StoredRows

Piece = TypeVar("Piece")

__all__ = ["InputFile", "Reading", "from_records", "read_head", "read_rows"]


@dataclass(frozen=True)
class InputFile:
    """One source of a reading.

    Attributes:
        path: As the user named it; a file of a folder by the folder's name and its own.
        source: Its short unique label.
        format: The name of its format.
        container: What held its records, such as ``jsonl`` or ``parquet``.
        rows: How many rows are usable.
        left_out: How many are not.
        sha256: Of its content: the file's bytes, a folder's files, a data set's fingerprint.
        duplicates: How many usable rows say what an earlier row of this reading says.
        note: What a person should know about it, or None; names the fields in `unread`.
        unread: The fields that hold text and that nothing read, each with the share of usable rows that have it.
    """

    path: str
    source: str
    format: str
    container: str
    rows: int
    left_out: int
    sha256: str
    duplicates: int
    note: str | None = None
    unread: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """All that was read together.

    Attributes:
        rows: The usable rows, in the order of the sources and of the rows in each.
        left_out: The rows that could not be used, and why.
        inputs: The sources.
        share: About how much of the data this is: 1 but for `read_head`.
        of_last: How many of the rows come from the last of the files or folders that were named.
        inputs_of_last: How many of the sources that is.
    """

    rows: Rows
    left_out: tuple[LeftOut, ...]
    inputs: tuple[InputFile, ...]
    share: float = 1.0
    of_last: int = 0
    inputs_of_last: int = 0

    @property
    def total(self) -> int:
        """How many rows there were, usable or not."""
        return len(self.rows) + len(self.left_out)

    @property
    def examples(self) -> tuple[Example, ...]:
        """The usable rows as objects, all of them in memory."""
        return tuple(self.rows.examples())


def read_rows(
    paths: Sequence[str | os.PathLike[str]],
    *,
    role: Literal["pool", "target"],
    format: str | None = None,  # noqa: A002
    bad_rows: Literal["stop", "skip"] = "stop",
    repeated_ids: Literal["stop", "number"] = "stop",
    positive_examples: int = 0,
    task_field: str | None = None,
    keep_original: bool = False,
    fields: Mapping[str, str] | None = None,
    max_row_bytes: int = MAX_ROW_BYTES,
    workers: int = 1,
    on_ray: bool = False,
    progress: bool = False,
) -> Reading:
    """Read one or more files, folders or data sets of the hub as one pool or one target.

    Args:
        paths: Files, folders, or ``hf:owner/name[/config][:split]``.
        role: A ``pool``'s rows must have a response; a ``target``'s may do without.
        format: A name of `format_names()` for every file, or None to tell it from each file's keys.
        bad_rows: ``stop`` at the first, or ``skip`` and list them.
        repeated_ids: ``stop`` where one source gives one id twice, or ``number``: ``source:id``, ``source:id-2``.
        positive_examples: How many of a Natural Instructions task's examples its prompts show.
        task_field: The key that holds the task's name, ``@file`` for the file's own name, None for the usual keys.
        keep_original: Keep each record's own JSON.
        fields: For files of no known format, the names of the fields that hold the ``prompt``, and where there are any
            the ``response``, ``system``, ``context``, ``options``, ``task`` and ``id``; ``a.b`` names a field inside
            a field, and a number a column of a table without a header.
        max_row_bytes: Bytes of the longest row, decompressed; a longer one is a bad row.
        workers: Processes that read files side by side, each a whole one.
        on_ray: Read files by tasks on a Ray cluster; those that a machine does not see are read here.
        progress: Show progress on stderr.

    Returns:
        The rows with unique ids, the rows left out, and the files.

    Raises:
        RowError: If a row is bad and `bad_rows` is ``stop``.
        FormatError: If a file's format is unknown or cannot be arranged.
        DuplicateIdError: If one source gives one id twice and `repeated_ids` is ``stop``.
        EmptyDataError: If a source holds nothing, or no row at all is usable.
        DataError: If a source is missing or damaged.
        SettingsError: If an argument is out of range or names something unknown.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "pool.jsonl")
        >>> _ = file.write_text('{"question": "2+2?", "answer": "4"}')
        >>> read_rows([file], role="pool").examples[0].response
        '4'
    """
    settings = _settings(
        role, format, bad_rows, repeated_ids, positive_examples, task_field, keep_original, fields or {}
    )
    settings = dataclasses.replace(settings, progress=progress, workers=workers, on_ray=on_ray)
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    numbered, most = _numbered(settings.fields), check_max_row_bytes(max_row_bytes)
    found = [find_sources(os.fspath(path), role, numbered=numbered, most=most) for path in named]
    read = _read([source for sources in found for source in sources], settings)
    last = read.inputs[-len(found[-1]) :]
    return dataclasses.replace(read, of_last=sum(file.rows for file in last), inputs_of_last=len(last))


def _numbered(fields: Mapping[str, str]) -> bool:
    """Whether the named fields are columns by their numbers, which says that a table has no header."""
    return bool(fields) and all(key.isdecimal() for key in fields.values())


def read_head(
    paths: Sequence[str | os.PathLike[str]],
    rows: int,
    *,
    role: Literal["pool", "target"],
    format: str | None = None,  # noqa: A002
    bad_rows: Literal["stop", "skip"] = "stop",
    repeated_ids: Literal["stop", "number"] = "stop",
    positive_examples: int = 0,
    task_field: str | None = None,
    fields: Mapping[str, str] | None = None,
    max_row_bytes: int = MAX_ROW_BYTES,
) -> Reading:
    """Read about so many rows, the first ones of some files, to see what all of them are like.

    Args:
        paths: See `read_rows`, as for all that follow but `rows`.
        rows: About how many; more where a file can only be read whole. Of files at addresses one of each ending is
            fetched.
        role: See `read_rows`.
        format: See `read_rows`.
        bad_rows: See `read_rows`.
        repeated_ids: See `read_rows`.
        positive_examples: See `read_rows`.
        task_field: See `read_rows`.
        fields: See `read_rows`.
        max_row_bytes: See `read_rows`.

    Returns:
        These rows, and about which share of all they are. Files are not hashed: their sha256 is empty.

    Raises:
        RighttimeError: As `read_rows`.
    """
    settings = _settings(role, format, bad_rows, repeated_ids, positive_examples, task_field, False, fields or {})
    numbered, most = _numbered(settings.fields), check_max_row_bytes(max_row_bytes)
    some = some_sources([os.fspath(path) for path in paths], role, numbered=numbered, most=most)
    heads = [_Head(source, -(-rows // len(some))) for source, _ in some]
    read = _read([head.source for head in heads], settings)
    there = sum(head.expected() * times for head, (_, times) in zip(heads, some, strict=True))
    return dataclasses.replace(read, share=min(1.0, sum(head.read for head in heads) / there))


class _Head:
    """The first records of a source, and how many it holds in all."""

    def __init__(self, source: Source, rows: int) -> None:
        self.read, self._rows, self._cut, self._whole = 0, rows, False, source
        ways = {"records": source.records, "lines": source.lines, "cells": source.cells}
        first: dict[str, Any] = {name: partial(self._first, way) for name, way in ways.items() if way is not None}
        self.source = dataclasses.replace(source, sha256=lambda: "", **first)

    def _first(self, way: Callable[[], Iterator[Piece]]) -> Iterator[Piece]:
        self.read, self._cut = 0, False  # what is read last counts
        for piece in way():
            # Where the number of rows cannot be told from some, all are counted.
            if self.read >= self._rows and self._whole.expected(self.read) is not None:
                self._cut = True
                return
            self.read += 1
            yield piece

    def expected(self) -> int:
        return (self._whole.expected(self.read) if self._cut else None) or self.read


def from_records(
    records: Iterable[Mapping[str, Any]],
    *,
    role: Literal["pool", "target"],
    source: str = "memory",
    format: str | None = None,  # noqa: A002
    bad_rows: Literal["stop", "skip"] = "stop",
    repeated_ids: Literal["stop", "number"] = "stop",
    positive_examples: int = 0,
    task_field: str | None = None,
    keep_original: bool = False,
    fields: Mapping[str, str] | None = None,
    progress: bool = False,
) -> Reading:
    """Read records that are in memory already, such as a `datasets.Dataset`, as `read_rows` reads files.

    Args:
        records: Objects as a file would hold them; read once.
        role: See `read_rows`, as for all that follow but `source`.
        source: What to call them, in place of a file's name.
        format: See `read_rows`.
        bad_rows: See `read_rows`.
        repeated_ids: See `read_rows`.
        positive_examples: See `read_rows`.
        task_field: See `read_rows`.
        keep_original: See `read_rows`.
        fields: See `read_rows`.
        progress: See `read_rows`.

    Raises:
        DataError: As `read_rows`.
        SettingsError: As `read_rows`.

    Example:
        >>> from_records([{"question": "2+2?", "answer": "4"}], role="pool").examples[0].prompt
        '2+2?'
    """
    settings = _settings(
        role, format, bad_rows, repeated_ids, positive_examples, task_field, keep_original, fields or {}
    )
    settings = dataclasses.replace(settings, progress=progress)
    held = [Record(source, number, value) for number, value in enumerate(records, 1)]
    if not held:
        raise EmptyDataError(f"{source}: there must be at least one record, got none", file=source)

    def sha256() -> str:
        text = "\n".join(dumped(record.value, ensure_ascii=True) for record in held)
        return hashlib.sha256(text.encode()).hexdigest()

    return _read(
        [Source(source, "memory", lambda: iter(held), sha256, by_line=False, expected=lambda rows: len(held))], settings
    )


def _settings(
    role: str,
    name: str | None,
    bad_rows: str,
    repeated_ids: str,
    shots: int,
    task_field: str | None,
    keep_original: bool,
    fields: Mapping[str, str],
) -> Settings:
    if role not in ("pool", "target"):
        raise unknown_name("role", role, ("pool", "target"))
    if bad_rows not in ("stop", "skip"):
        raise unknown_name("way with bad rows", bad_rows, ("stop", "skip"), setting="bad_rows")
    if repeated_ids not in ("stop", "number"):
        raise unknown_name("way with repeated ids", repeated_ids, ("stop", "number"), setting="repeated_ids")
    if name is not None and name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    if isinstance(shots, bool) or not isinstance(shots, int) or shots < 0:
        raise SettingsError(
            f"positive_examples must be a whole number from 0, got {shots!r}", setting="positive_examples"
        )
    check_fields(fields)
    if fields and name is not None:
        raise SettingsError(
            f"a format or fields may be given, not both, got format {name} and fields.", setting="fields"
        )
    if "task" in fields and task_field is not None:
        raise SettingsError(
            f"the task may be named once, got task_field {task_field} and task={fields['task']}.", setting="task_field"
        )
    numbered = repeated_ids == "number"
    return Settings(role, name, bad_rows == "skip", shots, task_field, keep_original, dict(fields), number_ids=numbered)


def _read(sources: Sequence[Source], settings: Settings) -> Reading:
    if not sources:
        raise EmptyDataError(f"the {settings.role} must be read from at least one file, got none")
    names = labels([source.path for source in sources])
    store = Store()
    found = read_sources(sources, settings, store)
    left_out = tuple(one for result in found for one in result.left_out)
    if not store.size:
        raise _nothing_usable(sources, found, settings)
    starts = [0, *accumulate(result.rows for result in found)]
    runs = Runs(names, starts[:-1], store.size)
    contents = store.contents
    ids = settled(store.given(), store.hashes.array(np.int64), contents, runs)
    repeats = _repeats(contents)
    inputs = tuple(
        _input_file(source, name, result, int(repeats[start : start + result.rows].sum()))
        for source, name, result, start in zip(sources, names, found, starts, strict=False)
    )
    return Reading(StoredRows(store.columns(ids, runs)), left_out, inputs)


def _repeats(contents: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows say what an earlier one says."""
    later = np.ones(len(contents), dtype=np.bool_)
    later[np.unique(contents, return_index=True)[1]] = False
    return later


def _nothing_usable(sources: Sequence[Source], found: Sequence[Found], settings: Settings) -> EmptyDataError:
    bad = [(source, one) for source, result in zip(sources, found, strict=True) for one in result.left_out]
    source, one = bad[0]
    where = ", ".join(source.path for source in sources)
    return EmptyDataError(
        f"{where}: the {settings.role} must hold a usable row, got {len(bad):,} bad ones; "
        f"the first: {source.place(one.file, one.line)}: {one.detail}",
        file=one.file,
        line=one.line,
    )


def _input_file(source: Source, name: str, found: Found, duplicates: int) -> InputFile:
    counts = (found.rows, len(found.left_out), found.sha256, duplicates)
    most = sorted(found.unread.items(), key=lambda entry: -entry[1])
    unread = {field: count / found.rows for field, count in most}
    again = f"{found.numbered:,} rows repeat the id of an earlier row; such ids are numbered" if found.numbered else ""
    note = "; ".join(part for part in (source.note, unread_note(found.unread, found.rows), again) if part) or None
    return InputFile(source.path, name, found.format, source.container, *counts, note=note, unread=unread)
