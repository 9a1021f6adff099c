"""Jobs done by several processes side by side; the process that started them hands out and collects.

Each process has a pipe of its own. One that dies leaves its pipe at an end, is replaced, and its job is done again;
if the starting process dies, the others find their pipes at an end and stop.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from righttime.errors import RighttimeError

__all__ = ["by_processes", "death"]

_PATIENCE_S = 5.0  # an idle process stops by itself when its pipe ends; one in the middle of a job is not waited for
_DEATHS = 3  # of one job's processes, before the job is taken to be the reason

Begin = Callable[[int], Callable[[Any], Any]]


@dataclass
class _Worker:
    """A process, our end of its pipe, and the number of the job that it is at."""

    number: int
    process: SpawnProcess
    pipe: Connection
    job: int | None = None


def by_processes(
    begin: Begin,
    jobs: Sequence[Any],
    workers: int,
    died: Callable[[int, int, int | None], RighttimeError],
    *,
    ahead: int | None = None,
) -> Generator[tuple[int, Any], None, None]:
    """Do jobs in several processes.

    Args:
        begin: Called once in each process with its number; gives what does a job. It is pickled, and what does a job
            returns a `RighttimeError` rather than raising it.
        jobs: What is to be done. One is looked at when a process gets it, and pickled.
        workers: How many processes.
        died: Makes the error of a job whose processes died three times, from its number, the number of the last
            process, and that one's exit code.
        ahead: How far beyond the first job that is not done yet one may be handed out; None: any.

    Yields:
        The number of a job and its answer, which must not be None, in the order in which they are done.

    Raises:
        RighttimeError: What a job gave back, or what `died` makes.
    """
    todo, deaths = deque(range(len(jobs))), Counter[int]()
    crew: list[_Worker] = []
    try:
        for number in range(min(workers, len(jobs))):
            crew.append(_start(begin, number))
        _hand_out(crew, todo, jobs, ahead)
        while busy := {worker.pipe: worker for worker in crew if worker.job is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # `wait` gives back what it was given
                done, worker.job = worker.job, None
                assert done is not None
                answer = _answer(worker)
                if answer is None:
                    deaths[done] += 1
                    if deaths[done] == _DEATHS:
                        raise died(done, worker.number, worker.process.exitcode)
                    todo.appendleft(done)
                    crew[worker.number] = _start(begin, worker.number)
                if isinstance(answer, RighttimeError):
                    raise answer
                _hand_out(crew, todo, jobs, ahead)
                if answer is not None:
                    yield done, answer
    finally:
        for worker in crew:  # all of them stop at once
            worker.pipe.close()
            if worker.job is not None:
                worker.process.terminate()
        for worker in crew:
            _end(worker)


def death(process: str, task: str, code: int | None, about: str = "") -> str:
    """What to say of a job whose processes died, one after the other.

    Args:
        process: The last process.
        task: What it had to do, after "to".
        code: Its exit code.
        about: What else to know of the job.
    """
    return (
        f"{process} must live to {task}, but it and the two that took its place died (exit code {code}){about}. "
        "Hint: if memory ran out, lower `workers`; in a script, call righttime below "
        '`if __name__ == "__main__":`.'
    )


def _start(begin: Begin, number: int) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, begin, number), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends with the process
    return _Worker(number, process, ours)


def _hand_out(crew: Sequence[_Worker], todo: deque[int], jobs: Sequence[Any], ahead: int | None) -> None:
    """Give each process that has none the next job."""
    for worker in crew:
        under_way = [one.job for one in crew if one.job is not None]
        if worker.job is not None or not todo:
            continue
        if ahead is not None and under_way and todo[0] > min(under_way) + ahead:
            return
        worker.job = todo.popleft()
        job = jobs[worker.job]
        with suppress(OSError):  # it died while idle: then reading its answer says so
            worker.pipe.send(job)


def _answer(worker: _Worker) -> Any:
    """What a process sent, or None if it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        _end(worker)
        return None


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join(_PATIENCE_S)
    worker.process.terminate()
    worker.process.join()


def _work(pipe: Connection, begin: Begin, number: int) -> None:
    """What a process does: the jobs that come through the pipe, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the starting process, which ends this one
    do = begin(number)
    with suppress(EOFError, OSError):  # the starting process is gone
        while True:
            pipe.send(do(pipe.recv()))
