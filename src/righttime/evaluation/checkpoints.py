"""Models to evaluate later: one folder, a folder of checkpoints, or a run of `righttime tune`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from righttime.errors import ModelError, RighttimeError, SettingsError
from righttime.gguf import model_folder
from righttime.model_files import fetched, require_safe
from righttime.training.adapters import Base, Lora
from righttime.training.bases import BASES
from righttime.training.checkpoints import require_whole, whole_checkpoints
from righttime.training.manifest import BEGUN, typed_begun
from righttime.training.models import load_held
from righttime.training.quantised import check_quantised
from righttime.training.settings import TuneSettings

__all__ = ["Evaluated", "base_of", "find_checkpoints", "load_evaluated", "models_in_turn", "readable_length"]

ADAPTER = "adapter_config.json"
_STEP = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Evaluated:
    """A model to evaluate.

    Attributes:
        step: Optimizer steps that led to it; 0 where nothing tells.
        name: Its folder or hub name.
    """

    step: int
    name: str


def find_checkpoints(name: str) -> list[Evaluated]:
    """The models that a name stands for, by step.

    Args:
        name: A model's folder or hub name; a folder with ``checkpoint-N`` folders in it; or a run with such a folder
            ``checkpoints`` in it.

    Raises:
        ModelError: If a folder holds neither a model nor checkpoints, or a checkpoint of a run was changed.
    """
    folder = Path(name)
    if not folder.is_dir():
        return [Evaluated(0, name)]
    if _holds_model(folder):
        require_whole(folder)
        return [Evaluated(_step_of(folder), name)]
    for place in (folder, folder / "checkpoints"):
        found = [path for path in place.glob("checkpoint-*") if _STEP.fullmatch(path.name) and _holds_model(path)]
        # A run of ours marks checkpoints that are whole; those of other trainers bear no mark.
        for path in found:
            require_whole(path)
        whole = {checkpoint.path for checkpoint in whole_checkpoints(place, hashed=False)}
        found = [path for path in found if path in whole] or found
        if found:
            return sorted((Evaluated(_step_of(path), str(path)) for path in found), key=lambda one: one.step)
    if (folder / BEGUN).exists():
        raise ModelError(
            f"{name} must be a run that kept a model or checkpoints, but it holds neither. "
            f"Hint: what was measured while it trained is in {folder / 'evaluation'}."
        )
    raise ModelError(
        f"{name} must be a model's folder, or hold checkpoint-N folders with safetensors weights; it holds neither. "
        "Hint: name the folder that the trainer wrote its checkpoints to."
    )


def _holds_model(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _step_of(folder: Path) -> int:
    found = _STEP.fullmatch(folder.resolve().name)
    return int(found[1]) if found else 0


def base_of(name: str, asked: Base | None = None) -> Base | None:
    """How the base of adapters is held: as asked for, else as the run held it that trained them.

    Args:
        name: A model's folder or hub name.
        asked: How it is to be held; None asks the run.

    Returns:
        None for a model without adapters, and for adapters that lie in no run.

    Raises:
        SettingsError: If it is asked for a model that has no adapters.
        StoreError: If the run was changed.
    """
    folder = Path(name).resolve()
    if not (folder / ADAPTER).exists():
        if asked is not None and folder.is_dir():
            raise SettingsError(f"`lora_base` must go with adapters, but {name} is a whole model.", setting="lora_base")
        return asked
    # RUN/model, RUN/average, RUN/checkpoints/checkpoint-N
    run = next((place for place in (folder.parent, folder.parent.parent) if (place / BEGUN).exists()), None)
    if asked is not None or run is None:
        return asked
    trained = typed_begun(run).settings.lora
    return None if trained is None else trained.base


def models_in_turn(
    found: Sequence[Evaluated], device: str | None = None, base: Base | None = None
) -> Iterator[tuple[Evaluated, Any]]:
    """Each model, loaded. Checkpoints of one architecture share one model, whose weights are exchanged in place.

    Args:
        found: What `find_checkpoints` gives.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        base: How the base of adapters is held; see `load_evaluated`.

    Raises:
        ModelError: If a model cannot be loaded.
    """
    model, config = None, None
    for one in found:
        here = _config_text(one.name)
        if model is not None and here is not None and here == config:
            _exchange(model, one.name)
        else:
            model, config = load_evaluated(one.name, device, base), here
        yield one, model


def load_evaluated(name: str, device: str | None = None, base: Base | None = None) -> Any:
    """A causal language model in evaluation mode, with its adapters where the folder holds some.

    Args:
        name: A model's folder or hub name.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        base: How the base of adapters is held; see `righttime.training.Lora`. None holds all weights in float32 on a
            CPU, else as they were saved.

    Raises:
        ModelError: If there is no such model.
        SettingsError: If the base is to be held in 4 bits, and that cannot be done here.
    """
    import torch
    from transformers import AutoModelForCausalLM

    name = model_folder(name)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings: dict[str, Any] = {"dtype": torch.float32 if place == "cpu" else "auto", "trust_remote_code": False}
    fetched(name, ModelError)
    try:
        if base is not None:
            return _over(name, base, place)
        if (Path(name) / ADAPTER).exists():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(name, use_safetensors=True, **settings)
        else:
            model = AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, **settings)
    except RighttimeError:
        raise
    except Exception as error:  # hub, file and configuration errors of several libraries
        raise _not_loaded(name, error) from error
    return model.to(place).eval()


def _over(name: str, base: Base, place: str) -> Any:
    """Adapters over their base, which is held as they were trained over it."""
    check_quantised(TuneSettings(lora=Lora(base=base)))
    from peft import PeftConfig, PeftModel

    below = PeftConfig.from_pretrained(name).base_model_name_or_path
    if base in BASES:  # they cannot be moved
        return PeftModel.from_pretrained(load_held(below, base, device_map={"": place}), name).eval()
    return PeftModel.from_pretrained(load_held(below, base), name).to(place).eval()


def readable_length(name: str, asked: int) -> int:
    """The most tokens of a row: as asked, or as many as the model reads where that is less.

    Args:
        name: A model's folder or hub name, or a folder with adapters.
        asked: The most tokens asked for.

    Raises:
        ModelError: If there is no such model.
    """
    from transformers import AutoConfig

    name = model_folder(name)
    adapter = Path(name) / ADAPTER
    try:
        base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"] if adapter.exists() else name
        reads = getattr(AutoConfig.from_pretrained(base, trust_remote_code=False), "max_position_embeddings", None)
    except Exception as error:  # hub, file and configuration errors of several libraries
        raise _not_loaded(name, error) from error
    return min(asked, reads or asked)


def _not_loaded(name: str, error: Exception) -> ModelError:
    first = (str(error).strip().splitlines() or ["no message"])[0][:200]
    return ModelError(
        f"{name!r} must be a causal language model of transformers, or adapters of one, with safetensors weights; "
        f"loading it failed: {type(error).__name__}: {first}. Hint: check the name."
    )


def _config_text(name: str) -> str | None:
    """What the folder's configuration says; None for adapters and hub names, which are loaded one by one."""
    folder = Path(name)
    if not (folder / "config.json").exists() or (folder / ADAPTER).exists():
        return None
    return json.dumps(json.loads((folder / "config.json").read_text(encoding="utf-8")), sort_keys=True)


def _exchange(model: Any, name: str) -> None:
    """Put a checkpoint's weights into a model of the same architecture.

    Raises:
        ModelError: If they do not fit.
    """
    from safetensors.torch import load_file

    require_safe(Path(name), ModelError)
    weights: dict[str, Any] = {}
    for path in sorted(Path(name).glob("*.safetensors")):
        weights |= load_file(path)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    model.tie_weights()
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    wrong = sorted((set(missing) - tied) | set(unexpected))
    if wrong:
        raise ModelError(f"the weights in {name} must fit its config.json, but {wrong[0]!r} does not.")
