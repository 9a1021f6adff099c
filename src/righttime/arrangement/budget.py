"""How many rows to take: a number, or a share of the rows that take part."""

from __future__ import annotations

import operator
import re
from fractions import Fraction
from typing import Any

from righttime.errors import SettingsError

__all__ = ["read_budget", "rows_of"]

_SHARE = re.compile(r"(\d{1,300}(?:\.\d{1,300})?) ?%")


def read_budget(text: str | None) -> int | str | None:
    """``2000`` as a number of rows, ``10%`` as it is, as the command line has them.

    Raises:
        SettingsError: If it is neither.

    Example:
        >>> read_budget("2000"), read_budget("10%")
        (2000, '10%')
    """
    if text is None:
        return None
    value: int | str = text.strip()
    if re.fullmatch(r"-?\d{1,300}", str(value)):  # Python refuses to read numbers of thousands of digits
        value = int(value)
    rows_of(value, None)
    return value


def rows_of(budget: Any, n_rows: int | None) -> int | None:
    """How many rows a budget is.

    Args:
        budget: A whole number of rows, a share such as ``"10%"``, or None for all.
        n_rows: How many rows take part; None where that is not known yet: then a share is only checked.

    Returns:
        The number; a share is rounded to the nearest row, and is one row at least. None for all, or where a share
        cannot be told yet.

    Raises:
        SettingsError: If it is neither number nor share, or a share is not above 0% and up to 100%.

    Example:
        >>> rows_of("10%", 175), rows_of("0.1%", 175), rows_of(7, 175)
        (18, 1, 7)
    """
    if budget is None:
        return None
    if not isinstance(budget, str):
        try:
            rows = operator.index(budget)
        except TypeError:
            raise _neither(budget) from None
        if rows < 1:
            raise SettingsError(
                f"budget must be at least 1 row, got {rows}. Hint: leave it out to take all.", setting="budget"
            )
        return rows
    found = _SHARE.fullmatch(budget.strip())
    if not found:
        raise _neither(budget)
    share = Fraction(found[1]) / 100
    if not 0 < share <= 1:
        raise SettingsError(f"a budget as a share must be above 0% and up to 100%, got {budget}.", setting="budget")
    return None if n_rows is None else max(1, round(share * n_rows))


def _neither(budget: Any) -> SettingsError:
    hint = ""
    try:
        if 0 < (share := Fraction(str(budget))) < 1:
            hint = f" Hint: {float(100 * share):g}% is that share."
    except (ValueError, ZeroDivisionError):
        pass
    return SettingsError(
        f"budget must be a whole number of rows or a share such as 10%, got {budget!r}.{hint}", setting="budget"
    )
