"""A static embedder distilled from a sentence-transformers model: a mean of token vectors, thousands of rows a second.

Opt-in, for millions of rows without a GPU: it knows which words stand in a text, not in what order. Distilled with
model2vec (Minish Lab): every token of the vocabulary is embedded by the model alone, the vectors are reduced to their
first principal components, and common tokens are weighted down.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.models import DEFAULT_MODEL, FoundModel, SentenceTransformerEmbedder
from righttime.errors import EmbeddingError, SettingsError
from righttime.model_files import model_sha256
from righttime.quiet import without_foreign_bars
from righttime.store import cache_folder

__all__ = ["DIMENSIONS", "PREFIX", "StaticEmbedder"]

PREFIX = "static"
DIMENSIONS = 256
"""Principal components that are kept, as model2vec recommends."""


class StaticEmbedder:
    """The static embedder distilled from a model; distilled once (about a minute), in the user's cache."""

    tokens_per_batch = 1 << 17
    """Company does not matter to it, nor does memory: a text costs its tokens' vectors."""

    def __init__(self, name: str = DEFAULT_MODEL, *, max_length: int | None = None) -> None:
        """Find the model to distil from.

        Args:
            name: A folder or a hub name of a sentence-transformers model.
            max_length: Tokens to read of each text; None reads all.

        Raises:
            EmbeddingError: If there is no such model.
            SettingsError: If model2vec is not installed.
        """
        missing = [name for name in ("model2vec", "skeletoken") if find_spec(name) is None]
        if missing:
            raise SettingsError(
                f"`embedder='static'` needs model2vec and skeletoken, but {missing[0]} is not installed. "
                "Hint: pip install 'righttime[static]'.",
                setting="embedder",
            )
        self.reference = SentenceTransformerEmbedder(name)
        self._name, self._max_length = name, max_length

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded model: a process that gets a copy loads its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_model"}

    @cached_property
    def found(self) -> FoundModel:
        """Where the distilled model lies; distils it if it is not there."""
        base = self.reference.identity
        about = {"model": base["revision"], "dimensions": DIMENSIONS, "model2vec": metadata.version("model2vec")}
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        folder = cache_folder() / "models" / f"static-{key}"
        if not folder.exists():
            _distil(SentenceTransformerEmbedder(self._name), folder)
        revision = f"sha256:{model_sha256(folder)}"
        return FoundModel(f"{PREFIX}:{base['model']}", str(folder), revision, "distilled here")

    @cached_property
    def _model(self) -> Any:
        from model2vec import StaticModel

        return StaticModel.from_pretrained(self.found.path)

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model and what it was distilled from, its files' hash, maximum length in tokens, dtype."""
        return {
            "model": self.found.name,
            "revision": self.found.revision,
            "distilled_from": self.reference.identity["revision"],
            "max_length": self._max_length or 1 << 30,
            "dtype": "float32",
            "prefix": "",
        }

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before truncation."""
        tokenizer = self._model.tokenizer
        tokenizer.no_truncation()
        return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), 256)."""
        vectors = self._model.encode(list(texts), max_length=self._max_length, use_multiprocessing=False)
        return np.asarray(vectors, dtype=np.float32)


def _distil(embedder: SentenceTransformerEmbedder, folder: Path) -> None:
    """Distil a model into a folder, which appears when it is whole. The loaded model is used up."""
    from model2vec.distill import distill_from_model

    folder.parent.mkdir(parents=True, exist_ok=True)
    model = embedder.model
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        whole = Path(temporary) / "model"
        try:
            with without_foreign_bars():
                distilled = distill_from_model(
                    model=model[0].auto_model,
                    tokenizer=model.tokenizer,
                    device=str(model.device),
                    pca_dims=DIMENSIONS,
                    quantize_to="float32",
                )
            distilled.save_pretrained(whole)
        except Exception as error:  # what models of other kinds raise
            raise EmbeddingError(
                f"{embedder.found.name} must be a transformer whose tokens can be embedded one by one to be distilled; "
                f"distilling failed: {type(error).__name__}: {error}. Hint: name another model, static:MODEL."
            ) from error
        try:
            os.replace(whole, folder)
        except OSError:  # another process was faster; its model is as good
            shutil.rmtree(whole, ignore_errors=True)
            if not folder.exists():
                raise
