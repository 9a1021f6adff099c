"""How many tokens a row has for the model that will be trained on it."""

from __future__ import annotations

import json
from typing import Any

from righttime.errors import EmbeddingError, RowError
from righttime.examples import Example, said
from righttime.rows import Rows

__all__ = ["token_counts", "tools_of"]


def token_counts(rows: Rows, tokenizer: str) -> list[int]:
    """Tokens of each row's whole conversation, through the tokenizer's chat template if it has one.

    Without a chat template the tools and the turns' texts are joined by newlines.

    Args:
        rows: The rows.
        tokenizer: A folder or a hub name.

    Raises:
        EmbeddingError: If there is no such tokenizer.
        RowError: If its chat template refuses a row; names it.
    """
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    except Exception as error:  # hub, file and configuration errors of several libraries
        raise EmbeddingError(
            f"the tokenizer {tokenizer!r} must be a folder, or in the local hub cache, or on a hub that can be "
            f"reached; loading it failed: {type(error).__name__}. Hint: check the name."
        ) from error
    counts: list[int] = []
    for part in rows.batches(1000):
        texts = [_text(row, loaded) for row in part.examples()]
        # A template writes the special tokens itself.
        encoded = loaded(
            texts, add_special_tokens=not loaded.chat_template, truncation=False, padding=False, verbose=False
        )
        counts += [len(ids) for ids in encoded["input_ids"]]
    return counts


def _text(row: Example, tokenizer: Any) -> str:
    tools = tools_of(row)
    if not tokenizer.chat_template:
        described = [json.dumps(tools, ensure_ascii=False)] if tools else []
        return "\n".join([*described, *(said(message) for message in row.messages)])
    turns = [message.as_dict() for message in row.messages]
    try:
        return str(tokenizer.apply_chat_template(turns, tools=tools, tokenize=False))
    except Exception as error:  # a template may refuse anything, in any way
        raise RowError(
            f"{row.file}:{row.line}: the tokenizer's chat template must take every row, but it refuses this one "
            f"(id {row.id}): {error}. Hint: use another tokenizer, or leave `max_tokens` out.",
            file=row.file,
            line=row.line,
            row=row.id,
        ) from error


def tools_of(row: Example) -> Any:
    """The tools as templates take them: a list; text that is not JSON stays text."""
    if not isinstance(row.tools, str):
        return row.tools
    try:
        return json.loads(row.tools)
    except ValueError:
        return [row.tools]
