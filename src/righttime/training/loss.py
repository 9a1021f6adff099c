"""The training loss, with logits made only where a token is learnt, and in chunks. Importing this imports torch.

A row of 130 tokens may learn 15 of them. With a large vocabulary, logits of the other places are most of the memory of
a step and a good part of its work, and nothing is taken from them. Of those that are learnt a chunk is held at a time,
where the model returns what its output layer makes; some scale or cap it afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from righttime.tokenization.losses import logits_at, output_layer
from righttime.training.chunks import chunked_loss, worth_chunks

__all__ = ["IGNORED", "bare_logits", "learnt_logits", "next_tokens", "summed_loss"]

IGNORED = -100
"""The label of a token that is not learnt."""


def next_tokens(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Where the next token is learnt, and which one that is.

    Args:
        labels: int64, shape (n, length); `IGNORED` where a token is not learnt.

    Returns:
        bool, shape (n, length), true at k places; int64, shape (k,). With nothing to learn the first place is taken,
        and its token is `IGNORED`: every process of a sharded model must take part in the output layer.

    Example:
        >>> places, wanted = next_tokens(torch.tensor([[-100, -100, 7, 8]]))
        >>> places.tolist(), wanted.tolist()
        ([[False, True, True, False]], [7, 8])
    """
    following = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    places = following != IGNORED
    if not places.any():
        places[0, 0] = True
    return places, following[places]


def bare_logits(model: Any) -> bool:
    """Whether a model returns what its output layer makes of the states: only then can the layer make the loss itself.

    Computed, on four tokens, without dropout.

    Args:
        model: A causal language model of transformers, with adapters or without, as it is trained.
    """
    layer, made = output_layer(model), list[Tensor]()
    kind: type = type(layer)  # a layer with adapters is of a kind of its own
    if kind is not torch.nn.Linear or layer.bias is not None:
        return False
    hook = layer.register_forward_hook(lambda _, __, found: made.append(found))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            found = model(input_ids=torch.arange(4, device=layer.weight.device)[None])["logits"]
    finally:
        model.train(training)
        hook.remove()
    return len(made) == 1 and made[0].shape == found.shape and torch.equal(made[0].float(), found.float())


@contextlib.contextmanager
def learnt_logits(model: Any, labels: Tensor, summed: bool = False) -> Iterator[None]:
    """Make a model's output layer see only the places whose next token is learnt.

    Its logits then have the shape (1, k, vocabulary), in the order of `next_tokens`; see `logits_at`.

    Args:
        model: A causal language model of transformers, with adapters or without.
        labels: int64, shape (n, length).
        summed: Where there are more logits than one chunk's, let the layer return the sum of their losses instead, as
            logits of shape (1, 1, 1). Only for models with `bare_logits`.
    """
    layer = output_layer(model)
    places, wanted = next_tokens(labels)

    def loss_of(states: Tensor) -> Tensor:
        if not any(states is one for one in kept):
            logits: Tensor = torch.nn.functional.linear(states, layer.weight)
            return logits
        return chunked_loss(states[0], layer.weight, wanted.to(states.device)).reshape(1, 1, 1)

    with logits_at(model, places) as kept:
        if summed and worth_chunks(len(wanted), len(layer.weight)):
            layer.forward = loss_of
        try:
            yield
        finally:
            if layer is not None:
                layer.__dict__.pop("forward", None)


def summed_loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """The mean loss over the learnt tokens of a whole step: this micro-batch's sum over the step's count.

    So it depends neither on padding nor on how a step is cut into micro-batches and processes. A step with nothing to
    learn has the loss 0.

    Args:
        outputs: What the model returned; its logits have the shape (n, length, vocabulary) or, as `learnt_logits`
            makes them, (1, k, vocabulary), or (1, 1, 1) for their summed loss.
        labels: int64, shape (n, length).
        num_items_in_batch: Learnt tokens of the step on all processes.
    """
    places, wanted = next_tokens(labels)
    logits = outputs["logits"]
    wanted = wanted.to(logits.device)
    if logits.shape == (1, 1, 1):
        loss: Tensor = logits.sum()
    else:
        learnt = logits[places.to(logits.device)] if logits.shape[:-1] == places.shape else logits[0]
        loss = torch.nn.functional.cross_entropy(learnt.float(), wanted, ignore_index=IGNORED, reduction="sum")
    count = num_items_in_batch if num_items_in_batch is not None else (wanted != IGNORED).sum()
    return loss / torch.as_tensor(count, device=loss.device).clamp(min=1)
