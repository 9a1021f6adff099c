"""Ids: those given are kept, those missing are made from what the row says, and all are unique."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Named", "settle"]


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
