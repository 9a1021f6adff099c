"""Embed texts through the cache: do what is missing, in batches of like length, and lose nothing when killed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.cache import VectorCache
from righttime.embedding.on_ray import embed_on_ray
from righttime.embedding.protocol import Embedded, Embedder
from righttime.embedding.workers import embed_in_processes
from righttime.errors import EmbeddingError, SettingsError
from righttime.progress import counting
from righttime.tokenization.batches import token_batches

__all__ = ["TOKENS_PER_BATCH", "embed_texts", "plan_batches", "uncached"]

TOKENS_PER_BATCH = 2048
"""The bound on a batch's tokens, padding counted, for embedders that name none of their own."""

_ROWS_PER_BATCH = 256


def embed_texts(
    texts: Sequence[str],
    embedder: Embedder,
    cache: Path,
    *,
    workers: int = 1,
    on_ray: bool = False,
    into: Path | None = None,
    progress: bool = False,
    label: str = "embedding",
) -> Embedded:
    """Embed texts, taking from the cache what it has and adding what it lacks.

    Which texts share a batch decides the last bits of their vectors. A batch is kept whole or not at all, and taking
    whole batches away leaves the other batches of `plan_batches` as they were. So a run that follows a killed one
    embeds the batches that are left in the company they would have had: both end with the same bytes.

    Args:
        texts: Any number of texts; equal ones are embedded once.
        embedder: The model.
        cache: The folder of the cache.
        workers: How many processes embed. Which process a batch falls to does not matter, but how many threads each of
            them has may decide last bits; see `righttime.embedding.workers.threads_each`.
        on_ray: Embed on the Ray cluster instead, one batch on one machine; see `righttime.cluster`.
        into: A .npy file to write the vectors to, a part at a time; what is returned is then mapped from that file
            and not held in memory.
        progress: Show rows/s and the time left on stderr; see `righttime.progress`.
        label: What that is called there.

    Raises:
        EmbeddingError: If the model returns NaN or the wrong number of vectors.
        SettingsError: If `workers` is not positive, or the embedder cannot be sent to another process.
        StoreError: If the cache or the file cannot be written.
    """
    if workers < 1:
        raise SettingsError(f"`workers` must be at least 1, got {workers}.", setting="workers")
    identity = _identity(embedder)
    keys = [hashlib.sha256(text.encode("utf-8")).digest() for text in texts]
    by_key = dict(zip(keys, texts, strict=True))
    with VectorCache(cache, identity) as store:
        missing = store.missing(list(by_key))
        _embed_missing(missing, by_key, embedder, store, 0 if on_ray else workers, label if progress else None)
        vectors, lengths = store.get(keys) if into is None else store.get_into(into, keys)
    max_length = int(identity["max_length"])
    return Embedded(vectors, len(missing), len(by_key) - len(missing), lengths, max_length, store.n_damaged)


def uncached(texts: Sequence[str], embedder: Embedder, cache: Path) -> list[str]:
    """The distinct texts whose vectors the cache lacks: what `embed_texts` would embed."""
    by_key = {hashlib.sha256(text.encode("utf-8")).digest(): text for text in texts}
    with VectorCache(cache, _identity(embedder)) as store:
        return [by_key[key] for key in store.missing(list(by_key))]


def _identity(embedder: Embedder) -> Mapping[str, str | int]:
    """The embedder's identity, if it has what the cache must know."""
    identity = embedder.identity
    if not isinstance(identity, Mapping) or not {"model", "revision", "max_length"} <= set(identity):
        raise EmbeddingError(
            "an embedder's identity must be a mapping with model, revision and max_length (an int), and with whatever "
            f"else decides its vectors, got {identity!r}."
        )
    return identity


def _embed_missing(
    missing: Sequence[bytes],
    by_key: Mapping[bytes, str],
    embedder: Embedder,
    store: VectorCache,
    workers: int,
    label: str | None,
) -> None:
    lengths: list[int] = []
    with counting("counting tokens", len(missing), shown=label is not None) as tell:
        for start in range(0, len(missing), 1000):
            lengths += embedder.lengths([by_key[key] for key in missing[start : start + 1000]])
            tell(min(1000, len(missing) - start))
    read = [min(length, int(embedder.identity["max_length"])) for length in lengths]
    plan = plan_batches(read, getattr(embedder, "tokens_per_batch", TOKENS_PER_BATCH))
    batches = [[by_key[missing[place]] for place in batch] for batch in plan]
    if workers == 1:
        done = _one_by_one(embedder, batches)
    else:  # none: on a cluster
        done = embed_in_processes(embedder, batches, workers) if workers else embed_on_ray(embedder, batches)
    with (
        counting(label or "", len(missing), shown=bool(label and missing)) as tell,
        closing(done),
    ):
        for number, vectors in done:
            places = plan[number]
            store.add(
                [missing[place] for place in places],
                [lengths[place] for place in places],
                _checked(vectors, batches[number]),
            )
            tell(len(places))


def _one_by_one(
    embedder: Embedder, batches: Sequence[Sequence[str]]
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    for number, texts in enumerate(batches):
        yield number, embedder.embed(texts)


def plan_batches(lengths: Sequence[int], tokens_per_batch: int = TOKENS_PER_BATCH) -> list[list[int]]:
    """Group texts of like length into batches of a bounded number of tokens, padding counted.

    The batches are those of `token_batches`. The longest comes first, so that too little memory shows at once; the
    rest follow in a shuffled order (fixed seed), so that the time left is a fair guess.

    Args:
        lengths: Tokens that the model reads of each text.
        tokens_per_batch: The bound; a text that is longer by itself is a batch by itself.

    Returns:
        Batches of places in `lengths`.

    Example:
        >>> plan_batches([5, 2000, 7, 100])
        [[1], [3, 2, 0]]
    """
    batches = token_batches(lengths, tokens_per_batch, _ROWS_PER_BATCH)
    rest = batches[1:]
    random.Random(0).shuffle(rest)
    return batches[:1] + rest


def _checked(vectors: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
    """What the model gave, if it is one finite vector for each text."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise EmbeddingError(f"the model must return {len(texts)} vectors, got an array of shape {vectors.shape}.")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise EmbeddingError(
            f"the model must return finite vectors, got NaN or infinity for the text {texts[bad[0]][:80]!r}. "
            "Hint: try float32, or another `embedder`."
        )
    return vectors
