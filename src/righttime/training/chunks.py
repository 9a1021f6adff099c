"""The summed loss of many tokens, with the logits of a chunk of them at a time. Importing this imports torch.

With 49,152 words the logits of 4,096 tokens, their exponentials and their gradient take 2.4 GB. Here each chunk's
logits turn into its loss and into its part of the gradients before those of the next are made, so that nothing is
computed twice. Liger's fused loss does so on a GPU (arXiv 2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["LOGITS", "chunk_rows", "chunked_loss", "worth_chunks"]

LOGITS = 2**24
"""Logits that are held at once: 64 MiB in float32. Smaller chunks are slower."""


def chunk_rows(n: int, words: int) -> int:
    """Tokens of a chunk: as few chunks as `LOGITS` allows, of equal size.

    Example:
        >>> chunk_rows(1000, 49_152)
        334
    """
    most = max(1, LOGITS // words)
    return -(-n // -(-n // most))


def worth_chunks(n: int, words: int) -> bool:
    """Whether the logits are more than one chunk: else the gradient of the layer, made early, takes more than it saves.

    Example:
        >>> worth_chunks(84, 49_152), worth_chunks(1000, 49_152)
        (False, True)
    """
    return chunk_rows(n, words) < n


class _ChunkedLoss(torch.autograd.Function):
    """Gradients are made beside the loss: they are its own up to the factor that the backward pass brings."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, wanted: Tensor, kind: torch.dtype) -> Tensor:
        to_states, to_weight = ctx.needs_input_grad[:2]
        cast, total = weight.to(kind), torch.zeros((), device=states.device)
        of_states = torch.empty_like(states) if to_states else None
        of_weight = torch.zeros(weight.shape, device=weight.device) if to_weight else None
        rows = chunk_rows(len(states), len(weight))
        for start in range(0, len(states), rows):
            part, words = states[start : start + rows].to(kind), wanted[start : start + rows, None]
            loss, slope = _loss_and_slope((part @ cast.T).float(), words)
            total += loss
            slope = slope.to(kind)
            if of_states is not None:
                of_states[start : start + rows] = slope @ cast
            if of_weight is not None:
                of_weight += slope.T @ part
            del slope  # before the next one is made
        ctx.made, ctx.kind = (of_states, of_weight), weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *factors: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (of_states, of_weight), ctx.made = ctx.made, None  # nobody else holds them: autograd need not copy
        by_states = None if of_states is None else of_states.mul_(factors[0])
        return by_states, None if of_weight is None else of_weight.mul_(factors[0]).to(ctx.kind), None, None


def _loss_and_slope(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The summed loss, and its gradient in the place of the logits, which are overwritten."""
    at, most = logits.gather(1, wanted), logits.amax(1, keepdim=True)
    slope = logits.sub_(most).exp_()
    total = slope.sum(1, keepdim=True)
    loss = (total.log() + most - at).sum()
    slope.div_(total)
    return loss, slope.scatter_add_(1, wanted, torch.full_like(at, -1.0))


def chunked_loss(states: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
    """The sum of -log softmax(states · weightᵀ)[wanted] over all tokens, with few logits at once.

    Products are of the type that autocast asks for, as in `torch.nn.functional.linear`; all else is float32, the sum of
    the weight's gradient over chunks too. It takes one backward pass.

    Args:
        states: Shape (n, width); of any floating type.
        weight: The output layer's, shape (words, width).
        wanted: int64, shape (n,), the words.

    Returns:
        float32, shape ().

    Example:
        >>> float(chunked_loss(torch.eye(2), 100 * torch.eye(2), torch.tensor([0, 1])))
        0.0
    """
    device = states.device.type
    asked = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        found: Tensor = _ChunkedLoss.apply(states, weight, wanted, asked)  # type: ignore[no-untyped-call]
    return found
