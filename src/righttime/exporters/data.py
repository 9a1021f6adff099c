"""What an export starts from: an arrangement's rows, verified before a line is written, and rows to evaluate on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from righttime.examples import Kind
from righttime.formats import read_rows
from righttime.results import open_result

__all__ = ["ExportData", "export_data", "with_evaluation"]


@dataclass(frozen=True)
class ExportData:
    """Rows for a trainer.

    Attributes:
        train: The arrangement's training file.
        ids_sha256: The fingerprint of the order.
        rows: Its rows, in order, all of one kind, as `righttime.examples.Example.as_dict` writes them.
        evaluation: Rows to take the loss on while training, in the same form.
        places: Where each of those stands, as ``file:line``.
    """

    train: Path
    ids_sha256: str
    rows: Sequence[Mapping[str, Any]]
    evaluation: Sequence[Mapping[str, Any]] = ()
    places: Sequence[str] = ()

    @property
    def kind(self) -> Kind:
        """What the rows hold."""
        names = self.rows[0].keys()
        return "text" if "text" in names else "preference" if "chosen" in names else "messages"

    @property
    def placed_rows(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every row, of the arrangement and for evaluation, after its place."""
        yield from ((f"{self.train}:{line}", row) for line, row in enumerate(self.rows, start=1))
        yield from zip(self.places, self.evaluation, strict=True)


def export_data(out: Path) -> ExportData:
    """The rows of a finished arrangement that is as it was written.

    Raises:
        StoreError: If it is unfinished or was changed since.
        SettingsError: If its rows are in their original form.
    """
    finished = open_result(out, unchanged=True)
    return ExportData(finished.train, finished.manifest.ids_sha256, finished.rows)


def with_evaluation(data: ExportData, file: str) -> ExportData:
    """The same with rows of a file, of the kind that is trained on, to take the loss on; each must have an answer.

    Raises:
        DataError: If the file cannot be read, or a row has no answer; names it.
    """
    rows = read_rows([file], role="pool", format=None if data.kind == "messages" else data.kind).rows
    places = [f"{name}:{line}" for name, line in zip(rows.files, rows.lines, strict=True)]
    return replace(data, evaluation=[row.as_dict() for row in rows.examples()], places=places)
