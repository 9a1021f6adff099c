"""Run one reader on many changed inputs and count how each ended."""

from __future__ import annotations

import json
import os
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from righttime.errors import RighttimeError

REPORT = "RIGHTTIME_FUZZ_REPORT"
"""Names the file to which counts are written, where they are asked for."""


def drive(reader: str, inputs: Iterator[bytes], read: Callable[[bytes], object], number: int) -> list[str]:
    """Every way in which an input ended otherwise than by success or by an error of the project, once each."""
    counts: Counter[str] = Counter(inputs=0, refused=0, read=0, other_exceptions=0)
    others: dict[str, str] = {}
    for _ in range(number):
        data = next(inputs)
        counts["inputs"] += 1
        try:
            read(data)
            counts["read"] += 1
        except RighttimeError as error:
            counts["refused"] += 1
            if not str(error).strip():
                others.setdefault("an error without a message", repr(data[:200]))
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


def _written(reader: str, counts: Counter[str]) -> None:
    if name := os.environ.get(REPORT):
        path = Path(name)
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**found, reader: dict(counts)}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def mixed(makers: Sequence[Callable[[random.Random], bytes]], seed: int) -> Iterator[bytes]:
    """Inputs of several makers in turn, without end."""
    draw = random.Random(seed)
    while True:
        for make in makers:
            yield make(draw)
