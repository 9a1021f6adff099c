"""How far a stage has come, on stderr: a bar on a terminal, in a file or a pipe a plain line every some seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

__all__ = ["Counter", "counting", "lasting", "without_foreign_bars"]

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
    elif _redrawn(sys.stderr):
        from tqdm.auto import tqdm

        # This setting holds, whatever TQDM_DISABLE says about other bars.
        how: dict[str, Any] = {"disable": False, "leave": False, "delay": _PATIENCE, "smoothing": 0.05}
        with tqdm(total=total, desc=label, unit=f" {unit}", dynamic_ncols=True, **how) as bar:
            yield _Bar(bar)
    else:
        lines = _Lines(label, total, unit, sys.stderr)
        yield lines
        lines.end()


@contextmanager
def without_foreign_bars() -> Iterator[None]:
    """Keep the bars that a library draws with tqdm, and offers no setting for, from being drawn."""
    from tqdm.std import tqdm

    own: Any = tqdm.__init__

    def unseen(self: object, *args: object, **settings: object) -> None:
        own(self, *args, **{**settings, "disable": True})

    any_bar: Any = tqdm
    any_bar.__init__ = unseen
    try:
        yield
    finally:
        any_bar.__init__ = own


def _redrawn(stream: TextIO) -> bool:
    """Whether a line can be drawn over: on a terminal or in a notebook."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


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

    def __init__(self, label: str, total: int | None, unit: str, stream: TextIO) -> None:
        self._label, self._total, self._unit, self._stream = label, total, unit, stream
        self._counted, self._lines = 0, 0
        self._start = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        self._counted += done
        now = time.monotonic()
        if now - self._last >= SECONDS:
            self._last = now
            self._print(self._left(now))

    def expect(self, total: int | None) -> None:
        self._total = total or self._total

    @property
    def _done(self) -> int:
        # What takes more units than were foreseen stays at its end.
        return self._counted if self._total is None else min(self._counted, self._total)

    def end(self) -> None:
        """Say that the stage is over, if it said anything before."""
        if self._lines:
            self._print(f"done in {lasting(time.monotonic() - self._start)}")

    def _left(self, now: float) -> str:
        if not self._total or not self._done:
            return "time left not known"
        if self._done == self._total:
            return "finishing"
        return f"{lasting((now - self._start) * (self._total - self._done) / self._done)} left"

    def _print(self, end: str) -> None:
        of = f" of {self._total:,}" if self._total is not None else ""
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        self._lines += 1
        told = (
            f"{self._label}: {self._done:,}{of} {self._unit}, {rate:,.{1 if rate < 100 else 0}f} {self._unit}/s, {end}"
        )
        print(told, file=self._stream, flush=True)


def lasting(seconds: float) -> str:
    """A time for a person.

    Example:
        >>> lasting(8.25), lasting(600), lasting(7200)
        ('8.2 s', '10 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
