"""Vectors on disk, one row a text, in one SQLite file for each (model, revision, maximum length, dtype, prefix).

SQLite commits a batch whole or not at all, so a process killed at any moment leaves a usable cache. Every row carries a
checksum of its key, token count and vector: a row that a disk or a stray write changed is dropped and made anew. Caches
of versions without checksums have other names and are not read.
"""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from righttime.errors import StoreError
from righttime.store import write_parts

__all__ = ["ROW_BYTES", "VectorCache", "npy_header"]

ROW_BYTES = 120
"""Of a vector on disk, beside its numbers: key, count, checksum and index. Measured."""

_AT_A_TIME = 500  # below SQLite's least limit on variables in one statement
_ROWS_WRITTEN_AT_A_TIME = 4096
_FORMAT = 2  # raised whenever rows of an earlier version must not be read; 2: rows carry checksums

Row = tuple[bytes, int, bytes]
"""Key, token count, vector."""


def _checksum(key: bytes, length: int, blob: bytes) -> bytes:
    return hashlib.blake2b(b"%s %d " % (key, length) + blob, digest_size=8).digest()


def npy_header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    """What stands before the numbers in a .npy file, one behind the other: float32, or of another kind."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
    return header.getvalue()


class VectorCache:
    """The vectors of one model, by the sha256 of their text."""

    def __init__(self, folder: Path, identity: Mapping[str, str | int]) -> None:
        """Open the cache of the model that `identity` describes, making it if it is not there.

        `n_damaged` counts the rows whose checksum failed and that were dropped.

        Raises:
            StoreError: If it cannot be made or opened.
        """
        about = json.dumps({**identity, "cache format": _FORMAT}, sort_keys=True)
        self.n_damaged = 0
        self.path = folder / f"vectors-{hashlib.sha256(about.encode()).hexdigest()[:16]}.sqlite"
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._db.text_factory = bytes  # whatever a damaged row holds, it can be looked at
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(
                """
                CREATE TABLE IF NOT EXISTS about (identity TEXT PRIMARY KEY);
                CREATE TABLE IF NOT EXISTS vectors (
                    key BLOB PRIMARY KEY, length INTEGER, vector BLOB, checksum BLOB
                ) WITHOUT ROWID;
                """
            )
            self._db.execute("INSERT OR IGNORE INTO about VALUES (?)", (about,))

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into one sentence."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the cache of vectors {self.path} must be readable and writable, got: {error}. "
                "Hint: check free space and permissions, choose another `cache`, or delete that file if it is damaged."
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, keys: Sequence[bytes]) -> Iterator[tuple[list[int], Row | None]]:
        """The rows of those keys that are there, each with places of its key; None for one not as it was written.

        A row comes once for all places that are near each other.
        """
        for start in range(0, len(keys), _AT_A_TIME):
            places: dict[bytes, list[int]] = {}
            for place, key in enumerate(keys[start : start + _AT_A_TIME], start):
                places.setdefault(key, []).append(place)
            marks = ",".join("?" * len(places))
            with self._told():
                found = self._db.execute(f"SELECT * FROM vectors WHERE key IN ({marks})", list(places))
                for key, length, blob, checksum in found:
                    sound = isinstance(length, int) and isinstance(blob, bytes) and not len(blob) % 4
                    sound = sound and checksum == _checksum(key, length, blob)
                    yield places[key], (key, length, blob) if sound else None

    def missing(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """The places of the keys that the cache lacks, ascending: int64, shape (n_missing,).

        Rows that are not as they were written, or not of the size of most, are dropped.
        """
        sizes = np.full(len(keys), -1, dtype=np.int64)  # of what is not there; 0: not as it was written
        for places, row in self._rows(keys):
            sizes[places] = 0 if row is None else len(row[2])
        each, counts = np.unique(sizes[sizes > 0], return_counts=True)
        usual = each[counts.argmax()] if len(each) else 0
        sound = (sizes == usual) & (sizes > 0)
        damaged = {keys[place] for place in np.flatnonzero(~sound & (sizes >= 0)).tolist()}
        if damaged:
            with self._transaction():
                self._db.executemany("DELETE FROM vectors WHERE key = ?", [(key,) for key in damaged])
            self.n_damaged += len(damaged)
        return np.flatnonzero(~sound)

    def get(self, keys: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Vectors, float32 of shape (n, d), and token counts, int64 of shape (n,), of keys that are all there.

        Raises:
            StoreError: If one is not there, or not as it was written.
        """
        vectors: NDArray[np.float32] | None = None
        lengths = np.zeros(len(keys), dtype=np.int64)
        sound = 0
        for places, row in self._rows(keys):
            if row is None:
                continue
            vector = np.frombuffer(row[2], dtype="<f4")
            if vectors is None:
                vectors = np.empty((len(keys), len(vector)), dtype=np.float32)
            if vectors.shape[1:] != vector.shape:
                raise StoreError(
                    f"the cache of vectors {self.path} must hold vectors of one size, got {len(vector)} and "
                    f"{vectors.shape[1]} numbers. Hint: delete that file; what it holds is embedded again."
                )
            vectors[places] = vector
            lengths[places] = row[1]
            sound += len(places)
        if sound < len(keys):
            raise StoreError(
                f"the cache of vectors {self.path} must hold the {len(keys)} vectors asked for as they were written, "
                f"got {sound}: it was changed while it was used. Hint: run again."
            )
        return (np.empty((0, 0), dtype=np.float32) if vectors is None else vectors), lengths

    def get_into(self, path: Path, keys: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same as `get`, but with the vectors in a .npy file, from which what is returned is mapped.

        The file appears under its name when it is whole; in memory there are only some thousand vectors at a time.

        Raises:
            StoreError: If the file cannot be written.
        """
        if not keys:
            np.save(path, self.get([])[0])
            return self.get([])
        lengths = np.zeros(len(keys), dtype=np.int64)

        def parts() -> Iterator[bytes]:
            for start in range(0, len(keys), _ROWS_WRITTEN_AT_A_TIME):
                some = slice(start, start + _ROWS_WRITTEN_AT_A_TIME)
                vectors, lengths[some] = self.get(keys[some])
                if not start:
                    yield npy_header((len(keys), vectors.shape[1]))
                yield vectors.astype("<f4", copy=False).tobytes()

        write_parts(path, parts())
        return np.load(path, mmap_mode="r"), lengths

    def add(self, keys: Sequence[bytes], lengths: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Keep the vectors and token counts of a batch, all or none."""
        blobs = [vector.tobytes() for vector in vectors.astype("<f4", copy=False)]
        rows = [
            (key, int(length), blob, _checksum(key, length, blob))
            for key, length, blob in zip(keys, lengths, blobs, strict=True)
        ]
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)", rows)
