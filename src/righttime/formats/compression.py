"""Opening a file whether it is plain, gzip or Zstandard; told by its first bytes, not by its name."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from righttime.errors import DataError
from righttime.formats.bounds import Bounded

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Place", "opened"]

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BLOCK = 1 << 20
_GZIP_BLOCK = 1 << 16


class Place:
    """Where the reading of a file is."""

    def __init__(self) -> None:
        """Nowhere yet."""
        self._plain: IO[bytes] | None = None
        self._at = (0, 0)

    def of(self, plain: IO[bytes]) -> None:
        """Look at this open file from now on."""
        self._plain = plain

    def leave(self) -> None:
        """Remember where the reading of the open file is, which is about to be closed."""
        if self._plain is not None and not self._plain.closed:
            self._at = (self._plain.tell(), os.fstat(self._plain.fileno()).st_size)

    def expected(self, rows: int) -> int | None:
        """How many rows the file holds, judging by how much of it `rows` took; None where that cannot be told."""
        self.leave()
        done, size = self._at
        return max(rows, round(rows * size / done)) if 0 < done < size else None


@contextmanager
def opened(path: str, file: str, place: Place | None = None) -> Iterator[IO[bytes]]:
    """The file's bytes as a stream, decompressed.

    Args:
        path: Where it lies.
        file: What to call it in errors.
        place: Follows how far the file, compressed as it is, has been read.

    Raises:
        DataError: If it cannot be opened, if compressed data is damaged, ends early or becomes far larger than it is,
            or if what is read at once does not fit into memory.
    """
    try:
        with open(path, "rb") as plain:
            magic = plain.read(4)
            plain.seek(0)
            if place is not None:
                place.of(plain)
            try:
                yield _decompressed(plain, magic, file)
            finally:
                if place is not None:
                    place.leave()
    except (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError) as error:
        raise DataError(
            f"{file}: the compressed data is damaged or ends early ({error}); fetch the file again", file=file
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{file}: what must be read at once has to fit into memory, and it does not; save one object a line",
            file=file,
        ) from error
    except OSError as error:
        raise DataError(f"{file}: the file must be readable, got: {error.strerror or error}", file=file) from error


def _decompressed(plain: IO[bytes], magic: bytes, file: str) -> IO[bytes]:
    if magic.startswith(_GZIP):
        # No more ahead than gzip itself reads, so that what is read of the file tells how far it is.
        return io.BufferedReader(Bounded(cast(IO[bytes], gzip.GzipFile(fileobj=plain)), plain, file), _GZIP_BLOCK)
    if magic.startswith(_ZSTD):
        # It finds lines faster than a ZstdFile.
        return io.BufferedReader(Bounded(cast(IO[bytes], zstd.open(plain)), plain, file), _BLOCK)
    return plain
