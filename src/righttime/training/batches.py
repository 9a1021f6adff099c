"""Micro-batches as a model is fed them: rows padded to one length, or packed one after the other. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from righttime.training.loss import IGNORED
from righttime.training.token_rows import TokenRows

__all__ = ["collated", "packed"]


def collated(places: Sequence[int], rows: TokenRows, pad: int) -> dict[str, Tensor]:
    """A micro-batch of rows, padded on the right.

    Args:
        places: The rows' places; [-1] makes a filler of one token that nothing is learnt from.
        rows: All rows.
        pad: The token to pad with.

    Returns:
        ``input_ids``, ``attention_mask``, ``labels``: int64, shape (n, longest); ``places``: int64, shape (n,), empty
        for a filler.
    """
    if list(places) == [-1]:
        one = torch.full((1, 1), pad, dtype=torch.int64)
        nothing = torch.empty(0, dtype=torch.int64)
        return {"input_ids": one, "attention_mask": one * 0 + 1, "labels": one * 0 + IGNORED, "places": nothing}
    taken = [rows.tokens[place] for place in places]
    shape = (len(taken), max(1, *(len(row.ids) for row in taken)))
    ids, labels, mask = np.full(shape, pad), np.full(shape, IGNORED), np.zeros(shape, np.int64)
    for number, row in enumerate(taken):
        n = len(row.ids)
        ids[number, :n], mask[number, :n] = row.ids, 1
        labels[number, :n] = np.where(row.learnt, row.ids, IGNORED)
    arrays = {"input_ids": ids, "attention_mask": mask, "labels": labels, "places": np.asarray(places)}
    return {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}


def packed(places: Sequence[int], rows: TokenRows, pad: int) -> dict[str, Tensor]:
    """A micro-batch of one sequence that holds whole rows one after the other, without padding.

    There is no attention mask: where positions begin anew, transformers lets no token see those before. That a model
    does so is what `righttime.training.apart` makes sure of; `righttime.training.row_attention` saves the work.

    Args:
        places: The rows' places in their order; [-1] makes a filler of one token that nothing is learnt from.
        rows: All rows.
        pad: The token of a filler.

    Returns:
        ``input_ids``, ``position_ids``, ``labels``: int64, shape (1, tokens); ``places``: int64, shape (n,). Positions
        begin at 0 in every row. The first token of a row has no label, since it is never learnt: the row before would
        predict it.

    Example:
        >>> from righttime.tokenization.masking import Tokens
        >>> learnt = np.array([False, True])
        >>> both = tuple(Tokens(np.array(ids, np.int32), learnt, 0) for ids in ([5, 6], [7, 8]))
        >>> batch = packed([0, 1], TokenRows(("a", "b"), both, "chat", 9), pad=0)
        >>> batch["position_ids"].tolist(), batch["labels"].tolist()
        ([[0, 1, 0, 1]], [[-100, 6, -100, 8]])
    """
    if list(places) == [-1]:
        return collated(places, rows, pad)
    taken = [collated([place], rows, pad) for place in places]
    positions = [torch.arange(one["input_ids"].shape[1])[None] for one in taken]
    joined = {name: torch.cat([one[name] for one in taken], dim=1) for name in ("input_ids", "labels")}
    return {**joined, "position_ids": torch.cat(positions, dim=1), "places": torch.tensor(list(places))}
