"""The loss of rows under a causal language model, as a score: the mean over the tokens of their answers, in nats.

It is computed as vectors are: one number for each distinct row, in batches of like length, kept in the cache. Rows have
the form that the model is trained and evaluated on: its chat template, else the paper's form. Perplexity is the loss's
exponential, so it gives the same order.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.causal import CausalModel
from righttime.embedding.embed import embed_texts
from righttime.embedding.texts import texts_for
from righttime.errors import EmbeddingError
from righttime.examples import Example
from righttime.rows import Rows
from righttime.tokenization.losses import summed_losses
from righttime.tokenization.masking import Form, Tokens, resolve_form, tokenised

__all__ = ["LossScorer", "losses_of"]

_ALL = 1 << 40  # tokens of a row before it is cut here


class LossScorer:
    """An embedder of one dimension: each row's mean loss. Its texts are rows as tokens; see `text_of`."""

    def __init__(self, name: str, *, max_length: int | None = None, device: str | None = None) -> None:
        """Find a model; it is loaded when the first row needs it.

        Args:
            name: A folder or a hub name of a causal language model.
            max_length: Tokens to read of each row; None takes 2,048, or what the model can read where that is less.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.

        Raises:
            EmbeddingError: If there is no such model; names it.
        """
        self._causal = CausalModel(name, heads=True, max_length=max_length, device=device)
        self.found = self._causal.found

    def for_worker(self, number: int) -> LossScorer:
        """A copy for the worker process of that number, on a GPU of its own as long as there are enough."""
        there = copy.copy(self)
        there._causal = self._causal.for_worker(number)
        return there

    @cached_property
    def form(self) -> Form:
        """The form of text: ``chat`` or ``paper``.

        Raises:
            EmbeddingError: If the model's tokenizer cannot be loaded.
            SettingsError: If it has neither a chat template nor an end-of-text token.
        """
        return resolve_form(self._causal.tokenizer, "auto")

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model, revision, maximum length, dtype and the form of text."""
        return {**self._causal.identity("loss"), "prefix": "", "form": self.form}

    def text_of(self, example: Example) -> str:
        """A row's tokens as numbers, and behind a bar which of them are learnt.

        Of a row that is too long the beginning is cut, but no answer's beginning; then the end.

        Raises:
            EmbeddingError: If the row has no answer, so no loss.
            RowError: If the form cannot hold the row.
        """
        made = tokenised(example, self._causal.tokenizer, self.form, _ALL)
        if not made.learnt.any():
            raise EmbeddingError(
                f"a loss needs an answer in every row, but row {example.id} ({example.file}:{example.line}) has none. "
                "Hint: a curriculum of prompts can go `by=length`.",
                **example.where,
            )
        return f"{' '.join(map(str, made.ids.tolist()))}|{''.join(map(str, made.learnt.astype(int).tolist()))}"

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each row before truncation."""
        return [len(text.partition("|")[2]) for text in texts]

    def _read(self, text: str) -> Tokens:
        """What is read of a row: a loss needs a token before the answer, so one stays."""
        numbers, _, marks = text.partition("|")
        most, ids = self._causal.max_length, np.array(numbers.split(), dtype=np.int32)
        learnt = np.array([mark == "1" for mark in marks])
        start = max(0, min(len(ids) - most, int(learnt.argmax()) - 1))
        return Tokens(ids[start : start + most], learnt[start : start + most])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), 1): mean losses."""
        import torch

        rows = [self._read(text) for text in texts]
        with torch.inference_mode():
            total = summed_losses(self._causal.model, rows)
        mean = total / np.array([row.learnt.sum() for row in rows])
        return np.asarray(mean[:, None], dtype=np.float32)


def losses_of(rows: Rows, scorer: LossScorer, cache: Path, **how: Any) -> tuple[NDArray[np.float64], Mapping[str, Any]]:
    """The mean loss of each row, through the cache.

    Args:
        rows: The rows.
        scorer: The model.
        cache: The folder of cached vectors.
        how: As for `righttime.embedding.embed_texts`: workers, on_ray, progress.

    Returns:
        float64, shape (n,), in nats a token; and what to say of them: the model, and how many rows it does not read
        whole.

    Raises:
        EmbeddingError: If a row has no answer, or the model gives a loss that is no number.
    """
    made = embed_texts(texts_for(scorer, "", rows), scorer, cache, label="losses", **how)
    about = {name: scorer.identity[name] for name in ("model", "revision", "max_length", "form")}
    losses = made.vectors.astype(np.float64).reshape(-1)
    return losses, {**about, "truncated": int((made.lengths > made.max_length).sum())}
