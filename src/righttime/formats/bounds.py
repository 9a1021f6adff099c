"""Bounds on what data of strangers may take: the longest row, and how much larger than itself a file may become."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from righttime.errors import DataError, SettingsError

__all__ = ["MAX_ROW_BYTES", "Bounded", "TooLong", "bounded_lines", "check_max_row_bytes", "size_of", "too_long"]

MAX_ROW_BYTES = 64 << 20
"""Bytes of the longest row, decompressed, where nothing else is asked for."""

MOST_RATIO = 1000
"""How many times its size a compressed file may become: text shrinks to a tenth, rarely to a hundredth."""

_PIECE = 1 << 20


class TooLong:
    """In place of a value that is longer than a row may be."""


def check_max_row_bytes(most: int) -> int:
    """The longest row, if it is a positive whole number.

    Raises:
        SettingsError: If it is not.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise SettingsError(f"`max_row_bytes` must be a whole number from 1, got {most!r}.", setting="max_row_bytes")
    return most


def too_long(what: str, most: int) -> str:
    """What is wrong with a row that is longer than it may be."""
    return f"{what} must be at most {most:,} bytes long (`max_row_bytes={most}`), and this one is longer"


def bounded_lines(stream: IO[bytes], most: int) -> Iterator[bytes | None]:
    """The lines of a file with their ends; None for one that is longer than `most` bytes, of which no more is held."""
    for line in iter(partial(stream.readline, most + 1), b""):
        if len(line) <= most or line.endswith(b"\n"):
            yield line
            continue
        while (piece := stream.readline(_PIECE)) and not piece.endswith(b"\n"):
            pass
        yield None


def size_of(value: Any) -> int:
    """About how many bytes the texts in a value take."""
    size, left = 0, [value]
    while left:
        one = left.pop()
        if isinstance(one, str | bytes):
            size += len(one)
        elif isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
    return size


class Bounded(io.RawIOBase):
    """A decompressed stream that ends in an error where a small file becomes a huge one."""

    def __init__(self, inner: IO[bytes], plain: IO[bytes], file: str) -> None:
        """Read from `inner`, which decompresses `plain`, the file called `file`."""
        self._inner, self._plain, self._file, self._out = inner, plain, file, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, as far as there is something.

        Raises:
            DataError: If the file becomes `MOST_RATIO` times its size, and more than a row may be long.
        """
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self._out += len(data)
        if self._out > MAX_ROW_BYTES and self._out > MOST_RATIO * self._plain.tell():
            raise DataError(
                f"{self._file}: a compressed file must not become more than {MOST_RATIO:,} times its size, and this "
                f"one does within its first {self._out:,} bytes; decompress it first if it is meant to",
                file=self._file,
            )
        return len(data)

    def close(self) -> None:
        """Close what it reads from."""
        self._inner.close()
        super().close()
