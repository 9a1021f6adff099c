"""What a model that is being trained says of rows, as it is at this step: hidden states, gradients or losses.

Importing this imports torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from righttime.embedding.causal import CausalModel
from righttime.embedding.embed import TOKENS_PER_BATCH, embed_texts
from righttime.embedding.gradients import FedGradients, GradientEmbedder
from righttime.embedding.hidden_states import HiddenStateEmbedder
from righttime.embedding.protocol import Embedder
from righttime.embedding.represent import represent
from righttime.errors import EmbeddingError, ModelError, NonFiniteError
from righttime.progress import counting
from righttime.tokenization.batches import token_batches
from righttime.tokenization.losses import summed_losses
from righttime.tokenization.masking import Tokens
from righttime.training.settings import TuneSettings
from righttime.training.undisturbed import undisturbed
from righttime.training.ways import GRADIENTS, LM, LOSS, By, way_named

__all__ = ["Asked", "Said", "check_way", "said_by"]

_OF_THE_RUN = ("model", "found_in", "embedded_now", "from_cache")


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows that a model is asked about, and after them the target's where the way is around it.

    Attributes:
        texts: What stands for each: its text, or a key of its tokens.
        n_left: How many of them are the rows that are left.
        tokens: Each as the run feeds it; empty where texts are read.
    """

    texts: Sequence[str]
    n_left: int
    tokens: Sequence[Tokens] = ()


@dataclass(frozen=True, eq=False)
class Said:
    """What a model said of rows.

    Attributes:
        numbers: See `righttime.training.anew.order_table`.
        about: How they were made.
    """

    numbers: NDArray[Any]
    about: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Reader:
    """A model that is asked.

    Attributes:
        causal: The model, without its head where states are asked for.
        name: What it is called.
        by: By what rows are arranged.
        cache: A folder for the while.
        moments: The folder that holds Adam's moments.
        how: How progress is shown.
    """

    causal: CausalModel
    name: str
    by: By
    cache: Path
    moments: Path | None
    how: Mapping[str, Any]

    def unit(self, texts: Sequence[str], n_left: int, embedder: Embedder) -> Said:
        """Unit vectors through the cache."""
        done = represent(texts, n_left, embedder, self.cache, **self.how)
        return Said(done.vectors, {name: value for name, value in done.about.items() if name not in _OF_THE_RUN})


def said_by(
    model: Any,
    tokenizer: Any,
    asked: Asked,
    settings: TuneSettings,
    *,
    name: str,
    step: int,
    max_length: int,
    folder: Path | None,
    moments: Path | None = None,
    progress: bool = False,
) -> Said:
    """What a model says of rows, and of the target's, by the way of the settings.

    The model is left as it was: each module in its mode, no weight or gradient touched, no random number drawn.
    Nothing is cached, since these weights are never met again.

    Args:
        model: A causal language model of transformers, with adapters or without.
        tokenizer: Its tokenizer.
        asked: The rows.
        settings: Of the run: by what rows are arranged, and the precision that it computes in.
        name: What the model is called.
        step: How many steps led to it.
        max_length: Tokens to read of each row.
        folder: Where vectors lie meanwhile, in a folder of their own; None takes the system's temporary one.
        moments: Where Adam's moments of its adapters lie, for a way that takes them; see `write_moments`.
        progress: Show progress on stderr.

    Raises:
        EmbeddingError: If the model gives no finite vector of a row; names it. If there are no such moments.
        ModelError: If it gives a loss that is no number.
    """
    by = way_named(settings.rearrange_by)
    with (
        undisturbed(model),
        _arithmetic(model, settings),
        tempfile.TemporaryDirectory(dir=folder, prefix=".embedding-", suffix=".partial") as cache,
    ):
        causal = CausalModel.of(_asked_part(model, by), tokenizer, name, f"step {step}", max_length)
        label = "scoring" if by.focus else "embedding"
        how = {"progress": progress, "label": f"{label} at step {step}"}
        return _SAYING[by.name](_Reader(causal, name, by, Path(cache), moments, how), asked)


