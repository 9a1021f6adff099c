"""Liger's kernels in place of a model's own norms, gates and rotations, on CUDA (arXiv 2410.10989)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from righttime.errors import SettingsError
from righttime.training.models import configuration

__all__ = ["LIGER", "own_kernels_after", "require_liger"]

LIGER = {"cross_entropy": False, "fused_linear_cross_entropy": False}
"""What is not taken of them: the loss is that of `righttime.training.loss`, in chunks already."""


def require_liger(model: str) -> None:
    """Make sure, before any work, that there are such kernels for a model here.

    Args:
        model: A folder or a hub name.

    Raises:
        SettingsError: If there is no CUDA, liger-kernel is not installed, or has none for such a model.
        ModelError: If there is no such model.
    """
    import torch
    from transformers.utils import is_liger_kernel_available

    if not torch.cuda.is_available():
        device = getattr(torch.accelerator.current_accelerator(), "type", "cpu")
        raise _refused(f"have CUDA, but the device is {device}", "leave it out")
    if not is_liger_kernel_available():
        raise _refused("have the package liger-kernel, which is not installed", "pip install liger-kernel")
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    if (kind := configuration(model).model_type) not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise _refused(f"have a model that Liger has kernels for, and it has none for {kind}", "leave it out")


@contextlib.contextmanager
def own_kernels_after(model: Any) -> Iterator[None]:
    """Let models that are loaded later be as transformers has them.

    Liger changes this very model, but also puts its classes and functions into the module that the model comes from.

    Args:
        model: A causal language model of transformers, with adapters or without.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = vars(sys.modules[type(base).__module__])
    own = dict(names)
    try:
        yield
    finally:
        names.update(own)


def _refused(what: str, hint: str) -> SettingsError:
    return SettingsError(f'`kernels="liger"` must {what}. Hint: {hint}.', setting="kernels")
