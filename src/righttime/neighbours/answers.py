"""What the shards of a search have answered, kept on disk until the order is written.

A run that is started again after its process died takes these answers and asks the shards only for the others. Any
answer is sound for its question, whatever gave it: it says how sure it is, and pairs decide. So a run that resumes
ends with the bytes of one that was left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import StoreError
from righttime.neighbours.nominate import Nominees
from righttime.store import write_bytes

__all__ = ["KeptAnswers"]

_FORMAT = "1"  # of a file, and of what a question means: another number, and no earlier answer is taken
_WORTH = 2.0  # seconds from which on an answer is kept
_DIGEST = hashlib.sha256().digest_size
_OF_NOMINEES = ("start", "rows", "value", "cut", "margin")
_QUICK = "pairs"  # a question that is asked often, of few rows

Vectors = NDArray[np.float32]


class KeptAnswers:
    """Answers about one pool, in a folder of their own."""

    def __init__(self, home: Path, pool: Vectors, told: str, most_bytes: int) -> None:
        """Look into the folder; nothing is made before the first answer is kept.

        Args:
            home: The folder of the folders of all searches.
            pool: float32 unit vectors, shape (n, d). Of no other object are answers kept.
            told: What tells these vectors from all others.
            most_bytes: What the folders of all searches may take together.
        """
        name = hashlib.sha256(f"{_FORMAT} {pool.shape} {told}".encode()).hexdigest()[:32]
        self._folder, self._pool, self._most = home / name, pool, most_bytes

    def find(self, pool: Vectors, asked: Sequence[Any]) -> Any:
        """The answer to a question, if it is there and whole; else None.

        Args:
            pool: Of which it is asked.
            asked: The question: its name first, then what decides the answer besides the pool: arrays, numbers, None.
        """
        if not self._about(pool, asked) or not self._folder.is_dir():
            return None
        with contextlib.suppress(OSError):
            data = self._file(asked).read_bytes()
            if hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]:
                return _read(data[_DIGEST:])
        return None

    def keep(self, pool: Vectors, asked: Sequence[Any], answer: Any, seconds: float) -> None:
        """Keep an answer that took so long, if that pays and there is room; a disk that refuses is no error.

        Args:
            pool: As for `find`.
            asked: As for `find`.
            answer: What a shard said.
            seconds: How long it took.
        """
        if seconds < _WORTH or not self._about(pool, asked):
            return
        data = _written(answer)
        with contextlib.suppress(OSError, StoreError):
            if self._room_for(len(data) + _DIGEST):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_bytes(self._file(asked), hashlib.sha256(data).digest() + data)

    def clear(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _about(self, pool: Vectors, asked: Sequence[Any]) -> bool:
        return pool is self._pool and asked[0] != _QUICK

    def _file(self, asked: Sequence[Any]) -> Path:
        digest = hashlib.sha256()
        for part in asked:
            if isinstance(part, np.ndarray):
                digest.update(f"{part.dtype.str} {part.shape} ".encode())
                digest.update(np.ascontiguousarray(part).data)
            else:
                digest.update(f"{part!r} ".encode())
        return self._folder / digest.hexdigest()[:32]

    def _room_for(self, size: int) -> bool:
        """Whether so many bytes more fit; other searches' folders make room, the least recent first."""
        taken = {folder: _size(folder) for folder in self._folder.parent.glob("*") if folder.is_dir()}
        others = sorted(taken.keys() - {self._folder}, key=lambda folder: folder.stat().st_mtime)
        if taken.get(self._folder, 0) + size > self._most:
            return False
        for folder in others:
            if sum(taken.values()) + size <= self._most:
                break
            shutil.rmtree(folder, ignore_errors=True)
            del taken[folder]
        return True


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def _written(answer: Any) -> bytes:
    out = io.BytesIO()
    if isinstance(answer, Nominees):
        np.savez(out, **{name: getattr(answer, name) for name in _OF_NOMINEES})
    else:
        np.savez(out, **dict(zip("01", answer, strict=True)))
    return out.getvalue()


def _read(data: bytes) -> Any:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if "0" in arrays.files:
            return arrays["0"], arrays["1"]
        start, rows, value, cut, margin = (arrays[name] for name in _OF_NOMINEES)
        return Nominees(start, rows, value, cut, float(margin))
