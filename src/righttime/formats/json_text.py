"""JSON in its three forms, with the true line of every record: one object a line, an array, an object around a list.

{"question": "2+2?", "answer": "4"}                                one a line (JSONL, NDJSON)
[{"question": "2+2?", "answer": "4"}]                              an array
{"canary": "...", "examples": [{"input": "1", "target": "2"}]}     an object around one list
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from righttime import strict_json
from righttime.errors import DataError, RighttimeError
from righttime.formats import natural_instructions
from righttime.formats.bounds import TooLong, bounded_lines, too_long
from righttime.formats.registry import match
from righttime.formats.seen import text_keys

__all__ = ["BOM", "Record", "array", "bodies", "line_record", "lines", "single", "text_lines", "whole"]

BOM = b"\xef\xbb\xbf"

_SPACE = re.compile(r"[ \t\r\n]*")
_PIECE = 1 << 16  # bytes of an array that are read at once
_TOKEN = 64  # characters before the end of what was read, among which a word, number or escape may be cut
_WRAPPERS = ("examples", "data", "rows", "train")


@dataclass(frozen=True, slots=True)
class Record:
    """One record as its container gives it.

    Attributes:
        file: The file it stands in, as the user named it.
        line: Its first line, or its number where there are no lines, from 1.
        value: What it holds, or None if it could not be read.
        raw: Its own text on one line, where the container has it so.
        problem: One sentence on why it could not be read, or None.
        beside: Names of fields with text that stand beside the list it is from, and are not part of it.
    """

    file: str
    line: int
    value: Any = None
    raw: str | None = None
    problem: str | None = None
    beside: tuple[str, ...] = ()


def lines(stream: IO[bytes], file: str, most: int) -> Iterator[Record]:
    """Records of a JSONL file; blank lines are passed over, and a broken line is a record with a problem.

    Args:
        stream: The file.
        file: What to call it.
        most: Bytes of the longest line.
    """
    return (line_record(body, file, number, most) for number, body in bodies(stream, most))


def bodies(stream: IO[bytes], most: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a JSONL file that are not blank, with their numbers; None in place of one that is too long."""
    for number, line in enumerate(bounded_lines(stream, most), 1):
        if line is None:
            yield number, None
        elif body := (line.removeprefix(BOM) if number == 1 else line).strip():
            yield number, body


def line_record(body: bytes | None, file: str, number: int, most: int) -> Record:
    """The record of one of the `bodies`."""
    return Record(file, number, problem=too_long("a line", most)) if body is None else _line(body, file, number)


def _line(body: bytes, file: str, number: int) -> Record:
    try:
        text = body.decode("utf-8")
        return Record(file, number, strict_json.loads(text), text)
    except UnicodeDecodeError as error:
        where = f"byte 0x{body[error.start]:02x} at byte {error.start + 1} of the line"
        problem = f"the line must be UTF-8, got {where}; save the file as UTF-8"
    except json.JSONDecodeError as error:
        problem = f"the line must be one JSON object, but the JSON breaks at column {error.colno}: {error.msg}"
    except ValueError as error:  # a key twice, too deep, a whole number of thousands of digits
        problem = f"the line must be one JSON object, but {error}"
    return Record(file, number, problem=problem)


def text_lines(stream: IO[bytes], file: str, most: int) -> Iterator[Record]:
    """Records of a text file, one text a line of at most `most` bytes; blank lines are passed over."""
    for number, line in enumerate(bounded_lines(stream, most), 1):
        if line is None:
            yield Record(file, number, problem=too_long("a line", most))
            continue
        body = (line.removeprefix(BOM) if number == 1 else line).strip()
        try:
            if body:
                yield Record(file, number, body.decode("utf-8"))
        except UnicodeDecodeError as error:
            where = f"byte 0x{body[error.start]:02x} at byte {error.start + 1} of the line"
            yield Record(file, number, problem=f"the line must be UTF-8, got {where}; save the file as UTF-8")


