"""A stage of an arrangement that is planned, and what is measured on this machine to tell what it takes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["EMBEDDED_BYTES", "KEY_BYTES", "SOME", "Stage", "most_resident", "peak_of", "repeated", "resident", "timed"]

SOME = 1 << 14
"""Given vectors that are read to see what all are like."""
KEY_BYTES = 60
"""Bytes of a row while rows are compared or looked up: its hashes, sorted."""
EMBEDDED_BYTES = 84
"""Bytes of a row while rows are embedded, texts and vectors apart: its key, its tokens, its places. Measured."""


@dataclass(frozen=True)
class Stage:
    """What one stage takes.

    Attributes:
        name: Of the stage.
        passes: How often it looks at every row.
        seconds: How long it takes; None where that cannot be told from a sample.
        memory: Bytes it holds beside what earlier stages hold, until the end.
        disk: Bytes it writes.
        note: How that is known, and what else to know.
        passing: Bytes it holds above that while it lasts.
    """

    name: str
    passes: int
    seconds: float | None
    memory: int
    disk: int
    note: str
    passing: int = 0


def peak_of(stages: Sequence[Stage]) -> int:
    """The most bytes held at any time.

    Example:
        >>> peak_of([Stage("a", 1, 0.0, 5, 0, "", passing=9), Stage("b", 1, 0.0, 1, 0, "", passing=2)])
        14
    """
    held, most = 0, 0
    for stage in stages:
        held += stage.memory
        most = max(most, held + stage.passing)
    return most


def repeated(stage: Stage, times: int, why: str = "") -> Stage:
    """A stage that is done so many times, one after another: what it writes adds up, what it holds does not.

    Example:
        >>> repeated(Stage("write", 1, 2.0, 8, 100, "a note"), 3, "for each of 3 targets").disk
        300
    """
    seconds = None if stage.seconds is None else times * stage.seconds
    note = f"{stage.note}; {why}" if why else stage.note
    return replace(stage, passes=times * stage.passes, seconds=seconds, disk=times * stage.disk, note=note)


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resident() -> int:
    """Bytes of memory that the process holds and cannot give back; 0 where that cannot be told."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # of a C library that has no such function
            ctypes.CDLL(None).malloc_trim(0)
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def most_resident() -> int:
    """The most bytes that the process has held so far; 0 where that cannot be told."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)
