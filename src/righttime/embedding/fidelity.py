"""How far an embedder that stands in for another agrees with it, on a sample of the very texts it is used for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.embed import TOKENS_PER_BATCH, plan_batches
from righttime.embedding.keys import Keys, different
from righttime.embedding.protocol import Embedder
from righttime.growing import Picked
from righttime.similarity import unit_rows

__all__ = ["Fidelity", "compare_vectors", "fidelity_on"]

_NEIGHBOURS = 5


@dataclass(frozen=True)
class Fidelity:
    """How far two embedders agree on some texts.

    Attributes:
        rows: How many texts were compared.
        cosine_mean: The mean cosine of a text's two vectors; None where the two have different dimensions.
        cosine_min: The smallest.
        similarity_correlation: Pearson's correlation of the one's and the other's similarities of all pairs of texts.
        neighbours_shared: The mean share of a text's five nearest (among the texts compared) that both find.
    """

    rows: int
    cosine_mean: float | None
    cosine_min: float | None
    similarity_correlation: float
    neighbours_shared: float

    def __str__(self) -> str:
        cosine = (
            ""
            if self.cosine_mean is None
            else f"cosine {self.cosine_mean:.4f} on average and {self.cosine_min:.4f} at least, "
        )
        return (
            f"on {self.rows} of these rows: {cosine}similarities of pairs correlate {self.similarity_correlation:.3f}, "
            f"{self.neighbours_shared:.0%} of the {_NEIGHBOURS} nearest are the same"
        )


def fidelity_on(
    texts: Sequence[str], embedder: Embedder, reference: Embedder | None = None, sample: int = 64
) -> Fidelity | None:
    """Embed an evenly spaced sample of the texts with both, and compare.

    Args:
        texts: The texts that `embedder` is used for; equal ones count once.
        embedder: What stands in.
        reference: What it stands in for; None takes what the embedder names as its ``reference``.
        sample: How many texts to compare, at most.

    Returns:
        How far they agree; None if there is no reference, or if fewer than seven texts differ, too few to tell.
    """
    reference = reference or getattr(embedder, "reference", None)
    if reference is None:
        return None
    distinct = Picked(texts, different(Keys(texts)))
    if len(distinct) < _NEIGHBOURS + 2:
        return None
    places = np.unique(np.linspace(0, len(distinct) - 1, min(sample, len(distinct))).astype(int))
    some = [distinct[place] for place in places]
    return compare_vectors(_embedded(some, embedder), _embedded(some, reference))


def compare_vectors(one: NDArray[np.float32], other: NDArray[np.float32]) -> Fidelity:
    """Compare the vectors of the same texts by two embedders, at least seven texts.

    Args:
        one: float32, shape (n, d).
        other: float32, shape (n, e).

    Example:
        >>> axes = np.eye(7, dtype=np.float32) + np.float32(0.1) * np.arange(7, dtype=np.float32)
        >>> compare_vectors(axes, axes * 2).neighbours_shared
        1.0
    """
    one, other = unit_rows(one, "vectors"), unit_rows(other, "vectors")
    # Not rounded up to 1 where they differ in their last bits.
    cosine = np.einsum("ij,ij->i", one, other, dtype=np.float64) if one.shape[1] == other.shape[1] else None
    similar = [(side @ side.T).astype(np.float64) for side in (one, other)]
    upper = np.triu_indices(len(one), 1)
    near = []
    for matrix in similar:
        np.fill_diagonal(matrix, -np.inf)
        near.append(np.argsort(-matrix, axis=1, kind="stable")[:, :_NEIGHBOURS])
    shared = [len(set(a) & set(b)) / _NEIGHBOURS for a, b in zip(*near, strict=True)]
    return Fidelity(
        rows=len(one),
        cosine_mean=None if cosine is None else float(cosine.mean()),
        cosine_min=None if cosine is None else float(cosine.min()),
        similarity_correlation=float(np.corrcoef(similar[0][upper], similar[1][upper])[0, 1]),
        neighbours_shared=float(np.mean(shared)),
    )


def _embedded(texts: Sequence[str], embedder: Embedder) -> NDArray[np.float32]:
    """Vectors that are not cached: a sample's company is not that of the batch plan."""
    most = int(embedder.identity["max_length"])
    lengths = [min(length, most) for length in embedder.lengths(texts)]
    batches = plan_batches(lengths, getattr(embedder, "tokens_per_batch", TOKENS_PER_BATCH))
    vectors = np.concatenate([embedder.embed([texts[place] for place in batch]) for batch in batches])
    return vectors[np.argsort([place for batch in batches for place in batch])]
