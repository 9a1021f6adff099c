"""An arrangement and everything that a person should know of how it came about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement, method_named
from righttime.arrangement.falloff import Falloff, falloff
from righttime.contamination.leaks import Leaks
from righttime.examples import LeftOut
from righttime.formats import Reading
from righttime.neighbours import KeptAnswers, Seen
from righttime.results.request import Request
from righttime.results.widening import Widening
from righttime.similarity import first_rows

__all__ = ["BAD_TARGET", "Result"]

BAD_TARGET = "bad-target-row"
"""The reason of rows that the target lacks; they do not count among the pool's."""


@dataclass(frozen=True)
class Result:
    """An arrangement and everything that a person should know of how it came about.

    Attributes:
        arrangement: The order, with its rows.
        request: What was asked for.
        pool: The pool as it was read.
        target: The target as it was read.
        left_out: Every row of the pool that is not in the arrangement.
        left_out_of_target: Every row of the target that could not be used.
        text: Which text stood for each row.
        embedding: Model, counts, truncation and the vectors' fingerprints; empty if no vectors were needed.
        duplicates: How many pool rows repeat an earlier row's content.
        leaks: Target rows whose prompt the pool contains word for word: target row to pool row.
        notes: Sentences that a person should read.
        kept: The pool rows that took part, ascending.
        others: How many of these, the last, can only be woven among the arranged ones.
        vectors: Unit vectors of those rows and of the target, float32, shapes (n_kept, d) and (n_target, d); of a pool
            that each machine of a cluster read for itself `righttime.similarity.SharedRows`.
        best: Of each of those rows its similarity to its most similar target row, infinity where it can only be woven;
            known with a least similarity.
        seen: What the search has seen of the pool, where it tells.
        answers: What the shards of a cluster have found, kept on disk until `done`; None without a cluster.
        given: The names of files and folders that each side was read from; None where it was not read from any.
        guard: What the guard found; None where it was off.
        widening: How the target was widened, whose rows are behind its own; None where it was not.
        of_run: Sentences that a person should read of how the search went. They say nothing of the result, so no
            manifest holds them.
    """

    arrangement: Arrangement
    request: Request
    pool: Reading
    target: Reading
    left_out: Sequence[LeftOut]
    left_out_of_target: tuple[LeftOut, ...]
    text: str
    embedding: Mapping[str, Any]
    duplicates: int
    leaks: Mapping[int, int]
    notes: tuple[str, ...]
    kept: Sequence[int]
    vectors: tuple[NDArray[np.float32], NDArray[np.float32]]
    best: NDArray[np.float32] | None = None
    seen: Seen | None = None
    answers: KeptAnswers | None = None
    given: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    guard: Leaks | None = None
    widening: Widening | None = None
    others: int = 0
    of_run: tuple[str, ...] = ()

    def done(self) -> None:
        """Take away what is on disk for a run that is started again; nobody will start this one again."""
        if self.answers is not None:
            self.answers.clear()

    @property
    def to_arrange(self) -> int:
        """How many of `kept`, the first, the method could choose from."""
        return len(self.kept) - self.others

    @cached_property
    def falloff(self) -> Falloff | None:
        """Where quality falls along the order; None where the method looks at no vectors.

        One more look at the rows of the order, and at the whole pool where the search has not told what it saw.
        """
        if not self.vectors[0].shape[1]:
            return None
        arranged = self.arrangement.arranged()  # of woven rows nobody asks how similar they are
        place = np.full(self.arrangement.n_pool, -1, dtype=np.int64)
        place[arranged.order] = np.arange(len(arranged))
        in_rounds = method_named(self.request.method).rounds_fall and self.request.shape is None
        rounds = arranged.round if in_rounds else None
        pool, kept = first_rows(self.vectors[0], self.to_arrange), np.asarray(self.kept[: self.to_arrange])
        found = falloff(pool, self.vectors[1], place[kept], rounds, self.request.min_similarity, self.seen)
        if found.barrel_place is not None and self.arrangement.woven is not None:
            positions = np.flatnonzero(~self.arrangement.woven)
            found = dataclasses.replace(found, barrel_place=int(positions[found.barrel_place]))
        ids = self.target.rows.ids
        return dataclasses.replace(found, alone=tuple(dataclasses.replace(one, id=ids[one.row]) for one in found.alone))
