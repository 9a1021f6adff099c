"""How many tokens a row has for the model that will be trained on it."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from righttime.errors import EmbeddingError, RowError
from righttime.examples import Example, answered_both_ways, said
from righttime.rows import Rows

__all__ = ["token_counts", "tools_of"]


def token_counts(rows: Rows, tokenizer: str) -> list[int]:
    """Tokens of each row's whole conversation, through the tokenizer's chat template if it has one.

    Without a chat template the tools and the turns' texts are joined by newlines. A plain text is counted as it is,
    with the end-of-text token behind it, and a preference by its longer conversation.

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
        examples = list(part.examples())
        plain = [row.messages[0].content for row in examples if row.kind == "text"]
        of_plain = iter([len(ids) + (ids[-1:] != [loaded.eos_token_id]) for ids in _encoded(loaded, plain, True)])
        said = [[_text(one, loaded) for one in _conversations(row)] for row in examples if row.kind != "text"]
        # A template writes the special tokens itself.
        of_said = iter([len(ids) for ids in _encoded(loaded, [*chain(*said)], not loaded.chat_template)])
        longest = iter([max(next(of_said) for _ in texts) for texts in said])
        counts += [next(of_plain if row.kind == "text" else longest) for row in examples]
    return counts


def _encoded(tokenizer: Any, texts: list[str], special: bool) -> list[list[int]]:
    if not texts:
        return []
    how = {"truncation": False, "padding": False, "verbose": False}
    encoded: list[list[int]] = tokenizer(texts, add_special_tokens=special, **how)["input_ids"]
    return encoded


def _conversations(row: Example) -> list[Example]:
    """A row as it is; a preference as two, one with each of its answers."""
    return list(answered_both_ways(row)) if row.kind == "preference" else [row]


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
            **row.where,
        ) from error


def tools_of(row: Example) -> Any:
    """The tools as templates take them: a list; text that is not JSON stays text."""
    if not isinstance(row.tools, str):
        return row.tools
    try:
        return json.loads(row.tools)
    except ValueError:
        return [row.tools]
