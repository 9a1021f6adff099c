"""Libraries that speak to their developers, not to whoever trains: their bars and their notes on coming versions."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

__all__ = ["quietly"]

_LIBRARIES = r"(accelerate|datasets|peft|safetensors|tokenizers|torch|transformers|trl)(\.|$)"
_DEVELOPERS_ONLY = (FutureWarning, DeprecationWarning)
# Nor can a user do anything about this one; all other warnings of libraries are shown.
_PINNING = r"'pin_memory' argument is set as true but"  # torch, on a machine without GPU


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep libraries from showing what is about their own code, while they are called.

    That is their notes that something will be removed, one warning by its words, and a bar for each reading and
    writing of weights. Whatever is about the model, the data or the settings is shown.
    """
    from transformers.utils import logging

    loud = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            for category in _DEVELOPERS_ONLY:
                warnings.filterwarnings("ignore", category=category, module=_LIBRARIES)
            warnings.filterwarnings("ignore", message=_PINNING, category=UserWarning)
            yield
    finally:
        if loud:
            logging.enable_progress_bar()
