"""What transformers loads by name, from a folder or the hub, without remote code; a tokenizer above all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from righttime.errors import ModelError, RighttimeError
from righttime.gguf import model_folder
from righttime.model_files import fetched

__all__ = ["load_tokenizer", "loaded"]


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a model.

    Raises:
        ModelError: If there is none.
    """
    from transformers import AutoTokenizer

    return loaded(name, "tokenizer", AutoTokenizer.from_pretrained)


def loaded(name: str, what: str, load: Callable[..., Any], **settings: Any) -> Any:
    """What a `from_pretrained` of transformers makes of a name.

    Args:
        name: A folder or a hub name.
        what: What it loads, for the error.
        load: The function.
        settings: What else it takes.

    Raises:
        ModelError: If it fails, for whatever reason; gives it in one line. If the folder holds what could run code.
    """
    place = model_folder(name)
    if what == "model":
        fetched(place, ModelError)
    try:
        return load(place, trust_remote_code=False, **settings)
    except RighttimeError:
        raise
    except Exception as error:  # hub, file and configuration errors of several libraries
        first = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise ModelError(
            f"{name!r} must be a folder with a causal language model of transformers, or one in the local hub cache or "
            f"on a hub that can be reached; loading its {what} failed: {type(error).__name__}: {first}. "
            "Hint: check the name; righttime pretrain makes a tiny one."
        ) from error
