"""What the benchmarks share: vectors to arrange, works timed in turn, and works in a process of their own."""

from __future__ import annotations

import cProfile
import multiprocessing
import os
import pstats
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from righttime.similarity import unit_rows

Vectors = NDArray[np.float32]
Name = TypeVar("Name")

DIMENSIONS = 384
_CHUNK = 1 << 15


def clustered(
    n_pool: int, n_target: int, d: int = DIMENSIONS, *, seed: int = 0, centres: int = 100, repeated: float = 0.0
) -> tuple[Vectors, Vectors]:
    """Unit vectors of a pool and a target around shared centres, as texts of tasks are; the pool centre by centre.

    Args:
        n_pool: Pool rows.
        n_target: Target rows.
        d: Dimensions.
        seed: Of the random numbers.
        centres: How many. Two rows of one have a cosine of about 0.67, of two about 0.
        repeated: The share of pool rows that are copies of their neighbour, so that similarities tie.
    """
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((centres, d), dtype=np.float32)
    pool = _around(centre, np.sort(rng.integers(0, centres, size=n_pool)), rng)
    copies = np.sort(rng.choice(np.arange(1, n_pool), size=int(repeated * n_pool), replace=False))
    pool[copies] = pool[copies - 1]
    return pool, _around(centre, rng.integers(0, centres, size=n_target), rng)


def _around(centre: Vectors, which: NDArray[np.int64], rng: np.random.Generator) -> Vectors:
    out = np.empty((len(which), centre.shape[1]), dtype=np.float32)
    for start in range(0, len(which), _CHUNK):
        some = which[start : start + _CHUNK]
        noise = rng.standard_normal((len(some), centre.shape[1]), dtype=np.float32)
        out[start : start + _CHUNK] = unit_rows(centre[some] + np.float32(0.7) * noise)
    return out


