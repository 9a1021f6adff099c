"""Look at a model that is being trained without leaving a trace: its modes and every source of chance are put back."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["undisturbed"]


@contextlib.contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode; afterwards each of its modules is in the mode it was in.

    The states of the random generators of Python, NumPy and torch (CPU and GPUs) are put back too, so that training
    continues as if nothing had happened.

    Args:
        model: A torch module.
    """
    import torch

    modes = [(module, module.training) for module in model.modules()]
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)
