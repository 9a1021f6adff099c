"""One sentence about a file of vectors that cannot be read, whatever a library raises for it."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from typing import TypeVar

from righttime.errors import EmbeddingError, RighttimeError

__all__ = ["told_of"]

# What NumPy, zipfile and Arrow raise for files that are none; tokenize reads the header of a .npy.
_BROKEN = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, OverflowError, RecursionError),
    *(SyntaxError, NotImplementedError, RuntimeError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)

Read = TypeVar("Read")


def told_of(path: str, read: Callable[[], Read]) -> Read:
    """What is read, or one sentence about what is wrong with the file of that name.

    Raises:
        EmbeddingError: If it cannot be read.
    """
    try:
        return read()
    except RighttimeError:
        raise
    except _BROKEN as error:
        raise EmbeddingError(
            f"{path} must hold vectors, reading it failed: {error or type(error).__name__}.", file=path
        ) from error
