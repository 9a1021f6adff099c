"""The loss of each row by itself: the sum of its token losses, and how many tokens that is.

Neither depends on what else is in the batch, nor on padding. A row with no token to learn has no loss: neither 0 nor
NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import ModelError
from righttime.evaluation.batches import DEFAULT_BATCH_TOKENS, length_batches, shared_out
from righttime.progress import Counter
from righttime.tokenization.losses import summed_losses
from righttime.tokenization.masking import Tokens
from righttime.training.undisturbed import undisturbed

__all__ = ["RowLosses", "row_losses"]


@dataclass(frozen=True, eq=False)
class RowLosses:
    """Losses of the rows that have one.

    Attributes:
        rows: int64, shape (k,), ascending: the numbers of these rows.
        total: float64, shape (k,): the sum of the row's token losses, in nats.
        count: int64, shape (k,): how many tokens that is, at least 1.
        left_out: int64, ascending: the numbers of the rows without a token to learn.
    """

    rows: NDArray[np.int64]
    total: NDArray[np.float64]
    count: NDArray[np.int64]
    left_out: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """float64, shape (k,): each row's mean loss."""
        return self.total / self.count


def row_losses(
    model: Any,
    rows: Sequence[Tokens],
    batch_tokens: int = DEFAULT_BATCH_TOKENS,
    share: tuple[int, int] = (0, 1),
    counter: Counter | None = None,
) -> RowLosses:
    """The loss of every row under a causal language model.

    Args:
        model: A causal language model of transformers, with adapters or without; it is left as it was.
        rows: Tokens and which of them are learnt.
        batch_tokens: The most tokens of a batch.
        share: Number and count of processes; each computes its share of the rows.
        counter: Called for every finished row.

    Raises:
        ModelError: If the model gives a loss that is no number; names the row.
    """
    import torch

    counts = np.asarray([int(row.learnt.sum()) for row in rows], dtype=np.int64)
    having = np.flatnonzero(counts)
    batches = length_batches([len(rows[row].ids) for row in having.tolist()], batch_tokens)
    total = np.full(len(rows), np.nan)
    with undisturbed(model), torch.no_grad():
        for number, counted in shared_out(len(batches), *share):
            batch = having[batches[number]]
            found = summed_losses(model, [rows[row] for row in batch.tolist()])
            if counted:
                total[batch] = found
                _check(found, batch)
                if counter is not None:
                    counter(len(batch))
    kept = np.flatnonzero(~np.isnan(total))
    return RowLosses(kept, total[kept], counts[kept], np.flatnonzero(counts == 0))


def _check(found: NDArray[np.float64], batch: NDArray[np.int64]) -> None:
    bad = batch[~np.isfinite(found)]
    if len(bad):
        raise ModelError(
            f"a row's loss must be a number, but the model gives {len(bad)} rows NaN or infinity, first row {bad[0]}. "
            "Hint: its weights have diverged, or its number format overflows."
        )