def whole(text: str) -> Any:
    """The value of a JSON text, or None if it is not JSON."""
    try:
        return strict_json.loads(text)
    except ValueError:
        return None


def array(stream: IO[bytes], file: str, most: int) -> Iterator[Record]:
    """Records of a JSON array, of which no more is held than the record that is being read.

    Args:
        stream: The file.
        file: What to call it.
        most: Characters of the longest record.

    Raises:
        DataError: Once the array is broken, since nothing after the break can be told apart.
    """
    try:
        for line, value, size in _elements(_Window(stream)):
            yield _held(file, line, TooLong() if size > most else value, most)
    except RighttimeError:  # of a compressed file
        raise
    except (ValueError, RecursionError) as error:
        raise _broken("array", file, error) from error


def _elements(text: _Window) -> Iterator[tuple[int, Any, int]]:
    """The elements of the array that a text is: the line, the value and the characters of each."""
    closing = text.next()  # the bracket that opens it
    text.at += 1
    if text.next() == "]":
        text.at += 1
        closing = "]"
    while closing != "]":
        line = text.line()
        value, size = text.value()
        yield line, value, size
        closing = text.next()
        if closing not in ("]", ","):
            raise text.error("a comma or the closing ] must follow")
        text.at += 1
        text.next()
    if text.next():
        raise text.error("nothing may follow the end")


class _Window:
    """A JSON text that is read piece by piece, and let go behind the place where its reader is."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Begin at its beginning."""
        self.at = 0
        self._stream, self._text = stream, ""
        # Bytes that are not UTF-8 become lone surrogates, which the reading loop finds and lays to their row.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._line, self._counted = 1, 0  # the line of a place
        self._before = 0  # characters of its first line that were let go

    def next(self) -> str:
        """Go to what follows white space: its first character, or nothing at the end."""
        while True:
            self.at = _skip(self._text, self.at)
            if self.at < len(self._text) or not self._more():
                return self._text[self.at : self.at + 1]

    def line(self) -> int:
        """The line of this place."""
        self._line += self._text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def value(self) -> tuple[Any, int]:
        """The value that begins here, and its characters; go behind it.

        Raises:
            ValueError: If there is none.
        """
        while True:
            try:
                value, end = strict_json.DECODER.raw_decode(self._text, self.at)
            except json.JSONDecodeError as error:
                # What is wrong may be that the rest is not here yet.
                wrong = error.pos + _TOKEN < len(self._text) and not error.msg.startswith("Unterminated")
                behind = error.pos - self.at
                if wrong or not self._more():
                    raise self.error(error.msg, behind) from None
                continue
            size = end - self.at
            if end + 2 < len(self._text) or not self._more():  # else a number may go on, as in 1e+5
                self.at += size
                return value, size

    def error(self, why: str, behind: int = 0) -> json.JSONDecodeError:
        """What is wrong so many characters behind this place."""
        pos = self.at + behind
        error = json.JSONDecodeError(why, self._text, pos)
        if "\n" not in self._text[:pos]:
            error.colno += self._before
        error.lineno = self._line + self._text.count("\n", self._counted, pos)
        return error

    def _more(self) -> bool:
        """Read on, the more the longer what is held; False at the end."""
        data = self._stream.read(max(_PIECE, len(self._text) - self.at))
        self.line()
        gone = self._text[: self.at]
        self._before = self.at - gone.rfind("\n") - 1 + (0 if "\n" in gone else self._before)
        self._text = self._text[self.at :] + self._decoder.decode(data, final=not data)
        self.at = self._counted = 0
        return bool(data)


def _held(file: str, line: int, value: Any, most: int, beside: tuple[str, ...] = ()) -> Record:
    if isinstance(value, TooLong):
        return Record(file, line, problem=too_long("a row", most))
    return Record(file, line, value, beside=beside)


