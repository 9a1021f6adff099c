"""From texts to the unit vectors that rows are compared by: embedded through the cache, centred where that is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.centring import Centring, fit, kept_sample, sample_of
from righttime.embedding.combined import CombinedEmbedder
from righttime.embedding.embed import embed_texts, lacking_keys
from righttime.embedding.fidelity import fidelity_on
from righttime.embedding.keys import Keys
from righttime.embedding.protocol import Embedded, Embedder
from righttime.embedding.subspace import subspace_of
from righttime.neighbours import MEMORY
from righttime.similarity import room_for, unit_rows
from righttime.store import lent_folder

__all__ = [
    "Represented",
    "amplification",
    "is_centred",
    "lacking",
    "of_meaning",
    "represent",
    "samples_of",
    "shaped_by_target",
]

_WIDEST = 4096  # bytes of a vector, at a guess: before the model is asked, its dimension is not known
_TOGETHER = 4096  # rows put together at a time


@dataclass(frozen=True, eq=False)
class Represented:
    """Unit vectors of texts, and what is known of them.

    Attributes:
        vectors: float32 unit vectors, shape (n_texts, d).
        truncated: bool, shape (n_texts,): whether the model reads less than the whole text.
        about: What the manifest says of them: model, counts, truncation, centring.
    """

    vectors: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    about: Mapping[str, Any]


def represent(
    texts: Sequence[str],
    n_pool: int,
    embedder: Embedder,
    cache: Path,
    *,
    memory: int = MEMORY,
    made: Mapping[str, Any] | None = None,
    compare: bool = False,
    n_steer: int | None = None,
    **how: Any,
) -> Represented:
    """Unit vectors of texts of the pool and, after them, of the target.

    Args:
        texts: The texts.
        n_pool: How many of them are the pool's.
        embedder: The model.
        cache: The folder of cached vectors.
        memory: Vectors of more bytes than this are mapped from a file in that folder.
        made: What a manifest says of vectors made earlier: these are centred as those were, by the same sample. None
            draws the sample from the pool's texts given.
        compare: Whether an embedder that stands in for another is compared with it; see `fidelity_on`.
        n_steer: How many of the target's texts, the first, decide what vectors are made of it; None takes all. The
            rest, which judge an order, must not.
        how: As for `righttime.embedding.embed_texts`: workers, on_ray, progress, label.

    Raises:
        EmbeddingError: If the model fails, or vectors cannot be centred as they were.
    """
    if isinstance(embedder, CombinedEmbedder):
        return _combined(
            texts, n_pool, embedder, cache, memory=memory, made=made, compare=compare, n_steer=n_steer, **how
        )
    done = _embed_sides(texts, n_pool, embedder, cache, memory, how)
    centring: Centring | None = getattr(embedder, "centring", None)
    directions: int | None = getattr(embedder, "subspace", None)
    more: dict[str, Any] = {}
    if directions is not None:
        steer = done.vectors[n_pool:] if n_steer is None else done.vectors[n_pool : n_pool + n_steer]
        statistics = subspace_of(steer, done.vectors[:n_pool], directions)
        unit = statistics.unit(done.vectors, memory, cache)
        more["subspace"] = dict(statistics.about)
    elif centring is None:
        unit = unit_rows(done.vectors, "vectors", most_bytes=memory, folder=cache)
    else:
        keys = sample_of(texts[:n_pool], centring) if made is None else kept_sample(made.get("centring", {}), cache)
        statistics = fit(embedder.identity, keys, centring, cache)
        unit = statistics.unit(done.vectors, memory, cache)
        more["centring"] = dict(statistics.about)
    truncated = done.lengths > done.max_length
    asks = target_side(embedder)
    fidelity = fidelity_on(texts if asks is embedder else texts[:n_pool], embedder) if compare else None
    about = {
        **embedder.identity,
        **{f"target_{name}": value for name, value in asks.identity.items() if embedder.identity.get(name) != value},
        **({"text": getattr(embedder, "text_name", "the embedder's own")} if hasattr(embedder, "text_of") else {}),
        "found_in": getattr(getattr(embedder, "found", None), "found_in", None),
        "embedded_now": done.n_embedded,
        "from_cache": done.n_cached,
        **({"cache_damaged": done.n_damaged} if done.n_damaged else {}),
        "pool_truncated": int(truncated[:n_pool].sum()),
        "target_truncated": int(truncated[n_pool:].sum()),
        **({"agreement": dataclasses.asdict(fidelity)} if fidelity else {}),
        **more,
    }
    return Represented(unit, truncated, about)


def _combined(
    texts: Sequence[str],
    n_pool: int,
    embedder: CombinedEmbedder,
    cache: Path,
    *,
    memory: int,
    made: Mapping[str, Any] | None,
    **how: Any,
) -> Represented:
    """The same of a combination: each part for itself, then together."""
    each: list[Mapping[str, Any] | None] = [None] * len(embedder.parts)
    if made is not None:
        each = list(made.get("parts") or [{}] * len(each))
    sides = [
        represent(column, n_pool, part, cache, memory=memory, made=then, **how)
        for part, column, then in zip(embedder.parts, embedder.columns(texts), each, strict=True)
    ]
    out = room_for((len(texts), sum(side.vectors.shape[1] for side in sides)), memory, cache)
    for start in range(0, len(texts), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        out[some] = embedder.together([side.vectors[some] for side in sides])
    truncated = np.logical_or.reduce([side.truncated for side in sides])
    about = {
        **embedder.identity,
        **{name: sum(side.about[name] for side in sides) for name in ("embedded_now", "from_cache")},
        "pool_truncated": int(truncated[:n_pool].sum()),
        "target_truncated": int(truncated[n_pool:].sum()),
        "parts": [{"weight": w, **side.about} for w, side in zip(embedder.weights, sides, strict=True)],
    }
    return Represented(out, truncated, about)


def target_side(embedder: Embedder) -> Embedder:
    """What embeds the target's rows: the embedder itself, unless they have a prompt of their own."""
    own = getattr(embedder, "for_target", None)
    return own() if own else embedder


