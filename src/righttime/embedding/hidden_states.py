"""The embedder of RDS+: a causal model's hidden states, averaged with weights that grow with the position."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.causal import CausalModel
from righttime.embedding.centring import Centring
from righttime.embedding.models import FULL
from righttime.errors import EmbeddingError, SettingsError

__all__ = ["PREFIX", "HiddenStateEmbedder"]

PREFIX = "lm:"


class HiddenStateEmbedder:
    """Σ_i i·h_i / Σ_i i over a text's L tokens, h_i the last hidden state (after the final norm) at position i = 1…L.

    With a layer, h_i is what that layer gives, which is not normed. `centring` is done when rows are compared
    (`righttime.embedding.represent`), not here: the cache holds the model's own vectors, for all ways of centring.

    Source: Ivison et al. 2025 (RDS+), after Muennighoff 2022 (SGPT). Padding stands on the right and weighs nothing,
    and a causal model never looks to the right, so a text's vector does not depend on its batch beyond float rounding.
    """

    def __init__(
        self,
        name: str,
        *,
        max_length: int | None = None,
        prefix: str = "",
        device: str | None = None,
        layer: int | None = None,
        centring: Centring | None = None,
        weights: str = FULL,
        causal: CausalModel | None = None,
    ) -> None:
        """Find a model; it is loaded when the first text needs it.

        Args:
            name: A folder or a hub name of a causal language model.
            max_length: Tokens to read of each text; None takes 2,048, or what the model can read where that is less.
            prefix: Put before every text.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.
            layer: The layer whose output is taken, from 1, or from -1 backwards; layers after it are not computed.
                None and the last layer take the last hidden states, after the final norm.
            centring: What is done to the vectors before rows are compared.
            weights: The type of the model's weights, a name of `righttime.embedding.models.WEIGHTS`. The mean of hidden
                states is summed in float64 whatever it is.
            causal: The model itself, where it is loaded already; `max_length`, `device` and `weights` are its own then.

        Raises:
            EmbeddingError: If there is no such model; names it.
            SettingsError: If the layer is 0, or there is no such type of weights.
        """
        if layer == 0:
            raise SettingsError("`layer` must be 1 or more, or -1 or less from the end, got 0.", setting="embedder")
        self._causal = causal or CausalModel(name, heads=False, max_length=max_length, device=device, weights=weights)
        self.found = self._causal.found
        self._prefix, self._asked_layer = prefix, layer
        self.centring = centring

    @cached_property
    def _layer(self) -> int | None:
        """The layer, counted from 1; None for the last.

        Raises:
            SettingsError: If the model has no such layer.
        """
        if self._asked_layer is None:
            return None
        layers = self._causal.layers
        number = self._asked_layer if self._asked_layer > 0 else len(layers) + 1 + self._asked_layer
        if not 1 <= number <= len(layers):
            raise SettingsError(
                f"`layer` must be one of the {len(layers)} layers of {self.found.name}, got {self._asked_layer}.",
                setting="embedder",
            )
        return None if number == len(layers) else number

    def __getstate__(self) -> dict[str, Any]:
        """Without what was learnt of the loaded model: a process that gets a copy loads its own, with all layers."""
        return {name: value for name, value in self.__dict__.items() if name != "_reading"}

    def for_worker(self, number: int) -> HiddenStateEmbedder:
        """A copy for the worker process of that number, on a GPU of its own as long as there are enough."""
        there = copy.copy(self)
        there._causal = self._causal.for_worker(number)
        return there

    @cached_property
    def _reading(self) -> _Reading:
        """What gives hidden states; made once."""
        return _Reading(self._causal, self._layer)

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model, revision, maximum length in tokens, dtype, prefix, pooling and, if it is not the last, the layer."""
        layer = {} if self._layer is None else {"layer": self._layer}
        return {**self._causal.identity("lm"), "prefix": self._prefix, "pooling": "position-weighted mean", **layer}

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
        # What inference mode leaves in a model cannot be trained through.
        with torch.no_grad() if self._causal.trained else torch.inference_mode():
            states = self._reading(tokens, mask)
            weight = mask * torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
            weight = weight.double() / weight.sum(dim=1, keepdim=True)
            vectors = (states.double() * weight[:, :, None]).sum(dim=1)
        return np.asarray(vectors.cpu().numpy(), dtype=np.float32)


class _Reading:
    """The hidden states of one layer of a model; layers after it are taken out, unless the model is trained."""

    def __init__(self, causal: CausalModel, layer: int | None) -> None:
        self._model, self._layer, self._states = causal.model, None, None
        if layer is not None:
            layers = causal.layers
            self._layer = layers[layer - 1]
            if not causal.trained:
                del layers[layer:]  # the final norm still runs after it, on what nobody looks at

    def _keep(self, layer: Any, given: Any, gave: Any) -> None:
        self._states = gave[0] if isinstance(gave, tuple) else gave  # which of both depends on the model

    def __call__(self, tokens: Any, mask: Any) -> Any:
        """Shape (texts, tokens, d)."""
        hook = nullcontext() if self._layer is None else self._layer.register_forward_hook(self._keep)
        with hook:
            last = self._model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        states, self._states = last if self._layer is None else self._states, None
        return states
