"""What an embedder is, and what embedding gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedded", "Embedder"]


@runtime_checkable
class Embedder(Protocol):
    """What turns texts into vectors. Anything with these two methods and this property will do.

    An embedder may also define

    - ``text_of(example) -> str``, and ``text_name``, what to call it in the manifest: then that text represents a row,
      whatever text was asked for;
    - ``tokens_per_batch``, an int: the bound on a batch's tokens, padding counted; 2,048 where it is missing;
    - ``for_worker(number) -> Embedder``: what the worker process of that number embeds with;
    - ``reference``: the embedder that this one stands in for, if it is an approximation;
    - ``for_target() -> Embedder``: what embeds the target's rows, if they have a prompt of their own;
    - ``subspace``, an int: how many directions of the target's vectors rows are compared by;
    - ``centring``, a `righttime.embedding.centring.Centring`: what is done to its vectors before rows are compared.
    """

    @property
    def identity(self) -> Mapping[str, str | int]:
        """What decides a vector besides its text: ``model``, ``revision``, ``max_length``, ``dtype``, ``prefix``."""
        ...

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text before any truncation."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of one batch: float32, shape (len(texts), d)."""
        ...


@dataclass(frozen=True)
class Embedded:
    """Vectors of texts, and what it took.

    Attributes:
        vectors: float32, shape (n_texts, d), as the model gave them.
        n_embedded: Distinct texts embedded now.
        n_cached: Distinct texts whose vectors were there already.
        lengths: int64, shape (n_texts,): tokens of each text before truncation.
        max_length: The tokens that the model reads of a text; longer ones are truncated.
        n_damaged: Cached vectors whose checksum failed; they were dropped, and their texts are among `n_embedded`.
    """

    vectors: NDArray[np.float32]
    n_embedded: int
    n_cached: int
    lengths: NDArray[np.int64]
    max_length: int
    n_damaged: int = 0
