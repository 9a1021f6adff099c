"""What was consumed, on disk: one file for each attempt and process, only ever appended to.

The first line of a file says which attempt it is and the step it resumed from; every later line is one micro-batch:

    {"attempt": 2, "process": 0, "resumed_from": 40, "world": 1, "plan": "5b1e…"}
    {"step": 40, "micro": 0, "epoch": 0, "rows": ["a", "b"], "places": [320, 321], "tokens": ["0f3c…", "99ab…"]}

An attempt that resumes from step s supersedes what earlier attempts consumed from step s on: those updates were lost
with the process. What is not superseded is what led to the weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime import strict_json
from righttime.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Attempt", "Consumed", "Recorder", "Records", "last_attempt", "read_records"]

_FILES = "attempt-*-process-*.jsonl"


@dataclass(frozen=True)
class Attempt:
    """One start of a run, on all its processes.

    Attributes:
        number: From 1.
        resumed_from: The step it resumed from; 0 for a new run.
        world: How many processes it had.
        plan: The fingerprint of the plan that it followed.
    """

    number: int
    resumed_from: int
    world: int
    plan: str


@dataclass(frozen=True)
class Consumed:
    """One micro-batch of one process, as it was consumed.

    Attributes:
        attempt: The attempt, from 1.
        process: The process, from 0.
        step: The optimizer step, from 0.
        micro: The micro-batch in that step, from 0.
        epoch: The epoch, from 0.
        rows: The ids of its rows; None for a row that the plan does not know.
        places: Their places in the arrangement; None likewise.
        tokens: For each row the hash of the tokens that were fed to the model.
    """

    attempt: int
    process: int
    step: int
    micro: int
    epoch: int
    rows: tuple[str | None, ...]
    places: tuple[int | None, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Records:
    """Everything that a run consumed.

    Attributes:
        attempts: In their order.
        consumed: By attempt, step, micro-batch and process.
    """

    attempts: tuple[Attempt, ...]
    consumed: tuple[Consumed, ...]

    def superseded(self, record: Consumed) -> bool:
        """Whether a later attempt resumed from before this micro-batch, so that its update was lost."""
        later = (attempt for attempt in self.attempts if attempt.number > record.attempt)
        return any(attempt.resumed_from <= record.step for attempt in later)

    def effective(self) -> list[Consumed]:
        """What led to the weights, by step, micro-batch and process."""
        kept = (record for record in self.consumed if not self.superseded(record))
        return sorted(kept, key=lambda record: (record.step, record.micro, record.process, record.attempt))

    def to_table(self) -> pa.Table:
        """One line for each consumed row, in the order of consumption: the columns of ``consumed.parquet``."""
        import pyarrow as pa

        kinds = {"attempt": pa.int32(), "step": pa.int64(), "micro": pa.int32(), "process": pa.int32()}
        kinds |= {"epoch": pa.int32(), "place": pa.int64(), "id": pa.string(), "tokens": pa.string()}
        columns: dict[str, list[Any]] = {name: [] for name in (*kinds, "superseded")}
        for record in self.consumed:
            lost = self.superseded(record)
            for place, name, tokens in zip(record.places, record.rows, record.tokens, strict=True):
                about = (record.attempt, record.step, record.micro, record.process, record.epoch)
                for column, value in zip(columns.values(), (*about, place, name, tokens, lost), strict=True):
                    column.append(value)
        kinds["superseded"] = pa.bool_()
        return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})


class Recorder:
    """Appends what one process consumes in one attempt, each line with one write: a kill loses none before it."""

    def __init__(self, folder: Path, attempt: Attempt, process: int) -> None:
        """Begin the file of an attempt.

        Args:
            folder: Where the records lie.
            attempt: The attempt.
            process: This process, from 0.

        Raises:
            StoreError: If the file is there already or cannot be written.
        """
        self.path = folder / f"attempt-{attempt.number:04d}-process-{process:04d}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        except OSError as error:
            raise StoreError(f"{self.path} must be new and writable, got {error.strerror or error}.") from error
        self._write(
            {
                "attempt": attempt.number,
                "process": process,
                "resumed_from": attempt.resumed_from,
                "world": attempt.world,
                "plan": attempt.plan,
            }
        )

    def write(self, record: Consumed) -> None:
        """Append one micro-batch.

        Raises:
            StoreError: If it cannot be written.
        """
        names = ("step", "micro", "epoch", "rows", "places", "tokens")
        self._write({name: getattr(record, name) for name in names})

    def _write(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise StoreError(f"{self.path} must be writable, got {error.strerror or error}.") from error
        if written != len(data):
            raise StoreError(f"{self.path} took only {written} of {len(data)} bytes. Hint: check free space.")

    def sync(self) -> None:
        """Make sure that what was written outlives a power failure."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def last_attempt(folder: Path) -> int:
    """The number of the last attempt that began to write, 0 where none did."""
    return max((int(path.name.split("-")[1]) for path in folder.glob(_FILES)), default=0)


