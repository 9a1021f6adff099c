"""What an embedder reads of a row."""

from __future__ import annotations

from collections.abc import Sequence

from righttime.embedding.protocol import Embedder
from righttime.examples import Example, text_of

__all__ = ["texts_for"]


def texts_for(embedder: Embedder, rows: Sequence[Example], which: str) -> list[str]:
    """The text of each row: the embedder's own where it reads rows in a way of its own, else the one named.

    Args:
        embedder: May have a method ``text_of(example)``, as one that needs prompt and response apart.
        rows: The rows.
        which: A name of `righttime.examples.TEXTS`; not looked at where the embedder has a way of its own.

    Raises:
        SettingsError: If `which` names no text.
        EmbeddingError: If the embedder cannot read a row; names it.
    """
    own = getattr(embedder, "text_of", None)
    return [own(row) if own else text_of(row, which) for row in rows]
