"""Attention inside the rows of a pack: pairs of tokens of different rows are not computed. Imports transformers.

Transformers masks them, but `sdpa` on a CPU computes what is masked: of ten rows of one length nine tenths.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

__all__ = ["inside_rows"]

Masks = Sequence[Tensor | None]
"""Of each row; None where a token sees itself and those before."""


@contextlib.contextmanager
def inside_rows(positions: Tensor | None) -> Iterator[None]:
    """Make attention by `sdpa` on a CPU compute pairs of tokens of one row alone.

    Results are those of transformers up to rounding: each row is attended to apart, by its own part of the mask. That
    is done only where the mask lets no row see another; else transformers computes what it does without this.

    Args:
        positions: int64, shape (1, tokens), beginning at 0 in every row of a pack. None changes nothing.

    Example:
        >>> with inside_rows(torch.tensor([[0, 1, 2, 0, 1]])):
        ...     pass
    """
    if positions is None:
        yield
        return
    starts: list[int] = torch.nonzero(positions[0] == 0)[:, 0].tolist()
    rows = [slice(start, end) for start, end in zip(starts, [*starts[1:], positions.shape[1]], strict=True)]
    whole = ALL_ATTENTION_FUNCTIONS["sdpa"]
    ALL_ATTENTION_FUNCTIONS["sdpa"] = _RowAttention(rows, whole)
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS["sdpa"] = whole


@dataclass
class _RowAttention:
    """What computes attention in the place of `whole`."""

    rows: Sequence[slice]
    whole: Callable[..., tuple[Tensor, None]]
    _known: list[tuple[Tensor, Masks | None]] = field(default_factory=list)

    def __call__(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **how: Any
    ) -> tuple[Tensor, None]:
        masks = self._masks(query, key, attention_mask, how)
        if masks is None:
            return self.whole(module, query, key, value, attention_mask, **how)
        found = []
        for rows, mask in zip(self.rows, masks, strict=True):
            # Its mask was looked at and let go: each token sees itself and those before it.
            told = how if mask is not None else {**how, "is_causal": True}
            parts = (side[:, :, rows] for side in (query, key, value))
            found.append(self.whole(module, *parts, mask, **told)[0])
        return torch.cat(found, dim=1), None

    def _masks(self, query: Tensor, key: Tensor, mask: Tensor | None, how: dict[str, Any]) -> Masks | None:
        """The mask of each row; None where rows cannot be attended to apart."""
        tokens = self.rows[-1].stop
        square = query.shape[2] == key.shape[2] == tokens and query.shape[0] == 1
        if mask is None or len(self.rows) == 1 or not square or query.device.type != "cpu":
            return None
        if mask.dtype != torch.bool or mask.shape[-2:] != (tokens, tokens):
            return None
        if any(how.get(name) is not None for name in ("position_bias", "cache")):
            return None
        for one, masks in self._known:  # all layers of a kind have the same
            if one is mask:
                return masks
        self._known.append((mask, _parts(mask, self.rows)))
        return self._known[-1][1]


def _parts(mask: Tensor, rows: Sequence[slice]) -> Masks | None:
    """The mask of each row, or None where one sees another."""
    parts = [mask[..., one, one] for one in rows]
    if sum(int(part.count_nonzero()) for part in parts) != int(mask.count_nonzero()):
        return None
    return [None if torch.equal(part, torch.ones_like(part).tril()) else part for part in parts]
