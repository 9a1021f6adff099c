"""Whether a stored order holds by vectors that were made again, within what such vectors may differ by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement, Method, method_named
from righttime.arrangement.apart import too_near
from righttime.arrangement.caps import Cap
from righttime.arrangement.shapes import Shape, out_of_shape, read_shape
from righttime.arrangement.weaving import still_in_room, what_is_woven, woven
from righttime.results import Result
from righttime.similarity import DISTANCES, pair_similarity
from righttime.verification.finding import Finding
from righttime.verification.replay import distances_hold, rounds_hold, turns_hold

__all__ = ["Stored", "caps_of", "order_holds", "row_distances_hold", "similarities_hold", "woven_rows_hold"]

Vectors = NDArray[np.float32]

_ROUGHLY = 1e-3
"""The most that a row's distance may differ by, relative to 1 plus it: weights and logarithms widen differences."""


@dataclass(frozen=True)
class Stored:
    """A stored order without woven rows, and what it is verified by.

    Attributes:
        order: int64, shape (n,), the place of each row of the order among the vectors.
        arrangement: As it was stored.
        result: The same arranged again.
        vectors: Unit vectors of the pool rows that the method could choose, and of the target.
        caps: Those that the order was made within.
        close: How far similarities of new vectors may lie from those of the old ones.
    """

    order: NDArray[np.int64]
    arrangement: Arrangement
    result: Result
    vectors: tuple[Vectors, Vectors]
    caps: Sequence[Cap]
    close: float

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that the order was made with."""
        return self.arrangement.settings

    @property
    def method(self) -> Method:
        """The method that made the order."""
        return method_named(self.settings["method"])

    @property
    def sign(self) -> float:
        """-1 where the farthest come first."""
        return -1.0 if self.method.farthest else 1.0


def woven_rows_hold(
    order: NDArray[np.int64], arrangement: Arrangement, result: Result, kept: Sequence[int], n: int
) -> Finding:
    """The rows that the seed draws among what the stored arrangement has not taken."""
    what = "woven rows are those that the seed draws"
    weave = what_is_woven(result.request.weave, result.request.anneal)
    if weave is None or arrangement.woven is None:
        return Finding(what, False, "none were asked for")
    if weave.pool is not None:
        weave = dataclasses.replace(weave, others=result.others)
    local = dataclasses.replace(arrangement.arranged(), order=order[~arrangement.woven], n_pool=n)
    caps = caps_of(arrangement, result, kept)
    again = woven(local, weave, len(order), result.request.seed or 0, still_in_room(caps, local))
    return Finding(what, bool(np.array_equal(again.order, order)))


def caps_of(arrangement: Arrangement, result: Result, kept: Sequence[int]) -> list[Cap]:
    """The caps that the order was made within, of the rows that took part."""
    names = {"task": result.pool.rows.tasks, "source": result.pool.rows.sources}
    found = arrangement.settings.get("caps", {})
    return [Cap(f"cap_{of}", most, [names[of][row] for row in kept]) for of, most in found.items()]


def order_holds(stored: Stored) -> Finding:
    """Rounds, turns and distances by the new vectors, within what new vectors may differ by."""
    stored, shape = _out_of_its_shape(stored)
    apart = stored.settings.get("apart")
    if apart is not None and (near := _near_in_a_round(stored, float(apart))):
        return Finding(f"no two rows of a round are nearer than {apart:g} within {stored.close:g}", False, near)
    weights = stored.result.request.target_weights(stored.result.target.rows, stored.result.widening)
    by, plain = stored.method.verified_by, weights is None and shape is None
    if by == "rounds" and plain and apart is None and not _begins_later(stored):
        return _every_round(stored)
    if by == "turns" and plain:
        return _every_turn(stored)
    distance = stored.method.ranks_by or stored.settings.get("distance")
    if by == "ranking" and not stored.caps and shape is None and distance is not None and DISTANCES[distance].steady:
        return _ranking(stored, distance, weights)
    return _comes_out_again(stored)


def _out_of_its_shape(stored: Stored) -> tuple[Stored, Shape | None]:
    """The order as the method gave it, where its shape can be undone; and the shape where it cannot."""
    shape = read_shape(stored.settings.get("shape"))
    if shape is None or shape.by != "order":
        return stored, shape
    seed = stored.result.request.seed or 0
    arrangement, places = out_of_shape(stored.arrangement, shape, seed)
    now = out_of_shape(stored.result.arrangement, shape, seed)[0]
    result = dataclasses.replace(stored.result, arrangement=now)
    return dataclasses.replace(stored, arrangement=arrangement, order=stored.order[places], result=result), None


def _begins_later(stored: Stored) -> bool:
    """Whether the order lacks its first rounds, without which later ones cannot be replayed."""
    window = stored.settings.get("rounds")
    return bool(window and window[0])


def _every_round(stored: Stored) -> Finding:
    floor = stored.settings.get("min_similarity") if stored.sign > 0 else None
    order, vectors = stored.order, stored.vectors
    wrong = rounds_hold(order, stored.arrangement, *vectors, stored.sign, stored.close, floor, stored.caps)
    return Finding(f"every round holds within {stored.close:g}", not wrong, wrong)


def _every_turn(stored: Stored) -> Finding:
    floor = stored.settings.get("min_similarity")
    wrong = turns_hold(stored.order, stored.arrangement, *stored.vectors, stored.close, floor, stored.caps)
    return Finding(f"every turn holds within {stored.close:g}", not wrong, wrong)


def _ranking(stored: Stored, distance: str, weights: tuple[Fraction, ...] | None) -> Finding:
    ranked = stored.method.ranking(stored.order, stored.settings.get("seed", 0))
    params = stored.settings.get("params", {})
    wrong = distances_hold(ranked, *stored.vectors, distance, params, stored.sign, stored.close, weights)
    return Finding(f"the order by distance holds within {stored.close:g}", not wrong, wrong)


def _comes_out_again(stored: Stored) -> Finding:
    """Of what cannot be replayed with new vectors: how many places differ, which near ties may explain."""
    then, now = stored.arrangement.order, stored.result.arrangement.order
    if len(now) != len(then):
        return Finding("the order comes out again", None, f"{len(now):,} rows now, {len(then):,} then")
    differing = int((then != now).sum())
    detail = f"{differing:,} of {len(then):,} places differ, perhaps only by near ties" if differing else ""
    return Finding("the order comes out again", None if differing else True, detail)


def _near_in_a_round(stored: Stored, apart: float) -> str:
    """The first round with two rows that are nearer to each other than they may be, in words; empty where none is."""
    arrangement, pool = stored.arrangement, stored.vectors[0]
    assert arrangement.round is not None
    most = np.float32(1 - apart + stored.close)
    for number in np.unique(arrangement.round).tolist():
        rows = stored.order[arrangement.round == number]
        for place in range(1, len(rows)):
            if too_near(pool[rows[place : place + 1]], pool[rows[:place]], most).any():
                return f"two rows of round {number} are"
    return ""


def row_distances_hold(then: Arrangement, now: Arrangement) -> Finding:
    """Each row's value ranked by, against that by new vectors."""
    what = "every distance is that of its row, within what new vectors may differ by"
    if then.distance is None or now.distance is None:
        return Finding(what, then.distance is now.distance, "" if then.distance is now.distance else "one has none")
    new = dict(zip(now.order.tolist(), now.distance.tolist(), strict=True))
    pairs = zip(then.order.tolist(), then.distance.tolist(), strict=True)
    off = [row for row, value in pairs if row in new and abs(value - new[row]) > _ROUGHLY * (1 + abs(value))]
    detail = f"{len(off):,} rows' are not, the first: pool row {off[0]}" if off else ""
    # What other methods rank by depends on what was taken before, so near ties may change it.
    return Finding(what, None if off and not method_named(then.settings["method"]).verified_by else not off, detail)


def similarities_hold(
    order: NDArray[np.int64], arrangement: Arrangement, vectors: tuple[Vectors, Vectors], close: float
) -> Finding:
    """Each place's similarity against the pair's new vectors."""
    what = f"every similarity is that of its pair within {close:g}"
    if arrangement.similarity is None or arrangement.picked_by is None:
        return Finding(what, True, "the method has none")
    pool, target = vectors
    now = pair_similarity(pool[order], target[arrangement.picked_by])
    worst = float(np.abs(now - arrangement.similarity).max())
    return Finding(what, worst <= close, f"largest difference {worst:.1e}")
