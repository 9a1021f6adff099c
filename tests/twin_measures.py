"""The nine measures from their definitions: every prefix by itself, the whole matrix, a dictionary of every bigram."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-10


def vector_measures(pool: NDArray[np.float32], target: NDArray[np.float32], n: int) -> dict[str, float]:
    x, t = pool[:n].astype(np.float64), target.astype(np.float64)
    cosine = -(x @ t.T)
    euclidean = np.array([[np.linalg.norm(a - b) for b in t] for a in x])
    mean_x, mean_t = x.mean(axis=0), t.mean(axis=0)
    norms = float(np.linalg.norm(mean_x) * np.linalg.norm(mean_t))
    out: dict[str, float] = {}
    for kind, d in (("cosine", cosine), ("euclidean", euclidean)):
        out |= {f"{kind}-avg": float(d.mean()), f"{kind}-min": float(d.min()), f"{kind}-max": float(d.max())}
    out["cosine-centroid"] = -float(mean_x @ mean_t) / norms if norms > 1e-12 else math.nan
    out["euclidean-centroid"] = float(np.linalg.norm(mean_x - mean_t))
    return out


def bigrams(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for text in texts for pair in zip(text.split(), text.split()[1:], strict=False)]


def _term(p: float, q: float) -> float:
    return p * math.log(p / (q + EPSILON)) if p else 0.0


def _shares(found: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    return {pair: count / len(found) for pair, count in Counter(found).items()}


def kl(prefix: Sequence[str], target: Sequence[str]) -> float:
    p, q = _shares(bigrams(prefix)), _shares(bigrams(target))
    return sum(_term(p[pair], q.get(pair, 0.0)) for pair in p) if p else math.nan


def kl_over_occurrences(
    prefix: Sequence[str], target: Sequence[str], pool: Sequence[str], all_targets: Sequence[str]
) -> float:
    """The paper's code: a list of all bigrams where a set was meant, so a bigram's term comes once an occurrence."""
    p, q = _shares(bigrams(prefix)), _shares(bigrams(target))
    everything = bigrams(pool) + bigrams(all_targets)
    return sum(_term(p.get(pair, 0.0), q.get(pair, 0.0)) for pair in everything) if p else math.nan
