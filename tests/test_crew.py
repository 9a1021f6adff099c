"""Jobs are done by several processes, each once, none far ahead of the first that is not done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from righttime.crew import by_processes
from righttime.errors import DataError


def noting(folder: Path, slow: int, number: int) -> Callable[[int], Any]:
    """Does jobs: notes which were begun before, and takes its time for one of them."""

    def do(job: int) -> Any:
        begun = sorted(int(entry.name) for entry in folder.iterdir())
        (folder / str(job)).touch()
        if job == slow:
            time.sleep(1)
        return job, begun, os.getpid()

    return do


def died(number: int, worker: int, code: int | None) -> DataError:
    return DataError(f"job {number}, code {code}")


class Jobs(list[int]):
    """Jobs that remember which of them were looked at."""

    def __init__(self, n: int) -> None:
        super().__init__(range(n))
        self.seen: list[int] = []

    def __getitem__(self, place: Any) -> Any:
        self.seen.append(place)
        return super().__getitem__(place)


@pytest.mark.parametrize("ahead", [None, 3])
def test_each_job_is_done_once_and_none_far_ahead(tmp_path: Path, ahead: int | None) -> None:
    jobs = Jobs(12)
    done = list(by_processes(partial(noting, tmp_path, 1), jobs, 2, died, ahead=ahead))
    assert sorted(number for number, _ in done) == list(range(12))
    assert all(answer[0] == number for number, answer in done)
    assert jobs.seen == list(range(12))
    assert len({answer[2] for _, answer in done}) == 2
    before = [number for number, _ in done].index(1)
    assert ahead is None or before <= ahead + 1, "the other process may do three jobs beyond it, and the one before"


def test_processes_in_the_middle_of_a_job_are_not_waited_for() -> None:
    done = by_processes(sleeping, range(4), 3, died)
    next(done)
    start = time.monotonic()
    done.close()
    assert time.monotonic() - start < 10, "waiting takes 5 s for each of the three"


def sleeping(number: int) -> Callable[[int], Any]:
    def do(job: int) -> int:
        time.sleep(60 if job else 0)
        return job

    return do


def dying(number: int) -> Callable[[int], Any]:
    return lambda job: os._exit(7) if job == 2 else job


def test_a_job_whose_processes_die_is_named() -> None:
    with pytest.raises(DataError, match="job 2, code 7"):
        list(by_processes(dying, range(4), 2, died))


def failing(number: int) -> Callable[[int], Any]:
    return lambda job: DataError(f"job {job} is bad") if job else job


def test_what_a_job_gives_back_as_an_error_is_raised() -> None:
    with pytest.raises(DataError, match="job 1 is bad"):
        list(by_processes(failing, [0, 1], 1, died))
