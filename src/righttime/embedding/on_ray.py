"""Batches embedded on a Ray cluster, by actors that each hold the model and are handed a few batches at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.cluster import started_ray, unheard, workers_of
from righttime.embedding.protocol import Embedder
from righttime.embedding.workers import check_picklable, embedded
from righttime.errors import RighttimeError

__all__ = ["embed_on_ray"]

_AHEAD = 2  # batches that an actor has: one to embed, and one to go on with
_LOOK_S = 5.0  # how long batches may take before the cluster is asked whether machines have joined


class BatchEmbedder:
    """What an actor is."""

    def __init__(self, embedder: Embedder) -> None:
        """Take the model."""
        self.embedder = embedder

    def ready(self) -> None:
        """Answer, as soon as the actor has a place on the cluster."""

    def embed(self, number: int, texts: Sequence[str]) -> NDArray[np.float32] | RighttimeError:
        """The vectors of the batch of that number, or what went wrong."""
        return embedded(self.embedder, number, texts)


def embed_on_ray(
    embedder: Embedder, batches: Sequence[Sequence[str]], workers: int = 1
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Embed batches on a cluster; an actor that dies is replaced by Ray, and its batches are done again.

    A batch is looked at when an actor gets it, and its texts are let go when its vectors are here. So this process, and
    Ray's object store, hold the texts of two batches for each actor. A machine that joins gets actors too.

    Args:
        embedder: The model. It must be picklable, and be found under the same name on every machine.
        batches: Texts that are to share a batch.
        workers: How many actors are asked for at least. A cluster that scales itself grows until they have a place;
            on another one, those without a place wait for one.

    Yields:
        The number of a batch and its vectors, in the order in which they are done.

    Raises:
        EmbeddingError: What the model raised.
        SettingsError: If Ray is not installed, or the embedder cannot be sent to another process.
    """
    check_picklable(embedder)
    if not batches:
        return
    ray = started_ray()
    _, gpus = workers_of(ray)
    options = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD"}
    remote = ray.remote(**options, **({"num_gpus": 1} if gpus else {"num_cpus": 1}))(BatchEmbedder)
    todo, left, started = deque(range(len(batches))), len(batches), 0
    model = ray.put(embedder)  # held, so that an actor can start again with it
    # An actor lives while something of it is waited for: one without a batch leaves its place to any that starts again.
    waiting: dict[Any, tuple[Any, int | None]] = {}
    try:
        while left:
            wanted = min(max(workers, workers_of(ray)[0]), started + len(todo))
            while started < wanted:
                with unheard():
                    actor = remote.remote(model)
                waiting[actor.ready.remote()] = actor, None
                started += 1
                del actor
            for done in ray.wait(list(waiting), timeout=_LOOK_S)[0]:
                actor, number = waiting.pop(done)
                for _ in range(min(_AHEAD if number is None else 1, len(todo))):
                    new = todo.popleft()
                    waiting[actor.embed.remote(new, list(batches[new]))] = actor, new
                del actor
                answer = ray.get(done)
                if isinstance(answer, RighttimeError):
                    raise answer
                if number is not None:
                    left -= 1
                    yield number, answer
    finally:
        waiting.clear()
