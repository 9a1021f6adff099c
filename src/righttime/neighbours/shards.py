"""A search over many machines: Ray actors hold the pool's vectors in shards, the driver merges what they nominate.

Stretches of rows go round the shards, so that every shard holds rows from all over the pool and nominates its part. A
shard whose process or machine dies is started again elsewhere with the same rows, and answers the same question
again. Of `SharedRows` each shard reads its own from the files; else the driver hands them out. Once machines that
joined have doubled a cluster, shards that read their own rows are spread again before the next pass.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.cluster import started_ray, unheard, workers_of
from righttime.errors import NonFiniteError, RighttimeError
from righttime.neighbours.answers import KeptAnswers
from righttime.neighbours.blocks import similarity_of
from righttime.neighbours.local import BlockSearch
from righttime.neighbours.nominate import Gathered, Nominees, Progress, affordable
from righttime.neighbours.protocol import MEMORY
from righttime.similarity.shared import SharedRows, shared_or_none

__all__ = ["ShardedSearch", "part_of", "shards_of"]

_STRETCH = 128
_SLACK = 4.0  # standard deviations that a shard nominates above its part

Vectors = NDArray[np.float32]


def shards_of(workers: int, n_pool: int) -> int:
    """Over how many shards so many rows are spread where there are so many workers."""
    return max(1, min(workers, -(-n_pool // _STRETCH)))


def part_of(wanted: int, shards: int) -> int:
    """How many nominees each of so many shards gives a target row that wants so many of all."""
    part = wanted / shards
    return min(wanted, int(part + _SLACK * math.sqrt(part) + 1))


@dataclass(frozen=True)
class Own:
    """The rows of a shard that reads them for itself.

    Attributes:
        pool: Where they lie; of a pool with rows left out, this shard's rows alone.
        shard: Which of the shards it is.
        n_shards: How many share `pool`.
    """

    pool: SharedRows
    shard: int
    n_shards: int

    def read(self) -> Vectors:
        """float32 unit vectors, shape (n, d)."""
        return _dealt(self.pool, self.shard, self.n_shards)


@dataclass(frozen=True)
class Unread:
    """The answer of a shard that could not read its rows.

    Attributes:
        why: One sentence.
        wrong: Whether it read them, and they have no direction.
    """

    why: str
    wrong: bool


class Shard:
    """What an actor holds: some of the pool's vectors, searched on its own machine."""

    def __init__(self, rows: Vectors | Own, engine: str, memory: int, block_rows: int | None) -> None:
        """Take the vectors: float32 unit vectors, shape (n, d), or what reads them when they are asked about."""
        self.rows, self.search = rows, BlockSearch(engine, memory, block_rows=block_rows)

    @cached_property
    def vectors(self) -> Vectors:
        """The vectors."""
        return self.rows.read() if isinstance(self.rows, Own) else self.rows

    def answer(self, question: str, target: Vectors, *arguments: Any) -> Any:
        """What `Search` answers to one of its questions, pool rows counted in the shard; or `Unread`."""
        try:
            vectors = self.vectors
        except (RighttimeError, OSError) as error:
            return Unread(str(error), isinstance(error, NonFiniteError))
        return _QUESTIONS[question](self.search, vectors, target, *arguments)


_QUESTIONS: Mapping[str, Callable[..., Any]] = {
    "nominees": BlockSearch.nominees,
    "best": BlockSearch.best,
    "nearest": BlockSearch.nearest,
    "pairs": lambda search, vectors, target, rows, who: search.pairs(vectors, rows, target, who),
}


