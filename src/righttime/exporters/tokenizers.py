"""The tokenizer of the model that an export names, where it is on disk: what depends on it is tried beforehand."""

from __future__ import annotations

from typing import Any

__all__ = ["tokenizer_on_disk"]


def tokenizer_on_disk(model: str) -> Any | None:
    """A model's tokenizer, from its folder or the local hub cache; None where it is in neither.

    Args:
        model: A folder or hub name; nothing is fetched.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except Exception:  # not there, or not readable without code of its own: errors of several libraries
        return None
