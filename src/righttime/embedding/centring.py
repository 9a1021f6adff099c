"""Vectors that all point nearly the same way, told apart: less the mean of a sample, or whitened by its covariance.

A model's hidden states share a few large components, so that their cosines are all close to 1. What is subtracted or
divided by comes from pool rows drawn by a seed: the distinct texts whose hash with the seed is lowest. So the sample
depends neither on the pool's order nor on repeats.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.cache import VectorCache
from righttime.embedding.keys import Keys, different
from righttime.errors import EmbeddingError, NonFiniteError, SettingsError
from righttime.growing import Picked
from righttime.similarity import room_for, unit_rows
from righttime.similarity.pairs import fold_sum
from righttime.store import write_bytes

__all__ = ["CENTRINGS", "SAMPLE", "Centring", "Statistics", "fit", "kept_sample", "one_thread", "sample_of"]

SAMPLE = 1000
"""Texts that the statistics come from, where no other number is asked for."""

CENTRINGS: Mapping[str, str] = {
    "centred": "less the mean of a sample of pool rows",
    "whitened": "centred, and scaled so that the sample's covariance becomes the identity",
}
_ROWS = 1024  # moved at a time; in this many always, so that products round alike
_LEAST, _MOST = 2, 1e6


@dataclass(frozen=True)
class Centring:
    """What is to be done with vectors, and the sample it goes by.

    Attributes:
        how: A name of `CENTRINGS`.
        sample: How many distinct texts of the pool.
        seed: Draws them.
    """

    how: str
    sample: int = SAMPLE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sample < _LEAST:
            raise SettingsError(f"`sample` must be at least {_LEAST} texts, got {self.sample}.", setting="embedder")
        if self.seed < 0:
            raise SettingsError(f"`seed` must be 0 or more, got {self.seed}.", setting="embedder")


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is subtracted from vectors, and what they are multiplied by.

    Attributes:
        mean: float64, shape (d,).
        whitening: float64, shape (k, d), what vectors less the mean are multiplied by: the inverse of the covariance's
            Cholesky factor, with k = d, or the k directions of a subspace; None where they are only centred.
        about: What the manifest says of them.
    """

    mean: NDArray[np.float64]
    whitening: NDArray[np.float64] | None
    about: Mapping[str, Any]

    def moved(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Vectors less the mean, multiplied where that is asked for: float64, shape (n, k)."""
        rest = np.asarray(vectors, dtype=np.float64) - self.mean
        if self.whitening is None:
            return rest
        with one_thread():
            return np.asarray(rest @ self.whitening.T)

    def unit(
        self, vectors: NDArray[np.float32], most_bytes: int | None = None, folder: Path | None = None
    ) -> NDArray[np.float32]:
        """The same, of length 1: float32, shape (n, k); in memory or mapped as by `righttime.similarity.unit_rows`.

        Raises:
            NonFiniteError: If nothing is left of a vector, as of the mean itself; names the row.
        """
        width = vectors.shape[1] if self.whitening is None else len(self.whitening)
        out = room_for((len(vectors), width), most_bytes, folder)
        for start in range(0, len(vectors), _ROWS):
            rest = self.moved(vectors[start : start + _ROWS])
            bad = np.flatnonzero(~rest.any(axis=1) | ~np.isfinite(rest).all(axis=1))
            if len(bad):
                raise NonFiniteError(
                    f"a vector must differ from the mean of the sample, but that of row {start + bad[0]} does not. "
                    "Hint: an `embedder` without centring.",
                    row=int(start + bad[0]),
                )
            out[start : start + _ROWS] = unit_rows(rest)
        return out


def sample_of(texts: Sequence[str], centring: Centring) -> list[bytes]:
    """The keys (sha256) of the texts drawn: those whose hash together with the seed is lowest, in that order.

    Args:
        texts: The texts of the pool; equal ones count once.
        centring: How many, and the seed.
    """
    keys, salt = Keys(texts), b"%d " % centring.seed
    distinct = Picked(keys, different(keys))
    return heapq.nsmallest(centring.sample, distinct, key=lambda key: hashlib.sha256(salt + key).digest())


def fit(identity: Mapping[str, str | int], keys: Sequence[bytes], centring: Centring, cache: Path) -> Statistics:
    """The statistics of cached vectors; the sample's keys are kept in the cache, so that they can be had again.

    Args:
        identity: The embedder's.
        keys: From `sample_of`.
        centring: What to do.
        cache: The folder of the cache, which holds the vectors of all keys.

    Raises:
        EmbeddingError: If vectors of the sample are not in the cache, or it holds fewer than two texts.
    """
    with VectorCache(cache, identity) as store:
        if missing := len(store.missing(keys)):
            raise EmbeddingError(
                f"vectors are {centring.how} by a sample of pool rows, but {missing} of its {len(keys)} vectors are "
                "not in the cache. Hint: the `cache` they were made with, or verify the arrangement, which makes them."
            )
        sample = store.get(keys)[0]
    if len(sample) < _LEAST:
        raise EmbeddingError(
            f"vectors can be {centring.how} only by a pool of at least {_LEAST} different texts, got {len(sample)}. "
            "Hint: an `embedder` without centring."
        )
    digest = hashlib.sha256(b"".join(keys)).hexdigest()
    write_bytes(_file(cache, digest), b"".join(keys))
    mean, whitening, more = _statistics(sample.astype(np.float64), centring)
    bare = Statistics(mean, whitening, {})
    rest = bare.moved(sample)
    length = [math.sqrt(float(np.square(side, dtype=np.float64).sum(axis=1).mean())) for side in (sample, rest)]
    about = {
        "how": centring.how,
        "sample": len(sample),
        "seed": centring.seed,
        "sample_sha256": digest,
        "mean_cosine": mean_cosine(unit_rows(sample)),
        "mean_cosine_after": mean_cosine(bare.unit(sample)),
        # By how much a relative error of a vector may grow.
        "amplification": min(_MOST, length[0] / length[1] * more.pop("widest", 1.0)),
        **more,
        "statistics_sha256": _sha256(mean, whitening),
    }
    return Statistics(mean, whitening, about)


def _statistics(
    sample: NDArray[np.float64], centring: Centring
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, dict[str, float]]:
    """Mean, whitening and what else is known of a sample, shape (n, d)."""
    mean = fold_sum(np.array(sample.T)) / len(sample)
    if centring.how != "whitened":
        return mean, None, {}
    from scipy.linalg import solve_triangular
    from sklearn.covariance import ledoit_wolf

    rest = sample - mean
    with one_thread():
        covariance, shrinkage = ledoit_wolf(rest, assume_centered=True)
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError as error:
            raise EmbeddingError(
                f"vectors can be whitened only where the covariance of the {len(sample)} sampled rows can be inverted, "
                "but it cannot. Hint: `#centred`, or a larger `sample`."
            ) from error
        whitening = solve_triangular(factor, np.eye(len(factor)), lower=True)
    # The least eigenvalue is at least the share of the identity that the shrinkage put in.
    least = float(shrinkage) * float(np.trace(covariance)) / len(covariance)
    return mean, whitening, {"shrinkage": float(shrinkage), "widest": 1 / math.sqrt(max(least, _MOST**-2))}


def mean_cosine(unit: NDArray[np.float32]) -> float:
    """The mean cosine of all pairs of different unit vectors: (|Σu|² - n) / (n(n - 1)).

    Example:
        >>> mean_cosine(np.float32([[1, 0], [0, 1], [-1, 0]]))
        -0.3333333333333333
    """
    n = len(unit)
    total = fold_sum(np.array(unit.T, dtype=np.float64))
    return (float(np.square(total).sum()) - n) / (n * (n - 1))


def kept_sample(about: Mapping[str, Any], cache: Path) -> list[bytes]:
    """The keys of the sample that vectors of an arrangement were centred by.

    Args:
        about: What the manifest says of the centring.
        cache: The folder of cached vectors.

    Raises:
        EmbeddingError: If the cache does not hold them as they were written.
    """
    digest = str(about.get("sample_sha256"))
    try:
        held = _file(cache, digest).read_bytes()
    except OSError:
        held = b""
    if hashlib.sha256(held).hexdigest() != digest:
        raise EmbeddingError(
            f"vectors are {about.get('how')} by a sample of pool rows that is not in the cache. Hint: the `cache` they "
            "were made with, or verify the arrangement, which draws it again."
        )
    return [held[start : start + 32] for start in range(0, len(held), 32)]


def _file(cache: Path, digest: str) -> Path:
    return cache / f"sample-{digest[:16]}.keys"


def _sha256(*arrays: NDArray[np.float64] | None) -> str:
    found = hashlib.sha256()
    for array in arrays:
        if array is not None:
            found.update(np.ascontiguousarray(array, dtype="<f8").data)
    return found.hexdigest()


def one_thread() -> Any:
    """While it lasts, products of matrices run on one thread: more would round otherwise."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")
