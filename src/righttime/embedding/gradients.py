"""The embedder of LESS: each row's gradient of low-rank adapters, projected at random to a few dimensions.

Xia et al., "LESS: Selecting Influential Data for Targeted Instruction Tuning" (ICML 2024). What stands for a row is its
first prompt and its first response, kept apart by `SEPARATOR`; the loss is the mean over the response's tokens and the
end token.

Left out, and so to be said of any result: the warm-up training of the adapters, several checkpoints, and Adam's
normalisation of the pool's gradients. The adapters W + (α/r)·B·A are as at the start of training: A drawn by the seed,
B = 0, so the gradient of A is zero and that of B is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.causal import CausalModel
from righttime.errors import EmbeddingError
from righttime.examples import Example

__all__ = ["ADAPTED", "PREFIX", "SEPARATOR", "GradientEmbedder"]

PREFIX = "gradients:"
SEPARATOR = "\x1e"
"""Between prompt and response: the control character "record separator", which no sensible text holds."""

ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")
"""The layers that get adapters, as in LESS."""

_SCALE = 4.0  # α/r with LESS's α = 512, r = 128


class GradientEmbedder:
    """A row's gradient of all adapters' B, times a matrix of random signs over √dim: cosines stay about the same."""

    def __init__(
        self,
        name: str,
        *,
        max_length: int | None = None,
        device: str | None = None,
        dim: int = 1024,
        rank: int = 8,
        seed: int = 0,
    ) -> None:
        """Find a model; it is loaded when the first text needs it.

        Args:
            name: A folder or a hub name of a causal language model with layers named as in `ADAPTED`.
            max_length: Tokens to read of each row; of longer ones the prompt loses its beginning.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.
            dim: The dimensions to project to (LESS: 8,192). The signs take dim bytes for each number of B.
            rank: The adapters' rank (LESS: 128).
            seed: Draws A and the signs.

        Raises:
            EmbeddingError: If there is no such model; names it.
        """
        self._causal = CausalModel(name, heads=True, max_length=max_length, device=device)
        self.found = self._causal.found
        self._dim, self._rank, self._seed = dim, rank, seed

    def __getstate__(self) -> dict[str, Any]:
        """Without the adapters, which stand in the loaded model: a process that gets a copy makes its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_adapters"}

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model, revision, maximum length, dtype, and all that decides the adapters and the projection."""
        drawn = {"dim": self._dim, "rank": self._rank, "seed": self._seed}
        return {**self._causal.identity("gradients"), "prefix": "", "layers": " ".join(ADAPTED), **drawn}

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
                file=example.file,
                line=example.line,
                row=example.id,
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
        import torch

        rows, counts = self._rows(texts)
        if not all(counts):
            raise EmbeddingError(
                f"every response must keep at least one of the {self._causal.max_length} tokens that are read, but "
                f"{texts[counts.index(0)].partition(SEPARATOR)[2][:80]!r} keeps none. Hint: a larger `max_length`, or "
                "drop the row."
            )
        tokens, mask = self._causal.padded(rows)
        out = torch.zeros((len(rows), self._dim), dtype=torch.float64, device=tokens.device)
        model = self._causal.model
        with torch.enable_grad(), _recording(self._adapters, out):
            embedded = model.get_input_embeddings()(tokens).requires_grad_()
            logits = model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).logits
            losses = [
                torch.nn.functional.cross_entropy(
                    logits[place, len(row) - count - 1 : len(row) - 1], tokens[place, len(row) - count : len(row)]
                )
                for place, (row, count) in enumerate(zip(rows, counts, strict=True))
            ]
            # One row's loss has no gradient in another row's tokens.
            torch.autograd.backward([torch.stack(losses).sum()])
        return np.asarray((out / math.sqrt(self._dim)).cpu().numpy(), dtype=np.float32)

    @cached_property
    def _adapters(self) -> list[_Adapter]:
        model = self._causal.model
        named = [(name, layer) for name, layer in model.named_modules() if name.rpartition(".")[2] in ADAPTED]
        if not named:
            raise EmbeddingError(
                f"the model {self.found.name!r} must have layers named {', '.join(ADAPTED)}, got none of them. "
                "Hint: Llama, Mistral, Qwen and Gemma models have them."
            )
        return [_Adapter(layer, self._rank, self._dim, [self._seed, place]) for place, (_, layer) in enumerate(named)]


class _Adapter:
    """One linear layer's A and signs, and the projected gradient of its B.

    Attributes:
        layer: The layer, of weight shape (n_out, n_in).
        a: float32, shape (rank, n_in): as LoRA starts, uniform within ±1/√n_in.
        signs: int8, shape (n_out·rank, dim).
    """

    def __init__(self, layer: Any, rank: int, dim: int, seed: Sequence[int]) -> None:
        import torch

        n_out, n_in = layer.weight.shape
        rng, device = np.random.default_rng(seed), layer.weight.device
        bound = 1.0 / math.sqrt(n_in)
        self.layer = layer
        self.a = torch.tensor(rng.uniform(-bound, bound, size=(rank, n_in)), dtype=torch.float32, device=device)
        self.signs = torch.tensor(rng.integers(0, 2, size=(n_out * rank, dim), dtype=np.int8) * 2 - 1, device=device)

    def add(self, seen: Any, error: Any, out: Any) -> None:
        """Add Σ_t error_t·(A·seen_t)ᵀ of every row of the batch, projected.

        Args:
            seen: What the layer was given, shape (batch, tokens, n_in).
            error: The loss's gradient of what it gave, shape (batch, tokens, n_out).
            out: float64, shape (batch, dim), added to.
        """
        gradient = _SCALE * (error.transpose(1, 2) @ (seen @ self.a.T))  # (batch, n_out, rank)
        flat = gradient.reshape(len(gradient), -1)
        step = max(1, (1 << 24) // self.signs.shape[1])  # 64 MiB of signs as float32 at a time
        for start in range(0, len(self.signs), step):
            out += (flat[:, start : start + step] @ self.signs[start : start + step].float()).double()


@contextmanager
def _recording(adapters: Sequence[_Adapter], out: Any) -> Iterator[None]:
    """While this lasts, a backward pass adds every adapter's gradients to `out`."""

    def watch(adapter: _Adapter) -> Any:
        def forward(layer: Any, given: tuple[Any, ...], gave: Any) -> None:
            seen = given[0].detach()
            gave.register_hook(lambda error: adapter.add(seen, error, out))

        return adapter.layer.register_forward_hook(forward)

    with ExitStack() as stack:
        for adapter in adapters:
            stack.callback(watch(adapter).remove)
        yield
