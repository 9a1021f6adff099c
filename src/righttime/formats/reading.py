"""Reading pools and targets: every record becomes an example or is accounted for."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from righttime.errors import (
    DataError,
    DuplicateIdError,
    EmptyDataError,
    FormatError,
    RowError,
    SettingsError,
    unknown_name,
)
from righttime.examples import Example, LeftOut, Parsed, content_id
from righttime.formats.fields import BadRowError, RefusedError, SilentRowError, kind_of
from righttime.formats.files import Source, stem_of
from righttime.formats.folders import find_sources, labels
from righttime.formats.ids import Named, settle
from righttime.formats.json_text import Record
from righttime.formats.table import FORMATS, format_names, match, parse, refuse

__all__ = ["InputFile", "Reading", "from_records", "read_rows"]

_LOOK_AT = 1000  # records among which one must be of a known format
_SKIP = "(`--bad-rows skip` leaves bad rows out and lists them)"


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
        note: What a person should know about it, or None.
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


@dataclass(frozen=True)
class Reading:
    """All that was read together.

    Attributes:
        examples: The usable rows, in the order of the sources and of the rows in each.
        left_out: The rows that could not be used, and why.
        inputs: The sources.
    """

    examples: tuple[Example, ...]
    left_out: tuple[LeftOut, ...]
    inputs: tuple[InputFile, ...]

    @property
    def total(self) -> int:
        """How many rows there were, usable or not."""
        return len(self.examples) + len(self.left_out)


@dataclass(frozen=True)
class _Settings:
    role: str
    format: str | None
    skip: bool
    shots: int
    task_field: str | None
    keep_original: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A usable row whose id is not settled yet."""

    record: Record
    parsed: Parsed
    content: str
    original: str | None


@dataclass
class _Found:
    """What one source gave."""

    format: str
    rows: list[_Row] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


