"""Checkpoints that are whole: a trainer writes one file after the other, so a kill may leave half of one.

A checkpoint counts only once ``complete.json`` lies in it, which is written when all processes have written everything,
and only while every file has the sha256 that stands there: one flipped bit would lead to other weights.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from righttime import strict_json
from righttime.errors import ModelError, StoreError
from righttime.store import file_sha256, synced, take_away, write_json

__all__ = [
    "Checkpoint",
    "clear_after_missing",
    "clear_broken",
    "keep_newest",
    "mark_complete",
    "require_whole",
    "saving",
    "whole_checkpoints",
]

_MARK = "complete.json"
_PYTORCH_WRITER = re.compile(r"inline_container|PytorchStreamWriter|basic_ios|No space left")
"""How PyTorch's writer of files begins what it says: a RuntimeError without the system's words."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        step: How many steps led to it.
        path: Its folder.
    """

    step: int
    path: Path


@contextlib.contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Say of weights that cannot be written what is said of every file; the writers of both libraries do not.

    Args:
        folder: Where they are written.

    Raises:
        StoreError: If they cannot be written.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _PYTORCH_WRITER.search(str(error)):
            raise
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise StoreError(
            f"{folder} must be writable, got {why}. Hint: check free space and permissions of that folder; what the "
            "last whole checkpoint holds is not lost."
        ) from error


def mark_complete(folder: Path, step: int) -> None:
    """Mark a checkpoint whole, with the sha256 of every file, once everything in it is on the disk.

    Args:
        folder: The checkpoint.
        step: How many steps led to it.

    Raises:
        StoreError: If the mark cannot be written.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MARK)
    for path in files:
        synced(path)
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    write_json(folder / _MARK, {"step": step, "files": sizes, "sha256": hashes})


def whole_checkpoints(folder: Path, *, hashed: bool = True) -> list[Checkpoint]:
    """The whole checkpoints in a folder, oldest first.

    Args:
        folder: Where they lie.
        hashed: Compare the hash of every file, not only its size. Marks of earlier versions have sizes alone.
    """
    found = (_whole(path, hashed) for path in folder.glob("checkpoint-*"))
    return sorted((checkpoint for checkpoint in found if checkpoint), key=lambda checkpoint: checkpoint.step)


def clear_broken(folder: Path) -> list[str]:
    """Remove checkpoints that are incomplete or damaged, so that a later one is not written into their remains.

    Returns:
        Their names.
    """
    whole = {checkpoint.path for checkpoint in whole_checkpoints(folder)}
    broken = sorted(path for path in folder.glob("checkpoint-*") if path not in whole)
    for path in broken:
        take_away(path)
    return [path.name for path in broken]


def clear_after_missing(folder: Path, needed: Sequence[int]) -> list[str]:
    """Remove checkpoints after one that is needed and not there, so that training comes by that step again.

    Args:
        folder: Where they lie.
        needed: Steps, ascending.

    Returns:
        The names of those that were removed.
    """
    whole = whole_checkpoints(folder, hashed=False)
    missing = next((step for step in needed if step not in {one.step for one in whole}), None)
    later = [one for one in whole if missing is not None and one.step > missing]
    for checkpoint in reversed(later):  # the last first: after a kill none is left that a needed one is missing before
        _remove(checkpoint)
    return [one.path.name for one in later]


def _remove(checkpoint: Checkpoint) -> None:
    """Remove a whole checkpoint: first its mark, so that after a kill none looks whole that is not."""
    (checkpoint.path / _MARK).unlink()
    take_away(checkpoint.path)


def require_whole(path: Path) -> None:
    """Make sure that the files of a checkpoint are as they were written, wherever it lies now and whatever was removed.

    A checkpoint of another trainer bears no mark and is not looked at.

    Raises:
        ModelError: If a file was changed.
    """
    try:
        mark = strict_json.loads((path / _MARK).read_text(encoding="utf-8"))
        hashes = mark.get("sha256", {}).items()
        changed = [name for name, digest in hashes if (path / name).exists() and file_sha256(path / name) != digest]
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError):
        changed = [_MARK]
    if changed:
        raise ModelError(
            f"{path / changed[0]} must be as it was written, but it is not what {_MARK} says: it was damaged or "
            "changed. Hint: use another checkpoint, or train again."
        )


def keep_newest(folder: Path, keep: int | None) -> None:
    """Take away all whole checkpoints but the newest; the mark goes first.

    Args:
        folder: Where they lie.
        keep: How many stay; None keeps all.
    """
    for checkpoint in whole_checkpoints(folder, hashed=False)[: -keep if keep else 0]:
        _remove(checkpoint)


def _whole(path: Path, hashed: bool) -> Checkpoint | None:
    try:
        mark = strict_json.loads((path / _MARK).read_text(encoding="utf-8"))
        sound = path.name == f"checkpoint-{mark['step']}"
        sound = sound and all((path / name).stat().st_size == size for name, size in mark["files"].items())
        hashes = mark.get("sha256", {}) if hashed else {}
        if sound and all(file_sha256(path / name) == digest for name, digest in hashes.items()):
            return Checkpoint(int(mark["step"]), path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
