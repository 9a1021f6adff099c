"""What bitsandbytes adds to tuning: states of an optimizer in 8 bits or in pages, and a base in 4 bits."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from righttime.errors import SettingsError
from righttime.training.bases import BASES
from righttime.training.optimizers import OPTIMIZERS
from righttime.training.sharding import sharded_by

if TYPE_CHECKING:
    from righttime.training.settings import TuneSettings

__all__ = ["check_quantised", "eight_bit_states", "four_bits", "kept_as_it_is"]


def check_quantised(settings: TuneSettings) -> None:
    """Make sure, before any work, that what is quantised can be.

    Raises:
        SettingsError: If bitsandbytes is not installed, or cannot do it on this device or under sharding.
    """
    kind = OPTIMIZERS[settings.optimizer]
    base = settings.lora.base if settings.lora is not None and settings.lora.base in BASES else None
    given, setting = f'`base="{base}"`', "lora"
    if kind.of_bitsandbytes:
        given, setting = f'`optimizer="{settings.optimizer}"`', "optimizer"
    needed = base is not None or kind.of_bitsandbytes
    if find_spec("bitsandbytes"):
        if needed or settings.lora is not None:
            _imported()
    elif needed:
        raise SettingsError(
            f"{given} must have bitsandbytes, which is not installed. Hint: pip install 'righttime[quantized]'.",
            setting=setting,
        )
    if not needed:
        return
    import bitsandbytes
    import torch

    device = getattr(torch.accelerator.current_accelerator(), "type", "cpu")
    if device not in bitsandbytes.supported_torch_devices:
        raise SettingsError(
            f"{given} must have a device that bitsandbytes supports, but it does not support {device}.", setting=setting
        )
    if kind.paged and device != "cuda":
        raise SettingsError(
            f"{given} must have CUDA, which moves its states between GPU and CPU, but the device is {device}. "
            f'Hint: `optimizer="{"adamw-8bit" if kind.eight_bit else "adamw"}"`.',
            setting="optimizer",
        )
    if sharding := sharded_by():
        raise SettingsError(
            f"{given} must have the whole model on one device, but {sharding[0]} shards it. "
            "Hint: one process for each whole model, or leave it out.",
            setting=setting,
        )


def _imported() -> None:
    """Import bitsandbytes, before peft does, without what it would load from the model hub.

    On CPUs with avx512_bf16 it asks the package `kernels`, where that is installed, for compiled code of the hub.
    """
    if "bitsandbytes" in sys.modules:
        return
    hidden, sys.modules["kernels"] = sys.modules.get("kernels"), None  # type: ignore[assignment]
    log = logging.getLogger("bitsandbytes")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that it has no such code
    try:
        import bitsandbytes  # noqa: F401
    finally:
        log.setLevel(level)
        del sys.modules["kernels"]
        if hidden is not None:
            sys.modules["kernels"] = hidden


def four_bits(base: str) -> Any:
    """How a base is quantised, as `from_pretrained` takes it: its linear layers but for the output layer."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=BASES[base],
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def kept_as_it_is(model: Any) -> Any:
    """The same model, whose layers in 4 bits stay as they are when it is evaluated.

    On CPUs with avx512_bf16 bitsandbytes packs a layer anew the first time that it runs in evaluation mode, and rounds
    its scales: training would go on with other weights after an evaluation.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return model


def eight_bit_states(optimizer: Any, model: Any, trained: Callable[[Any], Any]) -> None:
    """Settle which tensors have states in 8 bits: all but embeddings' and small ones.

    bitsandbytes keeps exceptions for a whole process, by the places of tensors in an optimizer, so those of an earlier
    run would hold for this one.

    Args:
        optimizer: bitsandbytes', without any state yet.
        model: The model.
        trained: The tensor that the optimizer trains in place of a weight of the model.
    """
    import torch

    optimizer.mng.initialize()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Embedding):
            optimizer.mng.override_config(trained(layer.weight), "optim_bits", 32)
