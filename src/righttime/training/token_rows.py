"""The rows of an arrangement as tokens, in its order: what goes in and what of it the model can learn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.progress import counting
from righttime.results import open_result
from righttime.rows import Rows
from righttime.tokenization.masking import AnswerEnd, Form, Tokens, tokenised
from righttime.training.oracle import tokens_hash

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TokenRows", "arranged_rows", "token_rows", "tokens_key"]


def arranged_rows(out: Path) -> Rows:
    """The rows of a result of ``righttime arrange``, in their order, after making sure that they are the arranged ones.

    Raises:
        StoreError: If `out` is no result, or is not as it was written, or has not the arranged ids.
        SettingsError: If its rows are in their original form.
    """
    return open_result(out, unchanged=True).arranged


def tokens_key(row: Tokens) -> str:
    """What a row is known by with all that its loss depends on: a hash of its tokens and of which are learnt."""
    return hashlib.sha256(row.ids.tobytes() + row.learnt.tobytes()).hexdigest()


@dataclass(frozen=True)
class TokenRows:
    """Tokenized rows, by place.

    Attributes:
        ids: The rows' ids.
        tokens: Their tokens.
        form: The form of text.
        max_length: The most tokens of a row.
        answer_end: Where an answer ends; see `righttime.tokenization.masking`.
        tasks: Each row's task, where it has one; decides nothing.
    """

    ids: tuple[str, ...]
    tokens: tuple[Tokens, ...]
    form: Form
    max_length: int
    answer_end: AnswerEnd = "token"
    tasks: tuple[str | None, ...] = ()

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """What each row is known by to the oracle."""
        return tuple(tokens_hash(row.ids) for row in self.tokens)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each row."""
        return tuple(len(row.ids) for row in self.tokens)

    @cached_property
    def learnt_sha256(self) -> str:
        """A hash of which tokens of which row are learnt."""
        digest = hashlib.sha256()
        for row in self.tokens:
            digest.update(row.learnt.tobytes() + b"\n")
        return digest.hexdigest()

    @property
    def n_cut(self) -> int:
        """Rows that were too long and lost tokens at their end."""
        return sum(row.cut > 0 for row in self.tokens)

    @property
    def unlearnt(self) -> list[str]:
        """The ids of rows with no token to learn: no answer, or all of it cut off. They keep their place."""
        return [name for name, row in zip(self.ids, self.tokens, strict=True) if not row.learnt.any()]

    def counts(self) -> dict[str, int]:
        """Rows and tokens, as a run's manifest holds them."""
        return {
            "rows": len(self.ids),
            "tokens": sum(len(row.ids) for row in self.tokens),
            "learnt_tokens": sum(int(row.learnt.sum()) for row in self.tokens),
            "cut_rows": self.n_cut,
            "cut_tokens": sum(row.cut for row in self.tokens),
            "unlearnt_rows": len(self.unlearnt),
        }

    def to_table(self) -> pa.Table:
        """One line for each place: the columns of ``rows.parquet``."""
        import pyarrow as pa

        return pa.table(
            {
                "place": pa.array(range(len(self.ids)), pa.int64()),
                "id": pa.array(self.ids, pa.string()),
                "task": pa.array(self.tasks or [None] * len(self.ids), pa.string()),
                "tokens": pa.array(self.lengths, pa.int32()),
                "learnt": pa.array([int(row.learnt.sum()) for row in self.tokens], pa.int32()),
                "cut": pa.array([row.cut for row in self.tokens], pa.int32()),
                "hash": pa.array(self.hashes, pa.string()),
            }
        )


def token_rows(
    rows: Rows,
    tokenizer: Any,
    form: Form,
    max_length: int,
    progress: bool = False,
    answer_end: AnswerEnd = "token",
) -> TokenRows:
    """Tokenize rows in their order; none is left out.

    Args:
        rows: The rows.
        tokenizer: A tokenizer of transformers.
        form: The form of text; see `righttime.tokenization.masking`.
        max_length: The most tokens of a row.
        progress: Show progress on stderr.
        answer_end: Where an answer ends; see `righttime.tokenization.masking`.

    Raises:
        RowError: If the form cannot hold a row; names it.
    """
    tokens = []
    with counting("tokenizing", len(rows), shown=progress) as tell:
        for row in rows.examples():
            tokens.append(tokenised(row, tokenizer, form, max_length, answer_end))
            tell(1)
    return TokenRows(tuple(rows.ids), tuple(tokens), form, max_length, answer_end, tuple(rows.tasks))
