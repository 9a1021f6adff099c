"""Slow twins, written from the definitions alone: one pair at a time, one round at a time, all of it in memory."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray


def similarity(x: NDArray[np.float32], t: NDArray[np.float32]) -> np.float32:
    """The contract: exact products in float64, summed by folding the right half onto the left, rounded once."""
    terms = [float(a) * float(b) for a, b in zip(x, t, strict=True)]
    while len(terms) > 1:
        half = math.ceil(len(terms) / 2)
        terms = [terms[i] + terms[half + i] if half + i < len(terms) else terms[i] for i in range(half)]
    rounded: np.float32 = np.float32(terms[0]) + np.float32(0)
    return rounded


def matrix(pool: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.array([[similarity(x, t) for t in target] for x in pool], dtype=np.float32)


def tma(s: NDArray[np.float32], farthest: bool = False) -> list[list[tuple[int, int, np.float32]]]:
    """Algorithm 1: rounds of (pool row, the target row that picked it, similarity), the rows ascending."""
    n_pool, n_target = s.shape
    there, rounds = set(range(n_pool)), []
    sign = -1 if farthest else 1
    while there:
        chosen: dict[int, tuple[np.float32, int]] = {}
        for j in range(n_target):
            best = min(there, key=lambda i: (-sign * s[i, j], i))
            if best not in chosen or sign * s[best, j] > sign * chosen[best][0]:
                chosen[best] = (s[best, j], j)
        rounds.append([(i, chosen[i][1], chosen[i][0]) for i in sorted(chosen)])
        there -= set(chosen)
    return rounds


def tma_order(
    s: NDArray[np.float32], budget: int | None, farthest: bool = False, within: str = "similarity"
) -> list[tuple[Any, ...]]:
    """(pool row, round, picked by, similarity), place by place."""
    sign = -1 if farthest else 1
    places: list[tuple[Any, ...]] = []
    for number, played in enumerate(tma(s, farthest)):
        if within == "similarity":
            played = sorted(played, key=lambda pick: (-sign * pick[2], pick[0]))
        places += [(row, number, by, value) for row, by, value in played]
    return places[:budget]


def distances(
    s: NDArray[np.float32],
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    name: str,
    weights: list[Fraction] | None = None,
) -> list[float]:
    mean = [0.0] * target.shape[1]
    scale = [1.0] * len(target) if weights is None else [float(weight / max(weights)) for weight in weights]
    for weight, row in zip(scale, target, strict=True):
        mean = [m + weight * float(v) for m, v in zip(mean, row, strict=True)]
    mean = [m / math.fsum(scale) for m in mean]
    ad = []
    for x in pool:
        terms = [float(a) * m for a, m in zip(x, mean, strict=True)]
        while len(terms) > 1:
            half = math.ceil(len(terms) / 2)
            terms = [terms[i] + terms[half + i] if half + i < len(terms) else terms[i] for i in range(half)]
        ad.append(-terms[0])
    md = [-float(row.max()) for row in s]
    if name == "ad":
        return ad
    if name == "md":
        return md
    mean_ad, mean_md = math.fsum(ad) / len(ad), math.fsum(md) / len(md)
    w_avg = 1.0 if mean_ad > -0.01 or mean_md >= 0 else mean_md / mean_ad
    return [w_avg * a + m for a, m in zip(ad, md, strict=True)]


Caps = list[tuple[list[str], int]]
"""The name of each row, and how many rows one name may give."""


def has_room(row: int, taken: list[int], caps: Caps) -> bool:
    return all(sum(names[other] == names[row] for other in taken) < most for names, most in caps)


def tma_within(
    s: NDArray[np.float32],
    caps: Caps,
    farthest: bool = False,
    floor: float | None = None,
    apart: tuple[NDArray[np.float32], float] | None = None,
    weights: list[Fraction] | None = None,
) -> list[list[tuple[int, int, np.float32]]]:
    """Rounds in which target rows pick one after another, each the nearest row that there is room for.

    With the similarities of pool rows to each other and a distance, only one that is that far from all of the round.
    With weights, a target row has a turn wherever its share of the turns of the heaviest one reaches another whole.
    """
    sign = -1 if farthest else 1
    there, taken = set(range(len(s))), list[int]()
    rounds: list[list[tuple[int, int, np.float32]]] = []
    idle, turn = set[int](), -1  # idle: who found nothing since somebody picked
    while len(idle) < s.shape[1]:
        turn += 1
        chosen: dict[int, tuple[np.float32, int]] = {}
        for j in range(s.shape[1]):
            if not has_turn(weights, j, turn):
                continue
            idle.add(j)
            may = [i for i in there if i in chosen or has_room(i, [*taken, *chosen], caps)]
            if apart is not None:
                pairs, least = apart
                may = [i for i in may if i in chosen or all(pairs[i, k] <= np.float32(1 - least) for k in chosen)]
            best = min(may, key=lambda i: (-sign * s[i, j], i), default=None)
            if best is None or (floor is not None and s[best, j] < np.float32(floor)):
                continue
            if best not in chosen or sign * s[best, j] > sign * chosen[best][0]:
                chosen[best] = (s[best, j], j)
        if chosen:
            idle = set()
            rounds.append([(i, chosen[i][1], chosen[i][0]) for i in sorted(chosen)])
        taken += chosen
        there -= set(chosen)
    return rounds


def has_turn(weights: list[Fraction] | None, j: int, turn: int) -> bool:
    """After n turns a row of weight v has had ⌈n·v/w⌉, w being the largest weight."""
    share = Fraction(1) if weights is None else weights[j] / max(weights)
    return math.ceil(share * (turn + 1)) > math.ceil(share * turn)


def rds_within(
    s: NDArray[np.float32], caps: Caps, floor: float | None = None, weights: list[Fraction] | None = None
) -> list[tuple[int, int]]:
    """(pool row, target row), turn by turn."""
    playing, turn, taken, by = set(range(s.shape[1])), 0, list[int](), list[int]()
    while playing:
        for j in [j for j in sorted(playing) if has_turn(weights, j, turn)]:
            may = [i for i in range(len(s)) if i not in taken and has_room(i, taken, caps)]
            best = min(may, key=lambda i: (-s[i, j], i), default=None)
            if best is not None and (floor is None or s[best, j] >= np.float32(floor)):
                taken.append(best)
                by.append(j)
            else:
                playing.remove(j)
        turn += 1
    return list(zip(taken, by, strict=True))


def walked(order: list[int], caps: Caps, budget: int | None = None) -> list[int]:
    """An order from the front, past rows that there is no room for."""
    taken: list[int] = []
    for row in order:
        if len(taken) != budget and has_room(row, taken, caps):
            taken.append(row)
    return taken
