"""Target rows that the pool already contains. Nearest-first puts such rows at the very front, so they must be known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from righttime.rows import Rows, as_numbers

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
    asked = [tuple(prompt.split()) for prompt in target.texts("prompt")]
    wanted, numbers = set(asked), np.arange(len(pool)) if part is None else as_numbers(part)
    some = numbers[np.isin(pool.prompt_keys[numbers], target.prompt_keys)].tolist()
    first: dict[tuple[str, ...], int] = {}
    for number, prompt in zip(some, pool.texts("prompt", some), strict=True):
        words = tuple(prompt.split())
        if words in wanted:
            first.setdefault(words, number)
    return {number: first[words] for number, words in enumerate(asked) if words in first}
