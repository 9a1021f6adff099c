"""Draw from a pool before anything else is done with it, so that another seed gives a true replicate."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.examples import LeftOut
from righttime.leaving import LeftOutRows, compact
from righttime.rows import Rows

__all__ = ["check_subsample", "draw", "drawn"]

_STREAM = b"subsample"  # apart from what a method draws with the same seed


def check_subsample(subsample: str | float | None) -> int | float | None:
    """A wish for a part of the pool, as a number of rows or as a share of them.

    Args:
        subsample: A share above 0 and below 1 (``0.5`` or ``"50%"``), a whole number of rows from 1, or None for all.

    Returns:
        An int for a number of rows, a float for a share, None for all rows.

    Raises:
        SettingsError: If it is none of these.

    Example:
        >>> check_subsample("12.5%"), check_subsample("1000")
        (0.125, 1000)
    """
    if subsample is None:
        return None
    read = _number(subsample)
    if read is None or (read < 1 if isinstance(read, int) else not 0 < read < 1):
        raise SettingsError(
            "`subsample` must be a share above 0 and below 1, such as 0.5 or 50%, or a whole number of rows from 1, "
            f"got {subsample!r}. Hint: leave it out to take the whole pool.",
            setting="subsample",
        )
    return read


def _number(given: object) -> int | float | None:
    """A whole number of rows, a share, or None for what is neither."""
    if isinstance(given, str):
        found = re.fullmatch(r"\s*(\d+)?(\.\d*)?\s*(%)?\s*", given)
        if not found or not (found[1] or (found[2] or ".") != "."):
            return None
        whole = int(found[1] or 0)
        if found[3]:
            return float(f"{whole}{found[2] or ''}") / 100
        return whole if found[2] is None else float(f"{whole}{found[2]}")
    if isinstance(given, bool):
        return None
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    whole = number.is_integer() and not isinstance(given, float | np.floating)
    return int(number) if whole else number


def drawn(n_rows: int, subsample: str | float | None, seed: int) -> list[int]:
    """The pool rows that a draw keeps.

    Every row number has a place of its own in a shuffle that the seed alone decides, whatever the pool's size; the
    draw takes the first of them. So a larger draw with the same seed holds all rows of a smaller one.

    Args:
        n_rows: How many rows there are.
        subsample: As for `check_subsample`.
        seed: Decides the draw, and nothing else does.

    Returns:
        Row numbers, ascending; a share is rounded to whole rows, at least one.

    Raises:
        SettingsError: If it is no such wish, or for more rows than there are.

    Example:
        >>> drawn(10, 0.3, seed=1) == drawn(10, "30%", seed=1) == drawn(10, 3, seed=1)
        True
    """
    return [*_drawn(n_rows, subsample, seed).tolist()]


def _drawn(n_rows: int, subsample: str | float | None, seed: int) -> NDArray[np.int64]:
    wish = check_subsample(subsample)
    if wish is None:
        return np.arange(n_rows)
    count = wish if isinstance(wish, int) else max(1, round(wish * n_rows))
    if count > n_rows:
        raise SettingsError(
            f"`subsample` must be at most the pool's {n_rows:,} rows, got {count:,}. Hint: leave it out to take all.",
            setting="subsample",
        )
    keys = np.random.default_rng([seed, *_STREAM]).random(n_rows)
    return np.sort(np.argsort(keys, kind="stable")[:count])


def draw(rows: Rows, subsample: str | float | None, seed: int) -> tuple[Sequence[int], Sequence[LeftOut]]:
    """Draw a part of a pool.

    Args:
        rows: The pool's rows.
        subsample: As for `check_subsample`.
        seed: Decides the draw, and nothing else does.

    Returns:
        The rows that are drawn, see `drawn`; and those that are not, each with its reason.

    Raises:
        SettingsError: As `drawn`.
    """
    kept = _drawn(len(rows), subsample, seed)
    outside = np.ones(len(rows), dtype=np.bool_)
    outside[kept] = False
    detail = f"not among the {len(kept):,} of {len(rows):,} rows that `subsample={subsample}` drew with `seed={seed}`"
    return compact(kept, len(rows)), LeftOutRows(rows, np.flatnonzero(outside), {"sampled-away": detail})
