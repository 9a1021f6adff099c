"""The tree of errors.

    RighttimeError(ValueError)
    ├── DataError              what was read cannot be used
    │   ├── FormatError        unknown format, or one that cannot be arranged (preference data, images, trees)
    │   ├── RowError           one row is bad: names file:line and field
    │   ├── DuplicateIdError   one given id stands twice in one file: names both lines
    │   └── EmptyDataError     no usable row at all
    ├── ShapeError             an array has the wrong shape
    ├── NonFiniteError         an array holds NaN, infinity or a zero vector: names the rows
    ├── SettingsError          an argument is out of range or names something unknown
    ├── EmbeddingError         a model is missing, changed or cannot embed
    ├── ModelError             a model to be trained, or its tokenizer, is missing or cannot be used
    ├── OrderError             training saw other rows, or another order, than was planned: names the place
    └── StoreError             writing or reading a result failed

Every message says what must hold, what was got, where, and a hint; what of that a program may need is an attribute too:
`file`, `line`, `row`, `setting`. A setting stands in backticks, as a Python keyword. All of them are `ValueError`s.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import TypeVar

__all__ = [
    "DataError",
    "DuplicateIdError",
    "EmbeddingError",
    "EmptyDataError",
    "FormatError",
    "ModelError",
    "NonFiniteError",
    "OrderError",
    "RighttimeError",
    "RowError",
    "SettingsError",
    "ShapeError",
    "StoreError",
    "hinted",
    "unknown_name",
]


class RighttimeError(ValueError):
    """Base of all errors that righttime raises on purpose.

    Attributes:
        file: The file it is about, as it was named; None where it is about none, as for all that follow.
        line: The line of that file, from 1; the row, where a file has no lines.
        row: The row's id, or its number where it is a vector's.
        setting: The argument that is wrong, by its name in Python.
    """

    def __init__(
        self,
        message: str = "",
        *,
        file: str | os.PathLike[str] | None = None,
        line: int | None = None,
        row: str | int | None = None,
        setting: str | None = None,
    ) -> None:
        super().__init__(message)
        self.file = None if file is None else os.fspath(file)
        self.line = line
        self.row = row
        self.setting = setting


class DataError(RighttimeError):
    """What was read cannot be used."""


class FormatError(DataError):
    """A file's format is unknown, or known and not usable for instruction tuning."""


class RowError(DataError):
    """One row is bad; the message names file, line and field."""


class DuplicateIdError(DataError):
    """One given id stands twice in one file; the message names both lines."""


class EmptyDataError(DataError):
    """No usable row is left."""


class ShapeError(RighttimeError):
    """An array has the wrong number of dimensions, rows or columns."""


class NonFiniteError(RighttimeError):
    """An array holds NaN, infinity or a zero vector; the message names the rows."""


class SettingsError(RighttimeError):
    """An argument is out of range, contradicts another, or names something unknown."""


class EmbeddingError(RighttimeError):
    """A model is missing, is not what it should be, or cannot embed."""


class ModelError(RighttimeError):
    """A model to be trained, or its tokenizer, is missing or cannot be used."""


class OrderError(RighttimeError):
    """Training saw other rows, or another order, than was planned; the message names the place."""


class StoreError(RighttimeError):
    """Writing, reading or verifying a result on disk failed."""


Known = TypeVar("Known", bound=RighttimeError)


def hinted(error: Known, hint: str) -> Known:
    """The same error with another hint.

    Example:
        >>> print(hinted(DataError("the file is empty. Hint: `fields`.", file="x"), "look for a slip."))
        the file is empty. Hint: look for a slip.
    """
    error.args = (f"{str(error).partition(' Hint:')[0]} Hint: {hint}",)
    return error


def unknown_name(kind: str, got: str, known: Iterable[str], *, setting: str | None = None) -> SettingsError:
    """An error for a name that is not in a table, listing the near ones first.

    Args:
        kind: What the name should have named, e.g. ``"method"``.
        got: The unknown name.
        known: Every name that would have been right.
        setting: The argument that took it; None where `kind` is its name.

    Example:
        >>> print(unknown_name("method", "nearst", ["tma", "nearest"]))
        unknown method 'nearst': did you mean 'nearest'? Known: nearest, tma.
    """
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=2)
    hint = f": did you mean {' or '.join(repr(name) for name in near)}?" if near else "."
    setting = setting or (kind if kind.isidentifier() else None)
    return SettingsError(f"unknown {kind} {got!r}{hint} Known: {', '.join(names)}.", setting=setting)
