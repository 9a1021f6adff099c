"""How far a long job is: a bar on a terminal, and where stderr goes to a file a line every few seconds.

A bar redraws itself with carriage returns, which in a log file make one line of thousands of characters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["Lines", "duration", "on_terminal", "watched"]

T = TypeVar("T")
_EVERY = 5.0  # seconds


def on_terminal() -> bool:
    """Whether somebody may look at stderr as it is written."""
    return sys.stderr.isatty()


class Lines:
    """Lines on stderr, one every few seconds at most."""

    def __init__(self, every: float | None = None) -> None:
        """Begin; the first line is due after the first few seconds.

        Args:
            every: Seconds from one line to the next.
        """
        self._every = _EVERY if every is None else every
        self._begun = self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the next line is due."""
        return time.monotonic() - self._last >= self._every

    def write(self, line: str) -> None:
        """Write a line, due or not."""
        print(line, file=sys.stderr, flush=True)
        self._last = time.monotonic()

    def left(self, done: int, total: int) -> str:
        """How long the rest takes at the pace so far.

        Args:
            done: What is done since this was made.
            total: What was to be done then.
        """
        return duration((time.monotonic() - self._begun) / done * (total - done)) if done else "unknown time"


def duration(seconds: float) -> str:
    """A duration in words, no more exact than it can be known.

    Example:
        >>> duration(9), duration(130), duration(7300)
        ('9 s', '2 min', '2 h 2 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def watched(rows: Sequence[T], what: str, progress: bool) -> Iterator[T]:
    """The rows, while stderr tells how far they are.

    Args:
        rows: The rows.
        what: What is done with them, as in "tokenizing".
        progress: Tell it at all.
    """
    from tqdm import tqdm

    shown: Iterator[T] = iter(tqdm(rows, desc=what, unit="row", disable=not (progress and on_terminal())))
    lines = Lines()
    for number, row in enumerate(shown):
        if progress and not on_terminal() and lines.due():
            left = lines.left(number, len(rows))
            lines.write(f"{what}: {number:,} of {len(rows):,} rows, {left} left")
        yield row
