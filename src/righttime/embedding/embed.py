"""Embed texts through the cache: do what is missing, in batches of like length, and lose nothing when killed."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from righttime.embedding.cache import VectorCache
from righttime.embedding.keys import Keys, different
from righttime.embedding.on_ray import embed_on_ray
from righttime.embedding.protocol import Embedded, Embedder
from righttime.embedding.workers import embed_in_processes
from righttime.errors import EmbeddingError, SettingsError
from righttime.growing import Made, Picked
from righttime.progress import counting
from righttime.tokenization.batches import token_batches

__all__ = ["TOKENS_PER_BATCH", "embed_texts", "lacking_keys", "plan_batches", "uncached"]

TOKENS_PER_BATCH = 2048
"""The bound on a batch's tokens, padding counted, for embedders that name none of their own."""

_ROWS_PER_BATCH = 256
_COUNTED = 1000  # texts whose tokens are counted together

_Done = Generator[tuple[int, NDArray[np.float32]], None, None]


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

    Of each text its key, its number of tokens and its places are held. The text itself is looked at when its key is
    made, when its tokens are counted, and when its batch is embedded.

    Args:
        texts: Any number of texts, which may be made when they are looked at; equal ones are embedded once.
        embedder: The model.
        cache: The folder of the cache.
        workers: How many processes embed. Which process a batch falls to does not matter, but how many threads each of
            them has may decide last bits; see `righttime.embedding.workers.threads_each`. On a cluster, how many
            places are asked for at least; see `righttime.embedding.on_ray`.
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
    keys = Keys(texts)
    first = different(keys)
    with VectorCache(cache, identity) as store:
        missing = first[store.missing(Picked(keys, first))]
        if len(missing):  # a model is not loaded for nothing
            embed = partial(_embed_batches, embedder, workers=workers, on_ray=on_ray)
            _embed_missing(missing, keys, texts, embedder, store, embed, label if progress else None)
        vectors, lengths = store.get(keys) if into is None else store.get_into(into, keys)
    max_length = int(identity["max_length"])
    return Embedded(vectors, len(missing), len(first) - len(missing), lengths, max_length, store.n_damaged)


def uncached(texts: Sequence[str], embedder: Embedder, cache: Path) -> Sequence[str]:
    """The distinct texts whose vectors the cache lacks, which are those that `embed_texts` would embed.

    Args:
        texts: As for `embed_texts`.
        embedder: The model.
        cache: The folder of the cache.

    Returns:
        In their order; each is looked at in `texts` when it is looked at.
    """
    keys = Keys(texts)
    first = different(keys)
    return Picked(texts, first[lacking_keys(Picked(keys, first), embedder, cache)])


def lacking_keys(keys: Sequence[bytes], embedder: Embedder, cache: Path) -> NDArray[np.int64]:
    """The places of the keys whose vectors the cache lacks, ascending: int64, shape (n_missing,)."""
    with VectorCache(cache, _identity(embedder)) as store:
        return store.missing(keys)


def _identity(embedder: Embedder) -> Mapping[str, str | int]:
    """The embedder's identity, if it has what the cache must know."""
    identity = embedder.identity
    if not isinstance(identity, Mapping) or not {"model", "revision", "max_length"} <= set(identity):
        raise EmbeddingError(
            "an embedder's identity must be a mapping with model, revision and max_length (an int), and with whatever "
            f"else decides its vectors, got {identity!r}."
        )
    return identity


class _Batches(Made[list[str]]):
    """The texts of each batch, read when they are looked at."""

    def __init__(self, texts: Sequence[str], plan: Sequence[NDArray[np.int64]]) -> None:
        """Plan batches of places in `texts`."""
        self.texts, self.plan = texts, plan

    def __len__(self) -> int:
        return len(self.plan)

    def made_at(self, place: int) -> list[str]:
        """See `Made`."""
        return list(Picked(self.texts, self.plan[place]))


def _embed_missing(
    missing: NDArray[np.int64],
    keys: Keys,
    texts: Sequence[str],
    embedder: Embedder,
    store: VectorCache,
    embed: Callable[[Sequence[Sequence[str]]], _Done],
    label: str | None,
) -> None:
    """Embed the texts at some places."""
    lengths = np.zeros(len(missing), dtype=np.int64)
    with counting("counting tokens", len(missing), shown=label is not None) as tell:
        for start in range(0, len(missing), _COUNTED):
            some = missing[start : start + _COUNTED]
            lengths[start : start + len(some)] = embedder.lengths(list(Picked(texts, some)))
            tell(len(some))
    # The longest that a model reads may be more than int64 holds.
    read = np.minimum(lengths, min(int(embedder.identity["max_length"]), lengths.max(initial=0)))
    plan = _planned(read, getattr(embedder, "tokens_per_batch", TOKENS_PER_BATCH))
    batches = _Batches(Picked(texts, missing), plan)
    with (
        counting(label or "", len(missing), shown=bool(label)) as tell,
        closing(embed(batches)) as done,
    ):
        for number, vectors in done:
            places = plan[number]
            store.add(Picked(keys, missing[places]), lengths[places].tolist(), _checked(vectors, batches, number))
            tell(len(places))


def _embed_batches(embedder: Embedder, batches: Sequence[Sequence[str]], *, workers: int, on_ray: bool) -> _Done:
    if on_ray:
        return embed_on_ray(embedder, batches, workers)
    return _one_by_one(embedder, batches) if workers == 1 else embed_in_processes(embedder, batches, workers)


def _one_by_one(embedder: Embedder, batches: Sequence[Sequence[str]]) -> _Done:
    for number in range(len(batches)):
        yield number, embedder.embed(batches[number])


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
    return [batch.tolist() for batch in _planned(lengths, tokens_per_batch)]


def _planned(lengths: ArrayLike, tokens_per_batch: int) -> list[NDArray[np.int64]]:
    """The same, each batch int64."""
    batches = list(token_batches(lengths, tokens_per_batch, _ROWS_PER_BATCH))
    rest = batches[1:]
    random.Random(0).shuffle(rest)
    return batches[:1] + rest


def _checked(vectors: NDArray[np.float32], batches: _Batches, number: int) -> NDArray[np.float32]:
    """What the model gave of a batch, if it is one finite vector for each text."""
    vectors, n = np.asarray(vectors, dtype=np.float32), len(batches.plan[number])
    if vectors.ndim != 2 or len(vectors) != n:
        raise EmbeddingError(f"the model must return {n} vectors, got an array of shape {vectors.shape}.")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise EmbeddingError(
            "the model must return finite vectors, got NaN or infinity for the text "
            f"{batches[number][bad[0]][:80]!r}. "
            "Hint: try float32, or another `embedder`."
        )
    return vectors
