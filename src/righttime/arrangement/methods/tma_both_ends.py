"""TMA from both ends: what the nearest and the farthest walk take in turn, in the paper's three orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.distance import in_order
from righttime.arrangement.methods.tma import PAPER, WHOLE_PAPER, play
from righttime.arrangement.selection import Method, Selection, SelectionInput

__all__ = ["METHODS"]

Places = NDArray[np.int64]


def _places_in_turn(near: list[int], far: list[int], wanted: int) -> tuple[Places, Places]:
    """Walk both orders in turn, nearest first, skipping what is taken; the places each took in its own order."""
    orders, at = (near, far), [0, 0]
    places: tuple[list[int], list[int]] = ([], [])
    taken: set[int] = set()
    turn, idle = 0, 0
    while len(taken) < wanted and idle < 2:
        order = orders[turn]
        while at[turn] < len(order) and order[at[turn]] in taken:
            at[turn] += 1
        if at[turn] < len(order):
            taken.add(order[at[turn]])
            places[turn].append(at[turn])
            idle = 0
        else:
            idle += 1
        turn = 1 - turn
    return np.asarray(places[0], dtype=np.int64), np.asarray(places[1], dtype=np.int64)


def _both_ends(inputs: SelectionInput) -> tuple[Selection, Selection]:
    """The lists N and F: N is longer by at most one row while both walks have rows left."""
    near, far = play(inputs, 1.0), play(inputs, -1.0)
    n, f = _places_in_turn(near.order.tolist(), far.order.tolist(), inputs.wanted)
    return in_order(near, n), in_order(far, f)


def _joined(first: Selection, last: Selection) -> Selection:
    """`first`, then `last` reversed."""
    last = in_order(last, np.arange(len(last.order), dtype=np.int64)[::-1])
    names = ("order", "round", "picked_by", "similarity", "distance")
    columns: dict[str, Any] = {name: np.concatenate([getattr(first, name), getattr(last, name)]) for name in names}
    return Selection(**columns)


def _nft(inputs: SelectionInput) -> Selection:
    near, far = _both_ends(inputs)
    return _joined(near, far)


def _fft(inputs: SelectionInput) -> Selection:
    near, far = _both_ends(inputs)
    return _joined(far, near)


def _rt(inputs: SelectionInput) -> Selection:
    found = _nft(inputs)
    return in_order(found, np.random.default_rng(inputs.seed).permutation(len(found.order)).astype(np.int64))


def _method(order: Callable[[SelectionInput], Selection], does: str, draws: bool = False) -> Method:
    needs = frozenset({"vectors", "rounds"})
    return Method(
        order,
        does,
        PAPER,
        needs,
        "2·n·m·d",
        nested=False,
        draws=lambda _: draws,
        paper=WHOLE_PAPER,
        differs="The halves never overlap and hold exactly the budget; the released code takes half from each end, and "
        "ends short of the budget where they overlap.",
        looks="rounds",
        passes=2,
    )


METHODS = {
    "tma-nft": _method(_nft, "half from each end of TMA: nearest rounds first, then the farthest, reversed"),
    "tma-fft": _method(_fft, "half from each end of TMA: farthest rounds first, then the nearest, reversed"),
    "tma-rt": _method(_rt, "half from each end of TMA, in a seeded shuffle", draws=True),
}
"""N and F overlap nowhere and have exactly the budget's rows together, where the released code's halves may overlap."""
