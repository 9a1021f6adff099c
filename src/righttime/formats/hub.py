"""Data sets of the `datasets` library: a folder it saved, or `hf:owner/name[/config][:split]` on the hub."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from righttime.errors import DataError
from righttime.formats.files import Source
from righttime.formats.json_text import Record

__all__ = ["PREFIX", "first_line", "hub_source", "is_saved", "saved_source"]

PREFIX = "hf:"


def is_saved(path: str) -> bool:
    """Whether a folder was written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`."""
    return any(os.path.exists(os.path.join(path, name)) for name in ("state.json", "dataset_dict.json"))


def saved_source(path: str, role: str) -> Source:
    """A saved folder.

    Raises:
        DataError: If it cannot be loaded, or holds several splits and none is the role's.
    """
    import datasets

    try:
        found = datasets.load_from_disk(path)
    except Exception as error:  # the library raises whatever its parts raise
        raise DataError(
            f"{path}: the saved data set cannot be loaded ({first_line(error)}); save it again", file=path
        ) from error
    return _source(path, "arrow", _one_split(found, path, role, f"name its folder, such as {os.path.join(path, '')}"))


def hub_source(path: str, role: str) -> Source:
    """A data set on the hub, or in the hub's cache.

    Raises:
        DataError: If it cannot be loaded, or holds several splits and none is named.
    """
    import datasets

    name, _, split = path.removeprefix(PREFIX).partition(":")
    owner_and_name, config = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:]) or None
    settings = {"split": split} if split else {}
    try:
        found = datasets.load_dataset(owner_and_name, config, **settings)
    except Exception as error:  # offline, missing, gated, unknown split: the library has an error for each
        hint = "see that the name and the split are right and that the hub can be reached"
        raise DataError(f"{path}: the data set cannot be loaded ({first_line(error)}); {hint}", file=path) from error
    return _source(path, "hub", _one_split(found, path, role, f"name one, such as {PREFIX}{name}:"))


def _one_split(found: Any, path: str, role: str, hint: str) -> Any:
    if not isinstance(found, Mapping):
        return found
    names = list(found)
    if role == "pool" and "train" in names:
        return found["train"]
    if len(names) == 1:
        return found[names[0]]
    shown = ", ".join(map(str, names)) or "none"
    raise DataError(
        f"{path}: one split must be chosen as {role}, got {shown}; {hint}{names[0] if names else 'train'}", file=path
    )


def _source(path: str, container: str, table: Any) -> Source:
    def records() -> Iterator[Record]:
        number = 0
        try:
            for number, value in enumerate(table, 1):
                yield Record(path, number, value)
        except Exception as error:
            raise DataError(
                f"{path}: the data set is damaged after row {number} ({first_line(error)})", file=path, line=number
            ) from error

    # The fingerprint is the library's own hash of the data and of all that was done to it.
    fingerprint = hashlib.sha256(str(table._fingerprint).encode()).hexdigest()
    return Source(path, container, records, lambda: fingerprint, by_line=False, expected=lambda rows: len(table))


def first_line(error: BaseException) -> str:
    """The first line of what a library says of an error, or the error's name."""
    return str(error).partition("\n")[0] or type(error).__name__
