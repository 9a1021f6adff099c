"""What an embedder reads of a row."""

from __future__ import annotations

from righttime.embedding.combined import CombinedEmbedder, joined_texts
from righttime.embedding.protocol import Embedder
from righttime.rows import Rows

__all__ = ["reads_alike", "shared_text", "texts_for"]


def texts_for(embedder: Embedder, rows: Rows, which: str) -> list[str]:
    """The text of each row: the embedder's own where it reads rows in a way of its own, else the one named.

    Args:
        embedder: May have a method ``text_of(example)``, as one that needs prompt and response apart.
        rows: The rows.
        which: A name of `righttime.examples.TEXTS`; not looked at where the embedder has a way of its own.

    Raises:
        SettingsError: If `which` names no text.
        EmbeddingError: If the embedder cannot read a row; names it.
    """
    if isinstance(embedder, CombinedEmbedder):
        columns = [texts_for(part, rows, which) for part in embedder.parts] if embedder.apart else []
        return joined_texts(columns) if columns else list(rows.texts(which))
    own = getattr(embedder, "text_of", None)
    return list(map(own, rows.examples()) if own else rows.texts(which))


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
