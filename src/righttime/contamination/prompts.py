"""Target rows that the pool already contains. Nearest-first puts such rows at the very front, so they must be known."""

from __future__ import annotations

from collections.abc import Sequence

from righttime.examples import Example

__all__ = ["same_prompts"]


def same_prompts(pool: Sequence[Example], target: Sequence[Example]) -> dict[int, int]:
    """Target rows whose prompt stands word for word in the pool, white space apart.

    Args:
        pool: The pool's rows.
        target: The target's rows.

    Returns:
        For each such target row, by number, the first pool row with that prompt.
    """
    first: dict[tuple[str, ...], int] = {}
    wanted = {tuple(row.prompt.split()) for row in target}
    for number, row in enumerate(pool):
        words = tuple(row.prompt.split())
        if words in wanted:
            first.setdefault(words, number)
    places = ((number, first.get(tuple(row.prompt.split()))) for number, row in enumerate(target))
    return {number: place for number, place in places if place is not None}
