"""Batches embedded by several processes side by side: they embed, the process that started them hands out and collects.

Each process has a pipe of its own. One that dies leaves its pipe at an end, is replaced, and its batch is done again;
if the starting process dies, the others find their pipes at an end and stop.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.protocol import Embedder
from righttime.errors import EmbeddingError, RighttimeError, SettingsError

__all__ = ["check_picklable", "embed_in_processes", "embedded", "threads_each"]

_PATIENCE_S = 5.0  # an idle process stops by itself when its pipe ends; one in the middle of a batch is not waited for
_DEATHS = 3  # of one batch's processes, before the batch is taken to be the reason


@dataclass
class _Worker:
    """A process, our end of its pipe, and the number of the batch that it is at."""

    number: int
    process: SpawnProcess
    pipe: Connection
    batch: int | None = None


def threads_each(workers: int) -> int:
    """How many threads each of several processes gets: an equal share of PyTorch's here, at least one."""
    import torch

    return max(1, torch.get_num_threads() // workers)


def embed_in_processes(
    embedder: Embedder, batches: Sequence[Sequence[str]], workers: int
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Embed batches in several processes, each with the model to itself and `threads_each` threads.

    Args:
        embedder: The model. It must be picklable; if it has a method ``for_worker(number)``, a process uses what that
            returns, which may be the same model on a device of its own.
        batches: Texts that are to share a batch.
        workers: How many processes.

    Yields:
        The number of a batch and its vectors, in the order in which they are done.

    Raises:
        EmbeddingError: What the model raised, or that the processes of one batch died three times; names it.
        SettingsError: If the embedder cannot be sent to another process.
    """
    check_picklable(embedder)
    threads = threads_each(workers)
    todo, deaths = deque(range(len(batches))), Counter[int]()
    crew: list[_Worker] = []
    try:
        for number in range(min(workers, len(batches))):
            crew.append(_start(embedder, number, threads))
            _hand_out(crew[-1], todo, batches)
        while busy := {worker.pipe: worker for worker in crew if worker.batch is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # `wait` gives back what it was given
                done = worker.batch
                assert done is not None
                answer = _answer(worker)
                if answer is None:
                    deaths[done] += 1
                    if deaths[done] == _DEATHS:
                        raise _died(worker, batches[done])
                    todo.appendleft(done)
                    worker = _start(embedder, worker.number, threads)
                    crew[worker.number] = worker
                if isinstance(answer, RighttimeError):
                    raise answer
                _hand_out(worker, todo, batches)
                if answer is not None:
                    yield done, answer
    finally:
        for worker in crew:
            worker.pipe.close()  # all of them stop at once
        for worker in crew:
            _end(worker)


def check_picklable(embedder: Embedder) -> None:
    """Refuse an embedder that cannot be sent to another process.

    Raises:
        SettingsError: If it cannot.
    """
    try:
        pickle.dumps(embedder)
    except Exception as error:  # pickle raises many kinds
        raise SettingsError(
            f"an embedder must be picklable to be used by several processes, got {type(embedder).__name__}: {error}. "
            "Hint: leave out `workers`, or define __getstate__ without the loaded model.",
            setting="embedder",
        ) from error


def _start(embedder: Embedder, number: int, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, embedder, number, threads), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends with the process
    return _Worker(number, process, ours)


def _hand_out(worker: _Worker, todo: deque[int], batches: Sequence[Sequence[str]]) -> None:
    worker.batch = todo.popleft() if todo else None
    if worker.batch is not None:
        with suppress(OSError):  # it died while idle: then reading its answer says so
            worker.pipe.send(list(batches[worker.batch]))


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


def _died(worker: _Worker, texts: Sequence[str]) -> EmbeddingError:
    return EmbeddingError(
        f"worker process {worker.number} must live to embed its batch of {len(texts)} texts, but it and the two that "
        f"took its place died (exit code {worker.process.exitcode}); the longest text begins {texts[0][:60]!r}. "
        "Hint: if memory ran out, lower `workers`; in a script, call righttime below "
        '`if __name__ == "__main__":`.'
    )


def _work(pipe: Connection, embedder: Embedder, number: int, threads: int) -> None:
    """What a process does: embed what comes through the pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the starting process, which ends this one
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(threads)
    own = getattr(embedder, "for_worker", None)
    embedder = own(number) if own else embedder
    with suppress(EOFError, OSError):  # the starting process is gone
        while True:
            texts = pipe.recv()
            pipe.send(embedded(embedder, number, texts))


def embedded(embedder: Embedder, number: int, texts: Sequence[str]) -> NDArray[np.float32] | RighttimeError:
    """The vectors, or what went wrong as an error that can be sent."""
    try:
        return embedder.embed(texts)
    except RighttimeError as error:
        return error
    except Exception as error:  # whatever a model may raise
        return EmbeddingError(f"worker process {number} could not embed: {type(error).__name__}: {error}")
