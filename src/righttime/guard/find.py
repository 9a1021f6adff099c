"""The guard: target rows that the pool repeats, holds or rephrases."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.leaks import Leaks, shared_groups
from righttime.contamination.rarity import Rarity, rarity_of
from righttime.contamination.scan import Scan, scan
from righttime.contamination.texts import contained, equal, settled
from righttime.errors import SettingsError, ShapeError
from righttime.guard.chunks import leaks_in_chunks
from righttime.guard.cutting import Chunker
from righttime.guard.judging import Judge, judged_by
from righttime.guard.meaning import rephrased
from righttime.neighbours import Search, search_named
from righttime.rows import Rows
from righttime.similarity import unit_rows

__all__ = ["TextLeaks", "find_leaks", "find_text_leaks", "with_meaning"]

WITHOUT_MEANING = "without vectors, rows in other words are not seen"
NOT_KNOWN = "how much of a row its given vector represents is not known"


@dataclass(frozen=True)
class TextLeaks:
    """What the texts alone show, and what a look at vectors stands on.

    Attributes:
        leaks: The leaks.
        rarity: How telling words are.
    """

    leaks: Leaks
    rarity: Rarity


def find_leaks(
    pool: Rows,
    target: Rows,
    *,
    vectors: tuple[Any, Any] | None = None,
    numbers: Sequence[int] | None = None,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    search: Search | None = None,
    chunker: Chunker | None = None,
    judge: Judge | None = None,
) -> Leaks:
    """Find pool rows that repeat, hold or rephrase target rows.

    Three tests, from the surest to the least sure: parts that are *equal* after normalisation; parts whose rare words
    are *contained* in one stretch of a pool row, whatever their order, runs of words that are common in the pool apart;
    and, where there are vectors, rows of one *meaning*, whose numbers and answers do not differ.

    Args:
        pool: The pool.
        target: The target.
        vectors: Vectors of the pool rows in `numbers`, in that order, and of the target, shapes (n, d) and (m, d);
            None leaves meaning out.
        numbers: The pool rows that are looked at, ascending; None: all.
        seed: Draws the pool rows on which nearness is calibrated.
        about: What is known of the vectors: ``pool_truncated``, ``target_truncated``, ``max_length``.
        search: Finds neighbours; None takes this machine's.
        chunker: Embeds rows that are longer than the embedder reads in chunks as well; None leaves the rest of them
            out.
        judge: Asked about each leak that is not an equal part; what it denies is none. A function, or a command: see
            `righttime.guard.CommandJudge`.

    Returns:
        The leaks, by pool row.

    Raises:
        ShapeError: If the vectors do not fit the rows.
        NonFiniteError: If a vector is zero or not finite.
        SettingsError: If the judge is a command that does not answer.

    Example:
        >>> from righttime.formats import from_records
        >>> row = {"prompt": "Which river runs through the old town of Bern?", "response": "The Aare."}
        >>> pool = from_records([{**row, "prompt": row["prompt"].upper()}], source="pool", role="pool").rows
        >>> found = find_leaks(pool, from_records([row], source="target", role="target").rows).found
        >>> [(leak.test, leak.part, leak.score) for leak in found]
        [('equal', 'both', 1.0)]
    """
    by_text = find_text_leaks(pool, target, numbers=numbers, seed=seed)
    done = by_text.leaks
    if vectors is not None:
        sides = unit_rows(vectors[0], "pool vectors"), unit_rows(vectors[1], "target vectors")
        looked_at = range(len(pool)) if numbers is None else numbers
        how: dict[str, Any] = {"seed": seed, "about": about, "search": search, "chunker": chunker}
        done = with_meaning(by_text, pool, target, sides, looked_at, **how)
    return done if judge is None else judged_by(done, pool, target, judge)


def find_text_leaks(pool: Rows, target: Rows, *, numbers: Sequence[int] | None = None, seed: int = 0) -> TextLeaks:
    """Find the leaks that texts alone show, in one pass over the pool.

    Args:
        pool: The pool.
        target: The target.
        numbers: The pool rows that are looked at, ascending; None: all.
        seed: Draws the pool rows in which words are counted.

    Raises:
        SettingsError: If no pool row is looked at.
    """
    looked_at = range(len(pool)) if numbers is None else numbers
    if not looked_at:
        raise SettingsError("the guard must look at one pool row at least, got none.", setting="numbers")
    found = scan(pool, target, looked_at)
    rarity = rarity_of(pool, looked_at, len(target), seed=seed)
    leaks = equal(found, rarity, pool, target)
    leaks += contained(found, pool, target, {(leak.pool_row, leak.target_row) for leak in leaks})
    done = Leaks(
        found=settled(leaks),
        groups=shared_groups(map(pool.tasks.__getitem__, looked_at), target.tasks),
        n_pool=len(looked_at),
        n_target=len(target),
        tests=("equal", "contained"),
        unseen=(*_too_short(found, len(target)), WITHOUT_MEANING),
    )
    return TextLeaks(done, rarity)


def with_meaning(
    by_text: TextLeaks,
    pool: Rows,
    target: Rows,
    vectors: tuple[NDArray[np.float32], NDArray[np.float32]],
    numbers: Sequence[int],
    *,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    search: Search | None = None,
    chunker: Chunker | None = None,
) -> Leaks:
    """The leaks that texts and vectors show.

    Args:
        by_text: What the texts showed.
        pool: The pool.
        target: The target.
        vectors: float32 unit vectors of the pool rows in `numbers`, in that order, and of the target.
        numbers: The pool rows that have vectors, ascending.
        seed: See `find_leaks`.
        about: See `find_leaks`.
        search: See `find_leaks`.
        chunker: See `find_leaks`.

    Raises:
        ShapeError: If the vectors do not fit the rows.
    """
    done = by_text.leaks
    for side, rows, got in (("pool", numbers, vectors[0]), ("target", target, vectors[1])):
        if len(got) != len(rows):
            raise ShapeError(f"the {side} must have a vector for each of {len(rows):,} rows, got {len(got):,}.")
    known = {(leak.pool_row, leak.target_row) for leak in done.found}
    search = search or search_named()
    how: dict[str, Any] = {"seed": seed, "search": search}
    more, least = rephrased(by_text.rarity, pool, target, vectors, numbers, known=known, **how)
    chunked = None
    if chunker is not None:
        known |= {(leak.pool_row, leak.target_row) for leak in more}
        inside, also, chunked = leaks_in_chunks(
            by_text.rarity, pool, target, vectors, numbers, chunker, known=known, **how
        )
        more, least = [*more, *inside], {**least, **{f"{kind} in chunks": value for kind, value in also.items()}}
    unseen = [what for what in done.unseen if what != WITHOUT_MEANING]
    return dataclasses.replace(
        done,
        found=settled([*done.found, *more]),
        tests=(*done.tests, "meaning"),
        threshold=least,
        unseen=(*unseen, *(() if chunked else _cut_off(about or {}))),
        chunked=chunked,
    )


def _too_short(found: Scan, n_target: int) -> list[str]:
    """What is said of target rows that have too few telling words to be found inside other rows."""
    most: dict[int, float] = {}
    for unit in found.index.units:
        most[unit.row] = max(most.get(unit.row, 0.0), sum(map(found.bits, set(unit.words))))
    short = n_target - sum(bits >= found.needed for bits in most.values())
    if not short:
        return []
    return [
        f"{short:,} of {n_target:,} target rows have too few telling words (under {math.ceil(found.needed)} bits) to "
        "be found inside other rows; only equal prompts of them are"
    ]


def _cut_off(about: Mapping[str, Any]) -> list[str]:
    if "max_length" not in about:
        return [NOT_KNOWN] if about else []
    counts = [(about.get(f"{side}_truncated") or 0, side) for side in ("pool", "target")]
    if not any(count for count, _ in counts):
        return []
    rows = " and ".join(f"{count:,} {side} rows" for count, side in counts)
    return [f"of {rows} the meaning past {about['max_length']} tokens is not seen"]