def single(text: str, file: str, stem: str, most: int) -> Iterator[Record]:
    """Records of a JSON object: a task file of Natural Instructions, one list of objects with a wrapper, or one record.

    Args:
        text: The file's text.
        file: What to call it.
        stem: Its name without folders and suffixes.
        most: Characters of the longest row.

    Raises:
        DataError: If the object is broken, or holds several lists to choose from.
    """
    start = _skip(text, 0)
    try:
        value, lines_of, end = _object(text, start, most)
        _nothing_after(text, end)
    except (ValueError, RecursionError) as error:
        raise _broken("object", file, error) from error
    if natural_instructions.is_task(value):
        header = natural_instructions.task_header(value, stem)
        beside = natural_instructions.beside(value)
        for line, item in zip(lines_of["Instances"], value["Instances"], strict=True):
            yield _held(file, line, {**header, **item} if isinstance(item, dict) else item, most, beside)
        return
    lists = [key for key in lines_of if any(isinstance(item, dict) for item in value[key])]
    if not lists and match(value) is None:  # prompts alone, as texts
        lists = [key for key in lines_of if value[key] and all(isinstance(item, str) for item in value[key])]
    if len(lists) == 1 and (lists[0] in _WRAPPERS or match(value) is None):
        beside = text_keys(value, lists[0])
        pairs = zip(lines_of[lists[0]], value[lists[0]], strict=True)
        yield from (_held(file, line, item, most, beside) for line, item in pairs)
    elif len(lists) > 1 and match(value) is None:
        raise DataError(
            f"{file}: a JSON object must hold one list of rows, got {', '.join(lists)}; save one on its own",
            file=file,
        )
    elif len(text) > most:
        yield Record(file, text.count("\n", 0, start) + 1, problem=too_long("a row", most))
    else:
        raw = text.strip()
        yield Record(file, text.count("\n", 0, start) + 1, value, None if "\n" in raw else raw)


def _broken(what: str, file: str, error: Exception) -> DataError:
    if isinstance(error, json.JSONDecodeError):
        line, why = error.lineno, f"breaks here (column {error.colno}): {error.msg}"
    else:
        nested = isinstance(error, RecursionError)
        line, why = 1, "is nested too deeply to be read" if nested else f"cannot be read: {error}"
    return DataError(
        f"{file}:{line}: the JSON {what} {why}; what follows cannot be told apart, so skipping bad rows does not help "
        "(repair the file, or save one object a line)",
        file=file,
        line=line,
    )


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _nothing_after(text: str, end: int) -> None:
    if _skip(text, end) < len(text):
        raise json.JSONDecodeError("nothing may follow the end", text, _skip(text, end))


def _list(text: str, at: int, most: int) -> tuple[list[tuple[int, Any]], int]:
    """The elements of the array that opens at `at`, each with its line, and where the array ends.

    An element of more than `most` characters is a `TooLong`.
    """
    items: list[tuple[int, Any]] = []
    line, counted = text.count("\n", 0, at) + 1, at
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return items, at + 1
    while True:
        line, counted = line + text.count("\n", counted, at), at
        value, end = strict_json.DECODER.raw_decode(text, at)
        items.append((line, TooLong() if end - at > most else value))
        at = _skip(text, end)
        if text[at : at + 1] == "]":
            return items, at + 1
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError("a comma or the closing ] must follow", text, at)
        at = _skip(text, at + 1)


def _object(text: str, at: int, most: int) -> tuple[dict[str, Any], dict[str, list[int]], int]:
    """The members of the object that opens at `at`, the lines of its lists' elements, and where it ends."""
    value: dict[str, Any] = {}
    lines_of: dict[str, list[int]] = {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("a key or the closing } must follow", text, at)
        key, at = strict_json.DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("a colon must follow the key", text, at)
        at = _skip(text, at + 1)
        if key in value:
            raise json.JSONDecodeError(f"an object must hold each key once, got {key[:80]!a} twice", text, at)
        if text[at : at + 1] == "[":
            items, at = _list(text, at, most)
            value[key], lines_of[key] = [item for _, item in items], [line for line, _ in items]
        else:
            value[key], at = strict_json.DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            raise json.JSONDecodeError("a comma or the closing } must follow", text, at)
    return value, lines_of, at + 1
