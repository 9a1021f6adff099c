"""The embedder of LESS: each row's gradient of low-rank adapters, projected at random to a few dimensions.

Xia et al., "LESS: Selecting Influential Data for Targeted Instruction Tuning" (ICML 2024). What stands for a row is its
first prompt and its first response, kept apart by `SEPARATOR`; the loss is the mean over the response's tokens and the
end token.

The adapters are those that a checkpoint holds, after the warm-up training that LESS begins with. Of a model without
adapters they are as at the start of training (`righttime.embedding.adapters`). With `adam`, pool rows are represented
by the step that Adam would take by them, as in LESS, and target rows by their gradient. Several checkpoints, weighted
by their learning rates, are a combination of embedders (`righttime.embedding.combined`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.adapters import (
    ADAPTED,
    Adapter,
    Moments,
    fresh_adapters,
    moments_sha256,
    read_moments,
    recording,
    trained_adapters,
    trained_rank,
)
from righttime.embedding.causal import CausalModel
from righttime.embedding.models import FULL
from righttime.errors import EmbeddingError
from righttime.examples import Example
from righttime.tokenization.losses import output_layer, token_losses
from righttime.tokenization.masking import Tokens

__all__ = ["DIM", "PREFIX", "RANK", "SEPARATOR", "FedGradients", "GradientEmbedder"]

PREFIX = "gradients:"
DIM, RANK = 1024, 8
"""The dimensions projected to (LESS: 8,192), and the rank of fresh adapters (LESS: 128)."""
SEPARATOR = "\x1e"
"""Between prompt and response: the control character "record separator", which no sensible text holds."""


class GradientEmbedder:
    """A row's gradient of all adapters, times a matrix of random signs over √dim: cosines stay about the same."""

    def __init__(
        self,
        name: str,
        *,
        max_length: int | None = None,
        device: str | None = None,
        dim: int = DIM,
        rank: int = RANK,
        seed: int = 0,
        adam: bool = False,
        subspace: int | None = None,
        weights: str = FULL,
        causal: CausalModel | None = None,
        moments: Path | None = None,
    ) -> None:
        """Find a model; it is loaded when the first text needs it.

        Args:
            name: A folder or a hub name of a causal language model with layers named as in `ADAPTED`, or a folder
                of trained LoRA adapters.
            max_length: Tokens to read of each row; of longer ones the prompt loses its beginning.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.
            dim: The dimensions to project to. The signs take dim bytes for each number of B, and of a
                trained A.
            rank: The rank of fresh adapters.
            seed: Draws the signs, and A of fresh adapters.
            adam: Represent pool rows by Adam's next step; for a checkpoint of adapters that `righttime tune` wrote.
            subspace: Compare rows by so many directions, those in which the target's gradients mostly lie; see
                `righttime.embedding.subspace`. None compares them by all.
            weights: The type of the model's weights, adapters' among them, a name of
                `righttime.embedding.models.WEIGHTS`. The gradients of adapters, and their projection, are computed in
                float32 whatever it is.
            causal: The model itself, where it is loaded already; `max_length`, `device` and `weights` are its own then.
            moments: The folder that holds Adam's moments; None takes the checkpoint that the name is of.

        Raises:
            EmbeddingError: If there is no such model; names it.
            SettingsError: If there is no such type of weights.
        """
        self.subspace = subspace
        self._causal = causal or CausalModel(name, heads=True, max_length=max_length, device=device, weights=weights)
        self.found = self._causal.found
        self._dim, self._rank, self._seed = dim, rank, seed
        self._adam, self._moments_in = adam, moments or Path(self.found.path)
        self._pool_side: GradientEmbedder | None = None  # of the target's side

    def __getstate__(self) -> dict[str, Any]:
        """Without the adapters, which stand in the loaded model: a process that gets a copy makes its own."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_adapters", "_moments")}

    def for_target(self) -> GradientEmbedder:
        """The embedder of the target's rows: with `adam`, their gradients as they are."""
        if not self._adam:
            return self
        there = copy.copy(self)
        there._pool_side = self
        there.__dict__.pop("identity", None)
        return there

    def for_worker(self, number: int) -> GradientEmbedder:
        """A copy for the worker process of that number, on a GPU of its own as long as there are enough."""
        there = copy.copy(self)
        there._causal = self._causal.for_worker(number)
        if self._pool_side is not None:  # whose adapters stand in the same model
            there._pool_side = copy.copy(self._pool_side)
            there._pool_side._causal = there._causal
        return there

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model, revision, maximum length, dtype, and all that decides the adapters and the projection."""
        drawn = {"dim": self._dim, "rank": self._rank, "seed": self._seed}
        about = {**self._causal.identity("gradients"), "prefix": "", "layers": " ".join(ADAPTED), **drawn}
        rank = trained_rank(self._causal.model)
        if rank is not None:
            about |= {"layers": "those of the adapter", "rank": rank}
        if self._adam:
            about["gradient"] = "adam" if self._pool_side is None else "plain"
            about["moments"] = moments_sha256(self._moments_in)
        return about

    @property
    def text_name(self) -> str:
        """What the manifest calls the text that stands for a row."""
        return "prompt and response apart"

    def text_of(self, example: Example) -> str:
        """Prompt and response with the separator between them.

        Raises:
            EmbeddingError: If the row has no response, so no loss.
        """
        prompt, response = example.prompt, example.response
        if not response:
            raise EmbeddingError(
                f"gradients need a response in every row, but row {example.id} ({example.file}:{example.line}) has "
                "none. Hint: a target without responses can be compared by another `embedder`.",
                **example.where,
            )
        return f"{prompt.replace(SEPARATOR, ' ')}{SEPARATOR}{response.replace(SEPARATOR, ' ')}"

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each row before truncation."""
        return [len(prompt) + len(response) for prompt, response in self._tokens(texts)]

    def _tokens(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Tokens of "<s>User: PROMPT", a new line and "Assistant: ", and of "RESPONSE</s>"; each part by itself."""
        parts = [text.partition(SEPARATOR) for text in texts]
        if not all(middle for _, middle, _ in parts):
            raise EmbeddingError("every text must hold prompt and response apart. Hint: GradientEmbedder.text_of(row).")
        asked = self._causal.tokens([f"User: {prompt}" for prompt, _, _ in parts], special=False)
        bridge = self._causal.tokens(["\nAssistant: "], special=False)[0]
        answered = self._causal.tokens([response for _, _, response in parts], special=False)
        first, last = self._causal.tokenizer.bos_token_id, self._causal.tokenizer.eos_token_id
        start, end = [first] if first is not None else [], [last] if last is not None else []
        return [(start + ask + bridge, answer + end) for ask, answer in zip(asked, answered, strict=True)]

    def _rows(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """The tokens that are read, and how many of them, at the end, are the response's."""
        rows, counts = [], []
        for prompt, response in self._tokens(texts):
            response = response[: self._causal.max_length - 1]  # a loss needs a token before the response
            prompt = prompt[max(0, len(prompt) + len(response) - self._causal.max_length) :]
            rows.append(prompt + response)
            counts.append(len(response))
        return rows, counts

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), dim).

        Raises:
            EmbeddingError: If a response has no tokens, or none are left of it.
        """
        rows, counts = self._rows(texts)
        if not all(counts):
            raise EmbeddingError(
                f"every response must keep at least one of the {self._causal.max_length} tokens that are read, but "
                f"{texts[counts.index(0)].partition(SEPARATOR)[2][:80]!r} keeps none. Hint: a larger `max_length`, or "
                "drop the row."
            )
        return self.of_tokens(rows, [range(len(row) - n, len(row)) for row, n in zip(rows, counts, strict=True)])

    def of_tokens(self, rows: Sequence[Sequence[int]], learnt: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """The same of rows as tokens: float32, shape (len(rows), dim). No gradient is added to the model's own.

        Args:
            rows: Tokens of each row.
            learnt: Of each row the places of the tokens that its loss is the mean over, at least one, none of them 0.
        """
        import torch

        tokens, mask = self._causal.padded(rows)
        marks = torch.zeros_like(tokens, dtype=torch.bool)
        for row, wanted in zip(marks, learnt, strict=True):
            row[list(wanted)] = True
        out = torch.zeros((len(rows), self._dim), dtype=torch.float64, device=tokens.device)
        model = self._causal.model
        adapted = any(adapter.layer is output_layer(model) for adapter in self._adapters)
        with torch.enable_grad(), recording(self._adapters, self._moments, out):
            embedded = model.get_input_embeddings()(tokens).detach().requires_grad_()
            inputs = {"inputs_embeds": embedded, "attention_mask": mask}
            losses, of_row = token_losses(model, tokens, marks, by_row=adapted, **inputs)
            means = losses / of_row.bincount()[of_row]
            # One row's loss has no gradient in another row's tokens.
            torch.autograd.backward([means.sum()], inputs=[embedded])
        return np.asarray((out / math.sqrt(self._dim)).cpu().numpy(), dtype=np.float32)

    def check(self) -> None:
        """Make sure that the model has adapters, or layers that could get some.

        Raises:
            EmbeddingError: If it has neither, or adapters of another kind.
        """
        _ = self._adapters

    @cached_property
    def _adapters(self) -> list[Adapter]:
        """The trained adapters, or where there are none fresh ones.

        Raises:
            EmbeddingError: If the model has no layers that could get any, or weights in float16.
        """
        if self._pool_side is not None:
            return self._pool_side._adapters  # signs are large
        if not self._causal.trained and self._causal.dtype == "float16":
            raise EmbeddingError(
                "gradients need weights in float32 or bfloat16, since float16 rounds small gradients to zero, but "
                f"those of {self.found.name!r} are stored in float16. Hint: `#weights=bfloat16`."
            )
        model = self._causal.model
        found = trained_adapters(model, self._dim, self._seed) or fresh_adapters(
            model, self._rank, self._dim, self._seed
        )
        if not found:
            raise EmbeddingError(
                f"the model {self.found.name!r} must have layers named {', '.join(ADAPTED)}, got none of them. "
                "Hint: Llama, Mistral, Qwen and Gemma models have them."
            )
        return found

    @cached_property
    def _moments(self) -> list[Moments | None]:
        """Adam's moments of each adapter; of the target's rows, and without `adam`, none."""
        if not self._adam or self._pool_side is not None:
            return [None] * len(self._adapters)
        return [*read_moments(self._moments_in, self._adapters)]


class FedGradients:
    """The gradients of rows as a run feeds them, of the model that it trains. What stands for a row is its key."""

    def __init__(self, rows: Mapping[str, Tokens], embedder: GradientEmbedder) -> None:
        """Know the rows.

        Args:
            rows: Key to tokens, at least one of them learnt.
            embedder: That of the model.
        """
        self._rows, self._embedder = rows, embedder
        self.subspace = embedder.subspace
        self.identity = embedder.identity

    def for_target(self) -> FedGradients:
        """The same of the target's rows; see `GradientEmbedder.for_target`."""
        asks = self._embedder.for_target()
        return self if asks is self._embedder else FedGradients(self._rows, asks)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each row."""
        return [len(self._rows[key].ids) for key in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), dim)."""
        rows = [self._rows[key] for key in texts]
        return self._embedder.of_tokens(
            [row.ids.tolist() for row in rows], [np.flatnonzero(row.learnt).tolist() for row in rows]
        )