def read_rows(
    paths: Sequence[str | os.PathLike[str]],
    *,
    role: Literal["pool", "target"],
    format: str | None = None,  # noqa: A002
    bad_rows: Literal["stop", "skip"] = "stop",
    positive_examples: int = 0,
    task_field: str | None = None,
    keep_original: bool = False,
) -> Reading:
    """Read one or more files, folders or data sets of the hub as one pool or one target.

    Args:
        paths: Files, folders, or ``hf:owner/name[/config][:split]``.
        role: A ``pool``'s rows must have a response; a ``target``'s may do without.
        format: A name of `format_names()` for every file, or None to tell it from each file's keys.
        bad_rows: ``stop`` at the first, or ``skip`` and list them.
        positive_examples: How many of a Natural Instructions task's examples its prompts show.
        task_field: The key that holds the task's name, ``@file`` for the file's own name, None for the usual keys.
        keep_original: Keep each record's own JSON.

    Returns:
        The rows with unique ids, the rows left out, and the files.

    Raises:
        RowError: If a row is bad and `bad_rows` is ``stop``.
        FormatError: If a file's format is unknown or cannot be arranged.
        DuplicateIdError: If one source gives one id twice.
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
    settings = _settings(role, format, bad_rows, positive_examples, task_field, keep_original)
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    return _read([source for path in named for source in find_sources(os.fspath(path), role)], settings)


def from_records(
    records: Iterable[Mapping[str, Any]],
    *,
    role: Literal["pool", "target"],
    source: str = "memory",
    format: str | None = None,  # noqa: A002
    bad_rows: Literal["stop", "skip"] = "stop",
    positive_examples: int = 0,
    task_field: str | None = None,
    keep_original: bool = False,
) -> Reading:
    """Read records that are in memory already, such as a `datasets.Dataset`, as `read_rows` reads files.

    Args:
        records: Objects as a file would hold them; read once.
        role: See `read_rows`, as for all that follow but `source`.
        source: What to call them, in place of a file's name.
        format: See `read_rows`.
        bad_rows: See `read_rows`.
        positive_examples: See `read_rows`.
        task_field: See `read_rows`.
        keep_original: See `read_rows`.

    Raises:
        DataError: As `read_rows`.
        SettingsError: As `read_rows`.

    Example:
        >>> from_records([{"question": "2+2?", "answer": "4"}], role="pool").examples[0].prompt
        '2+2?'
    """
    settings = _settings(role, format, bad_rows, positive_examples, task_field, keep_original)
    held = [Record(source, number, value) for number, value in enumerate(records, 1)]
    if not held:
        raise EmptyDataError(f"{source}: there must be at least one record, got none")

    def sha256() -> str:
        text = "\n".join(_dumped(record.value, ensure_ascii=True) for record in held)
        return hashlib.sha256(text.encode()).hexdigest()

    return _read([Source(source, "memory", lambda: iter(held), sha256, by_line=False)], settings)


def _settings(
    role: str, name: str | None, bad_rows: str, shots: int, task_field: str | None, keep_original: bool
) -> _Settings:
    if role not in ("pool", "target"):
        raise unknown_name("role", role, ("pool", "target"))
    if bad_rows not in ("stop", "skip"):
        raise unknown_name("way with bad rows", bad_rows, ("stop", "skip"))
    if name is not None and name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    if isinstance(shots, bool) or not isinstance(shots, int) or shots < 0:
        raise SettingsError(f"positive_examples must be a whole number from 0, got {shots!r}")
    return _Settings(role, name, bad_rows == "skip", shots, task_field, keep_original)


def _read(sources: Sequence[Source], settings: _Settings) -> Reading:
    if not sources:
        raise EmptyDataError(f"the {settings.role} must be read from at least one file, got none")
    names = labels([source.path for source in sources])
    found = [_read_source(source, settings) for source in sources]
    left_out = tuple(one for result in found for one in result.left_out)
    if not any(result.rows for result in found):
        first = (
            f"the first: {left_out[0].file}:{left_out[0].line}: {left_out[0].detail}" if left_out else "no row at all"
        )
        where = ", ".join(source.path for source in sources)
        raise EmptyDataError(
            f"{where}: the {settings.role} must hold a usable row, got {len(left_out)} bad ones; {first}"
        )
    rows = [(name, row) for name, result in zip(names, found, strict=True) for row in result.rows]
    ids = settle([Named(name, row.parsed.id, row.content) for name, row in rows])
    examples = tuple(_example(name, row, one) for (name, row), one in zip(rows, ids, strict=True))
    seen: set[str] = set()
    inputs = tuple(
        _input_file(source, name, result, seen) for source, name, result in zip(sources, names, found, strict=True)
    )
    return Reading(examples, left_out, inputs)


def _example(source: str, row: _Row, name: str) -> Example:
    place, parsed = row.record, row.parsed
    return Example(
        name, parsed.task, source, place.file, place.line, parsed.messages, tools=parsed.tools, original=row.original
    )


def _input_file(source: Source, name: str, found: _Found, seen: set[str]) -> InputFile:
    before = len(seen)
    seen.update(row.content for row in found.rows)
    duplicates = len(found.rows) - (len(seen) - before)
    counts = (len(found.rows), len(found.left_out), source.sha256(), duplicates)
    return InputFile(source.path, name, found.format, source.container, *counts, note=source.note)


def _read_source(source: Source, settings: _Settings) -> _Found:
    records = source.records()
    head = list(itertools.islice(records, _LOOK_AT))
    if not head:
        raise EmptyDataError(f"{source.path}: the file must hold rows, got none")
    found = _Found(settings.format or source.format or _detect(head, source, settings))
    given: dict[str, Record] = {}
    for record in itertools.chain(head, records):
        for value in _split(record, found.format, settings):
            try:
                row = _row(record, value, found.format, settings)
            except BadRowError as error:
                _note_bad(error, record, found, source, settings)
            else:
                _check_new(row, given, source)
                found.rows.append(row)
    _check_found(found, source, settings)
    return found


def _detect(head: Sequence[Record], source: Source, settings: _Settings) -> str:
    """The format of the first record that is of any."""
    objects = [record for record in head if isinstance(record.value, Mapping)]
    names = (match(record.value) for record in objects)
    if name := next((name for name in names if name), None):
        return name
    if not objects:
        problem = head[0].problem or f"a record must be a JSON object, got {kind_of(head[0].value)}"
        message = f"{_place(head[0], source)}: {problem}"
        raise EmptyDataError(f"{message}; no record of the file can be read") if settings.skip else RowError(message)
    first = objects[0]
    try:
        refuse(first.value)
    except RefusedError as error:
        raise FormatError(f"{_place(first, source)}: {error}") from None
    keys = ", ".join(map(str, list(first.value)[:20])) or "none"
    raise FormatError(
        f"{_place(first, source)}: the keys must be those of a known format, got {keys}; known formats: "
        f"{', '.join(format_names())} (if the rows are of one of them, name it with `--format`)"
    )


def _split(record: Record, name: str, settings: _Settings) -> Iterator[Any]:
    """The rows that one record holds; a record that cannot be split is handed on whole, for its reader to find fault."""
    form = FORMATS[name]
    if isinstance(record.value, Mapping) and all(key in record.value for key in form.needs):
        return form.split(record.value, settings.shots)
    return iter([record.value])


def _row(record: Record, value: Any, name: str, settings: _Settings) -> _Row:
    if record.problem is not None:
        raise BadRowError(record.problem)
    if not isinstance(value, Mapping):
        raise BadRowError(f"a record must be a JSON object, got {kind_of(value)}")
    refuse(value)
    try:
        parsed = parse(value, name, settings.role, settings.task_field, stem_of(record.file))
        content = content_id(parsed.messages, parsed.tools)
        original = _original(record, value, name) if settings.keep_original else None
        "".join(text for text in (parsed.id, parsed.task, original) if text).encode("utf-8")
    except UnicodeEncodeError:
        blame = _not_text(value) or "the record"
        raise BadRowError(f"{blame} holds a lone surrogate or a byte that is not UTF-8, which no text may") from None
    except RecursionError:
        raise BadRowError("the record is nested too deeply to be read") from None
    except TypeError as error:  # tools or calls of a record in memory that hold what JSON does not
        raise BadRowError(f"the record must hold only what JSON can, but {error}") from None
    return _Row(record, parsed, content, original)


def _original(record: Record, value: Any, name: str) -> str:
    """The record's own JSON: as it stood, or the part of it that is this row."""
    if name == "self-instruct" or record.raw is None:
        return _dumped(record.value if name != "self-instruct" else value)
    return record.raw


