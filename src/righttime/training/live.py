"""Unit vectors of rows by a model that is being trained: its hidden states as they are at this step.

Importing this imports torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from righttime.embedding.causal import CausalModel
from righttime.embedding.hidden_states import HiddenStateEmbedder
from righttime.embedding.registry import states_in
from righttime.embedding.represent import Represented, represent
from righttime.errors import EmbeddingError, NonFiniteError
from righttime.training.settings import TuneSettings

__all__ = ["check_states", "represented_by"]

_OF_THE_RUN = ("model", "found_in", "embedded_now", "from_cache")


def represented_by(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    n_left: int,
    settings: TuneSettings,
    *,
    name: str,
    step: int,
    max_length: int,
    folder: Path | None,
    progress: bool = False,
) -> Represented:
    """Unit vectors of rows and, after them, of the target, as `lm:` would make them of this model saved.

    The model is left as it was: in training mode if it was, no weight touched, no random number drawn. Nothing is
    cached, since these weights are never met again.

    Args:
        model: A causal language model of transformers, with adapters or without.
        tokenizer: Its tokenizer.
        texts: Texts of the rows that are left, then of the target.
        n_left: How many of them are the rows'.
        settings: Of the run: which hidden states, and the precision that it computes in.
        name: What the model is called.
        step: How many steps led to it.
        max_length: Tokens to read of each text.
        folder: Where vectors lie meanwhile, in a folder of their own; None takes the system's temporary one.
        progress: Show progress on stderr.

    Returns:
        The vectors; rows that cannot be centred, since no two are left that differ, are taken as they are.

    Raises:
        EmbeddingError: If the model gives no finite vector of a text; names it.
    """
    base = _without_head(model)
    causal = CausalModel.of(base, tokenizer, name, f"step {step}", max_length)
    asked = states_in(settings.rearrange_by)
    how: dict[str, Any] = {"progress": progress, "label": f"embedding at step {step}"}

    def made(cache: Path, **states: Any) -> Represented:
        return represent(texts, n_left, HiddenStateEmbedder(name, causal=causal, **states), cache, **how)

    with (
        _read_only(model),
        _arithmetic(base, settings),
        tempfile.TemporaryDirectory(dir=folder, prefix=".embedding-", suffix=".partial") as cache,
    ):
        try:
            done = made(Path(cache), **asked)
        except (EmbeddingError, NonFiniteError) as error:
            if asked["centring"] is None:
                raise
            done = made(Path(cache), **{**asked, "centring": None})
            done = Represented(done.vectors, done.truncated, {**done.about, "not_centred": str(error)})
    about = {entry: value for entry, value in done.about.items() if entry not in _OF_THE_RUN}
    return Represented(done.vectors, done.truncated, about)


def check_states(model: Any, settings: TuneSettings) -> None:
    """Make sure, before the first step, that the model has the hidden states that rows are to be embedded by.

    Raises:
        SettingsError: If it has no such layer.
        EmbeddingError: If its layers are not found.
    """
    causal = CausalModel.of(_without_head(model), None, "the model", "", 1)
    _ = HiddenStateEmbedder("the model", causal=causal, **states_in(settings.rearrange_by)).identity


def _without_head(model: Any) -> Any:
    """What gives the hidden states; adapters stay in it."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


@contextmanager
def _read_only(model: Any) -> Iterator[None]:
    """The model without dropout, for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _arithmetic(base: Any, settings: TuneSettings) -> torch.autocast:
    """The precision that the model is trained in."""
    return torch.autocast(base.device.type, torch.bfloat16, enabled=settings.precision == "bf16")
