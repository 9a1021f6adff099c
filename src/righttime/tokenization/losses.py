"""The losses of a batch of rows under a causal language model.

Padding is on the right, where a causal model cannot see it, and logits are made only where a token to be learnt comes
next: of a row of 130 tokens that may be 15, and with a large vocabulary all others are most of the work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.tokenization.masking import Tokens

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["logits_at", "output_layer", "summed_losses", "token_losses"]


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
    inputs, mask = torch.from_numpy(ids).to(model.device), torch.from_numpy(real).to(model.device)
    marks = torch.from_numpy(learnt).to(model.device)
    losses, of_row = token_losses(model, inputs, marks, input_ids=inputs, attention_mask=mask)
    sums = torch.zeros(len(rows), dtype=torch.float64, device=losses.device).index_add_(0, of_row, losses.double())
    result: NDArray[np.float64] = sums.cpu().numpy()
    return result


def token_losses(
    model: Any, tokens: Tensor, learnt: Tensor, *, by_row: bool = False, **inputs: Any
) -> tuple[Tensor, Tensor]:
    """The loss of each learnt token, in nats, row after row.

    Args:
        model: A causal language model of transformers.
        tokens: int64, shape (n, length), padded on the right.
        learnt: bool, shape (n, length): which tokens are learnt, none of them the first of its row.
        by_row: Give the output layer the states of each row by itself, so all of them.
        inputs: What the model is given of these tokens.

    Returns:
        float32, shape (k,), and the row of each, int64, shape (k,).
    """
    import torch

    places = torch.nn.functional.pad(learnt[:, 1:], (0, 1))  # logits at a place tell of the next token
    with contextlib.nullcontext() if by_row else logits_at(model, places):
        logits = model(**inputs, use_cache=False).logits
    there = places.to(logits.device)
    found = logits[there] if logits.shape[:-1] == places.shape else logits[0]
    wanted = tokens[learnt].to(logits.device)
    return torch.nn.functional.cross_entropy(found.float(), wanted, reduction="none"), there.nonzero()[:, 0]


@contextlib.contextmanager
def logits_at(model: Any, places: Tensor) -> Iterator[list[Tensor]]:
    """Make a model's output layer see only some places; its logits then have the shape (1, k, vocabulary).

    A model whose output layer cannot be told, or is fed something else than a state for each token, makes all logits as
    ever.

    Args:
        model: A causal language model of transformers, with adapters or without.
        places: bool, shape (n, length), true at k places.

    Yields:
        What the layer was given, shape (1, k, width), once it was.
    """
    kept: list[Tensor] = []

    def selected(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not inputs or inputs[0].shape[:-1] != places.shape:
            return None
        kept[:] = [inputs[0][places.to(inputs[0].device)].unsqueeze(0)]
        return kept[0], *inputs[1:]

    layer = output_layer(model)
    hook = None if layer is None else layer.register_forward_pre_hook(selected)
    try:
        yield kept
    finally:
        if hook is not None:
            hook.remove()


def output_layer(model: Any) -> Any:
    """The layer that makes logits, or None.

    Args:
        model: A causal language model of transformers, with adapters or without.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    try:
        return inner.get_output_embeddings()
    except (AttributeError, NotImplementedError):
        return None
