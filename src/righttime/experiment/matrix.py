"""Every run of an experiment that is not done yet, in the order of priority; what is done stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from righttime import strict_json
from righttime.errors import SettingsError
from righttime.experiment.draws import JUDGE, read_pools
from righttime.experiment.layout import DRAW, Cell, State, cells, is_done, is_finished, state_of
from righttime.experiment.prepare import prepare_replicate
from righttime.experiment.settings import Experiment
from righttime.experiment.store import state_experiment
from righttime.locks import let_go
from righttime.progress import lasting
from righttime.store import clear_partial, take, write_json

__all__ = ["Outcome", "Place", "ThisMachine", "check_model", "run_experiment", "wanted_cells"]

Say = Callable[[str], None]
_KILLED = ". Hint: it was killed, most often since memory ran out; fewer `jobs` take less."
"""Of status -9 or, by way of a shell, 137."""


class Place(Protocol):
    """Where processes run."""

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """Run a command, its output going to a file, with more environment; give its exit status."""
        ...

    def stop(self) -> None:
        """End what runs."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How far an experiment is.

    Attributes:
        states: Each cell and how far it is, in the order of priority.
        seconds: What each run that was made now took.
    """

    states: tuple[tuple[Cell, State], ...]
    seconds: tuple[float, ...]

    def count(self, state: State) -> int:
        """How many runs are that far."""
        return sum(one == state for _, one in self.states)

    @property
    def failures(self) -> tuple[tuple[Cell, str], ...]:
        """The runs that failed, and why."""
        return tuple((cell, why_failed(cell)) for cell, state in self.states if state == "failed")


def why_failed(cell: Cell) -> str:
    """Why a run failed, in one sentence."""
    try:
        return str(strict_json.loads(cell.failed.read_text(encoding="utf-8"))["error"])
    except (OSError, ValueError, KeyError):
        return f"it was stopped; see {cell.log}"


def check_model(experiment: Experiment) -> None:
    """Make sure, before any work, that the model and its tokenizer can be had.

    Raises:
        ModelError: If not.
    """
    from righttime.tokenization.loading import load_tokenizer
    from righttime.training.models import model_identity

    model_identity(experiment.model)
    load_tokenizer(experiment.model)


def wanted_cells(experiment: Experiment, root: Path, replicates: Sequence[int] = ()) -> list[Cell]:
    """The runs that a call is to make, in the order of priority.

    Args:
        experiment: The experiment.
        root: Its folder.
        replicates: Only these; empty for all.

    Raises:
        SettingsError: If one is out of range.
    """
    for number in replicates:
        if not 1 <= number <= experiment.replicates:
            raise SettingsError(
                f"a replicate must be between 1 and {experiment.replicates}, got {number}.", setting="replicate"
            )
    return [cell for cell in cells(experiment, root) if not replicates or cell.replicate in replicates]


def run_experiment(
    experiment: Experiment,
    root: Path,
    *,
    jobs: int = 1,
    replicates: Sequence[int] = (),
    place: Place | None = None,
    progress: bool = False,
    say: Say = lambda _: None,
) -> Outcome:
    """Make every run that is not finished; a run that fails does not stop the others.

    After a kill at any moment the same call resumes. Another process may make other replicates of the same folder at
    the same time, but not the same ones. Runs made elsewhere, in a copy of the folder
    or on a file system that machines share, are taken as they are.

    Args:
        experiment: What to try.
        root: Its folder.
        jobs: Runs at a time; on GPUs one each.
        replicates: Only these; empty for all.
        place: Runs commands; None does it on this machine.
        progress: Show the progress of reading and embedding on stderr.
        say: Is told of each run, in a sentence.

    Raises:
        RighttimeError: If the folder holds another experiment, another process makes these replicates, or data or
            model cannot be had.
    """
    experiment.check()
    here = wanted_cells(experiment, root, replicates)
    with _held(here):
        return _made(experiment, root, here, jobs, place or ThisMachine(), progress, say)


@contextlib.contextmanager
def _held(here: Sequence[Cell]) -> Iterator[None]:
    """Keep other processes from the replicates of runs that are not done; others may make other replicates."""
    folders = list(dict.fromkeys(cell.draw for cell in here if not is_done(cell)))
    try:
        for folder in folders:
            take(folder)
        for cell in here:
            if cell.folder.is_dir():
                clear_partial(cell.folder)  # of a process that was killed
        yield
    finally:
        for folder in folders:
            let_go(folder)


def _made(
    experiment: Experiment, root: Path, here: Sequence[Cell], jobs: int, place: Place, progress: bool, say: Say
) -> Outcome:
    if not all(map(is_done, here)):
        check_model(experiment)
    state_experiment(experiment, root)
    made = _Progress(len(here), sum(map(is_done, here)), jobs, say)
    work = _Work(experiment, place, jobs, progress)
    with ThreadPoolExecutor(jobs) as workers:
        running = {workers.submit(work.run, cell): cell for cell in here if not is_done(cell)}
        try:
            for future in as_completed(running):
                made.done(running[future], future.result())
        except BaseException:
            work.stop()
            workers.shutdown(wait=True, cancel_futures=True)
            raise
    return Outcome(tuple((cell, state_of(cell)) for cell in here), tuple(made.seconds))


class _Work:
    """Makes runs, each in a process of its own; what a replicate drew is made when its first run begins."""

    def __init__(self, experiment: Experiment, place: Place, jobs: int, progress: bool) -> None:
        self._experiment, self.place, self._jobs, self._progress = experiment, place, jobs, progress
        self._one, self._pools = threading.Lock(), lru_cache(maxsize=1)(lambda: read_pools(experiment, progress))
        self._slots: SimpleQueue[int] = SimpleQueue()
        self._stopped = threading.Event()
        for slot in range(jobs):
            self._slots.put(slot)

    def stop(self) -> None:
        """Begin nothing more, and end what runs."""
        self._stopped.set()
        self.place.stop()

    def run(self, cell: Cell) -> float:
        """One run; the seconds it took."""
        slot = self._slots.get()
        try:
            with self._one:
                if not (cell.draw / DRAW).exists():
                    prepare_replicate(self._experiment, self._pools, cell.replicate, cell.draw, self._progress)
            start, trained = time.monotonic(), not is_finished(cell)
            cell.folder.mkdir(parents=True, exist_ok=True)
            cell.failed.unlink(missing_ok=True)
            if self._stopped.is_set():
                return 0.0
            words = [sys.executable, "-m", "righttime.experiment.cell", str(cell.root), str(cell.replicate), cell.order]
            status = self.place.run(words, cell.log, _environment(slot, self._jobs))
            if status and not cell.failed.exists() and not self._stopped.is_set():
                why = f"its process ended with status {status}; see {cell.log}"
                write_json(cell.failed, {"error": why + (_KILLED if status in {-9, 137} else "")})
            seconds = time.monotonic() - start
            if not status and trained:
                write_json(cell.folder / "took.json", {"seconds": round(seconds, 1)})
            return seconds
        finally:
            self._slots.put(slot)


def _environment(slot: int, jobs: int) -> dict[str, str]:
    """Threads, or the GPU, of one of several processes on a machine."""
    import torch

    if gpus := torch.cuda.device_count():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = seen.split(",") if seen else [str(number) for number in range(gpus)]
        return {"CUDA_VISIBLE_DEVICES": names[slot % len(names)]}
    return {} if jobs == 1 else threads_of(jobs)


def threads_of(jobs: int) -> dict[str, str]:
    """The threads of each of several processes that share the cores of this machine, as environment."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, cores // jobs))
    return {"OMP_NUM_THREADS": threads, "RIGHTTIME_THREADS": threads}


