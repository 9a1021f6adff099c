"""What the guard finds in a replicate's pool, and what it takes out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.leaks import Leaks
from righttime.guard import TextLeaks, find_text_leaks
from righttime.guard.find import WITHOUT_MEANING
from righttime.guard.meaning import rephrased
from righttime.results import guarded
from righttime.rows import Rows

__all__ = ["Guarded", "by_meaning", "by_texts"]


@dataclass(frozen=True)
class Guarded:
    """What the guard found in one replicate.

    Attributes:
        removes: Whether rows that leak are taken out.
        leaks: The leaks, pool rows counted among those that the replicate could draw from, and from `by_meaning` on
            among those that it drew.
        texts: What a look at vectors needs.
        removed: How many rows were taken out.
    """

    removes: bool
    leaks: Leaks
    texts: TextLeaks
    removed: int

    def as_json(self) -> dict[str, Any]:
        """What ``draw.json`` says of it."""
        return {"removed": self.removed, **guarded(self.leaks)}


def by_texts(pool: Rows, asked: Rows, seed: int, removes: bool) -> Guarded:
    """Look at the texts of what a replicate can draw from.

    Args:
        pool: The rows; at least one.
        asked: Target rows, and those of other sets.
        seed: Of the replicate.
        removes: Whether rows that leak are taken out.
    """
    found = find_text_leaks(pool, asked, seed=seed)
    return Guarded(removes, found.leaks, found, len(found.leaks.pool_rows) if removes else 0)


def by_meaning(
    before: Guarded, pool: Rows, target: Rows, vectors: Mapping[str, NDArray[Any]], seed: int
) -> tuple[Guarded, Sequence[int]]:
    """Look at the vectors of what a replicate drew.

    Args:
        before: What the texts showed.
        pool: The rows that were drawn.
        target: Target rows that steer, then those that judge.
        vectors: Unit vectors by side: ``pool`` and ``target``, of as many rows.
        seed: Of the replicate.

    Returns:
        What was found, and the places of the rows that stay.
    """
    every = range(len(pool))
    sides = (np.asarray(vectors["pool"], np.float32), np.asarray(vectors["target"], np.float32))
    number, place = ({name: n for n, name in enumerate(rows.ids)} for rows in (target, pool))
    known = {
        (place[leak.pool_id], number[leak.target_id])
        for leak in before.leaks.found
        if leak.pool_id in place and leak.target_id in number
    }
    more, least = rephrased(before.texts.rarity, pool, target, sides, every, known=known, seed=seed)
    gone = {leak.pool_row for leak in more} if before.removes else set[int]()
    leaks = dataclasses.replace(
        before.leaks,
        found=(*before.leaks.found, *more),
        tests=(*before.leaks.tests, "meaning"),
        threshold=least,
        unseen=tuple(what for what in before.leaks.unseen if what != WITHOUT_MEANING),
    )
    done = dataclasses.replace(before, leaks=leaks, removed=before.removed + len(gone))
    return done, [row for row in every if row not in gone]
