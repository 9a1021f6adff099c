"""Which rows of a pool take part: those that are drawn, and of these none that repeats another or is too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from righttime.errors import EmptyDataError
from righttime.examples import LeftOut
from righttime.rows import Rows, left_out
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
    left_out: tuple[LeftOut, ...]
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
    part, dropped = draw(rows.take(range(own)) if others else rows, subsample, seed)
    part = [*part, *range(own, len(rows))]
    contents, first, kept = rows.content_ids, dict[str, int](), list[int]()
    counts = dict(zip(part, token_counts(rows.take(part), tokenizer), strict=True)) if tokenizer else {}
    for number in part:
        twin = first.setdefault(contents[number], number)
        if duplicates == "drop" and twin != number:
            same = f"the same content as {rows.ids[twin]} ({rows.files[twin]}:{rows.lines[twin]})"
            dropped.append(left_out(rows, number, "duplicate", same))
        elif max_tokens is not None and counts.get(number, 0) > max_tokens:
            detail = f"{counts[number]} tokens, more than {max_tokens}"
            dropped.append(left_out(rows, number, "too-long", detail))
        else:
            kept.append(number)
    if not kept:
        raise EmptyDataError(f"no pool row is left: all {len(dropped)} were left out, the first: {dropped[0].detail}.")
    return TakingPart(part, kept, tuple(dropped), len(part) - len(first))
