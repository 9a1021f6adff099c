"""Target rows that the pool already contains. Nearest-first puts such rows at the very front, so they must be known."""

from __future__ import annotations

from collections.abc import Sequence

from righttime.rows import Rows

__all__ = ["same_prompts"]


def same_prompts(pool: Rows, target: Rows, part: Sequence[int] | None = None) -> dict[int, int]:
    """Target rows whose prompt stands word for word in the pool, white space apart.

    Args:
        pool: The pool's rows.
        target: The target's rows.
        part: The pool rows that are looked at, ascending; None: all.

    Returns:
        For each such target row, by number, the first pool row with that prompt.
    """
    first: dict[tuple[str, ...], int] = {}
    asked = [tuple(prompt.split()) for prompt in target.texts("prompt")]
    wanted, numbers = set(asked), range(len(pool)) if part is None else part
    for number, prompt in zip(numbers, pool.texts("prompt", numbers), strict=True):
        words = tuple(prompt.split())
        if words in wanted:
            first.setdefault(words, number)
    return {number: first[words] for number, words in enumerate(asked) if words in first}
