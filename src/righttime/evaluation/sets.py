"""Sets of rows that a model is judged on: the target, and any others, where harm may show."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import DuplicateIdError, RowError, SettingsError, hinted
from righttime.examples import Example, Message, said
from righttime.formats import InputFile, read_rows
from righttime.rows import Rows
from righttime.store import ids_sha256
from righttime.tokenization.counts import tools_of
from righttime.tokenization.masking import AnswerEnd, Form, Tokens, tokenised

__all__ = ["EvaluationSet", "Files", "inputs_of", "prepare_set", "prompt_tokens", "read_set"]

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file or folder, or several that are one joint set."""


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Rows with all that their measures need.

    Attributes:
        name: What the set is called in the results.
        rows: The rows.
        tokens: Each row as the model is fed it.
        prompts: Each row's tokens up to where its last answer begins.
        references: What would be right answers; the row's own last answer, or all that its file gives; empty if none.
        categories: The category of each row's task, where its file names one.
        inputs: The files it was read from; empty where the rows were given.
    """

    name: str
    rows: Rows
    tokens: tuple[Tokens, ...]
    prompts: tuple[NDArray[np.int32], ...]
    references: tuple[tuple[str, ...], ...]
    categories: tuple[str | None, ...]
    inputs: tuple[InputFile, ...] = ()

    def conversation_with(self, row: int, answer: str) -> list[Message]:
        """A row's turns with this as the last answer."""
        turns = next(self.rows.examples([row])).messages
        return [*(turns[:-1] if turns[-1].role == "assistant" else turns), Message("assistant", answer)]

    def facts(self) -> dict[str, Any]:
        """What decides its numbers, as JSON."""
        return {
            "rows": len(self.rows),
            "ids_sha256": ids_sha256(self.rows.ids),
            "tokens_sha256": ids_sha256(" ".join(map(str, row.ids)) for row in self.tokens),
            "learnt": sum(int(row.learnt.sum()) for row in self.tokens),
            "cut": sum(row.cut > 0 for row in self.tokens),
        }


def read_set(
    name: str,
    path: Files,
    tokenizer: Any,
    form: Form,
    max_length: int,
    positive_examples: int = 0,
    fields: Mapping[str, str] | None = None,
    answer_end: AnswerEnd = "token",
    format: str | None = None,  # noqa: A002
) -> EvaluationSet:
    """Read a set from a file or folder in any known format, or from several as one joint set; see `prepare_set`.

    Raises:
        DataError: If it cannot be read, or a row cannot be written in that form.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else path
    settings: dict[str, Any] = {"positive_examples": positive_examples, "keep_original": True, "fields": fields}
    try:
        read = read_rows(paths, role="target", format=format, **settings)
    except DuplicateIdError as error:
        raise hinted(error, "make the ids differ, or take them out to have them made.") from None
    prepared = prepare_set(name, read.rows, tokenizer, form, max_length, answer_end)
    return dataclasses.replace(prepared, inputs=read.inputs)


def prepare_set(
    name: str,
    rows: Rows,
    tokenizer: Any,
    form: Form,
    max_length: int,
    answer_end: AnswerEnd = "token",
) -> EvaluationSet:
    """Tokenize a set.

    Args:
        name: What to call it: letters, digits, ``-`` and ``_``.
        rows: The rows; a row that kept its original JSON may name a category and more references there.
        tokenizer: The model's tokenizer.
        form: The form of text.
        max_length: The most tokens of a row; what is longer is cut at its end.
        answer_end: Where an answer ends; see `righttime.tokenization.masking`.

    Raises:
        SettingsError: If the name holds another character.
        RowError: If a row cannot be written in that form.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise SettingsError(f"the name of a set must be of letters, digits, - and _, got {name!r}.")
    whole = list(rows.examples())
    originals = [_original(row) for row in whole]
    return EvaluationSet(
        name=name,
        rows=rows,
        tokens=tuple(tokenised(row, tokenizer, form, max_length, answer_end) for row in whole),
        prompts=tuple(prompt_tokens(row, tokenizer, form) for row in whole),
        references=tuple(_references(row, original) for row, original in zip(whole, originals, strict=True)),
        categories=tuple(_category(original) for original in originals),
    )


def inputs_of(sets: Sequence[EvaluationSet]) -> dict[str, Any]:
    """The files of each set, for the record, as JSON."""
    return {data.name: [dataclasses.asdict(file) for file in data.inputs] for data in sets}


def prompt_tokens(row: Example, tokenizer: Any, form: Form) -> NDArray[np.int32]:
    """A row's tokens up to where its last answer begins, the words that introduce it with them.

    Args:
        row: The row; without an answer at its end, what would introduce one. A plain text asks nothing.
        tokenizer: The model's tokenizer.
        form: The form of text.

    Returns:
        int32, shape (tokens,).

    Raises:
        RowError: If the form cannot hold the row; names it.
    """
    if row.kind == "text":
        return np.zeros(0, np.int32)
    turns = row.messages[:-1] if row.messages[-1].role == "assistant" else row.messages
    if form == "chat":
        asked = [turn.as_dict() for turn in turns]
        try:
            text = tokenizer.apply_chat_template(asked, tools=tools_of(row), tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template may refuse anything, in any way
            raise RowError(
                f"{row.file}:{row.line}: the tokenizer's chat template must take every prompt, but it refuses that of "
                f"row {row.id}: {error}. Hint: `form='paper'`, or another tokenizer.",
                **row.where,
            ) from error
        return np.asarray(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], np.int32)
    # The paper's form of an empty answer: its end alone is learnt, and what stands before it introduces the answer.
    empty = dataclasses.replace(row, messages=(*turns, Message("assistant", "")))
    tokens = tokenised(empty, tokenizer, form, 2**31)
    learnt = np.flatnonzero(tokens.learnt)
    run = np.flatnonzero(np.diff(learnt) > 1)
    return tokens.ids[: learnt[run[-1] + 1] if len(run) else learnt[0]]


def _original(row: Example) -> dict[str, Any]:
    value = json.loads(row.original) if row.original else {}
    return value if isinstance(value, dict) else {}


def _references(row: Example, original: dict[str, Any]) -> tuple[str, ...]:
    if row.messages[-1].role != "assistant":
        return ()
    given = original.get("output")  # Natural Instructions lists every right answer
    if isinstance(given, list) and given and all(isinstance(text, str) for text in given):
        return tuple(given)
    return (said(row.messages[-1]),)


def _category(original: dict[str, Any]) -> str | None:
    named = original.get("category", original.get("Categories"))
    first = named[0] if isinstance(named, list) and named else named
    return first if isinstance(first, str) else None