def _states(reader: _Reader, asked: Asked) -> Said:
    """Hidden states; rows that cannot be centred, since no two are left that differ, are taken as they are."""

    def made(**states: Any) -> Said:
        embedder = HiddenStateEmbedder(reader.name, causal=reader.causal, **states)
        return reader.unit(asked.texts, asked.n_left, embedder)

    states = reader.by.read
    try:
        return made(**states)
    except (EmbeddingError, NonFiniteError) as error:
        if states["centring"] is None:
            raise
        done = made(**{**states, "centring": None})
        return Said(done.numbers, {**done.about, "not_centred": str(error)})


def _gradients(reader: _Reader, asked: Asked) -> Said:
    """Projected gradients; zero where a row has nothing to learn, or nothing left of it."""
    rows = dict(zip(asked.texts, asked.tokens, strict=True))
    made = GradientEmbedder(reader.name, causal=reader.causal, moments=reader.moments, **reader.by.read)
    embedder = FedGradients(rows, made)
    asks = embedder.for_target()
    learning = np.array([row.learnt.any() for row in asked.tokens])
    # Both sides at once where one embedder is for both, as `represent` has them: it then finds them in the cache.
    sides = np.split(np.flatnonzero(learning), [] if asks is embedder else [learning[: asked.n_left].sum()])
    for places, side in zip(sides, (embedder, asks), strict=False):
        if some := [asked.texts[place] for place in places.tolist()]:
            learning[places] = embed_texts(some, side, reader.cache, **reader.how).vectors.any(axis=1)
    some = [asked.texts[place] for place in np.flatnonzero(learning).tolist()]
    if not some:
        return Said(np.zeros((len(learning), 1), dtype=np.float32), dict(embedder.identity))
    done = reader.unit(some, int(learning[: asked.n_left].sum()), embedder)
    vectors = np.zeros((len(learning), done.numbers.shape[1]), dtype=np.float32)
    vectors[learning] = done.numbers
    return Said(vectors, done.about)


def _losses(reader: _Reader, asked: Asked) -> Said:
    """Mean losses over the learnt tokens, in nats; NaN where a row has none."""
    rows, causal = asked.tokens, reader.causal
    learnt = np.array([int(row.learnt.sum()) for row in rows], dtype=np.int64)
    having = np.flatnonzero(learnt)
    losses = np.full(len(rows), np.nan)
    with counting(reader.how["label"], len(having), shown=reader.how["progress"]) as tell, torch.no_grad():
        for batch in token_batches([len(rows[place].ids) for place in having.tolist()], TOKENS_PER_BATCH):
            places = having[batch]
            losses[places] = summed_losses(causal.model, [rows[place] for place in places.tolist()]) / learnt[places]
            tell(len(batch))
    if not np.isfinite(losses[having]).all():
        raise ModelError(
            "a row's loss must be a number, but the model gives NaN or infinity. "
            "Hint: its weights have diverged, or its number format overflows."
        )
    about = causal.identity(LOSS)
    return Said(losses, {entry: value for entry, value in about.items() if entry not in _OF_THE_RUN})


_SAYING: Mapping[str, Callable[[_Reader, Asked], Said]] = {LM: _states, GRADIENTS: _gradients, LOSS: _losses}


def check_way(model: Any, settings: TuneSettings) -> None:
    """Make sure, before the first step, that the model has what rows are to be arranged by.

    Raises:
        SettingsError: If it has no such layer.
        EmbeddingError: If its layers are not found, or are none that gradients are taken of.
    """
    by = way_named(settings.rearrange_by)
    causal = CausalModel.of(_asked_part(model, by), None, "the model", "", 1)
    if by.name == LM:
        _ = HiddenStateEmbedder("the model", causal=causal, **by.read).identity
    elif by.name == GRADIENTS:
        GradientEmbedder("the model", causal=causal, dim=1).check()


def _asked_part(model: Any, by: By) -> Any:
    """The model; of hidden states what gives these, without the head. Adapters stay in it."""
    if by.name != LM:
        return model
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


def _arithmetic(model: Any, settings: TuneSettings) -> torch.autocast:
    """The precision that the model is trained in."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=settings.precision == "bf16")
