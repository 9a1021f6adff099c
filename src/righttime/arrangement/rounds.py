"""Test-centric Multi-turn Arrangement (TMA): rounds in which every target row picks its nearest remaining pool row.

Algorithm 1 of He et al. (ACL Findings 2025). In a round all target rows choose from what stood at the round's
start, so several may choose the same row, which the round holds once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.apart import Apart, next_free
from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.caps import Room
from righttime.arrangement.floor import reaches
from righttime.arrangement.weights import Turns
from righttime.neighbours import Search

__all__ = ["Round", "tma_rounds"]


@dataclass(frozen=True)
class Round:
    """What one round chose.

    Attributes:
        rows: int64, shape (n,): distinct pool rows, ascending.
        picked_by: int64, shape (n,): of the target rows that chose it, the most similar; ties to the lower row.
        similarity: float32, shape (n,): of that pair.
    """

    rows: NDArray[np.int64]
    picked_by: NDArray[np.int64]
    similarity: NDArray[np.float32]


def tma_rounds(
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    *,
    expected_rows: int | None = None,
    search: Search | None = None,
    min_similarity: float | None = None,
    room: Room | None = None,
    apart: float | None = None,
    weights: Sequence[Fraction] | None = None,
    enough: int | None = None,
) -> Iterator[Round]:
    """Play the rounds of TMA, one after another, until the pool is empty or no target row picks any more.

    Each target row walks down a list of its nearest candidates; see `CandidateLists`. Nothing of size pool × target is
    held, unless it is small: see `righttime.neighbours.KeptProducts`.

    Args:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        expected_rows: How many rows the caller means to take; only sizes the lists, never changes a round.
        search: How to look for neighbours; does not change a round.
        min_similarity: A target row whose nearest remaining row is less similar than this stops picking.
        room: What tasks and sources may give. Inside a round target rows then pick one after another, by their number:
            each the nearest row that stood at the round's start and whose task and source are not full, or that was
            picked in this round already.
        apart: No two rows of a round are more similar than 1 - apart. Target rows pick one after another then too; rows
            too near to one of the round are skipped, and stand again in the next.
        weights: The weight of each target row: who picks in a round goes by `Turns`. None: all pick in every round.
        enough: The caller takes so many rows, of the last round the most similar. What comes after these need not be
            looked for, so that the last round may lack some of it.

    Yields:
        The rounds, from round 0.

    Example:
        >>> pool, target = np.float32([[1, 0], [0, 1], [0.6, 0.8]]), np.float32([[1, 0], [0, 1]])
        >>> [r.rows.tolist() for r in tma_rounds(pool, target)]
        [[0, 1], [2]]
    """
    lists = CandidateLists(pool, target, expected_rows or len(pool), search)
    keeping = None if apart is None else Apart(pool, apart)
    picking = np.arange(len(target))
    turns = Turns(weights, len(target))
    plain = room is None and apart is None and min_similarity is None
    while lists.n_alive and len(picking):
        who = turns.next(picking)
        last = _first_of(lists, who, enough - (len(pool) - lists.n_alive)) if plain and enough is not None else None
        if last is not None:
            lists.take(last.rows)
            yield last
            continue
        choice, similarity = lists.choose(who)
        near = reaches(similarity, min_similarity)  # what is left only gets less similar, so who stops, stops for good
        picking, who = np.setdiff1d(picking, who[~near], assume_unique=True), who[near]
        if not len(who):
            continue
        if room is None and apart is None:
            played = _as_round(choice[near], similarity[near], who)
        else:
            played = _in_turn(lists, who, room or Room(()), keeping, min_similarity)
        lists.take(played.rows)
        yield played


def _first_of(lists: CandidateLists, who: NDArray[np.intp], wanted: int) -> Round | None:
    """The most similar rows of a round, at least `wanted`, where the lists tell them but do not settle every choice."""
    who, most, after = lists.settled(who)
    if not 0 < wanted <= len(who) or most == -np.inf:
        return None
    played = _as_round(*lists.choose(who), who)
    first = (played.similarity > most) | ((played.similarity == most) & (played.rows <= after))
    if np.count_nonzero(first) < wanted:
        return None
    return Round(played.rows[first], played.picked_by[first], played.similarity[first])


def _in_turn(
    lists: CandidateLists, picking: NDArray[np.intp], room: Room, apart: Apart | None, floor: float | None
) -> Round:
    """A round in which target rows pick one after another, since what one picks may leave the next no room."""
    rows: dict[int, None] = {}
    choice, similarity, by = [], [], []
    if apart is not None:
        apart.start()
    for who in picking.tolist():
        row, value = lists.choose_one(who)
        if apart is not None and row not in rows and not apart.free(np.array([row]))[0]:
            found = next_free(lists, who, rows, apart, floor)
            if found is None:
                continue
            row, value = found
        if not reaches(value, floor):
            continue
        if row not in rows:
            rows[row] = None
            room.take(lists, row, rows)
            if apart is not None:
                apart.add(row)
        choice.append(row)
        similarity.append(value)
        by.append(who)
    return _as_round(np.asarray(choice, np.int64), np.asarray(similarity, np.float32), np.asarray(by, np.intp))


def _as_round(choice: NDArray[np.int64], similarity: NDArray[np.float32], who: NDArray[np.intp]) -> Round:
    order = np.lexsort((who, -similarity, choice))
    rows, first = np.unique(choice[order], return_index=True)
    picker = order[first]
    return Round(rows, who[picker].astype(np.int64), similarity[picker])
