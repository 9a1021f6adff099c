"""Long rows cut into chunks, for what the embedder does not read of them.

A chunk is about as long as two target rows, and each begins half a chunk after the one before, so that whatever is as
long as a target row is whole in one of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.represent import represent
from righttime.embedding.texts import reads_alike
from righttime.embedding.vectors import Sides, vectors_given
from righttime.errors import SettingsError
from righttime.neighbours import ENGINES
from righttime.results import Request
from righttime.rows import Rows
from righttime.store import cache_folder

__all__ = [
    "Chunk",
    "Chunker",
    "check_chunks",
    "check_meaning",
    "chunker_for",
    "chunks_of",
    "stretches",
    "window_for",
    "window_of",
]

Vectors = NDArray[np.float32]

_LEAST = 32  # tokens of a chunk, at least


@dataclass(frozen=True)
class Chunker:
    """What makes and embeds chunks.

    Attributes:
        embed: Texts to float32 unit vectors, through the cache.
        lengths: Texts to their tokens before truncation.
        max_length: Tokens that the embedder reads.
        text: Which text represents a row.
        long_pool: The pool rows that are longer, ascending.
        long_target: The target rows that are longer, ascending.
    """

    embed: Callable[[Sequence[str]], Vectors]
    lengths: Callable[[Sequence[str]], list[int]]
    max_length: int
    text: str
    long_pool: Sequence[int]
    long_target: Sequence[int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a row's text."""

    row: int
    text: str


def check_chunks(request: Request) -> None:
    """Refuse chunks, before anything is embedded, of an embedder that reads rows in a way of its own.

    Raises:
        SettingsError: If they are asked for of such an embedder, as of gradients.
    """
    if request.guard_chunks and not reads_alike(request.model()):
        raise SettingsError(
            "`guard_chunks` is for embedders of texts that read both sides alike, got one that reads rows in a way of "
            "its own.",
            setting="guard_chunks",
        )


def check_meaning(request: Request) -> None:
    """Refuse, before anything is embedded, an embedder whose similarities say nothing of meaning.

    Raises:
        SettingsError: If it reads rows in a way of its own, as of gradients, or the target's with another prompt.
    """
    if not vectors_given(request.embedder) and not reads_alike(request.model()):
        raise SettingsError(
            "`meaning` needs an embedder that reads both sides alike, as texts: its threshold comes from pairs of pool "
            "rows. Hint: another `embedder`, or one prompt for both sides.",
            setting="embedder",
        )


def chunker_for(
    request: Request,
    sides: Sides,
    numbers: Sequence[int],
    text: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Chunker:
    """What cuts the rows that an embedder did not read whole, and embeds the chunks as it embeds rows.

    Args:
        request: Says with what, by how many processes, and on which machines.
        sides: The vectors of whole rows.
        numbers: The pool rows that have vectors, ascending.
        text: Which text represents a row.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.
    """
    embedder, folder = request.model(), Path(cache) if cache else cache_folder()
    how: dict[str, Any] = {"workers": request.workers, "on_ray": ENGINES[request.engine].cluster, "progress": progress}

    def embed(texts: Sequence[str]) -> Vectors:
        made = represent(texts, len(texts), embedder, folder, made=sides.about, label="embedding chunks", **how)
        return made.vectors

    long_pool, long_target = sides.truncated or (np.empty(0, np.int64), np.empty(0, np.int64))
    rows = [numbers[place] for place in long_pool.tolist()]
    return Chunker(embed, embedder.lengths, int(embedder.identity["max_length"]), text, rows, long_target.tolist())


def window_of(target: Rows, chunker: Chunker) -> int:
    """Tokens of a chunk: twice as many as a target row has, and no more than the embedder reads."""
    return window_for(chunker.lengths(list(target.texts(chunker.text))), chunker.max_length)


def window_for(lengths: Sequence[int], max_length: int) -> int:
    """The same of target rows whose tokens are counted.

    Args:
        lengths: Tokens of each target row.
        max_length: Tokens that the embedder reads.
    """
    return min(max_length, max(_LEAST, 2 * int(np.median(lengths))))


def chunks_of(rows: Rows, numbers: Sequence[int], chunker: Chunker, window: int) -> Iterator[Chunk]:
    """The chunks of some rows.

    Args:
        rows: The rows.
        numbers: Which.
        chunker: Counts tokens.
        window: Tokens of a chunk, about.
    """
    for number, text in zip(numbers, rows.texts(chunker.text, numbers), strict=True):
        tokens = max(1, chunker.lengths([text])[0])
        size = max(1, len(text) * window // tokens)
        todo = stretches(text, size)
        while todo:
            long = [n > chunker.max_length for n in chunker.lengths(todo)]
            yield from (Chunk(number, one) for one, too_long in zip(todo, long, strict=True) if not too_long)
            size = max(1, size // 2)
            todo = [
                part
                for one, too_long in zip(todo, long, strict=True)
                if too_long and len(one) > 1
                for part in stretches(one, min(size, len(one) // 2))
            ]


def stretches(text: str, size: int) -> list[str]:
    """Stretches of a text, each begun half a stretch after the one before, cut between words where there are some.

    Args:
        text: The text.
        size: Characters of a stretch, about.

    Example:
        >>> stretches("one two six ten", 8)
        ['one two', 'two six', 'six ten', 'ten']
    """
    step = max(1, size // 2)
    starts = [_cut(text, at, step) for at in range(0, len(text), step)]
    found = [text[start : _cut(text, start + size, step)].strip() for start in starts]
    return [one for one in dict.fromkeys(found) if one]


def _cut(text: str, at: int, reach: int) -> int:
    """The last place between words, not more than `reach` before a place; that place where there is none."""
    if at <= 0 or at >= len(text):
        return min(max(at, 0), len(text))
    return next((place for place in range(at, max(0, at - reach), -1) if text[place - 1].isspace()), at)
