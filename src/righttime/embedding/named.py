"""Embedders by name: what ``--embedder`` takes."""

from __future__ import annotations

from righttime.embedding import gradients, hidden_states
from righttime.embedding.embedder import Embedder
from righttime.embedding.models import load_embedder
from righttime.errors import SettingsError

__all__ = ["embedder_named"]


def embedder_named(
    name: str, *, max_length: int | None = None, prefix: str = "", device: str | None = None
) -> Embedder:
    """The embedder of that name.

    Args:
        name: ``lm:MODEL``: a causal model's hidden states; ``gradients:MODEL``: its gradients; else a
            sentence-transformers model. MODEL is a folder or a hub name.
        max_length: Tokens to read of each text; None takes the model's own.
        prefix: Put before every text.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.

    Raises:
        EmbeddingError: If there is no such model; names it.
        SettingsError: If the embedder takes no prefix and one is given.
    """
    if name.startswith(hidden_states.PREFIX):
        model = name.removeprefix(hidden_states.PREFIX)
        return hidden_states.HiddenStateEmbedder(model, max_length=max_length, prefix=prefix, device=device)
    if name.startswith(gradients.PREFIX):
        if prefix:
            raise SettingsError(f"--prefix does not go with {gradients.PREFIX}MODEL, got {prefix!r}.")
        return gradients.GradientEmbedder(name.removeprefix(gradients.PREFIX), max_length=max_length, device=device)
    return load_embedder(name, max_length=max_length, prefix=prefix, device=device)
