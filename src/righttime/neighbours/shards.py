"""A search over many machines: Ray actors hold the pool's vectors in shards, the driver merges what they nominate.

Stretches of rows go round the shards, so that every shard holds rows from all over the pool and nominates its part. A
shard whose process or machine dies is started again elsewhere with the same rows, and answers the same question
again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.cluster import started_ray, unheard, workers_of
from righttime.neighbours.local import BlockSearch, affordable
from righttime.neighbours.nominate import Gathered, Nominees, Progress
from righttime.neighbours.protocol import MEMORY

__all__ = ["ShardedSearch"]

_STRETCH = 128
_SLACK = 4.0  # standard deviations that a shard nominates above its part

Vectors = NDArray[np.float32]


class Shard:
    """What an actor holds: some of the pool's vectors, searched on its own machine."""

    def __init__(self, vectors: Vectors, engine: str, memory: int, block_rows: int | None) -> None:
        """Take the vectors: float32 unit vectors, shape (n, d)."""
        self.vectors, self.search = vectors, BlockSearch(engine, memory, block_rows=block_rows)

    def nominees(self, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """As `Search.nominees`, rows counted in the shard."""
        return self.search.nominees(self.vectors, target, wanted, taken)

    def nearest(self, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `Search.nearest`."""
        return self.search.nearest(self.vectors, target)


@dataclass
class ShardedSearch:
    """A `Search` on a Ray cluster: the one that ``RAY_ADDRESS`` names, else one started on this machine.

    Attributes:
        memory: Bytes that the search may hold above the vectors, here and in each actor.
        block_rows: Pool rows per product; None chooses.
        progress: Called with the number of pool rows done since the last call.
        shards: How many actors; None takes one for each GPU of the cluster, or for each core where it has no GPU.
    """

    memory: int = MEMORY
    block_rows: int | None = None
    progress: Progress | None = None
    shards: int | None = None
    _pool: Vectors | None = field(default=None, init=False, repr=False)
    _actors: list[Any] = field(default_factory=list, init=False, repr=False)
    _held: list[Any] = field(default_factory=list, init=False, repr=False)  # rows that a new actor would start with

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        actors = self._actors_of(pool)
        n, wanted = len(actors), affordable(wanted, self.memory, len(target))
        part = wanted / n
        part = min(wanted, int(part + _SLACK * np.sqrt(part) + 1))
        marks = [None if taken is None else _dealt(taken, shard, n) for shard in range(n)]
        found = self._asked("nominees", target, [(part, mark) for mark in marks])
        alive = len(pool) - (0 if taken is None else int(np.count_nonzero(taken)))
        merged: Gathered | None = None
        for shard, some in found:
            merged = merged or Gathered(len(target), wanted, alive, len(pool), some.margin)
            merged.join(some, _numbers(some.rows, shard, n))
            mark = marks[shard]
            self._tell(_size(len(pool), shard, n) if mark is None else int(np.count_nonzero(~mark)))
        assert merged is not None
        return merged.finish()

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`; on this machine, since it is needed only for a few target rows of which very many tie."""
        return BlockSearch("cpu", self.memory, block_rows=self.block_rows).best(pool, target, wanted, taken)

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Search`."""
        actors = self._actors_of(pool)
        rows, similarity = np.empty(len(pool), dtype=np.int64), np.empty(len(pool), dtype=np.float32)
        for shard, (row, value) in self._asked("nearest", target, [()] * len(actors)):
            where = _numbers(np.arange(len(row)), shard, len(actors))
            rows[where], similarity[where] = row, value
            self._tell(len(row))
        return rows, similarity

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done)

    def _asked(self, question: str, target: Vectors, arguments: list[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Every shard's answer, as they come."""
        import ray

        shared = ray.put(target)
        waiting = {
            getattr(actor, question).remote(shared, *arguments[shard]): shard
            for shard, actor in enumerate(self._actors)
        }
        while waiting:
            ready, _ = ray.wait(list(waiting))
            yield waiting.pop(ready[0]), ray.get(ready[0])

    def _actors_of(self, pool: Vectors) -> list[Any]:
        """The actors that hold this pool; those of another one are let go."""
        if self._pool is not pool:
            ray = started_ray()
            workers, gpus = workers_of(ray)
            n = min(self.shards or workers, -(-len(pool) // _STRETCH))
            # However often one dies, it restarts and is asked again; if a machine is lost, it restarts on another one.
            options = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD"}
            remote = ray.remote(**options, **({"num_gpus": 1} if gpus else {}))(Shard)
            engine = "cuda" if gpus else "cpu"
            self._pool, self._held = pool, [ray.put(_dealt(pool, shard, n)) for shard in range(n)]
            with unheard():  # that actors cannot start again once their vectors are gone: they are held on to
                self._actors = [remote.remote(rows, engine, self.memory, self.block_rows) for rows in self._held]
        return self._actors


def _starts(n_pool: int, shard: int, n_shards: int) -> range:
    return range(shard * _STRETCH, n_pool, n_shards * _STRETCH)


def _size(n_pool: int, shard: int, n_shards: int) -> int:
    """How many rows a shard holds."""
    starts = _starts(n_pool, shard, n_shards)
    return len(starts) * _STRETCH - max(0, starts[-1] + _STRETCH - n_pool)


def _dealt(column: NDArray[Any], shard: int, n_shards: int) -> NDArray[Any]:
    """A shard's entries of a column with one for each pool row."""
    return np.concatenate([column[start : start + _STRETCH] for start in _starts(len(column), shard, n_shards)])


def _numbers(rows: NDArray[np.integer], shard: int, n_shards: int) -> NDArray[np.int64]:
    """The pool rows of rows counted in a shard; int64, since a pool may have more rows than a shard can count."""
    rows = rows.astype(np.int64)
    return ((rows // _STRETCH) * n_shards + shard) * _STRETCH + rows % _STRETCH
