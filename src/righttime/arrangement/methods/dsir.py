"""DSIR: draw pool texts by how much more likely the target's bag of hashed n-grams makes them than the pool's.

Xie et al., "Data Selection for Language Models via Importance Resampling" (NeurIPS 2023).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.selection import Method, Param, Picked, Question
from righttime.errors import SettingsError

__all__ = ["METHODS", "hashed_ngrams", "log_weights"]

_WORDS = re.compile(r"\w+|[^\w\s]+")
_SMOOTHING = 1e-8  # of the authors' package, which also keeps unseen n-grams finite
_REMEMBERED = 1 << 18


@dataclass(frozen=True)
class _Bags:
    """The buckets of all n-grams of some texts, one text after another.

    Attributes:
        buckets: int32, shape (n_ngrams,).
        start: int64, shape (n_texts + 1,): where each text begins.
    """

    buckets: NDArray[np.int32]
    start: NDArray[np.int64]

    def shares(self, n_buckets: int) -> NDArray[np.float64]:
        counts = np.bincount(self.buckets, minlength=n_buckets)
        return np.asarray(counts / max(1, counts.sum()), dtype=np.float64)


def hashed_ngrams(text: str, n_buckets: int = 10_000, ngrams: int = 2) -> list[int]:
    """The bucket of every n-gram of 1 to `ngrams` words, repeats included.

    Words are runs of word characters or of other signs of the lower-cased text; an n-gram's bucket is the sha256 of its
    words joined by spaces, modulo the number of buckets. All as in the authors' package.

    Example:
        >>> hashed_ngrams("To be", n_buckets=100)
        [41, 25, 39]
    """
    return _buckets(text, n_buckets, ngrams, {})


def _buckets(text: str, n_buckets: int, ngrams: int, known: dict[str, int]) -> list[int]:
    words = _WORDS.findall(text.lower())
    out = []
    for n in range(1, ngrams + 1):
        for first in range(len(words) - n + 1):
            gram = " ".join(words[first : first + n])
            bucket = known.get(gram)
            if bucket is None:
                bucket = int.from_bytes(hashlib.sha256(gram.encode("utf-8", "surrogatepass")).digest(), "big")
                bucket %= n_buckets
                if len(known) < _REMEMBERED:
                    known[gram] = bucket
            out.append(bucket)
    return out


def _bags(texts: Sequence[str], n_buckets: int, ngrams: int, question: Question) -> _Bags:
    known: dict[str, int] = {}
    parts = []
    for text in texts:
        parts.append(np.array(_buckets(text, n_buckets, ngrams, known), dtype=np.int32))
        if question.progress is not None:
            question.progress(1)
    start = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return _Bags(np.concatenate(parts), start)


def log_weights(question: Question) -> NDArray[np.float64]:
    """log(p_target(text) / p_pool(text)) of every pool row under the two bags of n-grams, float64, shape (n_pool,).

    Each text's terms are summed exactly and rounded once, so the value does not depend on the text's word order
    beyond its n-grams, nor on the machine.

    Raises:
        SettingsError: If there are no texts.
    """
    if question.texts is None or question.target_texts is None:
        raise SettingsError(
            "dsir needs the text of every pool row and target row, got none. Hint: texts=, target_texts=."
        )
    n_buckets, ngrams = question.params["buckets"], question.params["ngrams"]
    pool = _bags(question.texts, n_buckets, ngrams, question)
    target = _bags(question.target_texts, n_buckets, ngrams, question)
    ratio = np.log(target.shares(n_buckets) + _SMOOTHING) - np.log(pool.shares(n_buckets) + _SMOOTHING)
    pieces = zip(pool.start[:-1].tolist(), pool.start[1:].tolist(), strict=True)
    return np.array([math.fsum(ratio[pool.buckets[start:stop]].tolist()) for start, stop in pieces])


def _dsir(question: Question) -> Picked:
    """Gumbel top-k: the k largest of log weight + Gumbel noise are k draws without replacement, in the order drawn."""
    score = log_weights(question)
    if question.params["draw"] == "sample":
        score = score + np.random.default_rng(question.seed).gumbel(size=len(score))
    order = np.argsort(-score, kind="stable").astype(np.int64)
    return Picked(order, distance=0.0 - score[order])


METHODS = {
    "dsir": Method(
        _dsir,
        "drawn by the likelihood ratio of hashed n-grams, target to pool",
        "Xie et al. 2023 (DSIR)",
        frozenset({"texts"}),
        "words of both sides",
        {
            "buckets": Param(int, 10_000, "buckets that n-grams are hashed into", least=1, most=10**8),
            "ngrams": Param(int, 2, "the longest n-gram counted, in words", least=1),
            "draw": Param(str, "sample", "sample by the seed, or top: the largest weights", choices=("sample", "top")),
        },
    )
}
