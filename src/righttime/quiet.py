"""Libraries that speak to their developers, not to who runs them: their bars, advice and notes on coming versions."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["quiet_process", "quietly", "speechless", "without_advice", "without_foreign_bars"]

_LIBRARIES = r"(accelerate|datasets|peft|safetensors|tokenizers|torch|transformers|trl)(\.|$)"
_FOR_DEVELOPERS = (FutureWarning, DeprecationWarning, PendingDeprecationWarning)
"""What libraries tell those who call them, and what who runs the command can do nothing about."""

# Nor can a user do anything about this one; all other warnings of libraries are shown.
_PINNING = r"'pin_memory' argument is set as true but"  # torch, on a machine without GPU


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep libraries from showing what is about their own code, while they are called.

    That is their notes that something will be removed, one warning by its words, and a bar for each reading and
    writing of weights. Whatever is about the model, the data or the settings is shown.
    """
    from transformers.utils import logging as their_logging

    loud = their_logging.is_progress_bar_enabled()
    their_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            for category in _FOR_DEVELOPERS:
                warnings.filterwarnings("ignore", category=category, module=_LIBRARIES)
            warnings.filterwarnings("ignore", message=_PINNING, category=UserWarning)
            yield
    finally:
        if loud:
            their_logging.enable_progress_bar()


@contextlib.contextmanager
def speechless() -> Iterator[None]:
    """Keep back every warning and every line of a log below an error: for what only its developers understand."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def without_foreign_bars() -> Iterator[None]:
    """Keep the bars that a library draws with tqdm, and offers no setting for, from being drawn."""
    from tqdm.std import tqdm

    own: Any = tqdm.__init__

    def unseen(self: object, *args: object, **settings: object) -> None:
        own(self, *args, **{**settings, "disable": True})

    any_bar: Any = tqdm
    any_bar.__init__ = unseen
    try:
        yield
    finally:
        any_bar.__init__ = own


def quiet_process() -> None:
    """Keep libraries from talking over what a command prints, in this process and in those that it starts."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for library in ("HF_HUB", "HF_DATASETS"):
        os.environ.setdefault(f"{library}_DISABLE_PROGRESS_BARS", "1")
    for library in ("TRANSFORMERS", "HF_HUB", "DATASETS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # Processes that this one starts read it: workers, and those of Ray on this machine.
    os.environ.setdefault("PYTHONWARNINGS", ",".join(f"ignore::{kind.__name__}" for kind in _FOR_DEVELOPERS))
    for library in ("sentence_transformers", "matplotlib"):
        logging.getLogger(library).setLevel(logging.ERROR)


@contextlib.contextmanager
def without_advice() -> Iterator[None]:
    """Keep advice for developers from being printed, unless Python was asked for it (-W, PYTHONWARNINGS)."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            for kind in _FOR_DEVELOPERS:
                warnings.simplefilter("ignore", kind)
        yield
