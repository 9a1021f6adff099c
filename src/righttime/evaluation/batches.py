"""Which rows go through the model together: rows of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.tokenization.batches import token_batches

__all__ = ["DEFAULT_BATCH_TOKENS", "length_batches", "shared_out"]

DEFAULT_BATCH_TOKENS = 4096


def length_batches(lengths: Sequence[int], batch_tokens: int = DEFAULT_BATCH_TOKENS) -> list[NDArray[np.int64]]:
    """Rows in batches, the longest first, each of at most so many tokens with its padding.

    Args:
        lengths: Tokens of each row.
        batch_tokens: The most tokens of a batch, padding counted; a longer row is a batch of its own.

    Returns:
        Row numbers, int64; together a permutation of all rows.

    Raises:
        SettingsError: If `batch_tokens` is less than 1.

    Example:
        >>> [batch.tolist() for batch in length_batches([2, 5, 3, 2], 6)]
        [[1], [2, 0], [3]]
    """
    if batch_tokens < 1:
        raise SettingsError(f"a batch must hold at least 1 token, got {batch_tokens}.", setting="batch_tokens")
    return list(token_batches(lengths, batch_tokens))


def shared_out(n_batches: int, process: int, processes: int) -> list[tuple[int, bool]]:
    """The batches of one of several processes, and whether each counts.

    Every process has as many, since a sharded model needs all of them for each batch; those that lack one at the end
    compute their last batch again and throw it away.

    Example:
        >>> shared_out(3, 0, 2), shared_out(3, 1, 2)
        ([(0, True), (2, True)], [(1, True), (1, False)])
    """
    mine = [(number, True) for number in range(process, n_batches, processes)]
    wanted = -(-n_batches // processes)
    spare = mine[-1][0] if mine else 0
    return mine + [(spare, False)] * (wanted - len(mine))
