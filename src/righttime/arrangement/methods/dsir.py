"""DSIR: draw pool texts by how much more likely the target's bag of hashed n-grams makes them than the pool's.

Xie et al., "Data Selection for Language Models via Importance Resampling" (NeurIPS 2023). Words, hashes, weights and
the minimum length are those of the authors' package, `data-selection` 1.0.3.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.errors import SettingsError

__all__ = ["METHODS", "Weights", "hashed_ngrams", "weights"]

# Of NLTK's WordPunctTokenizer, which the package uses. NLTK compiles it with `regex`, for which a word holds its
# combining marks, as Hindi's vowel signs are; for the standard library's `re` a word ends at every such mark.
_WORDS = regex.compile(r"\w+|[^\w\s]+")
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

    def words(self, ngrams: int) -> NDArray[np.int64]:
        """Words of each text, counted back from its n-grams as the package does: exact from `ngrams` - 1 words up."""
        return np.asarray((np.diff(self.start) + ngrams * (ngrams - 1) // 2) // ngrams, dtype=np.int64)

    def shares(self, n_buckets: int) -> NDArray[np.float64]:
        counts = np.bincount(self.buckets, minlength=n_buckets)
        return np.asarray(counts / max(1, counts.sum()), dtype=np.float64)


def hashed_ngrams(text: str, n_buckets: int = 10_000, ngrams: int = 2) -> list[int]:
    """The bucket of every n-gram of 1 to `ngrams` words, repeats included.

    Words are runs of word characters (letters with their combining marks, digits) or of other signs of the lower-cased
    text; an n-gram's bucket is the sha256 of its words joined by spaces, modulo the number of buckets. All as in the
    authors' package.

    Example:
        >>> hashed_ngrams("To be", n_buckets=100)
        [41, 25, 39]
        >>> len(hashed_ngrams("नमस्ते दुनिया"))  # two words and their pair
        3
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


def _bags(texts: Sequence[str], n_buckets: int, ngrams: int, inputs: SelectionInput) -> _Bags:
    known: dict[str, int] = {}
    parts = []
    for text in texts:
        parts.append(np.array(_buckets(text, n_buckets, ngrams, known), dtype=np.int32))
        if inputs.progress is not None:
            inputs.progress(1)
    start = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return _Bags(np.concatenate(parts), start)


@dataclass(frozen=True)
class Weights:
    """What the two bags say of every pool row.

    Attributes:
        log_weight: float64, shape (n_pool,): log(p_target(text) / p_pool(text)).
        words: int64, shape (n_pool,): the row's length in words.
    """

    log_weight: NDArray[np.float64]
    words: NDArray[np.int64]


def weights(inputs: SelectionInput) -> Weights:
    """The likelihood ratio of every pool row under the two bags of n-grams, and its length.

    All rows count in the bags, short ones too. Each text's terms are summed exactly and rounded once, so the value does
    not depend on the text's word order beyond its n-grams, nor on the machine.

    Raises:
        SettingsError: If there are no texts.
    """
    if inputs.texts is None or inputs.target_texts is None:
        raise SettingsError(
            "dsir needs the text of every pool row and target row, got none. Hint: texts=, target_texts=.",
            setting="texts",
        )
    n_buckets, ngrams = inputs.params["buckets"], inputs.params["ngrams"]
    pool = _bags(inputs.texts, n_buckets, ngrams, inputs)
    target = _bags(inputs.target_texts, n_buckets, ngrams, inputs)
    ratio = np.log(target.shares(n_buckets) + _SMOOTHING) - np.log(pool.shares(n_buckets) + _SMOOTHING)
    pieces = zip(pool.start[:-1].tolist(), pool.start[1:].tolist(), strict=True)
    summed = [math.fsum(ratio[pool.buckets[start:stop]].tolist()) for start, stop in pieces]
    return Weights(np.array(summed), pool.words(ngrams))


def _dsir(inputs: SelectionInput) -> Selection:
    """Gumbel top-k: the k largest of log weight + Gumbel noise are k draws without replacement, in the order drawn.

    The package never draws rows of fewer than `min_words` words. Here they follow all others, by the same score, so
    that any budget can be met; their distance is infinite.
    """
    found, least = weights(inputs), inputs.params["min_words"]
    score = found.log_weight
    if inputs.params["draw"] == "sample":
        score = score + np.random.default_rng(inputs.seed).gumbel(size=len(score))
    short = found.words < least
    order = np.lexsort((-score, short)).astype(np.int64)  # stable: equal scores keep the pool's order
    distance = np.where(short, np.inf, 0.0 - score)
    return Selection(order, distance=distance[order], resolved=_told(int(short.sum()), len(short), least))


def _told(short: int, n_pool: int, least: int) -> dict[str, Any]:
    """What the manifest says of short rows; a warning too, where there are some."""
    if not short:
        return {"short_rows": 0}
    warning = (
        f"dsir: {short:,} of {n_pool:,} pool rows have fewer than {least} words, the least that the authors' package "
        'draws; they come last. Hint: `params={"min_words": 0}` draws them like any other row.'
    )
    warnings.warn(warning, stacklevel=2)
    return {"short_rows": short, "warning": warning}


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
            "min_words": Param(
                int, 100, "shorter rows follow all others, as the authors' package never draws them", least=0
            ),
            "draw": Param(str, "sample", "sample by the seed, or top: the largest weights", choices=("sample", "top")),
        },
        draws=lambda inputs: inputs.params["draw"] == "sample",
        paper="Xie et al., *Data Selection for Language Models via Importance Resampling*, NeurIPS 2023, arXiv "
        "2302.03169",
        differs="Rows of fewer than `min_words` words come last; the authors' package never draws them. Words of the "
        "pool are counted in full.",
    )
}