def _dumped(value: Any, ensure_ascii: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, default=str)


def _not_text(value: Any, path: str = "") -> str | None:
    """The path of the first text in a record that cannot be encoded."""
    if isinstance(value, str):
        return f"`{path}`" if any("\ud800" <= letter <= "\udfff" for letter in value) else None
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = ((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        items = ((f"{path}[{place}]", item) for place, item in enumerate(value))
    return next((found for where, item in items if (found := _not_text(item, where))), None)


def _note_bad(error: BadRowError, record: Record, found: _Found, source: Source, settings: _Settings) -> None:
    message = f"{_place(record, source)}: {error}"
    found.left_out.append(LeftOut(record.file, record.line, None, None, "bad-row", str(error)))
    if isinstance(error, SilentRowError):
        # A file whose every row is so deserves another sentence, so the first such row waits for the end.
        found.silent.append(f"{message}; it may serve as `--target` {_SKIP}")
        return
    if isinstance(error, RefusedError):
        found.refused.append(message)
    if not settings.skip:
        if found.silent:
            raise RowError(found.silent[0])
        raise FormatError(message) if isinstance(error, RefusedError) else RowError(f"{message} {_SKIP}")


def _check_new(row: _Row, given: dict[str, Record], source: Source) -> None:
    name = row.parsed.id
    if name is None:
        return
    if name in given:
        raise DuplicateIdError(
            f"{_place(row.record, source)}: an id must stand once in a file, got {name!r} here and in "
            f"{_place(given[name], source)}; make the ids differ, or take them out to have them made"
        )
    given[name] = row.record


def _check_found(found: _Found, source: Source, settings: _Settings) -> None:
    if not found.rows and found.refused:
        raise FormatError(found.refused[0])
    if not found.rows and len(found.silent) == len(found.left_out):
        raise FormatError(
            f"{source.path}: a pool's rows must have responses, got none in all {len(found.silent):,} rows; "
            "the file may serve as `--target`"
        )
    if found.silent and not settings.skip:
        raise RowError(found.silent[0])


def _place(record: Record, source: Source) -> str:
    return f"{record.file}:{record.line}" if source.by_line else f"{record.file}: row {record.line}"