class ThisMachine:
    """Processes of this machine, which end when this process does."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
        """See `Place`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, env={**os.environ, **environment}
            )
            self._running.add(process)
            if self._stopped:  # while this one was being started
                process.terminate()
            try:
                return process.wait()
            finally:
                self._running.discard(process)
                if process.stdin:
                    process.stdin.close()

    def stop(self) -> None:
        """See `Place`."""
        self._stopped = True
        for process in tuple(self._running):
            process.terminate()


class _Progress:
    """Says how far it is after each run."""

    def __init__(self, total: int, before: int, jobs: int, say: Say) -> None:
        self._total, self._done, self._jobs, self._say = total, before, jobs, say
        self.seconds: list[float] = []

    def done(self, cell: Cell, seconds: float) -> None:
        self._done += 1
        self.seconds.append(seconds)
        left = (self._total - self._done) * sum(self.seconds) / len(self.seconds) / self._jobs
        more = f"; about {lasting(left)} left" if self._done < self._total else ""
        count = f"{self._done:,} of {self._total:,} runs"
        if state_of(cell) != "finished":
            self._say(f"{count}: {cell.told} failed: {why_failed(cell)}{more}")
        else:
            self._say(f"{count}: {cell.told}: {loss_of(cell)} in {lasting(seconds)}{more}")


def loss_of(cell: Cell) -> str:
    """The first and the last loss on the judge rows, in words."""
    from righttime.analysis import PRIMARY, read_runs

    (run,) = next(iter(read_runs([str(cell.run)]).values()))
    mean = run.values[JUDGE, PRIMARY].values.mean(axis=1)
    return f"loss {mean[0]:.3f} → {mean[-1]:.3f}"
