"""The finished result that an export starts from, verified before a line is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from righttime.errors import SettingsError, StoreError
from righttime.results import result_manifest
from righttime.store import file_sha256, ids_sha256

__all__ = ["Finished", "read_finished", "with_evaluation"]


@dataclass(frozen=True)
class Finished:
    """A finished arrangement.

    Attributes:
        folder: Where it lies.
        manifest: Its manifest.
        rows: The rows of ``train.jsonl``, in order: ``id``, ``messages``, and ``tools`` where given.
        evaluation: Rows to take the loss on while training, in the same form.
        places: Where each of those stands, as ``file:line``.
    """

    folder: Path
    manifest: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    evaluation: Sequence[Mapping[str, Any]] = ()
    places: Sequence[str] = ()

    @property
    def ids_sha256(self) -> str:
        """The fingerprint of the order."""
        return str(self.manifest["ids_sha256"])

    @property
    def placed_rows(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every row, of the arrangement and for evaluation, after its place."""
        yield from ((f"{self.folder / 'train.jsonl'}:{line}", row) for line, row in enumerate(self.rows, start=1))
        yield from zip(self.places, self.evaluation, strict=True)


def read_finished(out: Path) -> Finished:
    """Read a result of ``righttime arrange`` and verify that it is what was written.

    Raises:
        StoreError: If it is unfinished or was changed since.
        SettingsError: If its rows are in their original form.
    """
    manifest = result_manifest(out)
    for name, written in manifest["files"].items():
        if (found := file_sha256(out / name)) != written:
            raise StoreError(
                f"{out / name} must be what was written (sha256 {written[:12]}…), got {found[:12]}…: it was changed "
                f"since. Hint: arrange again; `righttime check {out}` tells more."
            )
    if manifest["settings"].get("as") == "original":
        raise SettingsError(
            f"rows must be in messages form, but {out} was arranged with --as original. "
            "Hint: arrange again without --as."
        )
    lines = (out / "train.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    if ids_sha256(row["id"] for row in rows) != manifest["ids_sha256"]:
        raise StoreError(f"{out / 'train.jsonl'} must hold the ids of {out / 'manifest.json'}, in order; it does not.")
    return Finished(out, manifest, rows)


def with_evaluation(finished: Finished, file: str) -> Finished:
    """A finished arrangement with rows of a file, in any format, to take the loss on; each must have an answer.

    Raises:
        DataError: If the file cannot be read, or a row has no answer; names it.
    """
    from righttime.formats import read_rows

    rows = read_rows([file], role="pool").examples
    places = [f"{row.file}:{row.line}" for row in rows]
    return replace(finished, evaluation=[row.as_dict() for row in rows], places=places)
