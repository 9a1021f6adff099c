"""What a method is given, what it returns, and what the table says of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.caps import Cap
from righttime.arrangement.weaving import Weave
from righttime.errors import SettingsError, unknown_name
from righttime.neighbours import BlockSearch, Progress, Search

__all__ = ["Method", "Param", "Scores", "Selection", "SelectionInput"]

Scores = Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], Mapping[str, Any]]]
"""From pool rows to the score of each, which a shape sorts by, and to what the manifest says of how it came about."""


@dataclass(frozen=True)
class SelectionInput:
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
        min_similarity: No target row picks a pool row less similar than this; None: any. Pool rows that no target row
            reaches with it are not in `pool` when a method is called.
        best: float32, shape (n_pool,): each pool row's similarity to its most similar target row, where known.
        within_round: A name of `WITHIN_ROUND`.
        distance: A name of `righttime.similarity.distance_names`.
        seed: For methods that draw by chance.
        params: The method's own parameters, each resolved to a value.
        search: How to look for neighbours; never changes the result.
        progress: Called with the number of pool rows done since the last call, by methods that do not search.
        weave: What is woven among the rows; then the budget counts both. No method sees it.
        caps: How many rows one task or one source may give; numbers of rows, and with names, when a method is called.
        apart: No two rows of a round are more similar than 1 less this; None: any two may be.
        target_weights: What each target row weighs; None: all the same.
        scores: Gives the score of pool rows, where a shape goes by one that the method does not know.
    """

    pool: NDArray[np.float32]
    target: NDArray[np.float32]
    tasks: Sequence[str | None] | None = None
    target_tasks: Sequence[str | None] | None = None
    texts: Sequence[str] | None = None
    target_texts: Sequence[str] | None = None
    budget: int | None = None
    rounds: tuple[int, int | None] | None = None
    min_similarity: float | None = None
    best: NDArray[np.float32] | None = None
    within_round: str = "similarity"
    distance: str = "wsd"
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    search: Search = field(default_factory=BlockSearch)
    progress: Progress | None = None
    weave: Weave | None = None
    caps: tuple[Cap, ...] = ()
    apart: float | None = None
    target_weights: tuple[Fraction, ...] | None = None
    scores: Scores | None = None

    @property
    def own(self) -> SelectionInput:
        """The part of the input that the method sees: its budget is without the rows to be woven."""
        if self.weave is None or self.budget is None:
            return dataclasses.replace(self, weave=None)
        return dataclasses.replace(self, weave=None, budget=self.budget - self.weave.among(self.budget, self.budget))

    @property
    def from_pool(self) -> int | None:
        """How many rows of `pool` the whole order takes, with those that are woven; None for no budget."""
        return self.own.budget if self.weave is not None and self.weave.pool is not None else self.budget

    @property
    def wanted(self) -> int:
        """How many rows to take: the budget, or all."""
        return len(self.pool) if self.budget is None else self.budget


