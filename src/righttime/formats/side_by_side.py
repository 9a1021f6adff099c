"""Files read side by side, by several processes or on a Ray cluster, to what reading one after the other gives."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

from righttime.cluster import started_ray, unheard
from righttime.crew import by_processes, death
from righttime.errors import DataError
from righttime.formats.files import FileAt, Source
from righttime.formats.records import Found, Settings, read_source
from righttime.progress import counting
from righttime.stored import Packed, Store

__all__ = ["read_sources"]

_AHEAD = 2  # files that may be read before the first that is not done, for each that is read at a time

Answer: TypeAlias = "tuple[Found, Packed] | Exception | None"


def read_sources(sources: Sequence[Source], settings: Settings, store: Store) -> list[Found]:
    """Read sources in their order, or files side by side where the settings say so.

    What comes of it is the same: of several errors that of the first source is raised.

    Args:
        sources: The sources.
        settings: How.
        store: Takes the usable rows, source by source.

    Raises:
        DataError: As `righttime.formats.read_rows` says, or if a process that reads dies three times.
        SettingsError: If Ray is asked for and not installed.
    """
    files = [source.at for source in sources if source.at is not None]
    if len(files) < 2 or not (settings.on_ray or settings.workers > 1):
        return [read_source(source, settings, store) for source in sources]
    quiet = dataclasses.replace(settings, progress=False)  # files are counted here, not the rows of each
    answers = _on_ray(files, quiet) if settings.on_ray else _in_processes(files, quiet)
    found = []
    label = f"reading {len(sources):,} files"
    with closing(answers), counting(label, len(sources), "files", shown=settings.progress) as tell:
        for source in sources:
            answer = None if source.at is None else next(answers)
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                found.append(read_source(source, quiet, store))
            else:
                store.extend(answer[1])
                found.append(answer[0])
            tell(1)
    return found


def _read(settings: Settings, file: FileAt) -> Answer:
    """All rows of a file, or what is wrong with it; None where it is not to be found here."""
    try:
        source, store = file.source(), Store()
        return None if source is None else (read_source(source, settings, store), store.packed())
    except Exception as error:
        return error


def _in_processes(files: Sequence[FileAt], settings: Settings) -> Generator[Answer, None, None]:
    """What each file gives, in their order, read by several processes."""
    workers = settings.workers
    done = by_processes(partial(_reader, settings), files, workers, partial(_died, files), ahead=_AHEAD * workers)
    held: dict[int, list[Answer]] = {}
    with closing(done):
        number = 0
        for other, answer in done:
            held[other] = answer
            while number in held:
                (one,) = held.pop(number)
                yield one
                number += 1


def _reader(settings: Settings, number: int) -> Callable[[FileAt], list[Answer]]:
    return lambda file: [_read(settings, file)]  # neither None nor an error, which would say something else


def _died(files: Sequence[FileAt], number: int, worker: int, code: int | None) -> DataError:
    file = files[number].file
    return DataError(death(f"{file}: process {worker}", "read it", code), file=file)


def _on_ray(files: Sequence[FileAt], settings: Settings) -> Generator[Answer, None, None]:
    """What each file gives, in their order, read by tasks on all machines; Ray does those of one that dies again."""
    ray = started_ray()
    remote = ray.remote(max_retries=-1, scheduling_strategy="SPREAD")(_read)
    how = ray.put(settings)
    tasks: Iterator[Any] = (remote.remote(how, file) for file in files)
    waiting: deque[Any] = deque()
    while True:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))  # more when a machine has joined
        with unheard():
            waiting.extend(islice(tasks, max(0, _AHEAD * cores - len(waiting))))
        if not waiting:
            return
        answer: Answer = ray.get(waiting.popleft())
        yield answer
