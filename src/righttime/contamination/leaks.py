"""What the guard finds: pool rows that give a target row away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from righttime.splits import group_of

__all__ = [
    "MODES",
    "PARTS",
    "TESTS",
    "Chunked",
    "Judged",
    "Leak",
    "Leaks",
    "Part",
    "SharedGroup",
    "Test",
    "shared_groups",
]

Test = Literal["equal", "contained", "meaning"]
Part = Literal["prompt", "response", "both", "turn", "system"]
TESTS: tuple[Test, ...] = ("equal", "contained", "meaning")
"""From the surest to the least sure."""
MODES = ("report", "remove", "off")
"""What an arrangement does with leaks."""
PARTS: tuple[Part, ...] = ("both", "prompt", "response", "turn", "system")


@dataclass(frozen=True, slots=True)
class Leak:
    """A pool row that repeats, holds or rephrases a target row, or a part of it.

    Attributes:
        pool_row: Its number.
        pool_id: Its id.
        target_row: The target row's number.
        target_id: Its id.
        test: What found it: ``equal`` after normalisation, ``contained`` by its rare words, or ``meaning``.
        part: Which part of the target row: ``prompt``, ``response``, ``both``, a later ``turn``, ``system``.
        score: 1 where equal; the share of the part's telling words that is contained; the similarity.
        span: Words that both share, the longest run of them where there is one; for ``meaning`` the words with which
            the chunk of a long row begins, and nothing where whole rows are near.
    """

    pool_row: int
    pool_id: str
    target_row: int
    target_id: str
    test: Test
    part: Part
    score: float
    span: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge said of a leak.

    Attributes:
        leak: The leak.
        is_leak: Whether it is one.
        reason: Why; empty where the judge does not say.
    """

    leak: Leak
    is_leak: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Chunked:
    """How much was looked at in chunks, since the embedder does not read it whole.

    Attributes:
        pool_rows: Pool rows that are longer than the embedder reads.
        target_rows: Target rows that are.
        chunks: Chunks of both.
        tokens: Tokens of a chunk, about.
    """

    pool_rows: int
    target_rows: int
    chunks: int
    tokens: int


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """A source data set that both sides have tasks of, as far as their names tell.

    Attributes:
        group: See `righttime.splits.group_of`.
        pool_tasks: Tasks of it in the pool.
        target_tasks: Tasks of it in the target.
    """

    group: str
    pool_tasks: int
    target_tasks: int


@dataclass(frozen=True)
class Leaks:
    """What the guard found.

    Attributes:
        found: The leaks by pool row, target row and test; a pair once, by the surest test that found it.
        groups: Source data sets that both sides have tasks of.
        n_pool: Pool rows that were looked at.
        n_target: Target rows.
        tests: The tests that were run.
        threshold: Similarities above which rows of one meaning are near, by what else agrees; empty without vectors.
        unseen: What was not looked at, in sentences.
        judged: What a judge was asked about and said; those that it denied are not in `found`.
        chunked: What was looked at in chunks; None where that was not asked for.
    """

    found: tuple[Leak, ...]
    groups: tuple[SharedGroup, ...] = ()
    n_pool: int = 0
    n_target: int = 0
    tests: tuple[Test, ...] = ()
    threshold: Mapping[str, float] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    judged: tuple[Judged, ...] = ()
    chunked: Chunked | None = None

    @property
    def pool_rows(self) -> list[int]:
        """The pool rows that leak, ascending."""
        return sorted({leak.pool_row for leak in self.found})

    @property
    def target_rows(self) -> list[int]:
        """The target rows that are given away, ascending."""
        return sorted({leak.target_row for leak in self.found})

    def counts(self) -> dict[str, dict[str, int]]:
        """How many leaks there are, by test and part; only what there is."""
        found = Counter((leak.test, leak.part) for leak in self.found)
        by_test: dict[str, dict[str, int]] = {
            test: {part: found[test, part] for part in PARTS if found[test, part]} for test in TESTS
        }
        return {test: parts for test, parts in by_test.items() if parts}


def shared_groups(pool: Iterable[str | None], target: Iterable[str | None]) -> tuple[SharedGroup, ...]:
    """The source data sets that the tasks of both sides name."""
    sides = [_groups(tasks) for tasks in (pool, target)]
    return tuple(SharedGroup(name, sides[0][name], sides[1][name]) for name in sorted(set(sides[0]) & set(sides[1])))


def _groups(tasks: Iterable[str | None]) -> Counter[str]:
    return Counter(group_of(task) for task in {task for task in tasks if task})
