"""Leaks that only vectors show: rows that say the same in other words.

Rows of one pool are near each other without being leaks, and how near depends on the pool and on the embedder. So the
similarity from which a row counts is not a constant: it is found on pool rows drawn by a seed, each with its nearest
other pool rows, as the similarity that next to none of them reaches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.agreement import Agreement, Said, agree
from righttime.contamination.leaks import Leak
from righttime.contamination.rarity import Rarity
from righttime.neighbours import Search, search_named
from righttime.rows import Rows

__all__ = ["NEAREST", "SAMPLE", "TELLING", "Near", "calibrated", "drawn_rows", "rephrased", "thresholds"]

Vectors = NDArray[np.float32]

SAMPLE = 500
"""Pool rows that the similarity is calibrated on."""
ALARMS = 0.0025
"""Share of them that may be called leaks of another pool row, in each class of agreement."""
TELLING = 12.0
"""Bits from which numbers and answers that agree are telling: of ten near rows one in four hundred agrees by chance."""
NEAREST = 10
"""Pool rows of a target row that are looked at."""
# A pool may repeat itself, so that its rows are as near as rephrased ones. What agrees decides there: no threshold is
# farther from the typical neighbour than this share of the way to 1.
_HIGHEST: Mapping[Agreement, float] = {"telling": 0.5, "weak": 0.9}
_LOWEST: Mapping[Agreement, float] = {"telling": 0.0, "weak": 0.5}


@dataclass(frozen=True)
class Near:
    """A pair of rows, how similar their vectors are, and how far they agree otherwise."""

    row: int
    target_row: int
    similarity: float
    agreement: Agreement


def rephrased(
    rarity: Rarity,
    pool: Rows,
    target: Rows,
    vectors: tuple[Vectors, Vectors],
    numbers: Sequence[int],
    *,
    known: set[tuple[int, int]],
    seed: int = 0,
    search: Search | None = None,
) -> tuple[list[Leak], dict[str, float]]:
    """Pool rows that say what a target row says.

    Args:
        rarity: How telling words are.
        pool: The pool.
        target: The target.
        vectors: float32 unit vectors of the pool rows in `numbers`, in that order, and of the target.
        numbers: The pool rows that are looked at.
        known: Pairs of pool row and target row that are leaks already.
        seed: Draws the pool rows to calibrate on.
        search: Finds neighbours; None takes this machine's.

    Returns:
        The leaks, and the similarities from which a pair counts, by how far it agrees.
    """
    search = search or search_named()
    least = thresholds(rarity, pool, vectors[0], numbers, seed=seed, search=search)
    leaks = []
    for near in _pairs(rarity, pool, target, _neighbours(search, *vectors, numbers, NEAREST), min(least.values())):
        if (near.row, near.target_row) not in known and near.similarity >= least.get(near.agreement, 2.0):
            leaks.append(_leak(near, pool, target))
    return leaks, least


def thresholds(
    rarity: Rarity, pool: Rows, vectors: Vectors, numbers: Sequence[int], *, seed: int, search: Search
) -> dict[str, float]:
    """The similarities from which a pair of rows counts, by how far its numbers and answers agree.

    Args:
        rarity: How telling words are.
        pool: The pool.
        vectors: float32 unit vectors of the pool rows in `numbers`, in that order.
        numbers: The pool rows.
        seed: Draws the rows.
        search: Finds neighbours.
    """
    drawn = drawn_rows(len(numbers), seed)
    rows = [numbers[place] for place in drawn.tolist()]
    contents = pool.content_ids
    near = (
        (place, row, similarity)
        for place, row, similarity in _neighbours(search, vectors, vectors[drawn], numbers, NEAREST + 1)
        if row != rows[place] and contents[row] != contents[rows[place]]
    )
    return calibrated(list(_pairs(rarity, pool, pool.take(rows), near, -1.0)), len(rows))


def drawn_rows(n_rows: int, seed: int) -> NDArray[np.int64]:
    """The places, ascending, of the pool rows that similarities are calibrated on."""
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[:SAMPLE])


def calibrated(pairs: Sequence[Near], n_rows: int) -> dict[str, float]:
    """The similarities that next to none of some rows reach with what is no leak of them.

    Args:
        pairs: Those rows, each with what is nearest to it, nearest first.
        n_rows: How many rows there are.
    """
    nearest: dict[int, float] = {}
    for pair in pairs:
        nearest.setdefault(pair.target_row, pair.similarity)
    typical = float(np.median(list(nearest.values()))) if nearest else 0.0
    return {kind: _threshold(pairs, kind, n_rows, typical) for kind in _HIGHEST}


def _threshold(pairs: Sequence[Near], kind: Agreement, n_rows: int, typical: float) -> float:
    """The similarity that no more rows reach, by their nearest row of this kind, than may."""
    nearest: dict[int, float] = {}
    for pair in pairs:
        if pair.agreement == kind:
            nearest.setdefault(pair.target_row, pair.similarity)
    highest = sorted(nearest.values(), reverse=True)
    allowed = int(ALARMS * n_rows)
    calibrated = highest[allowed] + 1e-4 if allowed < len(highest) else 0.0
    lower, upper = (typical + share * (1 - typical) for share in (_LOWEST[kind], _HIGHEST[kind]))
    return round(min(max(calibrated, lower), upper), 4)


def _neighbours(
    search: Search, pool: Vectors, target: Vectors, numbers: Sequence[int], wanted: int
) -> Iterator[tuple[int, int, float]]:
    """Target row, pool row and similarity of each target row's nearest pool rows, nearest first."""
    found = search.best(pool, target, min(wanted, len(pool)), None)
    for row, (start, stop) in enumerate(zip(found.start[:-1].tolist(), found.start[1:].tolist(), strict=True)):
        for place in range(start, stop):
            yield row, numbers[int(found.rows[place])], float(found.value[place])


def _pairs(
    rarity: Rarity, pool: Rows, target: Rows, near: Iterator[tuple[int, int, float]], least: float
) -> Iterator[Near]:
    pairs = [pair for pair in near if pair[2] >= least]
    asked = _said(target, sorted({row for row, _, _ in pairs}))
    said = _said(pool, sorted({row for _, row, _ in pairs}))
    for row, other, similarity in pairs:
        yield Near(other, row, similarity, agree(asked[row], said[other], rarity.bits, TELLING))


def _said(rows: Rows, numbers: Sequence[int]) -> dict[int, Said]:
    return {number: Said.of(row) for number, row in zip(numbers, rows.examples(numbers), strict=True)}


def _leak(near: Near, pool: Rows, target: Rows) -> Leak:
    return Leak(
        near.row,
        pool.ids[near.row],
        near.target_row,
        target.ids[near.target_row],
        "meaning",
        "both" if near.agreement == "telling" else "prompt",
        round(near.similarity, 4),
        "",
    )
