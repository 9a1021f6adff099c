"""What a method is asked, what it answers, and what the table says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours import BlockSearch, Progress, Search

__all__ = ["Method", "Param", "Picked", "Question"]


@dataclass(frozen=True)
class Question:
    """Everything a method may look at.

    Attributes:
        pool: float32 unit vectors, shape (n_pool, d); shape (n_pool, 0) where the method needs none.
        target: float32 unit vectors, shape (n_target, d).
        tasks: The task of each pool row, None where it has none; None if no tasks were given.
        target_tasks: The same of each target row.
        texts: The text that stands for each pool row; None if no texts were given.
        target_texts: The same of each target row.
        budget: How many rows to take, or None for all; never more than there are.
        rounds: The window [start, stop) of rounds to keep, or None for all.
        within_round: A name of `WITHIN_ROUND`.
        distance: A name of `righttime.similarity.distance_names`.
        seed: For methods that draw by chance.
        params: The method's own parameters, each resolved to a value.
        search: How to look for neighbours; never changes the result.
        progress: Called with the number of pool rows done since the last call, by methods that do not search.
    """

    pool: NDArray[np.float32]
    target: NDArray[np.float32]
    tasks: Sequence[str | None] | None = None
    target_tasks: Sequence[str | None] | None = None
    texts: Sequence[str] | None = None
    target_texts: Sequence[str] | None = None
    budget: int | None = None
    rounds: tuple[int, int | None] | None = None
    within_round: str = "similarity"
    distance: str = "wsd"
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    search: Search = field(default_factory=BlockSearch)
    progress: Progress | None = None

    @property
    def wanted(self) -> int:
        """How many rows to take: the budget, or all."""
        return len(self.pool) if self.budget is None else self.budget


@dataclass(frozen=True)
class Picked:
    """A method's answer, all arrays of shape (n,); see `righttime.Arrangement`. It may be longer than the budget.

    Attributes:
        order: Distinct pool rows, best first.
        round: The round that chose each, or None.
        picked_by: The target row that picked each, or None.
        similarity: The cosine similarity of that pair, or None.
        distance: The value ranked by, smaller first, or None.
        resolved: What the manifest should say of how the order came about.
    """

    order: NDArray[np.int64]
    round: NDArray[np.int32] | None = None
    picked_by: NDArray[np.int64] | None = None
    similarity: NDArray[np.float32] | None = None
    distance: NDArray[np.float64] | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Param:
    """One parameter of a method's own, set with ``--param NAME=VALUE``.

    Attributes:
        kind: ``int``, ``float`` or ``str``: what the value is read as.
        default: Its value where none is given; None means that the method chooses.
        does: What it does, in a few words.
    """

    kind: type
    default: int | float | str | None
    does: str


@dataclass(frozen=True)
class Method:
    """One line of the table.

    Attributes:
        order: The function.
        does: What it does, in a few words.
        source: The paper it comes from.
        needs: What it looks at: any of ``vectors``, ``tasks``, ``target_tasks``, ``texts``, ``rounds``, ``distance``.
        cost: Time in n pool rows, m target rows, d dimensions and b budget, in a few words.
        params: Its own parameters by name.
        nested: Whether a smaller budget always gives the first rows of a larger one.
    """

    order: Callable[[Question], Picked]
    does: str
    source: str = ""
    needs: frozenset[str] = frozenset()
    cost: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    nested: bool = True
