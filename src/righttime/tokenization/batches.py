"""Which texts go through a model together: those of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["token_batches"]


def token_batches(lengths: ArrayLike, most_tokens: int, most_rows: int | None = None) -> Iterator[NDArray[np.int64]]:
    """Texts in batches of a bounded number of tokens, padding counted, the longest first.

    A batch is full by its longest text and its number of texts alone, and texts are taken from the longest down, equal
    ones in their order. So a batch does not depend on the others: of the texts left when whole batches are done, the
    same batches are made.

    Args:
        lengths: Tokens of each text, whole numbers of shape (n,).
        most_tokens: The bound; a text that is longer by itself is a batch by itself.
        most_rows: The most texts of a batch; None sets no bound.

    Yields:
        The places in `lengths` of each batch, int64; together a permutation of all places.

    Example:
        >>> [batch.tolist() for batch in token_batches([2, 5, 3, 2], 6)]
        [[1], [2, 0], [3]]
        >>> [batch.tolist() for batch in token_batches([1, 1, 1], 6, 2)]
        [[0, 1], [2]]
    """
    tokens = np.asarray(lengths, dtype=np.int64)
    order, start = np.argsort(-tokens, kind="stable"), 0
    while start < len(order):
        size = max(1, most_tokens // max(1, int(tokens[order[start]])))
        stop = start + (size if most_rows is None else min(size, most_rows))
        yield order[start:stop]
        start = stop
