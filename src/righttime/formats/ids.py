"""Ids: those given are kept, those missing are made from what the row says, and all are unique."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.growing import Runs, Texts, Values, gathered

__all__ = ["Named", "repeats", "settle", "settled"]


@dataclass(frozen=True, slots=True)
class Named:
    """What a row's id is made from.

    Attributes:
        source: The label of its source.
        given: The id that it gives itself, or None.
        content: The id made from its content.
    """

    source: str
    given: str | None
    content: str


def settle(rows: Sequence[Named]) -> list[str]:
    """One id for each row, all different.

    A repeat of the same content without an id ends in ``-1``, ``-2``, and so on. Ids that clash are put behind their
    sources, every one of them, so that no row's id depends on which source was named first.

    Example:
        >>> settle([Named("a", "1", "x"), Named("b", "1", "y"), Named("b", None, "z"), Named("b", None, "z")])
        ['a:1', 'b:1', 'z', 'z-1']
    """
    repeats: Counter[str] = Counter()
    ids: list[str] = []
    for row in rows:
        made = row.content if not repeats[row.content] else f"{row.content}-{repeats[row.content]}"
        repeats[row.content] += row.given is None
        ids.append(made if row.given is None else row.given)
    counts = Counter(ids)
    ids = [f"{row.source}:{name}" if counts[name] > 1 else name for row, name in zip(rows, ids, strict=True)]
    return _numbered(ids)


def _numbered(ids: Sequence[str]) -> list[str]:
    """Ids that clash even so (one source gives both ``1`` and ``its-name:1``) take a number."""
    taken, seen, out = set(ids), set[str](), []
    for name in ids:
        unique, number = name, 2
        while unique in seen or (unique != name and unique in taken):
            unique, number = f"{name}-{number}", number + 1
        seen.add(unique)
        out.append(unique)
    return out


def repeats(hashes: NDArray[np.int64], given: Texts, start: int) -> Iterator[tuple[int, int]]:
    """Each row from `start` on whose own id an earlier row from `start` on has, and the first such row; in order.

    Args:
        hashes: int64, shape (n,): equal where ids are; 0 where a row gives none.
        given: The ids, empty where a row gives none.
        start: Where to begin.
    """
    first: dict[str, int] = {}
    for number in (_shared(hashes[start:]) + start).tolist():
        name = given[number]
        if name and first.setdefault(name, number) != number:
            yield number, first[name]


def _shared(values: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where values stand that are not 0 and stand more than once, ascending."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)
    shared = np.zeros(len(values), dtype=np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    return np.sort(order[shared])


def settled(given: Texts, hashes: NDArray[np.int64], contents: NDArray[np.uint64], sources: Runs) -> Sequence[str]:
    """The ids that `settle` gives, without an object for each where no two clash.

    Args:
        given: The ids that rows give themselves, empty where one does not.
        hashes: int64, shape (n,): equal where ids are; 0 where a row gives none.
        contents: uint64, shape (n,): the ids made from content, as numbers.
        sources: The labels of their sources.
    """
    if not hashes.any():
        return _made(contents)
    if hashes.all() and not len(_shared(hashes)):
        return given
    made = map("{:016x}".format, contents.tolist())
    rows = [Named(source, name or None, one) for source, name, one in zip(sources, given, made, strict=True)]
    return gathered([name.encode("utf-8") for name in settle(rows)])


def _made(contents: NDArray[np.uint64]) -> Sequence[str]:
    """Ids of rows of which none gives its own: their content's, and for repeats a number."""
    order = np.argsort(contents, kind="stable")
    ordered = contents[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(begins) == len(contents):
        return Values(contents, "{:016x}".format)
    repeat = np.empty(len(contents), dtype=np.int64)
    lengths = np.diff(np.append(begins, len(contents)))
    repeat[order] = np.arange(len(contents)) - np.repeat(begins, lengths)
    pairs = zip(Values(contents), Values(repeat), strict=True)
    return gathered(f"{one:016x}-{time}".encode() if time else b"%016x" % one for one, time in pairs)
