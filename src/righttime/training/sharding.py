"""What shards a model over processes, as ``accelerate launch`` tells by the environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

__all__ = ["fsdp2", "gathering", "runs_unwrapped", "sharded_by", "writes_whole"]


def sharded_by() -> list[str]:
    """``FSDP`` or ``DeepSpeed``, or both; empty where each process has the whole model."""
    from accelerate.utils import parse_flag_from_env

    return [name for name in ("FSDP", "DeepSpeed") if parse_flag_from_env(f"ACCELERATE_USE_{name.upper()}")]


def fsdp2() -> bool:
    """Whether FSDP, if that is what shards it, is of the second version."""
    return os.environ.get("FSDP_VERSION") == "2"


def writes_whole() -> bool:
    """Whether FSDP2 shards it and its checkpoints hold the whole weights all the same."""
    return sharded_by() == ["FSDP"] and fsdp2() and os.environ.get("FSDP_STATE_DICT_TYPE") == "FULL_STATE_DICT"


def runs_unwrapped() -> bool:
    """Whether a model can be run without what wraps it: FSDP1 and DeepSpeed gather its weights in their own forward."""
    return not sharded_by() or (sharded_by() == ["FSDP"] and fsdp2())


@contextlib.contextmanager
def gathering(model: Any, method: str) -> Iterator[None]:
    """Let a method of a model that FSDP2 shards gather weights as its forward pass does.

    A method of a model with adapters goes past that pass, to the model inside, and FSDP2 begins with the outermost.

    Args:
        model: A model, sharded or whole.
        method: The method's name.
    """
    if "FSDP" not in sharded_by():
        yield
        return
    from torch.distributed.fsdp import register_fsdp_forward_method

    register_fsdp_forward_method(model, method)
    try:
        yield
    finally:
        model.__dict__.pop(method, None)
