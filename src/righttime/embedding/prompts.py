"""The prompts of instruction-tuned embedders, from the model's own configuration or else from its model card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from righttime.errors import SettingsError, unknown_name

__all__ = ["CARD", "CARDS", "OWN", "Prompts", "prompts_for", "two_sided"]

CARD = "card"
"""The target's rows are queries, the pool's are documents, each with the prompt that the model has for these."""

OWN = "prefix"
"""The same, but what stands before the target's rows is the prefix: an instruction of the user's own."""

_DOCUMENT = ("document", "passage", "corpus")  # as sentence-transformers looks for it, in this order

CARDS: Mapping[str, Mapping[str, str]] = {
    # intfloat/e5-*-v2 and multilingual-e5-*: "query: " and "passage: " before every text; "query: " for both sides
    # where they are alike.
    r"(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?": {"query": "query: ", "passage": "passage: "},
    # intfloat/multilingual-e5-large-instruct: queries alone have an instruction.
    r"multilingual-e5-large-instruct": {
        "query": "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
        "passage": "",
    },
    # BAAI/bge-*-en, -zh and -v1.5 of both: queries alone have an instruction.
    r"bge-(small|base|large)-en(-v1\.5)?": {
        "query": "Represent this sentence for searching relevant passages: ",
        "passage": "",
    },
    r"bge-(small|base|large)-zh(-v1\.5)?": {
        "query": "为这个句子生成表示以用于检索相关文章\uff1a",  # a full-width colon
        "passage": "",
    },
}
"""By the last part of a model's name: prompts that its card names and its configuration lacks."""


@dataclass(frozen=True)
class Prompts:
    """What stands before the texts of each side."""

    pool: str
    target: str


def two_sided(asked: str) -> bool:
    """Whether pool and target are asked to have prompts of their own."""
    return asked in (CARD, OWN) or ":" in asked


def prompts_for(asked: str, own: Mapping[str, str | None], name: str, prefix: str = "") -> Prompts:
    """The prompts that are asked for.

    Args:
        asked: ``card``, ``prefix``, the name of one prompt for both sides, or ``POOL:TARGET``, the names of two.
        own: The prompts of the model's configuration, by name.
        name: The model's name.
        prefix: What stands before the target's rows, with ``prefix``.

    Raises:
        SettingsError: If the model has no prompts, or none of that name.

    Example:
        >>> prompts_for("card", {}, "intfloat/e5-base-v2")
        Prompts(pool='passage: ', target='query: ')
    """
    known = {prompt: text or "" for prompt, text in own.items()}
    if not any(known.values()):  # sentence-transformers gives every model an empty one for queries and documents
        last = Path(name).name
        known = next((dict(card) for pattern, card in CARDS.items() if re.fullmatch(pattern, last, re.IGNORECASE)), {})
    document = next((known[prompt] for prompt in _DOCUMENT if prompt in known), "")
    if asked == OWN:
        return Prompts(document, prefix)
    if not known:
        raise SettingsError(
            f"`prompts` must be those of the model, but {name} has none in its configuration, and its card is not "
            "among those known here (E5, BGE). Hint: `prefix` puts a text before every row.",
            setting="embedder",
        )
    if asked == CARD:
        if "query" in known:
            return Prompts(document, known["query"])
        raise unknown_name("prompt", "query", known, setting="embedder")
    pool, colon, target = asked.partition(":")
    for prompt in (pool, target) if colon else (pool,):
        if prompt not in known:
            raise unknown_name("prompt", prompt, known, setting="embedder")
    return Prompts(known[pool], known[target if colon else pool])
