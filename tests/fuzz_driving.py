"""Run one reader on many changed inputs and count how each ended."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz_mutation import as_json, changed_bytes, changed_value
from machine import about
from righttime.errors import RighttimeError

REPORT = "RIGHTTIME_FUZZ_REPORT"
"""Names the file to which counts are written, where they are asked for; inputs of a reader by the second."""
NUMBER = "RIGHTTIME_FUZZ_INPUTS"
COMMAND = "RIGHTTIME_FUZZ_REPORT=FILE python -m pytest tests/faults/fuzz"
LIMIT_S = 5.0
"""The most seconds of this process's own time for one input."""


class TooSlowError(BaseException):
    """An input took too long; no reader takes it for an error of its own."""


@dataclass(frozen=True)
class Inputs:
    """A valid input, and what makes others of it.

    Attributes:
        valid: What a reader must take as it is, or None where there is no such thing: a fuzzer whose inputs are all
            refused at the door sees the door alone.
        makers: Each makes a changed one; they take turns.
        seed: Of the changes.
    """

    valid: bytes | None
    makers: Sequence[Callable[[random.Random], bytes]]
    seed: int

    def __iter__(self) -> Iterator[bytes]:
        draw = random.Random(self.seed)
        while True:
            for make in self.makers:
                yield make(draw)


def json_of(value: Any, seed: int) -> Inputs:
    """JSON changed in what it says, and now and then byte by byte."""
    valid = json.dumps(value).encode()
    by_value = partial(_changed_json, value)
    return Inputs(valid, (by_value, by_value, partial(changed_bytes, valid)), seed)


def bytes_of(valid: bytes, seed: int) -> Inputs:
    """A file or a word changed byte by byte."""
    return Inputs(valid, (partial(changed_bytes, valid),), seed)


def _changed_json(value: Any, draw: random.Random) -> bytes:
    return as_json(changed_value(value, draw), draw)


def drive(
    reader: str, inputs: Inputs, read: Callable[[bytes], object], number: int, limit_s: float = LIMIT_S
) -> list[str]:
    """Every way in which an input ended otherwise than by success or by an error of the project, once each.

    Args:
        reader: What it is called in the report.
        inputs: The inputs; the valid one is read first, and whatever it raises goes on to the caller.
        read: Reads one.
        number: How many changed ones are read.
        limit_s: The most seconds of this process's own time for one.
    """
    if inputs.valid is not None:
        read(inputs.valid)
    counts: Counter[str] = Counter(inputs=0, refused=0, read=0, other_exceptions=0, too_slow=0)
    others: dict[str, str] = {}
    for data in islice(inputs, number):
        counts["inputs"] += 1
        try:
            with within(limit_s):
                read(data)
            counts["read"] += 1
        except RighttimeError as error:
            counts["refused"] += 1
            if not str(error).strip():
                others.setdefault("an error without a message", repr(data[:200]))
        except TooSlowError:
            counts["too_slow"] += 1
            others.setdefault(f"more than {limit_s:g} s", repr(data[:300]))
        except Exception as error:  # what the test is there to find
            counts["other_exceptions"] += 1
            at = traceback.extract_tb(error.__traceback__)
            own = [one for one in at if "/righttime/" in one.filename][-1:]
            where = own or at[-1:]
            others.setdefault(
                f"{type(error).__name__} {where[0].filename}:{where[0].lineno} {error!s:.80}", repr(data[:300])
            )
    _written(reader, counts)
    return [f"{what} <- {data}" for what, data in others.items()]


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Stop what takes more of this process's time, where the system can: the machine may be busy with other work.

    Raises:
        TooSlowError: If it took longer.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _written(reader: str, counts: Counter[str]) -> None:
    if not (name := os.environ.get(REPORT)):
        return
    path = Path(name)
    found = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    rows = {row["what"]: row for row in found}
    wrong = counts["other_exceptions"] + counts["too_slow"]
    rows[reader] = {"what": reader, "count": counts["inputs"], "wrong": wrong, **counts}
    machine = {key: value for key, value in about().items() if key in ("processor", "cores", "python", "date")}
    made = {"command": COMMAND, "made_on": machine, "rows": [rows[one] for one in sorted(rows)]}
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
