"""Weaving: rows drawn at random stand among the arranged ones, at places that are spread evenly.

Rehearsal: what nearness leaves behind is kept by a few rows of something else. Of the first n rows, share·n are woven
ones, rounded to the nearest whole number, for every n: Bresenham's line. Where the share changes along the order, the
same holds of its sum.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.arrangement import Arrangement
from righttime.arrangement.caps import Cap, Room
from righttime.errors import SettingsError
from righttime.formats.remote import without_secrets

__all__ = [
    "Weave",
    "drawn_in_turn",
    "read_anneal",
    "read_weave",
    "still_in_room",
    "weave_bytes",
    "what_is_woven",
    "woven",
]

_SHARE = re.compile(r"\s*(\d*\.?\d*)\s*(%?)\s*")
_DIGITS = 9  # of a share, behind the point
_STREAM = b"weave"  # apart from what a method draws with the same seed


@dataclass(frozen=True)
class Weave:
    """What is woven among the arranged rows.

    Attributes:
        share: Of all rows; at the beginning of the order, where there is a last one too.
        last: The share at the end of the order, to which it changes linearly; None: the same throughout.
        pool: The file or folder whose rows are woven; None: those that the arrangement has not taken.
        others: How many rows that is; None where no other pool is woven.
        given: What was written, as it may be kept: an address without user, password and query.
    """

    share: Fraction
    last: Fraction | None = None
    pool: str | None = None
    others: int | None = None
    given: str = ""

    @property
    def shares(self) -> str:
        """The shares as they were written."""
        return self.given.split(":", 1)[0] if self.last is None else ":".join(self.given.split(":", 2)[:2])

    @property
    def setting(self) -> str:
        """The name of the setting that asks for it."""
        return "weave" if self.last is None else "anneal"

    def among(self, n: int, total: int) -> int:
        """How many of the first n rows are woven: the sum of their shares to the nearest whole number, halves down.

        The share at the k-th row is that at (k - 1/2)/total of the way: n·share + (last - share)·n²/(2·total) in all.

        Example:
            >>> [Weave(Fraction(1, 4)).among(n, 8) for n in range(9)]
            [0, 0, 0, 1, 1, 1, 1, 2, 2]
            >>> [Weave(Fraction(0), Fraction(1)).among(n, 8) for n in range(9)]
            [0, 0, 0, 1, 1, 2, 2, 3, 4]
        """
        last = self.share if self.last is None else self.last
        q = math.lcm(self.share.denominator, last.denominator)
        first, change = int(self.share * q), int((last - self.share) * q)
        whole = 2 * max(total, 1) * q
        return -((whole // 2 - (2 * total * first * n + change * n * n)) // whole)

    def total(self, arranged: int) -> int:
        """How many rows there are in all with so many arranged ones: the fewest, so the last is an arranged one.

        Only where the share is the same throughout.
        """
        n = int(arranged / (1 - self.share))
        while n - self.among(n, n) < arranged:
            n += 1
        while n and n - 1 - self.among(n - 1, n - 1) >= arranged:
            n -= 1
        return n

    def places(self, n: int) -> NDArray[np.bool_]:
        """Of n places, those of woven rows: bool, shape (n,)."""
        counts = np.array([self.among(k, n) for k in range(n + 1)], dtype=np.int64)
        return np.diff(counts).astype(np.bool_)


def read_weave(given: Any) -> Weave | None:
    """``0.2``, ``20%``, or either with the file whose rows are woven behind a colon.

    Raises:
        SettingsError: If the share is not a number above 0 and below 1 of at most nine digits behind the point.

    Example:
        >>> read_weave("20%:replay.jsonl")
        Weave(share=Fraction(1, 5), last=None, pool='replay.jsonl', others=None, given='20%:replay.jsonl')
    """
    if given is None:
        return None
    text, colon, pool = str(given).partition(":")
    share = _share(text)
    if share is None or not 0 < share < 1 or (colon and not pool):
        raise SettingsError(
            "`weave` must be a share above 0 and below 1, such as 0.2 or 20%, with at most nine digits behind the "
            f"point, or a share and a file such as 0.2:replay.jsonl, got {given!r}.",
            setting="weave",
        )
    return Weave(share, pool=pool or None, given=_kept(text, pool))


def read_anneal(given: Any) -> Weave | None:
    """``1:0.5``: the share of arranged rows at the beginning and at the end; a file may follow behind a colon.

    Raises:
        SettingsError: If these are not two shares from 0 to 1, at least one of them below 1.

    Example:
        >>> read_anneal("1:50%").last
        Fraction(1, 2)
    """
    if given is None:
        return None
    first, colon, rest = str(given).partition(":")
    second, more, pool = rest.partition(":")
    shares = [_share(text) for text in (first, second)]
    if None in shares or shares == [1, 1] or not colon or (more and not pool):
        raise SettingsError(
            "`anneal` must be the share of arranged rows at the beginning and at the end, from 0 to 1 and not both 1, "
            f"such as 1:0.5, with at most nine digits behind the point, got {given!r}. Hint: in a YAML file it stands "
            "in quotes.",
            setting="anneal",
        )
    begin, end = (1 - share for share in shares if share is not None)
    return Weave(begin, end, pool or None, given=_kept(f"{first}:{second}", pool))


def _kept(shares: str, pool: str) -> str:
    return f"{shares}:{without_secrets(pool)}" if pool else shares


def _share(text: str) -> Fraction | None:
    """A share from 0 to 1, as ``0.5`` or ``50%``; None for anything else."""
    found = _SHARE.fullmatch(text)
    if not found or not found[1].strip(".") or len(found[1].partition(".")[2]) > _DIGITS:
        return None
    share = Fraction(found[1]) / (100 if found[2] else 1)
    return share if share <= 1 else None


def what_is_woven(weave: Any, anneal: Any) -> Weave | None:
    """What is to be woven, by either setting.

    Raises:
        SettingsError: If one is none of its kind, or both are given.
    """
    if weave is not None and anneal is not None:
        raise SettingsError("`weave` and `anneal` both weave rows in: give one of them, got both.", setting="weave")
    return read_weave(weave) if anneal is None else read_anneal(anneal)


def drawn_in_turn(candidates: NDArray[np.int64], n_rows: int, seed: int) -> NDArray[np.int64]:
    """Rows in the order in which they are drawn to be woven.

    Every row has a key of its own, which the seed and its number alone decide, so which rows are there changes
    nothing in the order of the others.

    Args:
        candidates: int64: the rows to draw from.
        n_rows: Row numbers are below this.
        seed: Decides the keys.
    """
    keys = np.random.default_rng([seed, *_STREAM]).random(n_rows)
    return candidates[np.argsort(keys[candidates], kind="stable")]


def weave_bytes(n_rows: int) -> int:
    """Bytes that drawing takes while it lasts: of each row its number, its key twice, and its turn."""
    return 4 * 8 * n_rows


def still_in_room(caps: Sequence[Cap], found: Arrangement) -> Callable[[NDArray[np.int64], int], NDArray[np.int64]]:
    """How rows in the order of the draw are taken: as they come, past those that caps leave no room for."""

    def choose(drawn: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
        if not caps:
            return drawn[:wanted]
        room = Room(caps)
        for row in found.order.tolist():
            room.add(row)
        return drawn[room.within(drawn, wanted)]

    return choose


def woven(
    found: Arrangement,
    weave: Weave,
    n: int | None,
    seed: int,
    choose: Callable[[NDArray[np.int64], int], NDArray[np.int64]],
) -> Arrangement:
    """Weave rows drawn by the seed among those of an arrangement.

    Args:
        found: The arrangement, of exactly the rows that go with n.
        weave: What is woven. Rows of another pool have the numbers from `found.n_pool` on.
        n: How many rows there are to be in all; None keeps all of `found`.
        seed: Decides the draw, and nothing else does.
        choose: From rows in the order of the draw and how many are wanted to those that are woven.

    Returns:
        The arrangement with both, with its mark of which are woven.

    Raises:
        SettingsError: If there are too few rows to weave; says both numbers.
    """
    n = weave.total(len(found)) if n is None else n
    at = weave.places(n)
    n_rows = found.n_pool + (weave.others or 0)
    there = np.arange(found.n_pool, n_rows, dtype=np.int64)
    if weave.others is None:
        left = np.ones(found.n_pool, dtype=np.bool_)
        left[found.order] = False
        there = np.flatnonzero(left).astype(np.int64)
    wanted = int(at.sum())
    drawn = choose(drawn_in_turn(there, n_rows, seed), wanted)
    if len(drawn) < wanted:
        where = "that the arrangement has not taken"
        if weave.others is not None:
            where = f"of {without_secrets(weave.pool or '')} that may be woven"
        if capped := len(drawn) < len(there):
            where += f" and that there is room for within caps, of {len(there):,}"
        raise SettingsError(
            f"`{weave.setting}` takes {wanted:,} rows to weave among {n - wanted:,} arranged ones, but there are "
            f"{len(drawn):,} {where}. Hint: {'a higher cap, ' if capped else ''}a smaller share or `budget`, or rows "
            f"of another pool: `{weave.setting}='{weave.shares}:FILE'`.",
            setting=weave.setting,
        )
    place = np.empty(n, dtype=np.int64)  # where each row stands in both, one after the other
    place[~at], place[at] = np.arange(n - wanted), np.arange(n - wanted, n)
    nan = np.nan
    blank: dict[str, Any] = {"round": -1, "picked_by": -1, "similarity": nan, "distance": nan, "score": nan}
    columns: dict[str, Any] = {
        name: None if (old := getattr(found, name)) is None else _extended(old, none, wanted)[place]
        for name, none in blank.items()
    }
    order = np.concatenate([found.order, drawn])[place]
    return dataclasses.replace(found, order=order, woven=at, n_pool=n_rows, **columns)


def _extended(column: NDArray[Any], none: float, count: int) -> NDArray[Any]:
    return np.concatenate([column, np.full(count, none, dtype=column.dtype)])
