"""Checkpoints that are whole: a trainer writes one file after the other, so a kill may leave half of one.

A checkpoint counts only once ``complete.json`` lies in it, which is written when all processes have written everything.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from righttime.store import write_json

__all__ = ["Checkpoint", "clear_broken", "keep_newest", "mark_complete", "whole_checkpoints"]

_MARK = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        step: How many steps led to it.
        path: Its folder.
    """

    step: int
    path: Path


def mark_complete(folder: Path, step: int) -> None:
    """Mark a checkpoint whole, once everything in it is on the disk.

    Args:
        folder: The checkpoint.
        step: How many steps led to it.

    Raises:
        StoreError: If the mark cannot be written.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MARK)
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    write_json(folder / _MARK, {"step": step, "files": sizes})


def whole_checkpoints(folder: Path) -> list[Checkpoint]:
    """The whole checkpoints in a folder, oldest first."""
    found = (_whole(path) for path in folder.glob("checkpoint-*"))
    return sorted((checkpoint for checkpoint in found if checkpoint), key=lambda checkpoint: checkpoint.step)


def clear_broken(folder: Path) -> list[str]:
    """Remove incomplete checkpoints, so that a later one is not written into their remains.

    Returns:
        Their names.
    """
    whole = {checkpoint.path for checkpoint in whole_checkpoints(folder)}
    broken = sorted(path for path in folder.glob("checkpoint-*") if path not in whole)
    for path in broken:
        shutil.rmtree(path)
    return [path.name for path in broken]


def keep_newest(folder: Path, keep: int | None) -> None:
    """Take away all whole checkpoints but the newest; the mark goes first.

    Args:
        folder: Where they lie.
        keep: How many stay; None keeps all.
    """
    for checkpoint in whole_checkpoints(folder)[: -keep if keep else 0]:
        (checkpoint.path / _MARK).unlink()
        shutil.rmtree(checkpoint.path)


def _whole(path: Path) -> Checkpoint | None:
    try:
        mark = json.loads((path / _MARK).read_text(encoding="utf-8"))
        if all((path / name).stat().st_size == size for name, size in mark["files"].items()):
            return Checkpoint(int(mark["step"]), path)
    except (OSError, ValueError, KeyError):
        pass
    return None
