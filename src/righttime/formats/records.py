"""The rows of one source: its format is told, each record read, each bad one accounted for."""

from __future__ import annotations

import difflib
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from righttime.errors import DuplicateIdError, EmptyDataError, FormatError, RighttimeError, RowError
from righttime.examples import LeftOut, Parsed, answered, first_exchange
from righttime.formats.fields import BadRowError, RefusedError, SilentRowError, kind_of
from righttime.formats.files import Source, stem_of
from righttime.formats.ids import repeats
from righttime.formats.json_text import Record, line_record, whole
from righttime.formats.plain import Layout, Shape, shape_of
from righttime.formats.refusing import refuse
from righttime.formats.registry import FORMATS, Format, by_fields, format_names, match, missing, parse
from righttime.formats.seen import Seen, unread
from righttime.formats.sheets import cells_record
from righttime.progress import counting
from righttime.stored import Block, Store, Told

__all__ = ["Found", "Row", "Settings", "dumped", "read_source"]

Piece = TypeVar("Piece")
_LOOK_AT = 1000  # records among which one must be of a known format
_AT_ONCE = 1 << 10  # rows that are stored together
_LAYOUTS = 8  # lines of a file whose layout is looked at
_SHAPES = 64  # sets of keys of a file that are looked at
_TEXTS = "plain texts for continued pre-training are read with `format='text'`; "
_SKIP = "(`bad_rows='skip'` leaves bad rows out and lists them)"


@dataclass(frozen=True)
class Settings:
    """What `righttime.formats.read_rows` was asked for."""

    role: str
    format: str | None
    skip: bool
    shots: int
    task_field: str | None
    keep_original: bool
    fields: Mapping[str, str] = field(default_factory=dict)
    progress: bool = False
    number_ids: bool = False
    workers: int = 1
    on_ray: bool = False

    def form(self, name: str) -> Format:
        """The format of that name, or the one that the named fields make."""
        return by_fields(self.fields) if self.fields else FORMATS[name]


@dataclass(frozen=True, slots=True)
class Row:
    """A usable row whose id is not settled yet."""

    record: Record
    parsed: Parsed
    told: Told
    original: str | None


@dataclass
class Found:
    """What one source gave; in `unread`, of how many usable rows each field holds text that was not read.

    `numbered` counts the rows whose own id an earlier row of the source has; `sha256` is that of its content.
    """

    format: str
    rows: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    refused: list[FormatError] = field(default_factory=list)
    silent: list[RowError] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    used: set[str] = field(default_factory=set)
    numbered: int = 0
    sha256: str = ""


def read_source(source: Source, settings: Settings, store: Store) -> Found:
    """Read every record of a source.

    Args:
        source: The source.
        settings: How.
        store: Takes the usable rows.

    Raises:
        DataError: As `righttime.formats.read_rows` says.
    """
    records = source.records()
    head = list(itertools.islice(records, _LOOK_AT))
    if not head:
        raise EmptyDataError(f"{source.path}: the file must hold rows, got none", file=source.path)
    name = "fields" if settings.fields else settings.format or source.format or _detect(head, source, settings)
    gathering = _Gathering(source, settings, store, Found(name))
    try:
        gathering.read(itertools.chain(head, records))
    except RighttimeError:
        gathering.check_ids()  # one that stands twice was there before what is wrong now
        raise
    gathering.check_ids()
    found = gathering.found
    found.rows = store.size - gathering.start
    _check_named(found, head, source, settings)
    _check_found(found, source, settings)
    found.sha256 = source.sha256()
    return found


