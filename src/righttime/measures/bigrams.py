"""KL divergence of word bigrams between prefixes of an order and the target, each text read once.

With c_b the counts of the prefix's bigrams, C their sum, and P_b = c_b/C,

    KL = Σ_b P_b·ln(P_b/(Q_b + ε)) = (S - T)/C - ln C,   S = Σ_b c_b·ln c_b,   T = Σ_b c_b·ln(Q_b + ε).

S and T change only by the bigrams that a new row brings, so no distribution is ever walked through again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPSILON", "bigram_curves"]

EPSILON = 1e-10
"""Added to Q, as in the paper's code, so that a bigram which the target lacks has a finite term."""

_PIECE = 256  # texts counted at a time
_WORD_BITS = 32
_FREE = -1  # no bigram's number
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio: Fibonacci hashing
_BATCH = 1 << 16

Keys = NDArray[np.int64]


def bigram_curves(
    texts: Sequence[str],
    targets: Sequence[Sequence[str]],
    ends: Sequence[int],
    *,
    over_occurrences: bool = False,
    progress: Callable[[int], object] | None = None,
) -> NDArray[np.float64]:
    """KL(P‖Q) of whitespace-word bigrams, P of each prefix of `texts` and Q of each target.

    Args:
        texts: The texts in order.
        targets: The targets' texts, one sequence for each curve.
        ends: Prefix sizes, ascending, from 1.
        over_occurrences: For comparison only: weight each bigram's term by how often it occurs in all `texts` and all
            `targets` together, as the paper's code does by summing over a list where a set was meant.
        progress: Called with the number of texts done since the last call.

    Returns:
        float64, shape (len(targets), len(ends)), in nats; NaN where a prefix has no bigram.

    Example:
        >>> bigram_curves(["a b", "x y"], [["a b c"]], [1, 2]).round(2).tolist()
        [[0.69, 11.17]]
    """
    words: defaultdict[str, int] = defaultdict(count().__next__)
    sides = [_Target.of(_keys(side, words)) for side in targets]
    weights = None
    if over_occurrences:
        weights = _Counts()
        for some in (*(texts[start:stop] for start, stop in _pieces(len(texts), ())), *targets):
            weights.add(*_unique(_keys(some, words)))
    run = _BigramRun(sides, weights)
    out = np.empty((len(targets), len(ends)))
    wanted = {end: place for place, end in enumerate(ends)}
    for start, stop in _pieces(ends[-1] if len(ends) else 0, ends):
        run.add(_keys(texts[start:stop], words))
        if stop in wanted:
            out[:, wanted[stop]] = run.values()
        if progress is not None:
            progress(stop - start)
    return out


def _pieces(n: int, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of texts that end wherever a prefix does."""
    start = 0
    for stop in sorted({*range(_PIECE, n, _PIECE), *ends, n} - {0}):
        yield start, stop
        start = stop


def _keys(texts: Sequence[str], words: defaultdict[str, int]) -> Keys:
    """Every bigram of the texts as one number made of its words' numbers; none spans two texts."""
    number = words.__getitem__
    parts = []
    for text in texts:
        ids = np.fromiter(map(number, text.split()), dtype=np.int64)
        parts.append(ids[:-1] << _WORD_BITS | ids[1:])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _unique(keys: Keys) -> tuple[Keys, Keys]:
    found, counts = np.unique(keys, return_counts=True)
    return found, counts.astype(np.int64)


class _Counts:
    """How often each bigram was seen: a hash table with open addressing, asked a batch at a time.

    A dictionary needs four scattered reads for each bigram, one after another, and slows down as it outgrows the
    processor's cache; a batch needs two, which the processor overlaps.
    """

    def __init__(self) -> None:
        self._keys = np.full(1 << 12, _FREE, dtype=np.int64)
        self._counts = np.zeros(1 << 12, dtype=np.int64)
        self._used = 0

    def add(self, keys: Keys, counts: Keys) -> Keys:
        """Add to the counts of distinct bigrams; returns what they were before."""
        while 2 * (self._used + len(keys)) > len(self._keys):
            self._grow()
        slots = self._slots(keys)
        before = self._counts[slots]
        self._counts[slots] = before + counts
        return before

    def get(self, keys: Keys) -> Keys:
        """The counts of distinct bigrams that were all seen."""
        return self._counts[self._slots(keys)]

    def _slots(self, keys: Keys) -> Keys:
        """The slot of each of the distinct keys, new ones put where there is room."""
        spread = keys.astype(np.uint64) * _GOLDEN >> np.uint64(65 - len(self._keys).bit_length())
        slots: NDArray[np.int64] = spread.astype(np.int64)
        left = np.arange(len(keys))
        while len(left):
            at, wanted = slots[left], keys[left]
            free = self._keys[at] == _FREE
            self._keys[at[free]] = wanted[free]  # where several want one slot the last one has it
            found = self._keys[at] == wanted
            self._used += int((free & found).sum())
            left = left[~found]
            slots[left] = (slots[left] + 1) & (len(self._keys) - 1)
        return slots

    def _grow(self) -> None:
        there = self._keys != _FREE
        keys, counts, size = self._keys[there], self._counts[there], 4 * len(self._keys)
        self._keys, self._counts = np.full(size, _FREE, dtype=np.int64), np.zeros(size, dtype=np.int64)
        self._used = 0
        for start in range(0, len(keys), _BATCH):
            some = slice(start, start + _BATCH)
            self._counts[self._slots(keys[some])] = counts[some]


@dataclass(frozen=True)
class _Target:
    """A target's bigrams, ascending, and by how much ln(Q + ε) of each exceeds that of a bigram it lacks, ln ε."""

    keys: Keys
    gain: NDArray[np.float64]

    @classmethod
    def of(cls, keys: Keys) -> _Target:
        found, counts = _unique(keys)
        return cls(found, np.log(counts / max(1, len(keys)) + EPSILON) - np.log(EPSILON))

    def log_q(self, keys: Keys) -> NDArray[np.float64]:
        out = np.full(len(keys), np.log(EPSILON))
        if len(self.keys):
            place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            out += np.where(self.keys[place] == keys, self.gain[place], 0.0)
        return out


class _BigramRun:
    """S, T and C of the prefix so far; with weights, each term times its bigram's."""

    def __init__(self, targets: Sequence[_Target], weights: _Counts | None) -> None:
        self._targets, self._weights = targets, weights
        self._counts = _Counts()
        self._total = 0  # C
        self._weighted_total = 0.0  # Σ w·c; C without weights
        self._s = 0.0
        self._t = np.zeros(len(targets))

    def add(self, keys: Keys) -> None:
        found, more = _unique(keys)
        weight = 1.0 if self._weights is None else self._weights.get(found).astype(np.float64)
        before = self._counts.add(found, more)
        self._total += len(keys)
        self._weighted_total += float((weight * more).sum())
        self._s += float((weight * (_x_ln_x(before + more) - _x_ln_x(before))).sum())
        for place, target in enumerate(self._targets):
            self._t[place] += (weight * more * target.log_q(found)).sum()

    def values(self) -> NDArray[np.float64]:
        if not self._total:
            return np.full(len(self._t), np.nan)
        return np.asarray((self._s - self._t - self._weighted_total * np.log(self._total)) / self._total)


def _x_ln_x(counts: Keys) -> NDArray[np.float64]:
    return np.asarray(counts * np.log(np.maximum(counts, 1)))
