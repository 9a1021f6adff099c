"""A finished arrangement on disk: the one owner of what its folder holds and of whether it is as it was written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime import strict_json
from righttime.arrangement import Arrangement
from righttime.errors import SettingsError, StoreError
from righttime.examples import Example, messages_in, turns_in
from righttime.formats import Reading
from righttime.results.manifest import FILES, ResultManifest, read_result_manifest
from righttime.results.sources import read_again
from righttime.rows import ExampleRows, Rows
from righttime.store import MANIFEST, file_sha256, ids_sha256

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FileState", "FinishedResult", "open_result"]

_NOT_EMBEDDED = ("duplicate", "too-long", "sampled-away")
"""Reasons of rows that leave before anything is embedded; so do leaks that are found by their texts."""


@dataclass(frozen=True)
class FileState:
    """One file of a result.

    Attributes:
        name: Its name.
        written: The sha256 that the manifest has; None where it has none.
        found: The sha256 of what is there; empty where nothing is.
    """

    name: str
    written: str | None
    found: str

    @property
    def unchanged(self) -> bool:
        """Whether the file is as it was written."""
        return self.written == self.found


@dataclass(frozen=True, eq=False)
class FinishedResult:
    """An arrangement as ``righttime arrange`` wrote it. Everything but the manifest is read when it is asked for.

    Attributes:
        folder: Where it lies.
        manifest: What its manifest says.
    """

    folder: Path
    manifest: ResultManifest

    @property
    def train(self) -> Path:
        """The training file."""
        return self.folder / "train.jsonl"

    @cached_property
    def arrangement(self) -> Arrangement:
        """The order, and for each place why the row is there."""
        return Arrangement.load(self.folder)

    @cached_property
    def table(self) -> pa.Table:
        """``arrangement.parquet`` as it is."""
        import pyarrow.parquet as pq

        try:
            return pq.read_table(self.folder / "arrangement.parquet")
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.folder / 'arrangement.parquet'} must be a Parquet file, got: {error}.") from error

    def left_out_rows(self, reason: str) -> list[int]:
        """The pool rows that were left out for that reason."""
        rows = self.left_out.select(["row", "reason"]).to_pylist()
        return [row["row"] for row in rows if row["reason"] == reason]

    @cached_property
    def embedded_rows(self) -> NDArray[np.int64]:
        """The pool rows that took part when vectors were made, ascending: those that the vectors' sha256 is of."""
        import pyarrow as pa
        import pyarrow.compute as pc

        took_part = np.ones(self.manifest.counts.pool_rows, dtype=np.bool_)
        left_out = self.left_out
        by_texts = pc.and_(
            pc.equal(left_out["reason"], "leak"), pc.invert(pc.starts_with(left_out["detail"], "meaning"))
        )
        gone = pc.or_(by_texts, pc.is_in(left_out["reason"], pa.array(_NOT_EMBEDDED)))
        took_part[left_out["row"].filter(gone).drop_null().to_numpy()] = False
        return np.flatnonzero(took_part)

    @cached_property
    def left_out(self) -> pa.Table:
        """The rows that are not in the order: file, line, row, id, reason, detail."""
        import pyarrow.parquet as pq

        try:
            return pq.read_table(self.folder / "left_out.parquet")
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.folder / 'left_out.parquet'} must be a Parquet file, got: {error}.") from error

    def files(self) -> Iterator[FileState]:
        """Each file, as it was written and as it is."""
        for name in FILES:
            yield FileState(name, self.manifest.files.get(name), file_sha256(self.folder / name))

    def require_unchanged(self) -> None:
        """Make sure that every file is as it was written, and that the training file holds the ids of the order.

        Raises:
            StoreError: If one is not; names it.
        """
        for file in self.files():
            if not file.unchanged:
                raise StoreError(
                    f"{self.folder / file.name} must be what was written (sha256 {str(file.written)[:12]}…), got "
                    f"{file.found[:12]}…: it was changed since. Hint: arrange again; `righttime verify {self.folder}` "
                    "tells more."
                )
        if self.manifest.form == "messages" and ids_sha256(row["id"] for row in self.rows) != self.manifest.ids_sha256:
            raise StoreError(f"{self.train} must hold the ids of {self.folder / MANIFEST}, in order; it does not.")

    def raw_lines(self) -> Iterator[str]:
        """The lines of the training file as they are.

        Raises:
            StoreError: If it is not readable text.
        """
        try:
            with self.train.open(encoding="utf-8", newline="\n") as file:
                yield from file
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.train} must be readable JSONL, got: {error}.") from error

    def lines(self, first: int | None = None) -> Iterator[Any]:
        """The parsed lines of the training file, whatever they hold; the first so many, or all.

        Raises:
            StoreError: If it is not readable JSONL.
        """
        try:
            with self.train.open(encoding="utf-8", newline="\n") as file:
                for line in islice(file, first):
                    yield strict_json.loads(line)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.train} must be readable JSONL, got: {error}.") from error

    @cached_property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """The rows in order, as `righttime.examples.Example.as_dict` writes them.

        Raises:
            StoreError: If the training file is not readable, or holds something else.
            SettingsError: If it holds each row's original JSON.
        """
        if self.manifest.form == "original":
            raise SettingsError(
                f"rows must be in messages form, but {self.folder} was arranged with `as='original'`. "
                "Hint: arrange again without `as`; the order will be the same."
            )
        rows = tuple(self.lines())
        for number, row in enumerate(rows, 1):
            if not (isinstance(row, dict) and isinstance(row.get("id"), str) and turns_in(row) is not None):
                raise StoreError(
                    f"{self.train}:{number}: a row must hold an id and messages (or a text, or a prompt with two "
                    "answers), which this one does not."
                )
        return rows

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """The rows in order, with the tasks and sources of the arrangement.

        Raises:
            StoreError: As `rows`.
            SettingsError: As `rows`.
        """
        labels = self.arrangement.labels
        n = len(self.rows)
        tasks, sources = (labels.task, labels.source) if labels and len(labels.id) == n else ((None,) * n, ("",) * n)
        return tuple(
            Example(
                row["id"],
                tasks[place],
                sources[place],
                str(self.train),
                place + 1,
                messages_in(row),
                tools=row.get("tools"),
            )
            for place, row in enumerate(self.rows)
        )

    @cached_property
    def arranged(self) -> Rows:
        """The rows in order, as `examples`, behind the interface of all rows."""
        return ExampleRows(self.examples)

    def read_again(self, side: Literal["pool", "target"]) -> tuple[Reading | None, str]:
        """One side's rows, where its files are still there and unchanged; else nothing, and why."""
        return read_again(self.manifest, side)


def open_result(path: str | os.PathLike[str], *, unchanged: bool = False) -> FinishedResult:
    """Open a finished arrangement.

    Args:
        path: A folder that ``righttime arrange`` wrote.
        unchanged: Make sure first that every file is as it was written.

    Raises:
        StoreError: If the folder holds no finished arrangement, or one that was changed and must not be.
    """
    folder = Path(path)
    finished = FinishedResult(folder, read_result_manifest(folder))
    if unchanged:
        finished.require_unchanged()
    return finished
