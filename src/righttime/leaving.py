"""Rows that are left out, many at a time: by their numbers, without an object for each."""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.examples import LeftOut
from righttime.growing import Made, arrow_of
from righttime.rows import Rows, left_out

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GROUP", "AllLeftOut", "Detail", "LeftOutRows", "as_tables", "compact", "reasons_of"]

GROUP = 1 << 20
"""Rows of a table; as many as a row group of a Parquet file has."""

Detail = str | Callable[[int], str]
"""One sentence for all rows of a reason, or one for the row at a place."""


class LeftOutRows(Made[LeftOut]):
    """Rows of one pool that are left out, for one or a few reasons."""

    def __init__(
        self, rows: Rows, numbers: NDArray[np.int64], why: Mapping[str, Detail], which: NDArray[np.int8] | None = None
    ) -> None:
        """Leave rows out.

        Args:
            rows: The pool.
            numbers: int64, shape (n,): their numbers.
            why: The reasons, each with its sentence.
            which: int8, shape (n,): the number of each row's reason; None: the first.
        """
        self._rows, self._numbers, self._why = rows, numbers, why
        self._which = np.zeros(len(numbers), dtype=np.int8) if which is None else which

    def __len__(self) -> int:
        return len(self._numbers)

    def made_at(self, place: int) -> LeftOut:
        """See `righttime.growing.Made`."""
        reason = list(self._why)[self._which[place]]
        return left_out(self._rows, int(self._numbers[place]), reason, self._detail(reason, place))

    def _detail(self, reason: str, place: int) -> str:
        detail = self._why[reason]
        return detail if isinstance(detail, str) else detail(place)

    def reasons(self) -> dict[str, int]:
        """How many rows there are of each reason, in the order in which they come."""
        codes, first, counts = np.unique(self._which, return_index=True, return_counts=True)
        names, order = list(self._why), np.argsort(first)
        return {names[codes[one]]: int(counts[one]) for one in order}

    def columns(self, start: int, stop: int) -> dict[str, Any]:
        """The columns of some of the rows, as Arrow arrays, by the names of `LeftOut`'s fields."""
        import pyarrow as pa

        numbers, which = self._numbers[start:stop], self._which[start:stop]
        names = list(self._why)
        there = {names[code] for code in np.unique(which)}
        fixed = all(isinstance(self._why[name], str) for name in there)
        places = range(start, start + len(numbers))
        details = (
            pa.array([self._why[name] if name in there else "" for name in names], pa.string()).take(pa.array(which))
            if fixed
            else pa.array([self._detail(names[at], n) for n, at in zip(places, which, strict=True)], pa.string())
        )
        return {
            "file": arrow_of(self._rows.files, numbers, pa.string()),
            "line": arrow_of(self._rows.lines, numbers, pa.int64()),
            "row": pa.array(numbers),
            "id": arrow_of(self._rows.ids, numbers, pa.string()),
            "reason": pa.array(names, pa.string()).take(pa.array(which)),
            "detail": details,
        }


class AllLeftOut(Made[LeftOut]):
    """All rows that are left out, for whatever reason."""

    def __init__(self, *parts: Sequence[LeftOut]) -> None:
        """Put parts one behind the other."""
        apart = (one for part in parts for one in (part.parts if isinstance(part, AllLeftOut) else (part,)))
        self.parts: tuple[Sequence[LeftOut], ...] = tuple(part for part in apart if len(part))

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def made_at(self, place: int) -> LeftOut:
        """See `righttime.growing.Made`."""
        for part in self.parts:
            if place < len(part):
                return part[place]
            place -= len(part)
        raise IndexError(place)

    def __iter__(self) -> Iterator[LeftOut]:
        for part in self.parts:
            yield from part


def reasons_of(rows: Sequence[LeftOut]) -> dict[str, int]:
    """How many rows were left out for each reason, in the order in which the reasons come."""
    counts: Counter[str] = Counter()
    for part in rows.parts if isinstance(rows, AllLeftOut) else (rows,):
        counts.update(part.reasons() if isinstance(part, LeftOutRows) else Counter(row.reason for row in part))
    return dict(counts)


def as_tables(rows: Sequence[LeftOut]) -> Iterator[pa.Table]:
    """Rows that are left out as Arrow tables of up to 1,048,576 rows, at least one: a column for each field."""
    import pyarrow as pa

    kinds = {"file": pa.string(), "line": pa.int64(), "row": pa.int64(), "id": pa.string()}
    schema = pa.schema({**kinds, "reason": pa.string(), "detail": pa.string()})
    held: list[pa.Table] = []
    for part in rows.parts if isinstance(rows, AllLeftOut) else (rows,):
        at = 0
        while at < len(part):
            stop = at + GROUP - sum(map(len, held))
            held.append(pa.table(_columns(part, at, stop, schema), schema))
            at += len(held[-1])
            if sum(map(len, held)) == GROUP:
                yield _together(held)
    if held or not len(rows):
        yield _together(held) if held else schema.empty_table()


def _together(held: list[pa.Table]) -> pa.Table:
    """The tables as one; they are let go, so that there is one at a time."""
    import pyarrow as pa

    table = pa.concat_tables(held).combine_chunks()
    held.clear()
    return table


def _columns(rows: Sequence[LeftOut], start: int, stop: int, schema: Any) -> Mapping[str, Any]:
    import pyarrow as pa

    if isinstance(rows, LeftOutRows):
        return rows.columns(start, stop)
    some = rows[start:stop]
    # Named types, since a column may be null for every row.
    return {name: pa.array([getattr(row, name) for row in some], schema.field(name).type) for name in schema.names}


def compact(numbers: NDArray[np.int64], size: int) -> Sequence[int]:
    """Ascending row numbers of so many rows as whole numbers of Python's, made when they are looked at."""
    if len(numbers) == size:
        return range(size)
    return array("q", numbers.astype(np.int64).tobytes())
