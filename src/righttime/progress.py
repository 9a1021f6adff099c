"""How far a stage has come, on stderr: a bar on a terminal, in a file or a pipe a plain line every some seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

__all__ = ["Counter", "Lines", "counting", "lasting", "redrawn"]

SECONDS = 10.0
"""Between two lines. A stage that is over sooner prints none."""

_PATIENCE = 2.0  # before a bar is drawn


class Counter(Protocol):
    """Counts what is done."""

    def __call__(self, done: int) -> None:
        """Count so many units more."""
        ...

    def expect(self, total: int | None) -> None:
        """Take another total than the one so far; None changes nothing."""
        ...


@contextmanager
def counting(label: str, total: int | None, unit: str = "rows", *, shown: bool = True) -> Iterator[Counter]:
    """Show how far a stage has come, with its rate and, where the total is known, the time left.

    Args:
        label: What is being done, such as ``embedding``.
        total: How many units there are; None where that is not known.
        unit: What is counted, in the plural.
        shown: Whether to show anything.

    Yields:
        What to call with the number of units done since the last call.

    Example:
        >>> with counting("embedding", 2) as tell:
        ...     _ = tell(2)
    """
    if not shown:
        yield _Silent()
    elif redrawn(sys.stderr):
        from tqdm.auto import tqdm

        # This setting holds, whatever TQDM_DISABLE says about other bars.
        how: dict[str, Any] = {"disable": False, "leave": False, "delay": _PATIENCE, "smoothing": 0.05}
        with tqdm(total=total, desc=label, unit=f" {unit}", dynamic_ncols=True, **how) as bar:
            yield _Bar(bar)
    else:
        lines = _Lines(label, total, unit)
        yield lines
        lines.end()


def redrawn(stream: TextIO) -> bool:
    """Whether a line can be drawn over: on a terminal or in a notebook."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


class Lines:
    """Lines on stderr, one every few seconds at most; the first is due after the first few seconds."""

    def __init__(self, every: float) -> None:
        """Begin.

        Args:
            every: Seconds from one line to the next.
        """
        self._every, self._stream = every, sys.stderr
        self.begun = self._last = self._now = time.monotonic()

    def due(self) -> bool:
        """Whether the next line is due."""
        self._now = time.monotonic()
        return self._now - self._last >= self._every

    def write(self, line: str) -> None:
        """Write a line, due or not."""
        self._last = self._now
        print(line, file=self._stream, flush=True)

    def left(self, done: int, total: int | None) -> str:
        """How long the rest takes at the pace up to the last look at `due`, in words.

        Args:
            done: What is done since this was made.
            total: What was to be done then; None where that is not known.
        """
        if not total or not done:
            return "time left not known"
        if done == total:
            return "finishing"
        return f"{lasting((self._now - self.begun) * (total - done) / done)} left"


class _Silent:
    def __call__(self, done: int) -> None:
        pass

    def expect(self, total: int | None) -> None:
        pass


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar, self._counted = bar, 0

    def __call__(self, done: int) -> None:
        self._counted += done
        # What takes more units than were foreseen stays at its end.
        total = self._counted if self._bar.total is None else self._bar.total
        self._bar.update(min(self._counted, total) - self._bar.n)

    def expect(self, total: int | None) -> None:
        self._bar.total = total or self._bar.total


class _Lines:
    """Lines such as ``embedding: 1,280 of 44,950 rows, 38.4 rows/s, 19 min left``."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self._label, self._total, self._unit, self._lines = label, total, unit, Lines(SECONDS)
        self._counted, self._told = 0, False

    def __call__(self, done: int) -> None:
        self._counted += done
        if self._lines.due():
            self._write(self._lines.left(self._done, self._total))

    def expect(self, total: int | None) -> None:
        self._total = total or self._total

    @property
    def _done(self) -> int:
        # What takes more units than were foreseen stays at its end.
        return self._counted if self._total is None else min(self._counted, self._total)

    def end(self) -> None:
        """Say that the stage is over, if it said anything before."""
        if self._told:
            self._write(f"done in {lasting(time.monotonic() - self._lines.begun)}")

    def _write(self, end: str) -> None:
        of = f" of {self._total:,}" if self._total is not None else ""
        rate = self._done / max(time.monotonic() - self._lines.begun, 1e-9)
        self._told = True
        self._lines.write(
            f"{self._label}: {self._done:,}{of} {self._unit}, {rate:,.{1 if rate < 100 else 0}f} {self._unit}/s, {end}"
        )


def lasting(seconds: float) -> str:
    """A time for a person.

    Example:
        >>> lasting(8.25), lasting(600), lasting(7200)
        ('8.2 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