@dataclass(frozen=True)
class Selection:
    """What a method chose, all arrays of shape (n,); see `righttime.Arrangement`. It may be longer than the budget.

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
    """One parameter of a method's own, set by its name in `params`.

    Attributes:
        kind: ``int``, ``float`` or ``str``: what the value is read as.
        default: Its value where none is given; None means that the method chooses.
        does: What it does, in a few words.
        least: The smallest value there may be; numbers must be finite in any case.
        above: All values must be larger than this.
        most: The largest value there may be.
        choices: The names there are; none: any text.
    """

    kind: type[int] | type[float] | type[str]
    default: int | float | str | None
    does: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    def read(self, name: str, method: str, value: Any) -> int | float | str | None:
        """A given value as what it must be; None where the method is to choose.

        Args:
            name: What the parameter is called, and
            method: whose it is, for the error.
            value: Text from the command line, or a value.

        Raises:
            SettingsError: If it cannot be read as its kind, is out of range, or names something unknown.

        Example:
            >>> Param(float, 0.5, "how much", least=0, most=1).read("alpha", "tsds", "0.25")
            0.25
        """
        if value is None and self.default is None:
            return None
        kind = {int: "a whole number", float: "a finite number", str: "text"}[self.kind]
        try:
            read: int | float | str = self.kind(value)
            if value is None or (isinstance(read, float) and not math.isfinite(read)):
                raise ValueError
            if isinstance(read, int) and not isinstance(value, str) and read != value:
                raise ValueError  # not 2 rows where 2.5 were asked for
        except (TypeError, ValueError, OverflowError):
            raise SettingsError(
                f"parameter {name!r} of {method!r} must be {kind}, got {value!r}.", setting="params"
            ) from None
        if self.choices and read not in self.choices:
            raise unknown_name(f"{name} of {method!r}", str(read), self.choices, setting="params")
        if not isinstance(read, str) and not self._in_range(read):
            raise SettingsError(
                f"parameter {name!r} of {method!r} must be {kind} {self.range}, got {read}.", setting="params"
            )
        return read

    def _in_range(self, value: float) -> bool:
        least, above, most = self.least, self.above, self.most
        return not (
            (least is not None and value < least)
            or (above is not None and value <= above)
            or (most is not None and value > most)
        )

    @property
    def range(self) -> str:
        """The values there may be, in words; empty where there is no bound."""
        if self.choices:
            return " or ".join(self.choices)
        words = [f"above {self.above:,}"] if self.above is not None else []
        if self.least is not None:
            words.append(f"from {self.least:,}" + ("" if self.most is not None else " up"))
        if self.most is not None:
            words.append(f"to {self.most:,}")
        return " ".join(words)


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
        draws: Whether chance decides anything of the selection from inputs with these parameters; where not, no seed
            changes it. The order inside a round is apart: see `righttime.arrangement.draws_by_chance`.
        paper: The paper in full: authors, title, where, arXiv number.
        differs: What differs from the paper, or from its released code; empty where nothing does.
        looks: How it looks at the pool, where that can be timed on a sample: ``rounds`` as `tma_rounds`, or
            ``nearest``, one search for each pool row's most similar target row. Such a method takes the pool's vectors
            by blocks and rows alone, so that they may be `SharedRows`; None: it needs an array of all of them.
        passes: How often it looks at the whole pool so.
        verified_by: How a stored order is verified with vectors made anew, which differ in their last bits:
            ``rounds`` and ``turns`` are replayed, of a ``ranking`` the distances are compared, and ``replay`` arranges
            again.
        ranking: For ``ranking``: the ranking by distance, nearest first, that an order of that seed was made of.
        ranks_by: For ``ranking``: the distance, where the method does not let the user choose it.
        farthest: Whether it turns the target round, so that the farthest rows come first.
        rounds_fall: Whether similarity falls from round to round, so that one may be the first to scrape the barrel.
        ordered: Whether the order means something, so that a trainer must keep it.
        picked_near: Whether no row of the order is less similar to the target row it names than ``min_similarity``.
        caps_itself: Whether its target rows look past rows whose task or source is full; else such rows of its order
            are skipped.
        check: Refuses inputs whose parameters, tasks or size the method cannot do with, before there are vectors.
    """

    order: Callable[[SelectionInput], Selection]
    does: str
    source: str = ""
    needs: frozenset[str] = frozenset()
    cost: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    nested: bool = True
    draws: Callable[[SelectionInput], bool] = lambda _: False
    check: Callable[[SelectionInput], object] | None = None
    paper: str = ""
    differs: str = ""
    looks: Literal["rounds", "nearest"] | None = None
    passes: int = 1
    verified_by: Literal["rounds", "turns", "ranking", "replay"] = "replay"
    ranking: Callable[[NDArray[np.int64], int], NDArray[np.int64]] = lambda order, _: order
    ranks_by: str | None = None
    farthest: bool = False
    rounds_fall: bool = False
    ordered: bool = True
    picked_near: bool = False
    caps_itself: bool = False
