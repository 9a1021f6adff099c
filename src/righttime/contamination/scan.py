"""One pass over the pool: equal parts, and which rows share rare words with which part of the target.

An inverted index of the target's words and runs of words is held, never one of the pool: each pool row is asked which
of them it has. What more than a few pool rows have is common; its rows are not kept. So memory is bounded by the
target, and time is linear in the pool.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.leaks import Part
from righttime.contamination.rarity import bits_needed
from righttime.contamination.units import Unit, parts_of, units_of
from righttime.contamination.words import grams_of, words_of
from righttime.rows import Rows

__all__ = ["ROWS_OF_A_WORD", "Equal", "Gram", "Index", "Scan", "scan"]

Gram = tuple[str, ...]

_ROWS = 1_000  # of the pool at a time
_RARE = 0.5
"""Share of a part's rare words, by their bits, from which a pool row is looked at."""
_EVIDENCE = 0.4
"""Share of the bits that are needed, at least, that those words must have."""
_RUNS = 0.3
"""Share of its rare runs of words from which it is looked at as well."""
_MOST_ROWS = 256
"""Pool rows that are looked at for one part."""
ROWS_OF_A_WORD = 256
"""Rows with a word are kept while it is in at most so many."""


@dataclass(frozen=True)
class Equal:
    """A part of a pool row that has the words of a part of a target row, in their order."""

    row: int
    part: Part
    unit: int


@dataclass
class Index:
    """The target's parts, and where their words are.

    Attributes:
        units: The parts that are looked for.
        by_key: Units by the words they consist of.
        words: All their words.
        grams: All their runs of words.
    """

    units: list[Unit]
    by_key: dict[str, list[int]] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    grams: set[Gram] = field(default_factory=set)

    def __post_init__(self) -> None:
        for number, unit in enumerate(self.units):
            self.by_key.setdefault(unit.key, []).append(number)
            self.words.update(unit.words)
            self.grams.update(unit.grams)


@dataclass
class Scan:
    """What one pass over the pool found.

    Attributes:
        index: The target.
        n_pool: Pool rows that were looked at.
        equal: Equal parts; of responses, turns and system turns those of the first few rows.
        word_rows: Of each rare word the pool rows that have it.
        gram_rows: The same of each rare run of words.
        words: In how many pool rows each word of the target is.
        keys: How many pool rows have each part that is equal to one of the target's, by its words.
    """

    index: Index
    n_pool: int = 0
    equal: list[Equal] = field(default_factory=list)
    word_rows: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    gram_rows: defaultdict[Gram, list[int]] = field(default_factory=lambda: defaultdict(list))
    words: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    common_words: set[str] = field(default_factory=set)
    common_grams: set[Gram] = field(default_factory=set)
    most: int = 3

    @cached_property
    def n_target(self) -> int:
        """Target rows that have a word."""
        return len({unit.row for unit in self.index.units})

    @cached_property
    def needed(self) -> float:
        """Bits from which words are telling."""
        return bits_needed(self.n_pool, self.n_target)

    @cached_property
    def in_target(self) -> Counter[Gram]:
        """In how many target rows each run of words is, prompts and later turns alone."""
        found: Counter[Gram] = Counter()
        rows: dict[int, set[Gram]] = {}
        for unit in self.index.units:
            rows.setdefault(unit.row, set()).update(unit.grams)
        for grams in rows.values():
            found.update(grams)
        return found

    def bits(self, word: str) -> float:
        """How telling a word is: the logarithm of how few pool rows have it."""
        return math.log2((self.n_pool + 1) / max(1, self.words[word]))

    def common(self, gram: Gram) -> bool:
        """Whether a run of words is in so many rows of one side that it is a template, a definition or a quote."""
        return gram in self.common_grams or self.in_target[gram] > self.most_in_target

    @cached_property
    def most_in_target(self) -> int:
        """Target rows that one row's own words may be in."""
        return few(self.n_target)

    def look(self, row: int, parts: Sequence[tuple[Part, str]]) -> None:
        """Note what one pool row shares with the target."""
        every: list[str] = []
        for part, text in parts:
            words = words_of(text)
            every += words
            self._compare(row, part, words)
        own = self.index.words.intersection(every)
        self.words.update(own)
        for word in own - self.common_words:
            rows = self.word_rows[word]
            rows.append(row)
            if len(rows) > ROWS_OF_A_WORD:
                self.common_words.add(word)
                del self.word_rows[word]
        for gram in self.index.grams.intersection(grams_of(every)) - self.common_grams:
            rows = self.gram_rows[gram]
            rows.append(row)
            if len(rows) > self.most:
                self.common_grams.add(gram)
                del self.gram_rows[gram]

    def _compare(self, row: int, part: Part, words: Sequence[str]) -> None:
        key = " ".join(words)
        units = self.index.by_key.get(key)
        if units is None:
            return
        self.keys[key] += 1
        if part == "prompt" or self.keys[key] <= self.most:
            self.equal += [Equal(row, part, unit) for unit in units]

    def near(self, unit: Unit) -> list[int]:
        """The pool rows that have many of the rare words, or of the rare runs of words, of a part, the nearest first.

        Half of the rare words by their bits, and not fewer than two fifths of the bits that are needed; or three tenths
        of the rare runs of words, and not fewer than three, where there are as many.
        """
        words = [(self.word_rows[word], self.bits(word)) for word in set(unit.words) if word in self.word_rows]
        grams = [(self.gram_rows[gram], 1.0) for gram in unit.grams if gram in self.gram_rows]
        rows = np.unique(np.array([row for found, _ in (*words, *grams) for row in found], dtype=np.int64))
        by_word, of_words = _sums(rows, words)
        by_gram, of_grams = _sums(rows, grams)
        near = (by_word >= max(_RARE * of_words, _EVIDENCE * self.needed)) & (of_words > 0)
        near |= (by_gram >= max(_RUNS * of_grams, min(3.0, of_grams))) & (of_grams > 0)
        share = by_word / max(of_words, 1e-9) + by_gram / max(of_grams, 1e-9)
        order = (-share[near]).argsort(kind="stable")[:_MOST_ROWS]
        return [int(row) for row in rows[near][order]]


def few(n_rows: int) -> int:
    """In how many of so many rows a run of words may be without being common: a tenth of the root, at least three.

    Example:
        >>> few(100), few(45_000), few(1_000_000)
        (3, 21, 100)
    """
    return max(3, math.isqrt(n_rows) // 10)


def scan(pool: Rows, target: Rows, numbers: Sequence[int] | None = None) -> Scan:
    """Look at every pool row once.

    Args:
        pool: The pool.
        target: The target.
        numbers: The pool rows that are looked at; None: all.
    """
    index = Index([unit for number, row in enumerate(target.examples()) for unit in units_of(row, number)])
    wanted = range(len(pool)) if numbers is None else numbers
    found = Scan(index, n_pool=len(wanted), most=few(len(wanted)))
    for some in _batches(wanted):
        for number, row in zip(some, pool.examples(some), strict=True):
            found.look(number, parts_of(row))
    return found


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[start : start + _ROWS] for start in range(0, len(numbers), _ROWS))


def _sums(rows: NDArray[np.int64], found: Sequence[tuple[Sequence[int], float]]) -> tuple[NDArray[np.float64], float]:
    """Of each row the weights of what it has, and the weights of all."""
    out = np.zeros(len(rows))
    for some, weight in found:
        out[np.searchsorted(rows, some)] += weight
    return out, sum(weight for _, weight in found)