class _Gathering:
    """The rows of one source on their way into the store."""

    def __init__(self, source: Source, settings: Settings, store: Store, found: Found) -> None:
        self._source, self._settings, self._store, self.found = source, settings, store, found
        self._form, self._block, self._file = settings.form(found.format), Block(), source.path
        self._layouts: list[tuple[Layout, Shape]] = []
        self._tries = _LAYOUTS
        self._shapes: dict[tuple[Any, ...], Shape | None] = {}
        self.start = store.size

    def read(self, records: Iterable[Record]) -> None:
        """Read every record; plain ones as they lie in their container, where it has a way for that."""
        source, most = self._source, self._source.most
        cells = None if self._settings.keep_original else source.cells  # a row's own JSON has all of its columns
        if self._form.plain is None or not (source.lines or cells):
            for record in self._counted(records):
                if not self._plain_record(record):
                    self.take(record)
        elif source.lines:
            for number, body in self._counted(source.lines()):
                if body is None or not (self._layouts or self._tries) or not self._plain_line(number, body):
                    self.take(line_record(body, source.path, number, most))
        elif cells:
            shapes: dict[tuple[str, ...], Shape | None] = {}
            for number, names, values in self._counted(cells()):
                if names not in shapes:
                    shapes[names] = self._shape(names)
                shape = shapes[names]
                if shape is None or values is None or not self._plain(number, shape, values, None, False):
                    self.take(cells_record(source.path, number, names, values, most))

    def _plain_record(self, record: Record) -> bool:
        """Take a record that another way has read, if it is plain."""
        value = record.value
        if type(value) is not dict or record.beside or record.file != self._file or self._settings.keep_original:
            return False
        keys = tuple(value)
        shape = self._shapes.get(keys)
        if shape is None:
            if keys in self._shapes or len(self._shapes) == _SHAPES:
                return False
            shape = self._shapes[keys] = self._shape(keys)
        return shape is not None and self._plain(record.line, shape, tuple(value.values()), None, True)

    def _counted(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        return _counted(pieces, self._source, self._settings.progress)

    def _shape(self, keys: tuple[str, ...]) -> Shape | None:
        return shape_of(keys, self._form, self._settings.task_field, stem_of(self._source.path))

    def _plain_line(self, number: int, body: bytes) -> bool:
        """Take a line that is laid out as an earlier one, if it is plain."""
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return False
        for layout, shape in self._layouts:  # noqa: B007 - both are those of the last one looked at
            if (read := layout.read(text)) is not None:
                break
        else:
            self._learn(text)
            return False
        values, ends = read
        escaped = "\\u" in text
        literal = None if escaped or "\\/" in text else partial(layout.literal, text, ends)
        if not self._plain(number, shape, values, literal, escaped):
            return False
        if self._settings.keep_original:
            self._block.originals.append(text)
        return True

    def _learn(self, text: str) -> None:
        """Keep the layout of a line, if lines like it may be plain."""
        value = whole(text) if self._tries else None
        self._tries -= bool(self._tries)
        if isinstance(value, dict) and (shape := self._shape(tuple(value))):
            self._layouts.append((Layout.of(text, value), shape))

    def _plain(
        self, number: int, shape: Shape, values: Sequence[Any], literal: Callable[[int], str] | None, escaped: bool
    ) -> bool:
        if len(self._block.lines) == _AT_ONCE:
            self._lay_down()
        if not shape.take(values, literal, escaped, self._block, self.found.unread):
            return False
        self._block.lines.append(number)
        return True

    def take(self, record: Record) -> None:
        """Read one record."""
        source, settings, name, form, found = self._source, self._settings, self.found.format, self._form, self.found
        try:
            parts = _split(record, form, settings)
        except BadRowError as error:
            _note_bad(error, record, found, source, settings)
            return
        for value in parts:
            try:
                row, seen = _row(record, value, name, form, settings, alone=len(parts) == 1)
            except BadRowError as error:
                _note_bad(error, record, found, source, settings)
            else:
                self._keep(row)
                found.used |= seen.used
                if left := [*unread(seen), *record.beside]:
                    found.unread.update(left)

    def _keep(self, row: Row) -> None:
        block = self._block
        if row.record.file != self._file or len(block.lines) == _AT_ONCE:
            self._lay_down()
            self._file = row.record.file
        block.lines.append(row.record.line)
        block.given.append(row.parsed.id)
        block.tasks.append(row.parsed.task)
        block.contents.append(row.told.content)
        block.kept.append(row.told.kept)
        block.prompts.append(first_exchange(row.parsed.messages)[0])
        block.answered.append(answered(row.parsed.messages))
        if row.original is not None:
            block.originals.append(row.original)

    def _lay_down(self) -> None:
        self._store.add(self._file, self._block)

    def check_ids(self) -> None:
        """Refuse an id that stands twice, or count the rows that repeat one where they are to be numbered.

        Raises:
            DuplicateIdError: If one does, and rows are not to be numbered.
        """
        self._lay_down()
        store = self._store
        found = repeats(store.hashes.array("int64"), store.given(), self.start)
        if self._settings.number_ids:
            self.found.numbered = sum(1 for _ in found)
            return
        repeat = next(found, None)
        if repeat is None:
            return
        (file, line), (first_file, first_line) = (store.place(number) for number in repeat)
        name = store.given()[repeat[0]]
        here, there = self._source.place(file, line), self._source.place(first_file, first_line)
        raise DuplicateIdError(
            f"{here}: an id must stand once in a file, got {name!r} here and in {there}. "
            "Hint: `repeated_ids='number'` keeps every row and numbers such ids.",
            file=file,
            line=line,
            row=name,
        ) from None


def _counted(records: Iterable[Piece], source: Source, shown: bool) -> Iterator[Piece]:
    """The records, with progress shown."""
    with counting(f"reading {os.path.basename(os.path.normpath(source.path))}", None, shown=shown) as tell:
        number = 0
        for number, record in enumerate(records, 1):
            yield record
            if shown and number % _LOOK_AT == 0:
                tell.expect(source.expected(number))
                tell(_LOOK_AT)
        tell.expect(number)
        tell(number % _LOOK_AT)


def _detect(head: Sequence[Record], source: Source, settings: Settings) -> str:
    """The format of the first record that is of any."""
    if any(isinstance(record.value, str) for record in head) and all(
        record.problem or isinstance(record.value, str) for record in head
    ):
        return "prompt"
    objects = [record for record in head if isinstance(record.value, Mapping)]
    names = (match(record.value) for record in objects)
    if name := next((name for name in names if name), None):
        return name
    if not objects:
        problem = head[0].problem or f"a record must be a JSON object, got {kind_of(head[0].value)}"
        message = f"{source.place(head[0].file, head[0].line)}: {problem}"
        if not settings.skip:
            raise RowError(f"{message} {_SKIP}", file=head[0].file, line=head[0].line)
        raise EmptyDataError(f"{message}; not one of the first {len(head):,} records can be read", file=head[0].file)
    first = objects[0]
    try:
        refuse(Seen(first.value))
    except RefusedError as error:
        raise FormatError(
            f"{source.place(first.file, first.line)}: {error}", file=first.file, line=first.line
        ) from None
    raise FormatError(
        f"{source.place(first.file, first.line)}: {_unknown_keys(list(map(str, first.value)), source, settings)}",
        file=first.file,
        line=first.line,
    )


def _unknown_keys(keys: Sequence[str], source: Source, settings: Settings) -> str:
    """What to do about keys of no known format: the likeliest first, the list of formats last."""
    side = "target_" if settings.role == "target" else ""
    columns = source.hint.replace("fields=", f"{side}fields=")
    named = dict(zip(("prompt", "response"), (*keys[:2], "NAME", "NAME"), strict=False))
    return (
        f"the keys must be those of a known format, got {', '.join(keys[:20]) or 'none'}; "
        f"{_TEXTS if 'text' in keys else ''}name the fields, such as "
        f"`{side}fields={named}`{columns}, or a known format with `{side}format='NAME'`: "
        f"{', '.join(format_names())}"
    )


def _split(record: Record, form: Format, settings: Settings) -> list[Any]:
    """The rows that one record holds; a record that lacks a key is handed on whole, for its reader to find fault."""
    value = record.value
    if isinstance(value, str) and form.lone is not None:
        return [{form.lone: value}]
    if isinstance(value, Mapping) and missing(value, form) is None:
        return list(form.split(value, settings.shots))
    return [value]


def _row(record: Record, value: Any, name: str, form: Format, settings: Settings, *, alone: bool) -> tuple[Row, Seen]:
    """One row of a record, `alone` if it is the only one; and what of it was read."""
    if record.problem is not None:
        raise BadRowError(record.problem)
    if not isinstance(value, Mapping):
        raise BadRowError(f"a record must be a JSON object, got {kind_of(value)}")
    seen = Seen(value)
    refuse(seen, named=bool(settings.fields) or form.by_name)
    if lacking := missing(value, form):
        keys = ", ".join(map(str, list(value)[:12])) or "none"
        lacks = " or ".join(f"`{key}`" for key in lacking.split("|"))
        raise BadRowError(f"{lacks} is missing, the file being read as {name}; the record's keys are {keys}")
    try:
        parsed = parse(seen, form, settings.role, settings.task_field, stem_of(record.file), settings.fields)
        told = Told.of(parsed.messages, parsed.tools)
        original = None
        if settings.keep_original:
            original = record.raw if alone and record.raw is not None else dumped(record.value if alone else value)
        for text in (parsed.id, parsed.task, original):
            (text or "").encode("utf-8")
    except UnicodeEncodeError:
        blame = _not_text(value) or "the record"
        raise BadRowError(f"{blame} holds a lone surrogate or a byte that is not UTF-8, which no text may") from None
    except RecursionError:
        raise BadRowError("the record is nested too deeply to be read") from None
    except TypeError as error:  # tools or calls of a record in memory that hold what JSON does not
        raise BadRowError(f"the record must hold only what JSON can, but {error}") from None
    return Row(record, parsed, told, original), seen


def dumped(value: Any, ensure_ascii: bool = False) -> str:
    """A record as JSON on one line; what JSON cannot hold, such as a date, as text."""
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


def _note_bad(error: BadRowError, record: Record, found: Found, source: Source, settings: Settings) -> None:
    message = f"{source.place(record.file, record.line)}: {error}"
    detail = str(error).encode("utf-8", "backslashreplace").decode("utf-8")  # half a character cannot be written
    found.left_out.append(LeftOut(record.file, record.line, None, None, "bad-row", detail))
    bad = RowError(f"{message} {_SKIP}", file=record.file, line=record.line, row=_given_id(record.value))
    if isinstance(error, SilentRowError):
        # A file whose every row is so deserves another sentence, so the first such row waits for the end.
        found.silent.append(bad)
        return
    refused = FormatError(message, file=bad.file, line=bad.line, row=bad.row)
    if isinstance(error, RefusedError):
        found.refused.append(refused)
    if not settings.skip:
        if found.silent:
            raise found.silent[0]
        raise refused if isinstance(error, RefusedError) else bad


def _given_id(value: Any) -> str | None:
    """The id that a bad record gives itself, where it does so under that name."""
    given = value.get("id") if isinstance(value, Mapping) else None
    return str(given) if isinstance(given, str | int) else None


def _check_named(found: Found, head: Sequence[Record], source: Source, settings: Settings) -> None:
    """A field that the user named and that no row has is a slip, and would be lost in silence."""
    objects = [record.value for record in head if isinstance(record.value, Mapping)]
    keys = {str(name).strip().lower(): str(name) for value in [*objects, dict.fromkeys(found.used)] for name in value}
    for role, key in settings.fields.items():
        if not {key.lower(), key.split(".")[0].lower()} & keys.keys():
            near = [keys[name] for name in difflib.get_close_matches(key.lower(), keys, n=1)]
            hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(list(keys.values())[:20])}"
            raise FormatError(
                f"{source.path}: `{key}`, named as {role}, must be a field of some row; {hint}", file=source.path
            )


def _check_found(found: Found, source: Source, settings: Settings) -> None:
    if not found.rows and found.refused:
        raise found.refused[0]
    if not found.rows and len(found.silent) == len(found.left_out):
        raise FormatError(
            f"{source.path}: a pool's rows must have responses, got none in all {len(found.silent):,} rows; "
            "the file may serve as the target, or name the field, such as "
            "`fields={'prompt': 'NAME', 'response': 'NAME'}`; "
            "plain texts for continued pre-training are read with `format='text'`",
            file=source.path,
        )
    if found.silent and not settings.skip:
        raise found.silent[0]