def data_folder() -> Path:
    """RIGHTTIME_DATA, where the real rows and vectors lie."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("RIGHTTIME_DATA", default))


def real() -> tuple[Vectors, Vectors] | None:
    """The unit vectors of 44,950 NIV2 rows and 260 target rows, where RIGHTTIME_DATA has them."""
    path = data_folder() / "niv2_vectors.npz"
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return unit_rows(arrays["pool"]), unit_rows(arrays["target"])


def in_turn(
    works: Mapping[Name, Callable[[], object]], times: int = 5, at_most_s: float = 90.0
) -> dict[Name, list[float]]:
    """Seconds of every work, each in turn and all again, so that a noisy moment meets all of them.

    Args:
        works: What to time, by name.
        times: How many turns, at most.
        at_most_s: No new turn begins after so long; but there are always two.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    for turn in range(times):
        if turn > 1 and time.perf_counter() - begin > at_most_s:
            break
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(ours: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """Of the shortest times, and the median of the ratios of each turn."""
    turns = [a / b for a, b in zip(ours, base, strict=True)]
    return {"of_best": min(ours) / min(base), "median": statistics.median(turns)}


def profile(work: Callable[[], object], most: int = 8) -> list[dict[str, Any]]:
    """The functions in which the time of this thread goes, by their own time, those with most first."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    stats: Any = pstats.Stats(profiler)
    rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:most]
    return [{"function": f"{Path(key[0]).name}:{key[2]}", "own_s": round(value[2], 3)} for key, value in rows]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power of size that values grow with: the slope of a straight line through their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


@dataclass(frozen=True)
class Growth:
    """The power of size that values grow with, where one can be told.

    Attributes:
        exponent: The slope of the least-squares line through the logarithms; None where none can be told.
        half_width: Of its 95% interval, by Student's t with n - 2 degrees of freedom.
        refused: Why there is no exponent.
    """

    exponent: float | None = None
    half_width: float | None = None
    refused: str | None = None

    def __str__(self) -> str:
        return self.refused or f"{self.exponent:.2f} ± {self.half_width:.2f}"


FEWEST, SPAN, WIDEST, FARTHEST = 4, 8.0, 0.15, 0.15
"""Points, the largest size over the smallest, the interval's half width, and the largest distance of a logarithm from
the line: what a fit must keep to before its exponent says anything."""


def growth(sizes: Sequence[float], values: Sequence[float], least: float = 0.0) -> Growth:
    """Fit a power, or say why none can be told.

    Args:
        sizes: At least `FEWEST`, from the smallest to the largest `SPAN` times.
        values: One for each.
        least: The smallest value that is more than fixed costs and noise.
    """
    if len(sizes) < FEWEST:
        return Growth(refused=f"{len(sizes)} points, needs {FEWEST}")
    if max(sizes) < SPAN * min(sizes):
        return Growth(refused=f"sizes span {max(sizes) / min(sizes):.1f} ×, needs {SPAN:.0f} ×")
    if min(values) <= 0 or min(values) < least:
        return Growth(refused=f"values from {min(values):.3g}, needs {least:g}")
    x, y = np.log(np.asarray(sizes, dtype=np.float64)), np.log(np.asarray(values, dtype=np.float64))
    slope, at_zero = np.polyfit(x, y, 1)
    off = y - (slope * x + at_zero)
    error = np.sqrt((off**2).sum() / (len(x) - 2) / ((x - x.mean()) ** 2).sum())
    half = float(student.ppf(0.975, len(x) - 2) * error)
    if np.abs(off).max() > FARTHEST:
        return Growth(refused=f"no power: a point is {np.expm1(np.abs(off).max()):.0%} off the line")
    if half > WIDEST:
        return Growth(refused=f"no power: {slope:.2f} ± {half:.2f}")
    return Growth(float(slope), half)


@dataclass(frozen=True)
class Outcome:
    """What became of a work in a process of its own.

    Attributes:
        finished: Whether it ran to its end.
        reason: Why not, where it did not.
        seconds: From its beginning, after its input was there, to its end or until it was stopped; None where not run.
        peak_mib: Of resident memory above what was resident at its beginning, as the kernel counts it.
        result: What it returned.
        told: What it told on the way, in order, each with the seconds since the beginning.
    """

    finished: bool
    reason: str | None = None
    seconds: float | None = None
    peak_mib: float | None = None
    result: Any = None
    told: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Without what it told."""
        return {name: value for name, value in asdict(self).items() if name != "told"}


class Watch:
    """Held by a work in a process of its own: it says when its input is there, and how far it is."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.start, self.before = pipe, time.perf_counter(), 0

    def begin(self) -> None:
        """The input is there: time and memory count from now on."""
        Path("/proc/self/clear_refs").write_text("5")  # sets the kernel's mark of the peak back to what is resident
        self.before = memory_kib("VmRSS")
        self.start = time.perf_counter()
        self.pipe.send(("begin", self.before))

    def tell(self, **progress: Any) -> None:
        """Say how far it is, in case that it is stopped."""
        self.pipe.send(("told", {"seconds": time.perf_counter() - self.start, **progress}))

    def peak_mib(self) -> float:
        """The peak of resident memory since the beginning, above what was resident then."""
        return (memory_kib("VmHWM") - self.before) / 1024

    def end(self, result: Any) -> None:
        """Say what came of it."""
        self.pipe.send(("end", result, time.perf_counter() - self.start, self.peak_mib()))


def memory_kib(field: str, pid: int | str = "self") -> int:
    """A field of /proc/PID/status, such as VmHWM, the peak of resident memory, or RssAnon."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def memory_left() -> int:
    """Bytes that a new process may take without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def alone(
    work: Callable[..., Any], *arguments: Any, limit_s: float | None = None, needs_bytes: int = 0, name: str = ""
) -> Outcome:
    """Run `work(watch, *arguments)` in a fresh process, so that its peak of memory is its own.

    Args:
        work: A function of a module; calls `watch.begin()` when its input is there.
        arguments: For it.
        limit_s: It is stopped so long after its beginning.
        needs_bytes: It is not started where less memory than that, and a tenth, is left.
        name: To print.
    """
    if needs_bytes * 1.1 > memory_left():
        return Outcome(False, f"needs {needs_bytes / 2**30:.1f} GiB, {memory_left() / 2**30:.1f} GiB were left")
    print(f"    {name or work.__name__} in a process of its own", flush=True)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, work, arguments))
    process.start()
    there.close()
    try:
        return _followed(process.pid or 0, here, limit_s)
    finally:
        process.kill()
        process.join()


def _run(pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    watch = Watch(pipe)
    watch.end(work(watch, *arguments))


def _followed(pid: int, pipe: Connection, limit_s: float | None) -> Outcome:
    told: list[dict[str, Any]] = []
    before: int = 0
    begin: float | None = None
    while True:
        if begin is not None and limit_s is not None:
            left = begin + limit_s - time.perf_counter()
            if left <= 0 or not pipe.poll(left):
                peak = (memory_kib("VmHWM", pid) - before) / 1024
                return Outcome(False, f"stopped after {limit_s:.0f} s", limit_s, peak, None, tuple(told))
        try:
            kind, *what = pipe.recv()
        except EOFError:
            seconds = None if begin is None else time.perf_counter() - begin
            return Outcome(False, "the process died", seconds, None, None, tuple(told))
        if kind == "begin":
            before, begin = what[0], time.perf_counter()
        elif kind == "told":
            told.append(what[0])
        else:
            result, seconds, peak = what
            return Outcome(True, None, seconds, peak, result, tuple(told))