def _embed_sides(
    texts: Sequence[str], n_pool: int, embedder: Embedder, cache: Path, memory: int, how: Mapping[str, Any]
) -> Embedded:
    """Both sides at once where one embedder is for both: which texts share a batch decides last bits."""
    asks = target_side(embedder)
    if asks is embedder or n_pool == len(texts):
        return _embed(texts, embedder, cache, memory, how)
    pool, target = (
        _embed(texts[:n_pool], embedder, cache, memory, how),
        _embed(texts[n_pool:], asks, cache, memory, how),
    )
    vectors = room_for((len(texts), target.vectors.shape[1]), memory, cache)
    vectors[:n_pool], vectors[n_pool:] = pool.vectors if n_pool else 0, target.vectors
    return Embedded(
        vectors,
        pool.n_embedded + target.n_embedded,
        pool.n_cached + target.n_cached,
        np.concatenate([pool.lengths, target.lengths]),
        target.max_length,
        pool.n_damaged + target.n_damaged,
    )


def _embed(texts: Sequence[str], embedder: Embedder, cache: Path, memory: int, how: Mapping[str, Any]) -> Embedded:
    if len(texts) * _WIDEST <= memory:
        return embed_texts(texts, embedder, cache, **how)
    folder, give_back = lent_folder(cache)
    try:
        return embed_texts(texts, embedder, cache, into=folder / "vectors.npy", **how)
    finally:
        give_back()  # at once; what is mapped stays until it is let go


def lacking(texts: Sequence[str], n_pool: int, embedder: Embedder, cache: Path) -> NDArray[np.bool_]:
    """Which texts, of the pool and after them of the target, have no vector in the cache: bool, shape (n_texts,)."""
    if isinstance(embedder, CombinedEmbedder):
        parts = zip(embedder.parts, embedder.columns(texts), strict=True)
        return np.asarray(np.logical_or.reduce([lacking(column, n_pool, part, cache) for part, column in parts]))
    asks = target_side(embedder)
    if asks is not embedder:
        return np.concatenate([_lacking(texts[:n_pool], embedder, cache), _lacking(texts[n_pool:], asks, cache)])
    return _lacking(texts, embedder, cache)


def _lacking(texts: Sequence[str], embedder: Embedder, cache: Path) -> NDArray[np.bool_]:
    found = np.zeros(len(texts), dtype=np.bool_)
    found[lacking_keys(Keys(texts), embedder, cache)] = True
    return found


def shaped_by_target(embedder: Embedder) -> bool:
    """Whether the target's vectors decide what becomes of the pool's."""
    if isinstance(embedder, CombinedEmbedder):
        return any(map(shaped_by_target, embedder.parts))
    return getattr(embedder, "subspace", None) is not None


def samples_of(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The hashes of the samples that vectors are centred by; none where they are not.

    Args:
        about: What the manifest says of the vectors.
    """
    own = (str(about["centring"]["sample_sha256"]),) if "centring" in about else ()
    return own + tuple(one for part in about.get("parts", ()) for one in samples_of(part))


def is_centred(embedder: Embedder) -> bool:
    """Whether vectors, or those of a part, are centred by a sample of the pool."""
    if isinstance(embedder, CombinedEmbedder):
        return any(map(is_centred, embedder.parts))
    return getattr(embedder, "centring", None) is not None


def of_meaning(about: Mapping[str, Any]) -> bool:
    """Whether similarities of two pool rows tell what one of a pool and a target row means, as the guard assumes.

    Not so where an embedder reads rows in a way of its own, or puts other prompts before the target's.

    Args:
        about: What the manifest says of the vectors.
    """
    return not {"text", "target_prompt"} & set(about) and all(map(of_meaning, about.get("parts", ())))


def amplification(about: Mapping[str, Any]) -> float:
    """By how much centring or a subspace may widen a difference of two vectors of one text; 1 where there is none.

    Args:
        about: What the manifest says of the vectors.
    """
    own = [float(about.get(kind, {}).get("amplification", 1.0)) for kind in ("centring", "subspace")]
    return max([1.0, *own, *map(amplification, about.get("parts", ()))])
