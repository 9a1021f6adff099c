"""The model to be tuned: from a folder or the hub, safetensors only, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.errors import ModelError, SettingsError, unknown_name
from righttime.gguf import described, model_folder
from righttime.model_files import model_sha256, require_safe
from righttime.store import files_sha256
from righttime.tokenization.loading import loaded
from righttime.training.bases import BASES
from righttime.training.checkpoints import require_whole
from righttime.training.quantised import four_bits, kept_as_it_is

if TYPE_CHECKING:
    from righttime.training.adapters import Base, Lora
    from righttime.training.settings import TuneSettings

__all__ = ["configuration", "load_held", "load_model", "model_identity", "trainable_length"]


_MAX_LENGTH = 2048  # of the paper


def model_identity(name: str) -> dict[str, str]:
    """What tells a model from others: its name, and the hash of its folder or its commit on the hub.

    Args:
        name: A folder or a hub name.

    Raises:
        ModelError: If the folder holds no safetensors weights or anything that could run code, is a checkpoint that
            was changed, or there is no such model.
    """
    folder = Path(model_folder(name))
    if not folder.is_dir():
        return {"name": name, "revision": str(getattr(configuration(name), "_commit_hash", None))}
    require_safe(folder, ModelError)
    require_whole(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"the model folder {name} must hold safetensors weights, but no *.safetensors is in it. "
            "Hint: save the model with save_pretrained."
        )
    if (folder / "adapter_config.json").exists():  # its base decides as well
        return {"name": name, "revision": f"sha256:{model_sha256(folder)}", **described(name)}
    # Templates and vocabularies are no part of it: their tokens are hashed row by row.
    revision = files_sha256(folder, [*weights, *sorted(folder.glob("*.json"))])
    return {"name": name, "revision": f"sha256:{revision}", **described(name)}


def load_model(name: str, settings: TuneSettings) -> Any:
    """A causal language model with float32 weights, with new adapters around it if the settings want them.

    Only under adapters may its own weights, which are not trained then, be of another type.

    Raises:
        ModelError: If there is no such model.
        SettingsError: If the attention asked for is not installed, or no layer has the names asked for.
    """
    if settings.lora is None:
        return load_held(name, "float32", settings.attention)
    return _adapted(load_held(name, settings.lora.base, settings.attention), settings.lora)


def load_held(name: str, base: Base, attention: str = "auto", **more: Any) -> Any:
    """A causal language model whose weights are held as those of a base under adapters.

    Args:
        name: A folder or a hub name.
        base: See `righttime.training.Lora`; float32 holds all models that have no adapters.
        attention: How attention is computed.
        more: What else `from_pretrained` takes.

    Raises:
        ModelError: If there is no such model.
        SettingsError: If the attention asked for is not installed.
    """
    from transformers import AutoModelForCausalLM

    # Adapters name their base by what is loaded here, and may be read from elsewhere.
    place = model_folder(name)
    place = str(Path(place).resolve()) if Path(place).is_dir() else place
    how: dict[str, Any] = {"dtype": _weights(base), "use_safetensors": True, **more}
    if attention != "auto":
        how["attn_implementation"] = _attention(attention)
    if base in BASES:
        how["quantization_config"] = four_bits(base)
    return kept_as_it_is(loaded(place, "model", AutoModelForCausalLM.from_pretrained, **how))


def _weights(base: Base) -> Any:
    """The type of the weights, as `from_pretrained` takes it."""
    import torch

    return {"float32": torch.float32, "stored": "auto"}.get(base, torch.bfloat16)


def _attention(name: str) -> str:
    from transformers.utils import is_flash_attn_2_available

    if name == "flash" and not is_flash_attn_2_available():
        raise SettingsError(
            '`attention="flash"` must have flash-attn and a GPU that it runs on, but they are not there. '
            'Hint: pip install flash-attn, or `attention="sdpa"`.',
            setting="attention",
        )
    return {"flash": "flash_attention_2"}.get(name, name)


def _adapted(model: Any, lora: Lora) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.target_modules is None else list(lora.target_modules),
        use_dora=lora.dora,
        use_rslora=lora.rank_stabilised,
    )
    _check_modules(model, lora)
    return get_peft_model(model, config)


def _check_modules(model: Any, lora: Lora) -> None:
    """Every name must be a layer's: peft is content with one of them."""
    import torch

    linear = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    known = sorted({name.rpartition(".")[2] for name in linear})
    for name in lora.target_modules or ():
        if name not in known:
            raise unknown_name("layer", name, known)


def trainable_length(name: str, asked: int | None) -> int:
    """The most tokens of a row: as asked, or 2,048, or what the model reads where that is less.

    Raises:
        SettingsError: If the model reads fewer.
        ModelError: If there is no such model.
    """
    reads = getattr(configuration(name), "max_position_embeddings", None)
    if asked is None:
        return min(reads or _MAX_LENGTH, _MAX_LENGTH)
    if reads is not None and asked > reads:
        raise SettingsError(
            f"max_length must be at most the {reads} tokens that {name} reads, got {asked}. "
            f"Hint: `max_length={reads}`.",
            setting="max_length",
        )
    return asked


def configuration(name: str) -> Any:
    """The configuration of a model.

    Raises:
        ModelError: If there is none.
    """
    from transformers import AutoConfig

    return loaded(name, "configuration", AutoConfig.from_pretrained)
