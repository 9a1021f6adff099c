"""Rows that are columns: what they say lies in UTF-8, in memory or mapped from a file, and is read when asked for.

What it says is kept as its content text, from which its content id is
made too; a row with calls, tools or other keys, whose order that text does not keep, as a list of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.examples import Example, Message, content_text, text_of
from righttime.growing import Growing, GrowingTexts, Picked, Runs, Texts, Values
from righttime.rows import Rows, as_numbers, prompt_key

__all__ = ["Block", "Columns", "Packed", "Store", "StoredRows", "Told"]

_OTHER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_CONTENT = ord("{")


@dataclass(frozen=True, slots=True)
class Told:
    """What a row says, in the two forms it is kept in.

    Attributes:
        content: Its content text.
        kept: That, or the list that is kept in its place.
    """

    content: bytes
    kept: bytes

    @classmethod
    def of(cls, messages: Sequence[Message], tools: Any) -> Told:
        """Of turns and tools.

        Raises:
            UnicodeEncodeError: If a text cannot be encoded.
            TypeError: If there is something that JSON does not have.
        """
        content = content_text(messages, tools)
        if tools is None and not any(one.tool_calls or one.extra for one in messages):
            return cls(content, content)
        turns = [[one.role, one.content, list(one.tool_calls), list(map(list, one.extra))] for one in messages]
        return cls(content, _OTHER([turns, tools]).encode("utf-8"))


def _said(kept: bytes) -> tuple[tuple[Message, ...], Any]:
    """Turns and tools of a row as it was kept."""
    value = json.loads(str(kept, "utf-8"))  # bytes would be asked for their encoding
    if kept[0] == _CONTENT:
        return tuple(Message(one["role"], one["content"]) for one in value["messages"]), None
    turns, tools = value
    return tuple(
        Message(role, content, tuple(calls), tuple((key, said) for key, said in extra))
        for role, content, calls, extra in turns
    ), tools


@dataclass(slots=True)
class Block:
    """Rows on their way into a store, by column."""

    lines: list[int] = field(default_factory=list)
    given: list[str | None] = field(default_factory=list)
    tasks: list[str | None] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    answered: list[bool] = field(default_factory=list)
    originals: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Packed:
    """The rows of a store as they are sent to another process, which may give the same text another hash.

    Attributes:
        files: The files.
        starts: The number of the first row of each.
        size: How many rows there are.
        names: The names of tasks, by their numbers.
        numbers: The bytes of each column of numbers.
        texts: The texts and offsets of each column of texts.
    """

    files: list[str]
    starts: list[int]
    size: int
    names: list[str | None]
    numbers: list[bytes]
    texts: list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Columns:
    """The columns of all rows that were read together, all of one length.

    Attributes:
        ids: Their ids.
        tasks: Their tasks by number in `task_names`.
        task_names: The names of tasks, None among them.
        sources: The labels of their pools.
        files: Their files.
        lines: int64.
        contents: uint64: the first 8 bytes of the sha256 of what each says.
        prompt_keys: int64, see `righttime.rows.Rows`.
        answered: Whether each has a response.
        kept: What they say.
        originals: The JSON of their own; None where it was not asked for.
    """

    ids: Sequence[str]
    tasks: NDArray[np.int32]
    task_names: tuple[str | None, ...]
    sources: Runs
    files: Runs
    lines: NDArray[np.int64]
    contents: NDArray[np.uint64]
    prompt_keys: NDArray[np.int64]
    answered: NDArray[np.bool_]
    kept: Texts
    originals: Texts | None

    @property
    def sizes(self) -> list[int]:
        """The bytes of each column that has an entry for each row."""
        texts = [one for one in (self.ids, self.kept, self.originals) if isinstance(one, Texts)]
        arrays: list[NDArray[Any]] = [self.tasks, self.lines, self.contents, self.prompt_keys, self.answered]
        arrays += [one.offsets for one in texts]
        return [one.data.nbytes for one in texts] + [one.nbytes for one in arrays]


class Store:
    """Rows as they are read, block by block and file by file; ids are settled when all are there."""

    def __init__(self) -> None:
        """None yet."""
        self._kept, self._originals, self._given = GrowingTexts(), GrowingTexts(), GrowingTexts()
        self._lines, self._contents, self._keys, self._answered, self._tasks = (Growing() for _ in range(5))
        self.hashes = Growing()
        self._names: dict[str | None, int] = {None: 0}
        self._files: list[str] = []
        self._starts: list[int] = []
        self.size = 0

    def add(self, file: str, block: Block) -> None:
        """Take in rows of one file, and empty the block."""
        if not block.lines:
            return
        if not self._files or self._files[-1] != file:
            self._files.append(file)
            self._starts.append(self.size)
        self._said(block)
        self._named(block)
        self._lines.add(np.array(block.lines, dtype=np.int64).tobytes())
        self._keys.add(np.fromiter(map(prompt_key, block.prompts), np.int64, len(block.prompts)).tobytes())
        self._answered.add(bytes(block.answered))
        self.size += len(block.lines)
        for column in (block.lines, block.given, block.tasks, block.contents, block.kept, block.prompts):
            column.clear()
        block.answered.clear()
        block.originals.clear()

    def _said(self, block: Block) -> None:
        sha256 = hashlib.sha256
        digests = np.frombuffer(b"".join([sha256(content).digest() for content in block.contents]), dtype=">u8")
        self._contents.add(digests[::4].astype(np.uint64).tobytes())
        self._kept.add(block.kept)
        self._originals.add([text.encode("utf-8") for text in block.originals])

    def _named(self, block: Block) -> None:
        names = self._names
        codes = [names.setdefault(task, len(names)) for task in block.tasks]
        self._tasks.add(np.array(codes, dtype=np.int32).tobytes())
        self._given.add([(name or "").encode("utf-8") for name in block.given])
        self.hashes.add(np.array([hash(name or "") for name in block.given], dtype=np.int64).tobytes())

    @property
    def _numbers(self) -> tuple[Growing, ...]:
        return self._lines, self._contents, self._keys, self._answered

    @property
    def _texts(self) -> tuple[GrowingTexts, ...]:
        return self._kept, self._originals, self._given

    def packed(self) -> Packed:
        """All rows that are there, to be sent."""
        columns = [column.done() for column in self._texts]
        return Packed(
            self._files,
            self._starts,
            self.size,
            list(self._names),
            [bytes(column.buffer()) for column in (*self._numbers, self._tasks)],
            [(bytes(column.data), column.offsets.tobytes()) for column in columns],
        )

    def extend(self, packed: Packed) -> None:
        """Put the rows of another store behind those that are there."""
        self._files += packed.files
        self._starts += [start + self.size for start in packed.starts]
        self.size += packed.size
        *numbers, tasks = packed.numbers
        for column, part in zip(self._numbers, numbers, strict=True):
            column.add(part)
        codes = np.array([self._names.setdefault(name, len(self._names)) for name in packed.names], dtype=np.int32)
        self._tasks.add(codes[np.frombuffer(tasks, dtype=np.int32)].tobytes())
        for texts, (data, offsets) in zip(self._texts, packed.texts, strict=True):
            texts.extend(data, np.frombuffer(offsets, dtype=np.int64))
        data, offsets = packed.texts[-1]
        given = Texts(memoryview(data), np.frombuffer(offsets, dtype=np.int64))
        hashes = np.fromiter(map(hash, given), np.int64, len(given)) if data else np.zeros(len(given), np.int64)
        self.hashes.add(hashes.tobytes())

    def place(self, number: int) -> tuple[str, int]:
        """File and line of a row that is there."""
        files = Runs(self._files, self._starts, self.size)
        return files[number], int(self._lines.array(np.int64)[number])

    def given(self) -> Texts:
        """The ids that rows give themselves, empty where one does not."""
        return self._given.done()

    @property
    def contents(self) -> NDArray[np.uint64]:
        """See `Columns`."""
        return self._contents.array(np.uint64)

    def columns(self, ids: Sequence[str], sources: Runs) -> Columns:
        """All rows.

        Args:
            ids: Their ids, all different.
            sources: The labels of their pools.
        """
        originals = self._originals.done()
        return Columns(
            ids,
            self._tasks.array(np.int32),
            tuple(self._names),
            sources,
            Runs(self._files, self._starts, self.size),
            self._lines.array(np.int64),
            self.contents,
            self._keys.array(np.int64),
            self._answered.array(np.bool_),
            self._kept.done(),
            originals if len(originals) else None,
        )


class StoredRows:
    """Rows of which each is made an object when it is asked for."""

    def __init__(self, columns: Columns, numbers: NDArray[np.int64] | None = None) -> None:
        """Look at rows.

        Args:
            columns: The columns.
            numbers: Which rows, in this order; None: all.
        """
        self._columns, self._numbers = columns, numbers

    def __len__(self) -> int:
        return len(self._columns.lines) if self._numbers is None else len(self._numbers)

    def _of(self, column: Sequence[Any]) -> Sequence[Any]:
        return column if self._numbers is None else Picked(column, self._numbers)

    def _at(self, column: NDArray[Any]) -> NDArray[Any]:
        return column if self._numbers is None else column[self._numbers]

    @cached_property
    def ids(self) -> Sequence[str]:
        """See `Rows`."""
        return self._of(self._columns.ids)

    @cached_property
    def tasks(self) -> Sequence[str | None]:
        """See `Rows`."""
        return Values(self._at(self._columns.tasks), self._columns.task_names.__getitem__)

    @cached_property
    def sources(self) -> Sequence[str]:
        """See `Rows`."""
        return self._of(self._columns.sources)

    @cached_property
    def files(self) -> Sequence[str]:
        """See `Rows`."""
        return self._of(self._columns.files)

    @cached_property
    def lines(self) -> Sequence[int]:
        """See `Rows`."""
        return Values(self._at(self._columns.lines))

    @cached_property
    def contents(self) -> NDArray[np.uint64]:
        """See `Rows`."""
        return self._at(self._columns.contents)

    @property
    def content_ids(self) -> Sequence[str]:
        """See `Rows`."""
        return Values(self.contents, "{:016x}".format)

    @cached_property
    def prompt_keys(self) -> NDArray[np.int64]:
        """See `Rows`."""
        return self._at(self._columns.prompt_keys)

    @cached_property
    def answered(self) -> Sequence[bool]:
        """See `Rows`."""
        return Values(self._at(self._columns.answered))

    def texts(self, which: str, numbers: Iterable[int] | None = None) -> Iterator[str]:
        """See `Rows`."""
        rows = map(self._row, range(len(self)) if numbers is None else numbers)
        # No text has anything of a row's names and places, which would take most of the time.
        return (text_of(Example("", None, "", "", 0, *_said(self._columns.kept.bytes_of(row))), which) for row in rows)

    def examples(self, numbers: Iterable[int] | None = None) -> Iterator[Example]:
        """See `Rows`."""
        return map(self._example, range(len(self)) if numbers is None else numbers)

    def _row(self, number: int) -> int:
        at = range(len(self))[number]
        return at if self._numbers is None else int(self._numbers[at])

    def _example(self, number: int) -> Example:
        columns, row = self._columns, self._row(number)
        messages, tools = _said(columns.kept.bytes_of(row))
        return Example(
            columns.ids[row],
            columns.task_names[columns.tasks[row]],
            columns.sources[row],
            columns.files[row],
            int(columns.lines[row]),
            messages,
            tools,
            None if columns.originals is None else columns.originals[row],
        )

    @property
    def sizes(self) -> list[int]:
        """See `Columns`."""
        return self._columns.sizes

    def take(self, numbers: Iterable[int]) -> Rows:
        """See `Rows`."""
        chosen = as_numbers(numbers)
        return StoredRows(self._columns, chosen if self._numbers is None else self._numbers[chosen])

    def batches(self, size: int) -> Iterator[Rows]:
        """See `Rows`."""
        return (self.take(range(start, min(start + size, len(self)))) for start in range(0, len(self), size))
