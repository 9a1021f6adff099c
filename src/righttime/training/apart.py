"""Whether a model keeps the rows of a pack apart, tried before training. Importing this imports transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from righttime.errors import SettingsError
from righttime.training.row_attention import inside_rows

__all__ = ["require_rows_apart"]

_BEFORE, _AFTER = 5, 4  # tokens of the two rows that are tried
_NEAR = 0.05  # of the largest logit: bfloat16 differs by less, a wrong position or a row that is seen by more
_ROUNDINGS = 1024  # of the type of logits: experts round by how many tokens they get, in every layer; less is no leak


def require_rows_apart(model: Any) -> None:
    """Make sure that a row in a pack is read as it is alone, by trying it on this very model.

    Transformers keeps rows apart by their positions, but not for every architecture and every kind of attention. So two
    rows of a few tokens are packed: the second one's logits must have no gradient at all by the first one, must not
    change but for rounding when the first one is another, and must be those that it has alone, up to rounding. The
    gradient is 0 to the bit, however experts round; what no gradient sees, such as experts that are full, changes
    logits by more than rounding.

    Args:
        model: A causal language model of transformers, as it is to be trained.

    Raises:
        SettingsError: If it does not keep them apart.
    """
    training, words = model.training, int(model.config.get_text_config().vocab_size)
    model.eval()
    tokens = torch.arange(2 * _BEFORE + _AFTER, device=next(model.parameters()).device) % words
    one, other, row = tokens[:_BEFORE], tokens[_BEFORE : 2 * _BEFORE], tokens[2 * _BEFORE :]
    try:
        seen = _sees(model, one, row)
        with torch.no_grad():
            behind, behind_other, alone = (_last_logits(model, before, row) for before in (one, other, tokens[:0]))
    finally:
        model.train(training)
    rounding = min(_NEAR, _ROUNDINGS * torch.finfo(alone.dtype).eps)
    if seen or not _near(behind, behind_other, rounding):
        why = "the second of two rows changes with the first"
    elif not _near(behind, alone, _NEAR):
        why = "a row is not read as it is alone"
    else:
        return
    raise SettingsError(
        f"`pack_tokens` must have a model that keeps the rows of a pack apart, but in {type(model).__name__} {why}. "
        "Hint: `batch_tokens`, which fills no pack.",
        setting="pack_tokens",
    )


def _near(a: Tensor, b: Tensor, share: float) -> bool:
    """Whether they differ by no more than this share of the largest; not where one is no number."""
    return bool((a.float() - b.float()).abs().max() <= share * b.float().abs().max())


def _sees(model: Any, before: Tensor, row: Tensor) -> bool:
    """Whether a row's logits have a gradient by the embeddings of the row before it."""
    embedded: list[Tensor] = []

    def as_leaf(_: Any, __: Any, found: Tensor) -> Tensor:
        embedded.append(found.detach().requires_grad_())
        return embedded[-1]

    hook = model.get_input_embeddings().register_forward_hook(as_leaf)
    try:
        with torch.enable_grad():
            logits = _last_logits(model, before, row)
            (gradient,) = torch.autograd.grad(logits.float().square().sum(), embedded[-1:])
    finally:
        hook.remove()
    return bool(gradient[0, : len(before)].count_nonzero())


def _last_logits(model: Any, before: Tensor, row: Tensor) -> Tensor:
    """Shape (tokens, vocabulary): of a row that stands behind another one."""
    positions = torch.cat([torch.arange(len(part), device=row.device) for part in (before, row)])[None]
    with inside_rows(positions):
        logits = model(input_ids=torch.cat([before, row])[None], position_ids=positions).logits
    found: Tensor = logits[0, len(before) :]
    return found
