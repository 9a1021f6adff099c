"""Causal language models and their tokenizers, from a folder, the local hub cache or the hub: safetensors only."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from righttime.embedding.models import (
    FULL,
    STORED,
    FoundModel,
    checked_weights,
    device_for_worker,
    find_model,
    weights_type,
)
from righttime.errors import EmbeddingError
from righttime.gguf import model_folder
from righttime.model_files import fetched, require_safe

__all__ = ["CausalModel", "find_causal"]

_MAX_LENGTH = 2048  # of the papers that embed with causal models


def find_causal(name: str) -> FoundModel:
    """Find a causal model: a folder with safetensors weights, the local hub cache, else the hub.

    Raises:
        EmbeddingError: If the folder holds no safetensors weights, or anything that could run code.
    """
    if Path(folder := model_folder(name)).is_dir():
        return dataclasses.replace(find_model(folder), name=name)
    from huggingface_hub import snapshot_download

    try:
        cached = Path(snapshot_download(name, local_files_only=True))
    except Exception:  # an invalid name, or nothing cached: hub libraries raise many kinds
        return FoundModel(name, name, "hub", "hub")
    if not any(cached.glob("*.safetensors")):
        return FoundModel(name, name, "hub", "hub")
    require_safe(cached, EmbeddingError)
    return FoundModel(name, str(cached), cached.name, "hub cache")


class CausalModel:
    """A causal language model that is loaded when it is first needed, with frozen weights.

    Attributes:
        found: Its name, its place and what tells its weights from others.
        trained: Whether it is somebody else's, who trains it: no weight or layer of it is to be touched.
    """

    def __init__(
        self,
        name: str,
        *,
        heads: bool,
        max_length: int | None = None,
        device: str | None = None,
        weights: str = FULL,
    ) -> None:
        """Find a model.

        Args:
            name: A folder or a hub name.
            heads: Load it with its language-model head; without, it ends in hidden states.
            max_length: Tokens to read of each text; None takes 2,048, or what the model can read where that is less.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.
            weights: The type of its weights, a name of `WEIGHTS`; that of its arithmetic as well.

        Raises:
            EmbeddingError: As `find_causal`.
            SettingsError: If there is no such type.
        """
        self.found = find_causal(name)
        self._heads, self._max_length, self._device = heads, max_length, device
        self._weights = checked_weights(weights)
        self.trained = False

    @classmethod
    def of(cls, model: Any, tokenizer: Any, name: str, revision: str, max_length: int) -> CausalModel:
        """A model that is loaded already, and may be in training: it is read as it is, and nothing of it is changed.

        Args:
            model: The model without its head.
            tokenizer: Its tokenizer.
            name: What to call it.
            revision: What tells its weights from others.
            max_length: Tokens to read of each text.
        """
        made = cls.__new__(cls)
        made.found = FoundModel(name, name, revision, "memory")
        made._heads, made._max_length, made._device, made._weights = False, max_length, None, FULL
        made.trained = True
        made.__dict__ |= {"model": model, "tokenizer": tokenizer}
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded model: a process that gets a copy loads its own."""
        return {name: value for name, value in self.__dict__.items() if name != "model"}

    def for_worker(self, number: int) -> CausalModel:
        """A copy for the worker process of that number, on a GPU of its own as long as there are enough."""
        there = copy.copy(self)
        there._device = device_for_worker(self._device, number)
        return there

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        from transformers import AutoTokenizer

        return self._loaded(AutoTokenizer.from_pretrained, trust_remote_code=False)

    @cached_property
    def model(self) -> Any:
        """The model, in eval mode, its weights frozen."""
        import torch
        from transformers import AutoModel, AutoModelForCausalLM
        from transformers.utils import logging

        fetched(self.found.path, EmbeddingError)
        loud = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            kind = AutoModelForCausalLM if self._heads else AutoModel
            how = {"dtype": weights_type(self._weights), "use_safetensors": True, "trust_remote_code": False}
            model = self._loaded(kind.from_pretrained, **how)
        finally:
            if loud:
                logging.enable_progress_bar()
        return model.to(self._device or ("cuda" if torch.cuda.is_available() else "cpu")).eval().requires_grad_(False)

    def _loaded(self, load: Any, **settings: Any) -> Any:
        try:
            return load(self.found.path, **settings)
        except Exception as error:  # hub, file and configuration errors of several libraries
            first = str(error).strip().splitlines()[0][:200] if str(error).strip() else "no message"
            raise EmbeddingError(
                f"the model {self.found.name!r} must be a folder, or a causal language model in the local hub cache or "
                f"on a hub that can be reached, with safetensors weights; loading it failed: {type(error).__name__}: "
                f"{first}. Hint: check the name after the colon."
            ) from error

    @property
    def layers(self) -> Any:
        """Its layers, a `torch.nn.ModuleList`.

        Raises:
            EmbeddingError: If no list in it has as many entries as its configuration says.
        """
        import torch

        count = getattr(self.model.config, "num_hidden_layers", None)
        for module in self.model.modules():
            if isinstance(module, torch.nn.ModuleList) and len(module) == count:
                return module
        raise EmbeddingError(
            f"the layers of {self.found.name!r} must be a list of {count} modules, but no such list was found. "
            "Hint: leave `layer` out."
        )

    @property
    def max_length(self) -> int:
        """The tokens it reads of each text."""
        most = int(getattr(self.model.config, "max_position_embeddings", None) or _MAX_LENGTH)
        return min(most, self._max_length or _MAX_LENGTH)

    @property
    def dtype(self) -> str:
        """What its weights are held in, by torch's name; of ``stored`` ones it is known once they are loaded."""
        as_loaded = self.trained or self._weights == STORED
        return str(self.model.dtype).removeprefix("torch.") if as_loaded else self._weights

    @cached_property
    def revision(self) -> str:
        """What tells its weights from others."""
        if self.found.revision == "hub":  # asked for by name: now it is in the hub cache, and has a commit
            _ = self.model
            return find_causal(self.found.name).revision
        return self.found.revision

    def identity(self, kind: str) -> Mapping[str, str | int]:
        """What decides a vector besides its text, for an embedder of that kind."""
        return {
            "model": f"{kind}:{self.found.name}",
            "revision": self.revision,
            "max_length": self.max_length,
            "dtype": self.dtype,
        }

    def tokens(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """The token numbers of each text, not truncated; with the tokenizer's own special tokens or without."""
        if not texts:
            return []
        plain = {"truncation": False, "padding": False, "verbose": False}
        encoded = self.tokenizer(list(texts), add_special_tokens=special, **plain)
        return [list(ids) for ids in encoded["input_ids"]]

    def padded(self, ids: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Token numbers padded on the right, and the mask of what is not padding; both int64, shape (n, longest)."""
        import torch

        longest = max(len(row) for row in ids)
        device = self.model.device
        tokens = torch.zeros((len(ids), longest), dtype=torch.int64, device=device)
        mask = torch.zeros_like(tokens)
        for place, row in enumerate(ids):
            tokens[place, : len(row)] = torch.tensor(row, dtype=torch.int64, device=device)
            mask[place, : len(row)] = 1
        return tokens, mask
