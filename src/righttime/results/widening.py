"""A target that is widened: the rows of a side pool that its own rows took, what each weighs, and who is who."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from righttime.arrangement.weights import equal_is_none
from righttime.errors import SettingsError
from righttime.formats import InputFile, Reading
from righttime.formats.ids import Named, settle
from righttime.formats.remote import without_secrets
from righttime.rows import ExampleRows

__all__ = ["Neighbour", "Widen", "Widening", "read_widen", "with_neighbours"]


@dataclass(frozen=True)
class Widen:
    """What a target is to be widened by.

    Attributes:
        pool: The file or folder of the side pool.
        each: How many rows each target row takes.
    """

    pool: str
    each: int

    @property
    def kept(self) -> str:
        """What was written, as it may be kept: an address without user, password and query."""
        return f"{without_secrets(self.pool)}:{self.each}"


@dataclass(frozen=True)
class Neighbour:
    """A row of the side pool that became a row of the target.

    Attributes:
        target_row: Its number in the target, behind the target's own rows.
        id: Its id there.
        file: The file it stood in.
        line: Its line there, from 1.
        row: Its number in the side pool, from 0, usable rows only.
        brought_by: The target's own row that took it; of several, the most similar, ties to the lower row.
        round: The round in which it was taken, from 0.
        similarity: Of it and the row that took it.
    """

    target_row: int
    id: str
    file: str
    line: int
    row: int
    brought_by: int
    round: int
    similarity: float


@dataclass(frozen=True)
class Widening:
    """How a target was widened.

    Attributes:
        pool: The files of the side pool.
        own: How many rows the target has of its own; they come first.
        no_part: How many usable rows of the side pool took no part, since they repeat a target row or an earlier one.
        rows: The rows that were taken, in the target's order.
    """

    pool: tuple[InputFile, ...]
    own: int
    no_part: int
    rows: tuple[Neighbour, ...]

    def weights(self, own: tuple[Fraction, ...] | None) -> tuple[Fraction, ...] | None:
        """What each target row weighs: a row and the rows that it took share its weight evenly.

        Args:
            own: The weights of the target's own rows; None: the same.

        Returns:
            One for each row, the target's own first; None where all weigh the same.
        """
        took = Counter(row.brought_by for row in self.rows)
        each = [(own[row] if own else Fraction(1)) / (took[row] + 1) for row in range(self.own)]
        return equal_is_none((*each, *(each[row.brought_by] for row in self.rows)))


def read_widen(given: Any) -> Widen | None:
    """``POOL:N``: a file or folder, and how many of its rows each target row takes.

    Raises:
        SettingsError: If it is anything else.

    Example:
        >>> read_widen("more.jsonl:5")
        Widen(pool='more.jsonl', each=5)
    """
    if given is None:
        return None
    pool, _, each = str(given).rpartition(":")
    if not pool or not (each.isascii() and each.isdigit()) or int(each) < 1:
        raise SettingsError(
            "`widen` must be a file or folder and, behind a colon, how many of its rows each target row takes, at "
            f"least 1, such as more.jsonl:5, got {given!r}.",
            setting="widen",
        )
    return Widen(pool, int(each))


def with_neighbours(target: Reading, side: Reading, numbers: Iterable[int]) -> Reading:
    """A target with some rows of a side pool behind its own; ids that clash are put behind their sources.

    Args:
        target: The target's own rows.
        side: The side pool.
        numbers: Which of its rows, in their order.
    """
    both = [*target.rows.examples(), *side.rows.examples(numbers)]
    names = settle([Named(row.source, row.id, "") for row in both])
    rows = ExampleRows(dataclasses.replace(row, id=name) for row, name in zip(both, names, strict=True))
    return dataclasses.replace(target, rows=rows, left_out=(*target.left_out, *side.left_out))
