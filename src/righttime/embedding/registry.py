"""Embedders by name: what `embedder` and `precision` take."""

from __future__ import annotations

from righttime.embedding import gradients, hidden_states, static
from righttime.embedding.int8 import Int8Embedder
from righttime.embedding.models import DEFAULT_MODEL, PRECISIONS, load_embedder
from righttime.embedding.protocol import Embedder
from righttime.errors import SettingsError, unknown_name

__all__ = ["embedder_named"]


def embedder_named(
    name: str,
    *,
    max_length: int | None = None,
    prefix: str = "",
    device: str | None = None,
    precision: str = "float32",
) -> Embedder:
    """The embedder of that name.

    Args:
        name: ``lm:MODEL``: a causal model's hidden states; ``gradients:MODEL``: its gradients; ``static`` or
            ``static:MODEL``: a static embedder distilled from the default or that model; else a sentence-transformers
            model. MODEL is a folder or a hub name.
        max_length: Tokens to read of each text; None takes the model's own.
        prefix: Put before every text.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        precision: ``float32``; ``float16`` or ``bfloat16``, for GPUs; ``int8``, for CPUs.

    Raises:
        EmbeddingError: If there is no such model; names it.
        SettingsError: If a setting is unknown or does not go with the embedder.
    """
    if precision not in (*PRECISIONS, "int8"):
        raise unknown_name("precision", precision, (*PRECISIONS, "int8"))
    kind, _, model = name.partition(":")
    if kind != static.PREFIX and not name.startswith((hidden_states.PREFIX, gradients.PREFIX)):
        if precision == "int8":
            return Int8Embedder(name, max_length=max_length, prefix=prefix, device=device)
        return load_embedder(name, max_length=max_length, prefix=prefix, device=device, precision=precision)
    if precision != "float32":
        raise SettingsError(
            f"`precision` is for sentence-transformers models, got {precision} with {name!r}.", setting="precision"
        )
    if name.startswith(hidden_states.PREFIX):
        return hidden_states.HiddenStateEmbedder(model, max_length=max_length, prefix=prefix, device=device)
    if prefix:
        raise SettingsError(f"`prefix` does not go with {kind}:MODEL, got {prefix!r}.", setting="prefix")
    if name.startswith(gradients.PREFIX):
        return gradients.GradientEmbedder(model, max_length=max_length, device=device)
    return static.StaticEmbedder(model or DEFAULT_MODEL, max_length=max_length)