@dataclass
class ShardedSearch:
    """A `Search` on a Ray cluster: the one that ``RAY_ADDRESS`` names, else one started on this machine.

    Attributes:
        memory: Bytes that the search may hold above the vectors, here and in each actor.
        block_rows: Pool rows per product; None chooses.
        progress: Called with the number of pool rows done since the last call.
        shards: How many actors; None takes one for each GPU of the cluster, or for each core where it has no GPU.
        told: Called with a sentence where a machine does not see the files and rows are handed out, and where answers
            of a run that ended early are taken; once each.
        answers: Keeps what shards have answered for a run that is started again.
    """

    memory: int = MEMORY
    block_rows: int | None = None
    progress: Progress | None = None
    shards: int | None = None
    told: Callable[[str], object] | None = None
    answers: KeptAnswers | None = None
    _pool: Vectors | None = field(default=None, init=False, repr=False)
    _actors: list[Any] = field(default_factory=list, init=False, repr=False)
    _held: list[Any] = field(default_factory=list, init=False, repr=False)  # what a new actor would start with
    _new: Callable[[Any], Any] | None = field(default=None, init=False, repr=False)
    _sent: tuple[Vectors, Any] | None = field(default=None, init=False, repr=False)  # the target that was sent last
    _said: set[str] = field(default_factory=set, init=False, repr=False)

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        n, wanted = self._spread(pool, passing=True), affordable(wanted, self.memory, len(target))
        part = part_of(wanted, n)
        marks = _marks(taken, n)
        alive = len(pool) - (0 if taken is None else int(np.count_nonzero(taken)))
        merged: Gathered | None = None
        for shard, some in self._asked("nominees", target, {shard: (part, marks[shard]) for shard in range(n)}):
            merged = merged or Gathered(len(target), wanted, alive, len(pool), some.margin)
            merged.join(some, _numbers(some.rows, shard, n))
            self._tell(_living(len(pool), marks[shard], shard, n))
        assert merged is not None
        return merged.finish()

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        n = self._spread(pool, passing=True)
        wanted = affordable(wanted, self.memory, len(target) * n)  # one shard may have them all
        marks = _marks(taken, n)
        none = np.empty(0, dtype=np.float32)
        parts = [(none.astype(np.int64), none.astype(np.int64), none)]
        for shard, some in self._asked("best", target, {shard: (wanted, marks[shard]) for shard in range(n)}):
            who = np.repeat(np.arange(len(target)), np.diff(some.start))
            parts.append((who, _numbers(some.rows, shard, n), some.value))
            self._tell(_living(len(pool), marks[shard], shard, n))
        who, rows, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((rows, -value, who))
        who, rows, value = who[order], rows[order], value[order]
        kept = np.arange(len(who)) - np.searchsorted(who, who) < wanted
        start = np.searchsorted(who[kept], np.arange(len(target) + 1))
        cut = np.full(len(target), -np.inf, dtype=np.float32)
        return Nominees(start, rows[kept], value[kept], cut, 0.0)

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Search`."""
        n = self._spread(pool, passing=True)
        rows, similarity = np.empty(len(pool), dtype=np.int64), np.empty(len(pool), dtype=np.float32)
        for shard, (row, value) in self._asked("nearest", target, dict.fromkeys(range(n), ())):
            where = _numbers(np.arange(len(row)), shard, n)
            rows[where], similarity[where] = row, value
            self._tell(len(row))
        return rows, similarity

    def pairs(
        self, pool: Vectors, rows: NDArray[np.int64], target: Vectors, who: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """See `Search`; scored by the shards that have the rows, where reading one means reading many."""
        shared = shared_or_none(pool)
        if shared is None or shared.by_row:
            return similarity_of(pool, rows, target, who)
        n, out = self._spread(pool), np.empty(len(rows), dtype=np.float32)
        owner, own = rows // _STRETCH % n, rows // (_STRETCH * n) * _STRETCH + rows % _STRETCH
        places = {shard: np.flatnonzero(owner == shard) for shard in np.unique(owner).tolist()}
        asked = {shard: (own[some], who[some]) for shard, some in places.items()}
        for shard, scored in self._asked("pairs", target, asked):
            out[places[shard]] = scored
        return out

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done)

    def _tell_once(self, what: str, why: str = "") -> None:
        if self.told is not None and what not in self._said:
            self.told(what + why)
        self._said.add(what)

    def _asked(
        self, question: str, target: Vectors, arguments: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """Shards' answers: first those that were kept, then as they come."""
        pool, n, left = self._pool, len(self._actors), dict(arguments)
        assert pool is not None
        asked = {shard: (question, shard, n, target, *arguments[shard]) for shard in arguments}
        for shard in arguments:
            answer = None if self.answers is None else self.answers.find(pool, asked[shard])
            if answer is not None:
                del left[shard]
                self._tell_once("an earlier run ended early: what its shards had found by then was taken from disk")
                yield shard, answer
        began = time.monotonic()
        for shard, answer in self._of_shards(question, target, left):
            if self.answers is not None:
                self.answers.keep(pool, asked[shard], answer, time.monotonic() - began)
            yield shard, answer

    def _of_shards(
        self, question: str, target: Vectors, arguments: Mapping[int, tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """Shards' answers, as they come."""
        import ray

        if self._sent is None or self._sent[0] is not target:
            self._sent = target, ray.put(target)

        def ask(shard: int) -> Any:
            return self._actors[shard].answer.remote(question, self._sent[1], *arguments[shard])  # type: ignore[index]

        waiting = {ask(shard): shard for shard in arguments}
        while waiting:
            ready, _ = ray.wait(list(waiting))
            shard, answer = waiting.pop(ready[0]), ray.get(ready[0])
            if isinstance(answer, Unread):
                self._hand_out(shard, answer)
                waiting[ask(shard)] = shard
            else:
                yield shard, answer

    def _spread(self, pool: Vectors, *, passing: bool = False) -> int:
        """Over how many shards this pool is spread now; those of another one are let go.

        Args:
            pool: The pool.
            passing: Whether all of it is to be looked at, so that more shards would pay.
        """
        if self._pool is not pool or (passing and self._outgrown(pool)):
            ray = started_ray()
            workers, gpus = workers_of(ray)
            n = shards_of(self.shards or workers, len(pool))
            # However often one dies, it restarts and is asked again; if a machine is lost, it restarts on another one.
            options = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD"}
            remote = ray.remote(**options, **({"num_gpus": 1} if gpus else {}))(Shard)
            how = "cuda" if gpus else "cpu", self.memory, self.block_rows  # not `self`: what is held goes with it
            self._new = lambda rows: remote.remote(rows, *how)
            self._actors.clear()  # these first: a machine may not have room for both
            self._pool, self._held = pool, [ray.put(_of_shard(pool, shard, n)) for shard in range(n)]
            with unheard():  # that actors cannot start again once their vectors are gone: they are held on to
                self._actors = [self._new(rows) for rows in self._held]
        return len(self._actors)

    def _outgrown(self, pool: Vectors) -> bool:
        """Whether a cluster has at least twice as many places now; where the driver hands out rows, no."""
        if self.shards is not None or shared_or_none(pool) is None:
            return False
        return shards_of(workers_of(started_ray())[0], len(pool)) >= 2 * len(self._actors)

    def _hand_out(self, shard: int, answer: Unread) -> None:
        """Send a shard its rows, which it could not read where it is."""
        import ray

        pool = shared_or_none(self._pool)
        assert self._new is not None
        assert pool is not None
        if answer.wrong:
            pool.check()  # raises what one machine would
        self._tell_once("a machine of the cluster could not read its vectors, which are sent to it", f": {answer.why}")
        self._held[shard] = ray.put(_dealt(pool, shard, len(self._actors)))
        with unheard():
            self._actors[shard] = self._new(self._held[shard])


def _of_shard(pool: Vectors, shard: int, n_shards: int) -> Vectors | Own:
    """What a shard starts with: its vectors, or what reads them."""
    shared = shared_or_none(pool)
    if shared is None:
        return _dealt(pool, shard, n_shards)
    if shared.rows is None:
        return Own(shared, shard, n_shards)
    return Own(shared.take(_numbers(np.arange(_size(len(pool), shard, n_shards)), shard, n_shards)), 0, 1)


def _starts(n_pool: int, shard: int, n_shards: int) -> range:
    return range(shard * _STRETCH, n_pool, n_shards * _STRETCH)


def _size(n_pool: int, shard: int, n_shards: int) -> int:
    """How many rows a shard holds."""
    starts = _starts(n_pool, shard, n_shards)
    return len(starts) * _STRETCH - max(0, starts[-1] + _STRETCH - n_pool)


def _living(n_pool: int, mark: NDArray[np.bool_] | None, shard: int, n_shards: int) -> int:
    """How many rows of a shard are not taken."""
    return _size(n_pool, shard, n_shards) if mark is None else int(np.count_nonzero(~mark))


def _marks(taken: NDArray[np.bool_] | None, n_shards: int) -> list[NDArray[np.bool_] | None]:
    """Each shard's marks of rows that are taken."""
    return [None if taken is None else _dealt(taken, shard, n_shards) for shard in range(n_shards)]


def _dealt(column: NDArray[Any] | SharedRows, shard: int, n_shards: int) -> NDArray[Any]:
    """A shard's entries of a column with one for each pool row."""
    out = np.empty((_size(len(column), shard, n_shards), *column.shape[1:]), dtype=column.dtype)
    for number, start in enumerate(_starts(len(column), shard, n_shards)):
        out[number * _STRETCH : (number + 1) * _STRETCH] = column[start : start + _STRETCH]
    return out


def _numbers(rows: NDArray[np.integer], shard: int, n_shards: int) -> NDArray[np.int64]:
    """The pool rows of rows counted in a shard; int64, since a pool may have more rows than a shard can count."""
    rows = rows.astype(np.int64)
    return ((rows // _STRETCH) * n_shards + shard) * _STRETCH + rows % _STRETCH
