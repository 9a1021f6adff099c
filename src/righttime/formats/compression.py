"""Opening a file whether it is plain, gzip or Zstandard; told by its first bytes, not by its name."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from righttime.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["opened"]

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BLOCK = 1 << 20


@contextmanager
def opened(path: str, file: str) -> Iterator[IO[bytes]]:
    """The file's bytes as a stream, decompressed.

    Args:
        path: Where it lies.
        file: What to call it in errors.

    Raises:
        DataError: If it cannot be opened, or if compressed data is damaged or ends early.
    """
    try:
        with open(path, "rb") as plain:
            magic = plain.read(4)
            plain.seek(0)
            yield _decompressed(plain, magic)
    except (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError) as error:
        raise DataError(
            f"{file}: the compressed data is damaged or ends early ({error}); fetch the file again"
        ) from error
    except OSError as error:
        raise DataError(f"{file}: the file must be readable, got: {error.strerror or error}") from error


def _decompressed(plain: IO[bytes], magic: bytes) -> IO[bytes]:
    if magic.startswith(_GZIP):
        return cast(IO[bytes], gzip.open(plain))
    if magic.startswith(_ZSTD):
        return io.BufferedReader(cast(io.RawIOBase, zstd.open(plain)), _BLOCK)  # it finds lines faster than a ZstdFile
    return plain
