"""Does a stored order hold for vectors that differ from the original ones in their last bits?"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.arrangement import Arrangement
from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.caps import Cap, Room
from righttime.neighbours import BlockSearch
from righttime.similarity import pair_similarity, target_distance

__all__ = ["distances_hold", "rounds_hold", "turns_hold"]


def rounds_hold(
    order: NDArray[np.int64],
    arrangement: Arrangement,
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    sign: float,
    close: float,
    floor: float | None = None,
    caps: Sequence[Cap] = (),
    last_whole: bool = False,
) -> str:
    """Replay the stored rounds of TMA, with new vectors.

    In every round each stored row must be, for the target row that picked it, within `close` of the best row still
    there; and in every round that is whole each target row must be served by a row within `close` of its best.

    Args:
        order: int64, shape (n,): the arranged rows as rows of `pool`.
        arrangement: The stored arrangement, from round 0 on.
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        sign: 1.0 for nearest, -1.0 for farthest.
        close: How far similarities of new vectors may lie from those of the old ones.
        floor: A target row whose nearest remaining row is less similar than this picks nothing.
        caps: In a round in which a task or a source gets full, no other row of it counts as still there.
        last_whole: Whether the last round was not cut, so that each target row must be served in it too.

    Returns:
        What does not hold, or an empty string.
    """
    assert arrangement.round is not None
    assert arrangement.picked_by is not None
    turned = target if sign > 0 else -target
    lists, room = CandidateLists(pool, turned, len(order)), Room(caps)
    last = int(arrangement.round[-1])
    least = -np.inf if floor is None else floor + close
    for number in range(last + 1):
        inside = arrangement.round == number
        rows, by = order[inside], arrangement.picked_by[inside]
        if not len(rows):
            return f"round {number} is empty"
        for row in rows.tolist():
            room.take(lists, row, rows.tolist())
        _, best = lists.choose()
        short = best[by] - pair_similarity(pool[rows], turned[by])
        if short.max() > close:
            place = int(np.flatnonzero(inside)[short.argmax()])
            return f"round {number}: a row nearer by {short.max():.1e} was still there at place {place}"
        whole = number < last or last_whole or lists.n_alive == len(rows)
        served = (turned @ pool[rows].T).max(axis=1)
        missed = np.where(best >= least, best - served, 0.0)
        if whole and missed.max() > 2 * close:
            return f"round {number}: target row {int(missed.argmax())} picked nothing"
        lists.take(rows)
    return ""


def turns_hold(
    order: NDArray[np.int64],
    arrangement: Arrangement,
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    close: float,
    floor: float | None = None,
    caps: Sequence[Cap] = (),
) -> str:
    """Replay the stored turns of RDS+, with new vectors: is each row within `close` of the best remaining one?

    Args:
        order: int64, shape (n,): the arranged rows as rows of `pool`.
        arrangement: The stored arrangement.
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        close: How far similarities of new vectors may lie from those of the old ones.
        floor: A target row whose nearest remaining row is less similar than this has no more turns.
        caps: No row of a task or a source that is full counts as still there.

    Returns:
        What does not hold, or an empty string.
    """
    assert arrangement.picked_by is not None
    similarity = pair_similarity(pool[order], target[arrangement.picked_by])
    lists, room = CandidateLists(pool, target, len(order)), Room(caps)
    least = -np.inf if floor is None else floor + close
    turns = deque(range(len(target)))
    for place, who in enumerate(arrangement.picked_by.tolist()):
        while turns and turns[0] != who and lists.choose_one(turns[0])[1] < least:
            turns.popleft()
        if not turns or turns[0] != who:
            return f"place {place} was picked out of turn"
        turns.rotate(-1)
        short = lists.choose_one(who)[1] - similarity[place]
        if short > close:
            return f"a row nearer by {short:.1e} was still there at place {place}"
        room.take(lists, int(order[place]))
        lists.take(order[place : place + 1])
    return ""


def distances_hold(
    order: NDArray[np.int64],
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    distance: str,
    weights: Mapping[str, float | None],
    sign: float,
    close: float,
    target_weights: Sequence[Fraction] | None = None,
) -> str:
    """Are rows sorted by their distance, with new vectors, and is no row left out that is nearer?

    Args:
        order: int64, shape (n,): the arranged rows as rows of `pool`, those that should be nearest first.
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        distance: ``wsd``, ``ad`` or ``md``.
        weights: The weights that were given to it, if any.
        sign: 1.0 for nearest, -1.0 for farthest.
        close: How far similarities of new vectors may lie from those of the old ones.
        target_weights: What each target row weighs, where they differ.

    Returns:
        What does not hold, or an empty string.
    """
    nearest = BlockSearch().nearest(pool, target)[1]
    found = target_distance(distance, pool, target, nearest, **weights, target_weights=target_weights)
    # A weight multiplies what the vectors differ by.
    room = 2 * close * (1 + sum(abs(weight) for weight in found.weights.values()))
    values = sign * found.values
    back = np.maximum.accumulate(values[order]) - values[order]
    if back.max() > room:
        row = int(order[back.argmax()])
        return f"pool row {row} is nearer by {back.max():.1e} than a row that should be nearer"
    rest = np.delete(values, order)
    if len(rest) and values[order].max() - rest.min() > room:
        return "a row that was left out is nearer than one that was taken"
    return ""
