"""Leaks past the embedder's maximum length: rows that are longer are embedded in chunks as well.

Chunks are made, embedded and searched some thousands at a time; of those only the nearest of each target row are kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.agreement import Said, agree_within
from righttime.contamination.leaks import Chunked, Leak, Part
from righttime.contamination.rarity import Rarity
from righttime.contamination.words import words_of
from righttime.guard.cutting import Chunk, Chunker, chunks_of, window_of
from righttime.guard.meaning import NEAREST, TELLING, Near, calibrated, drawn_rows
from righttime.neighbours import Search
from righttime.rows import Rows

__all__ = ["leaks_in_chunks"]

Vectors = NDArray[np.float32]

_AT_ONCE = 8_192  # chunks in memory
_SPAN = 240  # characters of a chunk that are shown
_MOST_OWN = 64  # chunks of one row that may be nearer to it than others: beyond them it is not calibrated on


@dataclass
class _Nearest:
    """The nearest chunks of each query, as batches come."""

    wanted: int
    found: dict[int, list[tuple[float, int, Chunk]]] = field(default_factory=dict)
    seen: int = 0

    def look(self, search: Search, chunks: Sequence[Chunk], vectors: Vectors, queries: Vectors) -> None:
        """Merge what a batch of chunks has."""
        near = search.best(vectors, queries, min(self.wanted, len(chunks)), None)
        for query, (start, stop) in enumerate(zip(near.start[:-1].tolist(), near.start[1:].tolist(), strict=True)):
            heap = self.found.setdefault(query, [])
            for place in range(start, stop):
                number = int(near.rows[place])
                entry = (float(near.value[place]), -(self.seen + number), chunks[number])
                if len(heap) < self.wanted:
                    heapq.heappush(heap, entry)
                elif entry[:2] > heap[0][:2]:
                    heapq.heapreplace(heap, entry)
        self.seen += len(chunks)

    def of(self, query: int) -> list[tuple[float, Chunk]]:
        """The nearest chunks of a query, nearest first, ties to the earlier chunk."""
        return [(value, chunk) for value, _, chunk in sorted(self.found.get(query, ()), key=lambda one: one[:2])[::-1]]


def leaks_in_chunks(
    rarity: Rarity,
    pool: Rows,
    target: Rows,
    vectors: tuple[Vectors, Vectors],
    numbers: Sequence[int],
    chunker: Chunker,
    *,
    search: Search,
    known: set[tuple[int, int]],
    seed: int = 0,
) -> tuple[list[Leak], dict[str, float], Chunked]:
    """Pool rows that say what a target row says in a stretch of either.

    Args:
        rarity: How telling words are.
        pool: The pool.
        target: The target.
        vectors: float32 unit vectors of the pool rows in `numbers`, in that order, and of the target.
        numbers: The pool rows that are looked at, ascending.
        chunker: Makes chunks.
        search: Finds neighbours.
        known: Pairs of pool row and target row that are leaks already.
        seed: Draws the pool rows to calibrate on.

    Returns:
        The leaks, the similarities from which a pair counts, and how much was looked at.
    """
    window = window_of(target, chunker)
    parts = list(chunks_of(target, chunker.long_target, chunker, window))
    own = chunker.embed([part.text for part in parts]) if parts else np.empty((0, vectors[1].shape[1]), np.float32)
    asked = [
        *((number, said) for number, said in enumerate(_said(target, chunker.text))),
        *((part.row, Said(tuple(words_of(part.text)), None)) for part in parts),
    ]
    places = drawn_rows(len(numbers), seed)
    sample, drawn = vectors[0][places], [numbers[place] for place in places.tolist()]
    near, other = _Nearest(NEAREST), _Nearest(NEAREST + _MOST_OWN)
    for chunks in _batches(chunks_of(pool, chunker.long_pool, chunker, window)):
        embedded = chunker.embed([chunk.text for chunk in chunks])
        near.look(search, chunks, embedded, np.concatenate([vectors[1], own]))
        other.look(search, chunks, embedded, sample)
    about = Chunked(len(chunker.long_pool), len(chunker.long_target), near.seen + len(parts), window)
    if not about.chunks:
        return [], {}, about
    whole = partial(_whole_rows, search, pool, vectors[0], numbers=numbers, text=chunker.text)
    # A chunk is less similar to a row than another row is; without one in the pool, rows are the surer measure.
    least = _thresholds(other if near.seen else whole(sample), rarity, pool, drawn, chunker.text)
    leaks = _leaks(near, asked, rarity, least, pool, target, known)
    if parts:
        leaks += _leaks(whole(own), asked[len(target) :], rarity, least, pool, target, known)
    return _nearest_of_each(leaks), least, about


def _batches(chunks: Iterator[Chunk]) -> Iterator[list[Chunk]]:
    some: list[Chunk] = []
    for chunk in chunks:
        some.append(chunk)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _said(target: Rows, text: str) -> Iterator[Said]:
    """What each target row asks and answers; of one with no answer in its text all is asked."""
    for row in target.examples():
        said = Said.of(row)
        yield said if text != "prompt" else Said(said.asks, None, said.names)


def _whole_rows(
    search: Search, pool: Rows, vectors: Vectors, queries: Vectors, *, numbers: Sequence[int], text: str
) -> _Nearest:
    """The nearest whole pool rows, as if each were one chunk."""
    near = search.best(vectors, queries, min(NEAREST + 1, len(vectors)), None)
    rows = [numbers[place] for place in near.rows.tolist()]
    every = sorted(set(rows))
    texts = dict(zip(every, pool.texts(text, every), strict=True))
    made = _Nearest(NEAREST + 1, seen=len(numbers))
    for query, (start, stop) in enumerate(zip(near.start[:-1].tolist(), near.start[1:].tolist(), strict=True)):
        some = zip(near.value[start:stop].tolist(), rows[start:stop], strict=True)
        made.found[query] = [(value, -row, Chunk(row, texts[row])) for value, row in some]
    return made


def _thresholds(other: _Nearest, rarity: Rarity, pool: Rows, drawn: Sequence[int], text: str) -> dict[str, float]:
    """The similarities that next to no pool row reaches with a chunk of another."""
    contents = pool.content_ids
    pairs = []
    for place, said in enumerate(_said(pool.take(drawn), text)):
        strangers = [
            one
            for one in other.of(place)
            if one[1].row != drawn[place] and contents[one[1].row] != contents[drawn[place]]
        ]
        pairs += [_near(place, said, one, rarity) for one in strangers[:NEAREST]]
    return calibrated(pairs, len(drawn))


def _near(query: int, said: Said, one: tuple[float, Chunk], rarity: Rarity) -> Near:
    return Near(one[1].row, query, one[0], agree_within(said, words_of(one[1].text), rarity.bits, TELLING))


def _leaks(
    near: _Nearest,
    asked: Sequence[tuple[int, Said]],
    rarity: Rarity,
    least: dict[str, float],
    pool: Rows,
    target: Rows,
    known: set[tuple[int, int]],
) -> list[Leak]:
    """What counts of the nearest chunks of each query: a target row or a chunk of one."""
    leaks = []
    for query, (number, said) in enumerate(asked):
        for one in near.of(query):
            if one[0] < min(least.values()) or (one[1].row, number) in known:
                continue
            pair = _near(number, said, one, rarity)
            if pair.similarity >= least.get(pair.agreement, 2.0):
                leaks.append(_leak(pair, one[1], pool, target))
    return leaks


def _nearest_of_each(leaks: Sequence[Leak]) -> list[Leak]:
    """Of each pair of rows the most similar chunk, the first of equal ones."""
    best: dict[tuple[int, int], Leak] = {}
    for leak in leaks:
        before = best.get((leak.pool_row, leak.target_row))
        if before is None or leak.score > before.score:
            best[leak.pool_row, leak.target_row] = leak
    return list(best.values())


def _leak(pair: Near, chunk: Chunk, pool: Rows, target: Rows) -> Leak:
    part: Part = "both" if pair.agreement == "telling" else "prompt"
    row, number, span = pair.row, pair.target_row, " ".join(words_of(chunk.text))[:_SPAN]
    return Leak(row, pool.ids[row], number, target.ids[number], "meaning", part, round(pair.similarity, 4), span)
