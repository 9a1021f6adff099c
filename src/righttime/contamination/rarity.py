"""How telling words are, by how few rows of a pool have them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from righttime.contamination.units import parts_of
from righttime.contamination.words import words_of
from righttime.rows import Rows

__all__ = ["COUNTED", "Rarity", "bits_needed", "rarity_of"]

COUNTED = 2_000
"""Pool rows that are drawn to count words in."""
_CHANCE = 10.0
"""Bits beyond those that single out a pair of rows: one pair in a thousand pools agrees by chance."""


@dataclass(frozen=True)
class Rarity:
    """How many of some rows have each word.

    Attributes:
        counts: Rows by word.
        n_rows: Rows in all.
        needed: Bits from which words are telling.
    """

    counts: Counter[str]
    n_rows: int
    needed: float

    def bits(self, word: str) -> float:
        """How telling a word is: the logarithm of how few rows have it."""
        return math.log2((self.n_rows + 1) / max(1, self.counts[word]))

    def telling(self, words: Iterable[str]) -> float:
        """The bits of the distinct words of a text."""
        return sum(map(self.bits, set(words)))


def bits_needed(n_pool: int, n_target: int) -> float:
    """Bits from which words are telling: as many as single out one pair of rows, and ten.

    Example:
        >>> bits_needed(1024, 1024)
        30.0
    """
    return math.log2(max(2, n_pool)) + math.log2(max(2, n_target)) + _CHANCE


def rarity_of(pool: Rows, numbers: Sequence[int], n_target: int, *, seed: int = 0) -> Rarity:
    """Count words in a seeded sample of pool rows.

    Args:
        pool: The pool.
        numbers: The pool rows to draw from.
        n_target: Rows of the target.
        seed: Draws the rows.
    """
    drawn = np.sort(np.random.default_rng([seed, 1]).permutation(len(numbers))[:COUNTED])
    counts: Counter[str] = Counter()
    for row in pool.examples([numbers[place] for place in drawn.tolist()]):
        counts.update({word for _, text in parts_of(row) for word in words_of(text)})
    return Rarity(counts, len(drawn), bits_needed(len(numbers), n_target))
