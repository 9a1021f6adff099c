"""What an embedder reads of a row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

from righttime.embedding.combined import CombinedEmbedder, joined_texts
from righttime.embedding.protocol import Embedder
from righttime.growing import Made, gathered
from righttime.rows import Rows

__all__ = ["reads_alike", "shared_text", "texts_for"]


class _Texts(Made[str]):
    """One of the texts of each row, read from the row when it is looked at."""

    def __init__(self, which: str, sides: Sequence[Rows]) -> None:
        """Look at the rows of several sides, one side behind the other."""
        self.which, self.sides = which, sides
        self.starts = [0, *accumulate(map(len, sides))]

    def __len__(self) -> int:
        return self.starts[-1]

    def made_at(self, place: int) -> str:
        """See `Made`."""
        side = bisect_right(self.starts, place) - 1
        return next(self.sides[side].texts(self.which, [place - self.starts[side]]))

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(rows.texts(self.which) for rows in self.sides)


def texts_for(embedder: Embedder, which: str, *sides: Rows) -> Sequence[str]:
    """The text of each row: the embedder's own where it reads rows in a way of its own, else the one named.

    No text is held. One that is named is read from its row whenever it is looked at. An embedder's own are made once,
    before anything is embedded, since that may take long or fail, and lie in a file where they are many.

    Args:
        embedder: May have a method ``text_of(example)``, as one that needs prompt and response apart.
        which: A name of `righttime.examples.TEXTS`; not looked at where the embedder has a way of its own.
        sides: The rows: of the pool and, behind them, of the target, for example.

    Raises:
        SettingsError: If `which` names no text; when the first is looked at.
        EmbeddingError: If the embedder cannot read a row; names it.
        StoreError: If the file cannot be written.
    """
    if isinstance(embedder, CombinedEmbedder) and embedder.apart:
        return joined_texts([texts_for(part, which, *sides) for part in embedder.parts])
    own = getattr(embedder, "text_of", None)
    if own is None:
        return _Texts(which, sides)
    return gathered(own(row).encode("utf-8") for rows in sides for row in rows.examples())


def reads_alike(embedder: Embedder) -> bool:
    """Whether an embedder, with all its parts, reads any text as it reads a row's, and of both sides alike.

    Not so where it reads rows in a way of its own, or puts a prompt of their own before the target's.
    """
    if isinstance(embedder, CombinedEmbedder):
        return all(map(reads_alike, embedder.parts))
    return not (hasattr(embedder, "text_of") or getattr(embedder, "two_sided", False))


def shared_text(text: str, target: Rows, done: str = "embedded", *, pool: Rows | None = None) -> tuple[str, list[str]]:
    """The text that represents rows of both sides, and notes.

    Prompts alone where a target row has no response; of preferences too, whose prompt has two answers.

    Args:
        text: A name of `righttime.examples.TEXTS`.
        target: The target's rows.
        done: What is done with the text, for the note.
        pool: The pool's rows, all of one format.
    """
    lacking = [number for number, answered in enumerate(target.answered) if not answered]
    if text == "prompt" or (text == "all" and next(target.examples([0])).kind == "preference"):
        return text, []
    for side, rows in (("pool", pool), ("target", target)):
        if rows is not None and text != "all" and next(rows.examples([0])).kind == "preference":
            return "prompt", [
                f"the {side} rows hold two answers each, so both sides are {done} by their prompts alone."
            ]
    if not lacking:
        return text, []
    return "prompt", [
        f"{len(lacking):,} of {len(target):,} target rows have no response (first: {target.ids[lacking[0]]}), "
        f"so both sides are {done} by their prompts alone."
    ]
