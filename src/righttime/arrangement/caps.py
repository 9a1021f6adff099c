"""Caps: no more than so many rows of an order come from one task, or from one pool file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.candidates import CandidateLists
from righttime.errors import SettingsError

__all__ = ["CAPS", "Cap", "Room", "check_caps", "read_caps", "room_bytes", "with_names"]

CAPS = {"cap_task": "task", "cap_source": "source"}
"""The settings, and what each is of."""
_NUMBER = re.compile(r"\s*(\d+)?(\.\d+)?\s*(%)?\s*")


@dataclass(frozen=True)
class Cap:
    """A cap.

    Attributes:
        setting: A name of `CAPS`.
        most: Rows of one task or source; a fraction is a share of the whole order.
        names: The task or source of each pool row, then of each row that can only be woven; None: not known yet.
    """

    setting: str
    most: int | Fraction
    names: Sequence[str | None] | None = None

    @property
    def of(self) -> str:
        """What it is of: a task or a source."""
        return CAPS[self.setting]


def read_caps(cap_task: Any, cap_source: Any) -> tuple[Cap, ...]:
    """The caps that are asked for: each a number of rows from 1, or a share such as ``0.1`` or ``"10%"``.

    Raises:
        SettingsError: If one is neither.

    Example:
        >>> read_caps("10%", 5)[0].most
        Fraction(1, 10)
    """
    given = {"cap_task": cap_task, "cap_source": cap_source}
    return tuple(Cap(name, _read(name, value)) for name, value in given.items() if value is not None)


def _read(setting: str, given: Any) -> int | Fraction:
    found = None if isinstance(given, bool) else _NUMBER.fullmatch(str(given))
    whole, part, percent = found.groups() if found else (None, None, None)
    most: int | Fraction = Fraction(f"{whole or 0}{part or ''}") / (100 if percent else 1)
    if whole and not part and not percent:
        most = int(whole)
    if not (most >= 1 if isinstance(most, int) else 0 < most <= 1):
        raise SettingsError(
            f"`{setting}` must be a whole number of rows from 1, or a share above 0 and up to 1 such as 0.1 or 10%, "
            f"got {given!r}.",
            setting=setting,
        )
    return most


def with_names(
    caps: Sequence[Cap], tasks: Sequence[str | None] | None, sources: Sequence[str | None] | None
) -> tuple[Cap, ...]:
    """The caps with the names that they go by: the task or the source of each row; see `Cap.names`."""
    names = {"task": tasks, "source": sources}
    return tuple(dataclasses.replace(cap, names=names[cap.of]) for cap in caps)


def check_caps(caps: tuple[Cap, ...], budget: int | None, method: str, nested: bool, known: bool) -> tuple[Cap, ...]:
    """The caps as numbers of rows, where the budget is known.

    Args:
        caps: As they were asked for.
        budget: Rows of the whole order; None: no bound.
        method: The method's name, and
        nested: whether its smaller budgets give the first rows of larger ones.
        known: Whether the pool, and so the budget, is known.

    Raises:
        SettingsError: If the method has no order to walk down, a share has no budget, or a row has no task.
    """
    if caps and not nested:
        raise SettingsError(
            f"`{caps[0].setting}` is for methods whose order can be walked down (those that are nested), got it "
            f"with {method!r}. Hint: `righttime methods` says which are.",
            setting=caps[0].setting,
        )
    return tuple(_in_rows(cap, budget) for cap in caps) if known else caps


def _in_rows(cap: Cap, budget: int | None) -> Cap:
    if cap.names is not None and None in cap.names:
        raise SettingsError(
            f"`{cap.setting}` needs the {cap.of} of every pool row, but pool row {list(cap.names).index(None)} has "
            "none. Hint: `task_field` names the field that holds it.",
            setting=cap.setting,
        )
    if cap.names is None:
        raise SettingsError(
            f"`{cap.setting}` needs the {cap.of} of every pool row, got none. Hint: {cap.of}s=.", setting=cap.setting
        )
    if isinstance(cap.most, int):
        return cap
    if budget is None:
        raise SettingsError(
            f"`{cap.setting}` as a share must be one of a `budget`, but there is none. Hint: a number of rows.",
            setting=cap.setting,
        )
    return dataclasses.replace(cap, most=max(1, int(cap.most * budget)))


def room_bytes(n_caps: int, n_rows: int) -> int:
    """Bytes that a `Room` takes while it is made: numbers of names, rows by name, and these before they are split."""
    return (2 * n_caps + 1) * 8 * n_rows if n_caps else 0


class Room:
    """How many rows each task and each source may still give."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        """Start with nothing taken.

        Args:
            caps: In rows, with the names of all rows.
        """
        self._codes: list[NDArray[np.int64]] = []
        self._left: list[list[int]] = []
        self._members: list[list[NDArray[np.int64]]] = []
        for cap in caps:
            number: dict[str | None, int] = {}  # not np.unique, whose array of texts is as wide as the longest name
            codes = np.array([number.setdefault(name, len(number)) for name in cap.names or ()], dtype=np.int64)
            ends = np.cumsum(np.bincount(codes))
            self._codes.append(codes)
            self._left.append([int(cap.most)] * len(ends))
            self._members.append(np.split(np.argsort(codes, kind="stable").astype(np.int64), ends[:-1]))

    def has(self, row: int) -> bool:
        """Whether a row may still be taken."""
        return all(left[int(codes[row])] > 0 for codes, left in zip(self._codes, self._left, strict=True))

    def add(self, row: int) -> list[NDArray[np.int64]]:
        """Count a row that is taken; the rows of each task or source that it was the last one of."""
        full = []
        for codes, left, members in zip(self._codes, self._left, self._members, strict=True):
            group = int(codes[row])
            left[group] -= 1
            if not left[group]:
                full.append(members[group])
        return full

    def take(self, lists: CandidateLists, row: int, standing: Collection[int] = ()) -> None:
        """Count a row, and take what may not follow it out of the lists; `row` itself and `standing` stay in them."""
        for rows in self.add(row):
            living = rows[rows < len(lists.taken)]
            living = living[~lists.taken[living]]
            lists.take(living[~np.isin(living, [*standing, row])])

    def within(self, order: NDArray[np.int64], wanted: int | None = None) -> NDArray[np.int64]:
        """Walk down an order and take each row that there is room for: the places of those that are taken.

        Args:
            order: int64: distinct rows.
            wanted: Stop after so many.
        """
        places: list[int] = []
        for place, row in enumerate(order.tolist()):
            if wanted is not None and len(places) == wanted:
                break
            if self.has(row):
                self.add(row)
                places.append(place)
        return np.asarray(places, dtype=np.int64)
