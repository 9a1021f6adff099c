"""The embedder of RDS+: a causal model's last hidden states, averaged with weights that grow with the position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.causal import CausalModel
from righttime.errors import EmbeddingError

__all__ = ["PREFIX", "HiddenStateEmbedder"]

PREFIX = "lm:"


class HiddenStateEmbedder:
    """Σ_i i·h_i / Σ_i i over a text's L tokens, h_i the last hidden state (after the final norm) at position i = 1…L.

    Source: Ivison et al. 2025 (RDS+), after Muennighoff 2022 (SGPT). Padding stands on the right and weighs nothing,
    and a causal model never looks to the right, so a text's vector does not depend on its batch beyond float rounding.
    """

    def __init__(
        self, name: str, *, max_length: int | None = None, prefix: str = "", device: str | None = None
    ) -> None:
        """Find a model; it is loaded when the first text needs it.

        Args:
            name: A folder or a hub name of a causal language model.
            max_length: Tokens to read of each text; None takes 2,048, or what the model can read where that is less.
            prefix: Put before every text.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.

        Raises:
            EmbeddingError: If there is no such model; names it.
        """
        self._causal = CausalModel(name, heads=False, max_length=max_length, device=device)
        self.found = self._causal.found
        self._prefix = prefix

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model, revision, maximum length in tokens, dtype, prefix and pooling."""
        return {**self._causal.identity("lm"), "prefix": self._prefix, "pooling": "position-weighted mean"}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included, before truncation."""
        return [len(ids) for ids in self._ids(texts)]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return self._causal.tokens([self._prefix + text for text in texts], special=True)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), hidden size).

        Raises:
            EmbeddingError: If a text has no tokens.
        """
        import torch

        ids = [row[: self._causal.max_length] for row in self._ids(texts)]
        if not all(ids):
            raise EmbeddingError("every text must have at least one token, got an empty one. Hint: drop empty rows.")
        tokens, mask = self._causal.padded(ids)
        with torch.inference_mode():
            states = self._causal.model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            weight = mask * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
            weight = weight.double() / weight.sum(dim=1, keepdim=True)
            vectors = (states.double() * weight[:, :, None]).sum(dim=1)
        return np.asarray(vectors.cpu().numpy(), dtype=np.float32)
