"""The loss of each row by itself: the sum of its token losses, and how many tokens that is.

Neither depends on what else is in the batch, nor on padding. Padding is on the right, where a causal model cannot see
it, and logits are made only where a token to be learnt comes next. A row with no such token has no loss: neither 0 nor
NaN.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import ModelError
from righttime.evaluation.batches import DEFAULT_BATCH_TOKENS, length_batches, shared_out
from righttime.evaluation.undisturbed import undisturbed
from righttime.progress import Counter
from righttime.tokenization.masking import Tokens

if TYPE_CHECKING:
    from torch import Tensor

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
            found = _batch_losses(model, [rows[row] for row in batch.tolist()])
            if counted:
                total[batch] = found
                _check(found, batch)
                if counter is not None:
                    counter(len(batch))
    kept = np.flatnonzero(~np.isnan(total))
    return RowLosses(kept, total[kept], counts[kept], np.flatnonzero(counts == 0))


def _batch_losses(model: Any, rows: Sequence[Tokens]) -> NDArray[np.float64]:
    """The sum of each row's token losses, shape (n,)."""
    import torch

    longest = max(len(row.ids) for row in rows)
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    real, learnt = np.zeros((len(rows), longest), dtype=np.int64), np.zeros((len(rows), longest), dtype=np.bool_)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)], real[number, : len(row.ids)] = row.ids, 1
        learnt[number, : len(row.ids)] = row.learnt
    # Logits at a place tell of the next token. Only places where some row learns that one are asked for.
    places = np.flatnonzero(learnt[:, 1:].any(axis=0))
    inputs, wanted = torch.from_numpy(ids).to(model.device), torch.from_numpy(learnt[:, places + 1]).to(model.device)
    mask = torch.from_numpy(real).to(model.device)
    logits = _logits(model, inputs, mask, torch.from_numpy(places).to(model.device))
    targets = inputs[:, torch.from_numpy(places + 1).to(model.device)]
    losses = torch.nn.functional.cross_entropy(logits[wanted].float(), targets[wanted], reduction="none")
    of_row = wanted.nonzero()[:, 0].to(losses.device)
    sums = torch.zeros(len(rows), dtype=torch.float64, device=losses.device).index_add_(0, of_row, losses.double())
    result: NDArray[np.float64] = sums.cpu().numpy()
    return result


def _logits(model: Any, inputs: Tensor, mask: Tensor, places: Tensor) -> Tensor:
    """Logits at some places, shape (n, places, vocabulary)."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "logits_to_keep" in inspect.signature(inner.forward).parameters:
        kept = model(input_ids=inputs, attention_mask=mask, use_cache=False, logits_to_keep=places).logits
    else:
        kept = model(input_ids=inputs, attention_mask=mask, use_cache=False).logits[:, places]
    result: Tensor = kept
    return result


def _check(found: NDArray[np.float64], batch: NDArray[np.int64]) -> None:
    bad = batch[~np.isfinite(found)]
    if len(bad):
        raise ModelError(
            f"a row's loss must be a number, but the model gives {len(bad)} rows NaN or infinity, first row {bad[0]}. "
            "Hint: its weights have diverged, or its number format overflows."
        )
