"""A sentence-transformers model in int8 for CPUs: exported to ONNX, checked against itself, and quantised.

Opt-in, since int8 vectors are not those of the model: similarities differ in their second or third digit, and with
them which rows come first. Every run says how far, on its own rows; see `righttime.embedding.fidelity`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.centring import Centring
from righttime.embedding.fidelity import compare_vectors
from righttime.embedding.models import SentenceTransformerEmbedder
from righttime.errors import EmbeddingError, SettingsError
from righttime.quiet import speechless
from righttime.store import cache_folder, file_sha256, write_lines

__all__ = ["LEAST_COSINE", "PROBES", "Int8Embedder"]

LEAST_COSINE = 0.9999
"""What the exported float32 model must reach against the model itself, before it is quantised."""

PROBES = (
    "What is the capital of France? Paris",
    "Sort these words: pear, fig, apple. apple, fig, pear",
    "Translate to German: The cat sleeps on the warm stone. Die Katze schläft auf dem warmen Stein.",
    "def add(a, b):\n    return a + b",
    'Is the following sentence true? "Water boils at 100 °C at sea level." Yes.',
    "x",
    "Read the passage and name its topic. " + "The harvest was late that year, and the roads were deep in mud. " * 30,
    "Given the numbers 3, 17 and 42, which is the largest? 42",
)
"""Texts of ours that the export is checked on: short and long, truncated, other scripts than letters."""

_RECIPE = "onnx opset 23, int8 per channel, MatMul and Gather"


class Int8Embedder:
    """A model's vectors, by its weights in int8 and its activations quantised as they come, on ONNX Runtime.

    Made once, in the folder ``models`` of the user's cache, and only if the export of the float32 model to ONNX reaches
    `LEAST_COSINE` on `PROBES`.
    """

    tokens_per_batch = 512
    """Fewer than for PyTorch: measured faster, see ``benchmarks/embedding.py``."""

    def __init__(
        self, name: str, *, max_length: int | None = None, prefix: str = "", device: str | None = None
    ) -> None:
        """Find a model.

        Args:
            name: A folder or a hub name of a sentence-transformers model.
            max_length: Tokens to read of each text; None takes the model's own.
            prefix: Put before every text.
            device: None or ``cpu``.

        Raises:
            EmbeddingError: If there is no such model.
            SettingsError: If the device is another, or ONNX Runtime is not installed.
        """
        if device not in (None, "cpu"):
            raise SettingsError(
                f"`precision='int8'` runs on CPUs only, got `device={device!r}`. Hint: try float16.",
                setting="precision",
            )
        _require_onnx()
        self.reference = SentenceTransformerEmbedder(name, max_length=max_length, prefix=prefix, device="cpu")
        self.found = self.reference.found
        self.centring: Centring | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded model: a process that gets a copy loads its own, from the file, which is made before."""
        _ = self._file
        return {name: value for name, value in self.__dict__.items() if name != "_session"}

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """That of the float32 model, with the dtype and how it was made."""
        return {**self.reference.identity, "dtype": "int8", "recipe": _RECIPE}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens included, before truncation."""
        return self.reference.lengths(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32, shape (len(texts), d)."""
        return _run(self._session, self.reference, texts)

    @cached_property
    def _file(self) -> Path:
        """The quantised model; made if it is not there."""
        about = f"{self.identity['revision']} {_RECIPE}"
        path = cache_folder() / "models" / f"int8-{hashlib.sha256(about.encode()).hexdigest()[:16]}.onnx"
        if not _whole(path):
            _make(self.reference, path)
        return path

    @cached_property
    def _session(self) -> Any:
        return _session(self._file)


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"`precision='int8'` needs ONNX Runtime and ONNX, but {missing[0]} is not installed. "
            "Hint: pip install 'righttime[onnx]'.",
            setting="precision",
        )


def _whole(path: Path) -> bool:
    """Whether a quantised model is there, and as it was written."""
    try:
        return file_sha256(path) == _mark(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return False


def _mark(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _make(embedder: SentenceTransformerEmbedder, path: Path) -> None:
    """Export, check, quantise; the file appears at `path` when all of it went well."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        full, small = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        with speechless():  # advice of exporter and quantiser for people who write models
            _export(embedder.model, full)
        cosine = compare_vectors(_run(_session(full), embedder, PROBES), embedder.embed(PROBES)).cosine_min
        if cosine is None or cosine < LEAST_COSINE:
            raise EmbeddingError(
                f"{embedder.found.name} in ONNX must give the model's own vectors before it is quantised, a cosine of "
                f"at least {LEAST_COSINE}, got {cosine}. Hint: use this model without `precision='int8'`."
            )
        with speechless():  # advice of exporter and quantiser for people who write models
            quantize_dynamic(
                full, small, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gather"]
            )
        write_lines(_mark(path), [file_sha256(small)])
        os.replace(small, path)


def _export(model: Any, path: Path) -> None:
    """Write the transformer with its pooling (and normalising) as one ONNX graph from token numbers to vectors."""
    import torch

    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise EmbeddingError(
            "`precision='int8'` is for models made of Transformer, Pooling and perhaps Normalize, got "
            f"{', '.join(kinds)}. Hint: use this model without it."
        )

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer, self.rest = model[0].auto_model, torch.nn.ModuleList(list(model)[1:])

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            states = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            features = {"token_embeddings": states, "attention_mask": attention_mask}
            for module in self.rest:
                features = module(features)
            return features["sentence_embedding"]

    # Two inputs that differ: equal ones are taken for one and the same by the exporter.
    ids, mask = torch.arange(5, 26).reshape(3, 7), torch.ones(3, 7, dtype=torch.int64)
    mask[1, 4:] = 0
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        Whole().eval(),
        (ids, mask),
        dynamo=True,
        opset_version=23,
        input_names=["input_ids", "attention_mask"],
        output_names=["sentence_embedding"],
        dynamic_shapes=(sizes, sizes),
        verbose=False,
    )
    assert program is not None
    program.save(path)


def _session(path: Path) -> Any:
    """The model at `path`, on as many threads as PyTorch has."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run(session: Any, embedder: SentenceTransformerEmbedder, texts: Sequence[str]) -> NDArray[np.float32]:
    features = embedder.features(texts)
    inputs = {name: features[name].numpy() for name in ("input_ids", "attention_mask")}
    return np.asarray(session.run(None, inputs)[0], dtype=np.float32)