def read_records(folder: Path) -> Records:
    """Read everything that was consumed.

    A last line that was cut by a power failure is skipped: its update cannot have been kept.

    Raises:
        StoreError: If a file is damaged elsewhere, or the processes of one attempt contradict each other.
    """
    attempts: dict[int, Attempt] = {}
    consumed: list[Consumed] = []
    for path in sorted(folder.glob(_FILES)):
        lines = _lines(path)
        if not lines:
            continue
        head = lines[0]
        try:
            attempt = Attempt(head["attempt"], head["resumed_from"], head["world"], head["plan"])
            _require_counts((attempt.number, attempt.resumed_from, attempt.world, head["process"]))
            consumed += _consumed(lines[1:], attempt.number, head["process"])
        except KeyError as error:
            raise StoreError(f"{path} must hold the records of a run, but a line lacks {error}.") from error
        except (TypeError, ValueError) as error:
            raise StoreError(f"{path} must hold the records of a run, but a line is none: {error}.") from error
        if attempts.setdefault(attempt.number, attempt) != attempt:
            raise StoreError(f"{path} must belong to {attempts[attempt.number]}, got {attempt}.")
    consumed.sort(key=lambda record: (record.attempt, record.step, record.micro, record.process))
    return Records(tuple(attempts[number] for number in sorted(attempts)), tuple(consumed))


def _consumed(lines: Iterable[Mapping[str, Any]], attempt: int, process: int) -> list[Consumed]:
    return [_micro_batch(line, attempt, process) for line in lines]


def _micro_batch(line: Mapping[str, Any], attempt: int, process: int) -> Consumed:
    rows, places, tokens = (tuple(line[name]) for name in ("rows", "places", "tokens"))
    if not len(rows) == len(places) == len(tokens):
        raise ValueError(f"it has {len(rows)} rows, {len(places)} places and {len(tokens)} hashes")
    _require_counts(place for place in places if place is not None)
    "".join((*tokens, *(name for name in rows if name is not None))).encode()  # all of them text that can be written
    step, micro, epoch = (line[name] for name in ("step", "micro", "epoch"))
    _require_counts((step, micro, epoch))
    return Consumed(attempt, process, step, micro, epoch, rows, places, tokens)


def _require_counts(numbers: Iterable[Any]) -> None:
    """Make sure that numbers count something; the tables hold them in 32 bits."""
    if wrong := [number for number in numbers if type(number) is not int or not 0 <= number < 2**31]:
        raise ValueError(f"{str(wrong[0])[:40]!r} is no count")


def _lines(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        raw = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StoreError(f"{path} must be readable, got {error.strerror or error}.") from error
    whole = raw[:-1]  # what follows the last newline is empty, or a line that was cut
    lines = []
    for number, line in enumerate(whole, start=1):
        try:
            lines.append(strict_json.loads(line))
        except ValueError as error:
            raise StoreError(f"{path}:{number} must be JSON, got: {error}.") from error
    return lines
