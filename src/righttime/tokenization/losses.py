"""The losses of a batch of rows under a causal language model.

Padding is on the right, where a causal model cannot see it, and logits are made only where a token to be learnt comes
next.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.tokenization.masking import Tokens

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["summed_losses"]


def summed_losses(model: Any, rows: Sequence[Tokens]) -> NDArray[np.float64]:
    """The sum of each row's token losses, in nats.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        rows: Tokens and which of them are learnt, at least one of each row.

    Returns:
        float64, shape (n,).
    """
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
