"""What the vectors of an arrangement will take: reading those that are given, or making them with a model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from righttime.embedding import Embedder
from righttime.embedding.cache import ROW_BYTES
from righttime.embedding.combined import CombinedEmbedder
from righttime.embedding.glimpse import Glimpse
from righttime.embedding.keys import Keys, different
from righttime.embedding.represent import lacking
from righttime.embedding.texts import shared_text, texts_for
from righttime.embedding.vectors import vectors_sha256
from righttime.growing import Picked, grown
from righttime.guard.cutting import window_for
from righttime.neighbours import ENGINES
from righttime.planning.guard import LongTexts
from righttime.planning.rates import rate_of
from righttime.planning.stages import EMBEDDED_BYTES, SOME, Stage, most_resident, resident, timed
from righttime.results import Request
from righttime.rows import Rows
from righttime.similarity import unit_rows

__all__ = ["embedding_stages", "vectors_stage"]

_TEXTS = 512  # texts that are sampled
_SCATTERED = 350 << 20
"""What the allocator keeps in a long run of batches of many shapes, above what it does in the sample: measured with
all-MiniLM-L6-v2, 3,260 texts, one thread."""


def vectors_stage(pool: Glimpse, target: Glimpse, request: Request) -> Stage:
    """The stage that reads given vectors and brings them to length 1."""
    n, dimension = pool.shape[0] + target.shape[0], pool.shape[1]
    size, unit = 4 * dimension * n, unit_rows(pool.some)
    npy = str(request.embedder).partition("#")[0].endswith(".npy")
    as_it_is = npy and unit is pool.some  # a file of unit vectors
    mapped = as_it_is or 4 * dimension * pool.shape[0] > request.memory
    seconds = timed(lambda: unit_rows(pool.some)) + timed(lambda: vectors_sha256(unit))
    seconds *= n / len(pool.some)
    note = f"given, {pool.shape[0]:,} and {target.shape[0]:,} of {dimension:,} dimensions; brought to length 1, hashed"
    if len(pool.some) == 1:
        note = f"ASSUMED to be given, float32: {n:,} of {dimension:,} dimensions; reading them is not counted"
        seconds = 0.0
    note += ", mapped from a file, which takes memory only while there is some to spare" if mapped else ""
    loaded = len(pool.some) > 1 and not (npy and mapped)
    disk = size if mapped and not as_it_is else 0
    file = min(pool.itemsize * dimension * n, request.memory) if loaded else 0  # larger ones are read by the piece
    return Stage("vectors", 1, seconds, 0 if mapped else size, disk, note, file)


def embedding_stages(
    rows: Rows, targets: Rows, request: Request, cache: Path
) -> tuple[list[Stage], int, LongTexts | None]:
    """The stages that make vectors, their dimension, and what is not read of texts where chunks are asked for."""
    embedder = request.model()
    text, _ = shared_text(request.text, targets, pool=rows)
    texts = texts_for(embedder, text, rows, targets)
    if not isinstance(embedder, CombinedEmbedder):
        stage, dimension, sample, per_second = _of_one(embedder, texts, len(rows), request, cache)
        stages = [stage]
    else:
        parts = [
            _of_one(part, column, len(rows), request, cache)
            for part, column in zip(embedder.parts, embedder.columns(texts), strict=True)
        ]
        stages = [
            replace(part[0], name=f"embed {number}", note=f"{one.identity['model']}: {part[0].note}")
            for number, (one, part) in enumerate(zip(embedder.parts, parts, strict=True), 1)
        ]
        dimension = sum(part[1] for part in parts)
        sample, per_second = list(texts[:_TEXTS]), 1 / sum(1 / part[3] for part in parts)
        stages.append(_together(len(texts), dimension, len(parts), request))
    if not request.guard_chunks:
        return stages, dimension, None
    asked = list(texts[len(rows) :: -(-len(targets) // _TEXTS)])
    vector = 4 * dimension + ROW_BYTES
    return stages, dimension, _long(sample, asked, embedder, per_second, vector)


def _together(n: int, dimension: int, parts: int, request: Request) -> Stage:
    """The stage that puts the vectors of a combination's parts together; theirs are let go when it ends."""
    some = np.ones((min(n, SOME), dimension), dtype=np.float64)
    seconds = timed(lambda: unit_rows(some)) * n / len(some)
    size = 4 * dimension * n
    mapped = ENGINES[request.engine].cluster or size > request.memory
    note = f"the vectors of {parts} embedders put together: {dimension:,} dimensions"
    return Stage("combine", 1, seconds, 0, size if mapped else 0, note, 0 if mapped else size)


def _of_one(
    embedder: Embedder, texts: Sequence[str], n_pool: int, request: Request, cache: Path
) -> tuple[Stage, int, Sequence[str], float]:
    """The stage of one embedder, its dimension, the texts that it was measured on, and tokens a second."""
    n = len(texts)
    without = Picked(texts, np.flatnonzero(lacking(texts, n_pool, embedder, cache)))
    missing = Picked(without, different(Keys(without)))
    sample = random.Random(0).sample(missing or texts, min(len(missing or texts), _TEXTS))
    rate, dimension, tokens = rate_of(sample, embedder)
    activations = max(0, most_resident() - resident())
    size = 4 * dimension * n
    on_cluster = ENGINES[request.engine].cluster  # the pool's are copied into a file that shards read
    mapped = on_cluster or n * 4096 > request.memory
    note = (
        f"{len(missing):,} of {n:,} texts not in the cache yet, {tokens:.0f} tokens each; {rate:,.1f} texts/s measured"
    )
    disk = len(missing) * (4 * dimension + ROW_BYTES) + (size if mapped else 0) * (2 if on_cluster else 1)
    said = sum(len(one.encode()) for one in sample) * n // len(sample) if hasattr(embedder, "text_of") else 0
    held, filed = grown([said], 1)  # texts of its own; others are read from the rows
    passing, disk = held + EMBEDDED_BYTES * n, disk + filed
    if len(missing) > _TEXTS:
        activations += _SCATTERED
        note += f"; {_SCATTERED >> 20} MiB allowed for what is kept of batches of many shapes"
    passing += max(activations, 0 if mapped else size)  # the vectors twice, where the model's are not of length 1
    stage = Stage("embed", 1, len(missing) / rate, 0 if mapped else size, disk, note, passing)
    return stage, dimension, sample, rate * tokens


def _long(sample: Sequence[str], asked: Sequence[str], embedder: Embedder, per_second: float, vector: int) -> LongTexts:
    most = int(embedder.identity["max_length"])
    beyond = [length for length in embedder.lengths(sample) if length > most]
    return LongTexts(sum(beyond) / len(sample), window_for(embedder.lengths(asked), most), per_second, vector)
