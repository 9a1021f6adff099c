"""Which rows of a pool take part: those that are drawn, and of these none that repeats another or is too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from righttime.errors import EmptyDataError
from righttime.examples import LeftOut
from righttime.leaving import AllLeftOut, LeftOutRows, compact
from righttime.rows import Rows, as_numbers
from righttime.sampling import draw
from righttime.tokenization.counts import token_counts

__all__ = ["TakingPart", "take_part"]


@dataclass(frozen=True)
class TakingPart:
    """Who takes part in an arrangement.

    Attributes:
        drawn: The rows that were drawn, ascending; all where no part was asked for.
        kept: Those of them that take part, ascending.
        left_out: The rows that do not, and why.
        duplicates: How many of the drawn rows repeat an earlier one.
    """

    drawn: Sequence[int]
    kept: Sequence[int]
    left_out: Sequence[LeftOut]
    duplicates: int


def take_part(
    rows: Rows,
    *,
    subsample: str | float | None = None,
    seed: int = 0,
    duplicates: str = "keep",
    tokenizer: str | None = None,
    max_tokens: int | None = None,
    others: int = 0,
) -> TakingPart:
    """Find the rows that take part.

    The draw comes first, so that it depends on nothing but the seed: rows are repeats, or too long, among those drawn.

    Args:
        rows: The pool.
        subsample: Which part to draw; see `righttime.sampling.drawn`.
        seed: Decides the draw.
        duplicates: ``drop`` leaves out rows that repeat an earlier one.
        tokenizer: With `max_tokens`: what counts tokens, a folder or a hub name.
        max_tokens: Leaves out rows of more tokens than this.
        others: The last so many rows are no part of what is drawn from: all of them are looked at.

    Raises:
        EmptyDataError: If no row is left.
        RighttimeError: If the draw or the tokenizer cannot be had.
    """
    own = len(rows) - others
    drawn, away = draw(rows.take(range(own)) if others else rows, subsample, seed)
    numbers = np.concatenate([as_numbers(drawn), np.arange(own, len(rows))])
    part = compact(numbers, len(rows))
    _, index, which = np.unique(rows.contents[numbers], return_index=True, return_inverse=True)
    first = numbers[index[which]]
    counts = np.array(token_counts(rows.take(part), tokenizer) if tokenizer else [], dtype=np.int64)
    repeats = (first != numbers) & (duplicates == "drop")
    long = np.zeros(len(numbers), dtype=np.bool_) if max_tokens is None or not len(counts) else counts > max_tokens
    out = np.flatnonzero(repeats | long)

    def repeated(place: int) -> str:
        twin = int(first[out[place]])
        return f"the same content as {rows.ids[twin]} ({rows.files[twin]}:{rows.lines[twin]})"

    def too_long(place: int) -> str:
        return f"{counts[out[place]]} tokens, more than {max_tokens}"

    why = {"duplicate": repeated, "too-long": too_long}
    dropped = AllLeftOut(away, LeftOutRows(rows, numbers[out], why, (~repeats[out]).astype(np.int8)))
    kept = numbers[~(repeats | long)]
    if not len(kept):
        raise EmptyDataError(f"no pool row is left: all {len(dropped)} were left out, the first: {dropped[0].detail}.")
    return TakingPart(part, compact(kept, len(rows)), dropped, len(numbers) - len(index))
