"""What the guard will take: texts before anything is embedded, vectors before rows are ordered, chunks where asked."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.rarity import COUNTED, rarity_of
from righttime.contamination.scan import ROWS_OF_A_WORD, scan
from righttime.guard import find_text_leaks
from righttime.guard.meaning import NEAREST, SAMPLE, rephrased
from righttime.neighbours import search_here
from righttime.planning.search import MOST_NUMBERS, random_sides
from righttime.planning.stages import Stage, timed
from righttime.results import Request
from righttime.rows import Rows
from righttime.similarity import unit_rows

__all__ = ["LongTexts", "chunk_stage", "text_stage", "vector_stage"]

_POOL, _TARGET = 512, 1_000  # rows that are looked at
_NUMBER_BYTES = 8  # of a row that is kept of a word
_CHUNK_BYTES = 1 << 26  # of some thousand chunks and their vectors


@dataclass(frozen=True)
class LongTexts:
    """What is known of texts that the embedder does not read whole.

    Attributes:
        tokens: Of them, for each text of all.
        window: Tokens of a chunk.
        per_second: Tokens that are embedded in a second.
        vector: Bytes of a vector in the cache.
    """

    tokens: float
    window: int
    per_second: float
    vector: int


def text_stage(rows: Rows, targets: Rows, n_pool: int, n_target: int) -> Stage:
    """The stage that compares texts.

    Args:
        rows: Some pool rows.
        targets: Some target rows.
        n_pool: Pool rows in all.
        n_target: Target rows in all.
    """
    some, one, asked = _some(rows, _POOL), rows.take([0]), _some(targets, _TARGET)
    wider, larger = n_target / len(asked), n_pool / len(some)
    find_text_leaks(one, asked)  # imports what it needs
    index, one_pass = timed(lambda: scan(one, asked)), timed(lambda: scan(some, asked))
    counting = timed(lambda: rarity_of(some, range(len(some)), len(asked)))
    # What is near is compared word by word: so many rows of each target row at most, however large the pool.
    near = max(0.0, timed(lambda: find_text_leaks(some, asked)) - one_pass - counting)
    seconds = (index + near) * wider + max(0.0, one_pass - index) * larger
    seconds += counting * min(COUNTED, n_pool) / len(some)
    held, peak = (_peak(side, asked) for side in (one, some))
    words = len({word for text in asked.texts("all") for word in text.split()})
    rows_kept = min(max(0, peak - held) * larger, _NUMBER_BYTES * ROWS_OF_A_WORD * words)
    note = f"texts; measured on {len(some):,} and {len(asked):,} rows"
    return Stage("guard", 1, seconds, 0, 0, note, int(wider * (held + rows_kept)))


def vector_stage(rows: Rows, targets: Rows, n_pool: int, n_target: int, dimension: int, request: Request) -> Stage:
    """The stage that compares vectors.

    Args:
        rows: See `text_stage`, as for the three that follow.
        targets: The same.
        n_pool: The same.
        n_target: The same.
        dimension: Of the vectors.
        request: Says on what to search.
    """
    search, (pool, target) = (
        search_here(request.engine, memory=request.memory),
        random_sides(n_pool, n_target, dimension),
    )
    one_pass = min(timed(lambda: search.best(pool, target, NEAREST, None)) for _ in range(2))
    one_pass *= n_pool / len(pool) * n_target / len(target)
    most = max(1, MOST_NUMBERS // dimension)
    some, asked = _some(rows, min(SAMPLE, most)), _some(targets, min(_TARGET, most))
    sides = _made(len(some), dimension, 0), _made(len(asked), dimension, 1)
    rarity = rarity_of(some, range(len(some)), len(asked))
    compared = timed(lambda: rephrased(rarity, some, asked, sides, range(len(some)), known=set(), search=search))
    compared *= max(1.0, min(SAMPLE, n_pool) / len(some))
    seconds = one_pass * (1 + min(SAMPLE, n_pool) / n_target) + compared
    return Stage(
        "guard by vectors", 1, seconds, 0, 0, f"meaning; measured on {len(pool):,} random rows", len(some) << 12
    )


def chunk_stage(long: LongTexts, n_texts: int) -> Stage:
    """The stage that embeds long rows in chunks.

    Args:
        long: What is known of them.
        n_texts: Texts of both sides.
    """
    tokens = 2 * long.tokens * n_texts
    chunks = int(tokens / long.window)
    note = f"ESTIMATE: about {chunks:,} chunks of {long.window:,} tokens, as if none were in the cache yet"
    disk, passing = chunks * long.vector, min(_CHUNK_BYTES, 4 * chunks * long.vector)
    return Stage("guard in chunks", 1, tokens / long.per_second, 0, disk, note, passing)


def _some(rows: Rows, most: int) -> Rows:
    """So many rows from all over, at most."""
    every = range(len(rows))
    return rows if len(rows) <= most else rows.take(np.linspace(0, len(every) - 1, most).astype(int).tolist())


def _made(count: int, dimension: int, seed: int) -> NDArray[np.float32]:
    return unit_rows(np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32))


def _peak(rows: Rows, targets: Rows) -> int:
    """The most bytes that a look at texts holds."""
    tracemalloc.start()
    try:
        find_text_leaks(rows, targets)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
