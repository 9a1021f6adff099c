"""The vectors of a pool and of its target, of unit length: embedded or given, in memory or mapped."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from righttime.embedding import Embedder
from righttime.embedding.given import PREFIX, check_given_ids, given_vectors, kept_spec, shared_vectors, split_spec
from righttime.embedding.represent import represent, shaped_by_target
from righttime.embedding.texts import texts_for
from righttime.errors import SettingsError
from righttime.neighbours import ENGINES
from righttime.rows import Rows, as_numbers
from righttime.similarity import narrowed, shared_copy, unit_rows
from righttime.store import cache_folder

__all__ = ["Asked", "PoolOnce", "Sides", "embedded", "given", "vectors_for", "vectors_given", "vectors_sha256"]

_TOGETHER = 1 << 14  # rows looked at at a time
_OF_POOL = ("agreement", "pool_truncated", "pool_vectors_sha256")  # what is said of a pool alone


@dataclass(frozen=True)
class Sides:
    """Vectors of both sides.

    Attributes:
        pool: float32 unit vectors, shape (n_pool, d).
        target: float32 unit vectors, shape (n_target, d).
        about: What the manifest says of them: model, counts, truncation, fingerprints.
        truncated: The places of the rows of each side that are longer than the model reads; None of given vectors.
    """

    pool: NDArray[np.float32]
    target: NDArray[np.float32]
    about: Mapping[str, Any]
    truncated: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


class Asked(Protocol):
    """What a request says of vectors; see `righttime.results.Request`."""

    @property
    def embedder(self) -> str | Embedder:
        """A model, by name or itself, or ``vectors:FILE``."""

    @property
    def target_embedder(self) -> str | None:
        """``vectors:FILE`` of the target."""

    @property
    def memory(self) -> int:
        """Bytes above which vectors are mapped from a file."""

    @property
    def workers(self) -> int:
        """How many processes embed."""

    @property
    def engine(self) -> str:
        """``ray`` embeds on the cluster."""

    def model(self) -> Embedder:
        """The model, loaded if it is not yet."""


def vectors_for(
    request: Asked,
    pool: Rows,
    target: Rows,
    *,
    rows: Sequence[int],
    n_pool: int,
    text: str,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    made: Mapping[str, Any] | None = None,
) -> Sides:
    """Unit vectors of some pool rows and of the target: embedded through the cache, or taken from the file given.

    Args:
        request: Says with what, and in how much memory.
        pool: The rows of the pool that are wanted.
        target: The target's rows.
        rows: The pool row of each of those, in the same order.
        n_pool: How many rows the pool has.
        text: Which text represents a row.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.
        made: What a manifest says of vectors made earlier, which these are to be like: centred by the same sample.

    Raises:
        RighttimeError: If a model or file is missing, or does not fit the rows.
    """
    folder = Path(cache) if cache else cache_folder()
    if vectors_given(request.embedder):
        specs = split_spec(request.embedder, request.target_embedder)
        check_given_ids(specs[0], pool, rows)
        check_given_ids(specs[1], target, range(len(target)))
        sizes = n_pool, len(target)
        by_each = ENGINES[request.engine].cluster
        return given(request.embedder, request.target_embedder, rows, *sizes, request.memory, folder, by_each=by_each)
    if request.target_embedder is not None:
        raise SettingsError(
            "`target_embedder` is only for given vectors: one model must embed both sides.", setting="target_embedder"
        )
    how: dict[str, Any] = {"workers": request.workers, "on_ray": ENGINES[request.engine].cluster, "progress": progress}
    return embedded(pool, target, text, request.model(), folder, memory=request.memory, made=made, **how)


class PoolOnce:
    """Vectors of one pool beside several targets, one target after another: the pool's are made once.

    A call is one of `vectors_for`. While it is asked for the same pool rows, the pool's vectors are one array.
    """

    def __init__(self, like: PoolOnce | None = None) -> None:
        """Start with nothing embedded.

        Args:
            like: That of another pool, with which one model is shared.
        """
        self._like = like
        self._model: Embedder | None = None
        self._had: tuple[Sequence[int], str, Sides] | None = None

    @property
    def pool(self) -> NDArray[np.float32]:
        """The pool's vectors as they were made last; none before that."""
        return self._had[2].pool if self._had else np.empty((0, 0), dtype=np.float32)

    def __call__(
        self,
        request: Asked,
        pool: Rows,
        target: Rows,
        *,
        rows: Sequence[int],
        n_pool: int,
        text: str,
        cache: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> Sides:
        """See `vectors_for`."""
        how: dict[str, Any] = {"n_pool": n_pool, "text": text, "cache": cache, "progress": progress}
        if self._had is None or (rows, text) != self._had[:2] or self._shaped_by_target:
            self._had = rows, text, vectors_for(self._asked(request), pool, target, rows=rows, **how)
            return self._had[2]
        had = self._had[2]
        if vectors_given(request.embedder):
            spec = split_spec(request.embedder, request.target_embedder)[1]
            check_given_ids(spec, target, range(len(target)))
            unit = unit_rows(given_vectors(spec, "target", len(target), request.memory), "target vectors")
            beside = _fingerprinted(
                had.pool[:0], unit, {"target_vectors": kept_spec(request.target_embedder or request.embedder)}
            )
        else:
            beside = vectors_for(self._asked(request), pool.take(()), target, rows=(), made=had.about, **how)
        truncated = had.truncated and beside.truncated and (had.truncated[0], beside.truncated[1])
        return Sides(had.pool, beside.target, _with_pool(beside.about, had.about), truncated)

    @property
    def _shaped_by_target(self) -> bool:
        """Whether the target decides the pool's vectors too, so that no two targets share them."""
        return self._model is not None and shaped_by_target(self._model)

    def _asked(self, request: Asked) -> Asked:
        """The same request, of a model that is loaded once."""
        if isinstance(request.embedder, str) and not vectors_given(request.embedder):
            return cast(Asked, dataclasses.replace(cast(Any, request), embedder=self._loaded(request)))
        return request

    def _loaded(self, request: Asked) -> Embedder:
        self._model = self._model or (self._like._loaded(request) if self._like else request.model())
        return self._model


def _with_pool(about: Mapping[str, Any], of_pool: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a target's vectors, with what was said of the pool's beside them."""
    joined = {**of_pool, **about, **{name: of_pool[name] for name in _OF_POOL if name in of_pool}}
    if "parts" in joined:
        joined["parts"] = [_with_pool(*both) for both in zip(about["parts"], of_pool["parts"], strict=True)]
    return joined


def vectors_given(spec: object) -> TypeGuard[str]:
    """Whether an embedder is the name of a file of vectors."""
    return isinstance(spec, str) and spec.startswith(PREFIX)


def given(
    spec: str,
    target_spec: str | None,
    kept: Sequence[int],
    n_pool: int,
    n_target: int,
    memory: int,
    folder: Path,
    *,
    by_each: bool = False,
) -> Sides:
    """Vectors of the user's own.

    Args:
        spec: ``vectors:FILE`` of the pool, or of both.
        target_spec: The same of the target; None where one file holds both.
        kept: The pool rows that are wanted, in any order.
        n_pool: How many pool rows there are.
        n_target: How many target rows there are.
        memory: Vectors of more bytes than this are mapped from a file.
        folder: Where that file lies.
        by_each: Each machine of a cluster reads the pool's for itself, where the files allow it, and none is copied.
    """
    specs, everyone = split_spec(spec, target_spec), np.arange(n_pool)
    shared = shared_vectors(specs[0], "pool", n_pool, memory) if by_each else None
    sides = (
        given_vectors(specs[0], "pool", n_pool, memory) if shared is None else shared,
        given_vectors(specs[1], "target", n_target, memory),
    )
    # Looked at before rows are left out, so that an error names the row by its number in the file.
    if shared is None:
        pool = unit_rows(sides[0], "pool vectors", most_bytes=memory, folder=folder)
    else:
        shared.take(np.setdiff1d(everyone, as_numbers(kept), assume_unique=True)).check()
        pool = shared.standing_in
    if not np.array_equal(as_numbers(kept), everyone):
        pool = narrowed(pool, as_numbers(kept), memory, folder)
    target = unit_rows(sides[1], "target vectors")
    return _fingerprinted(pool, target, {"model": kept_spec(spec), "target_vectors": kept_spec(target_spec or spec)})


def embedded(
    pool: Rows,
    target: Rows,
    text: str,
    embedder: Embedder,
    cache: Path,
    *,
    memory: int,
    workers: int = 1,
    on_ray: bool = False,
    progress: bool = False,
    made: Mapping[str, Any] | None = None,
    n_steer: int | None = None,
) -> Sides:
    """Vectors of rows, through the cache.

    Args:
        pool: The pool rows that take part.
        target: The target's rows.
        text: Which text stands for a row.
        embedder: The model.
        cache: The folder of cached vectors.
        memory: Vectors of more bytes than this are mapped from a file in that folder.
        workers: How many processes embed.
        on_ray: Embed on the Ray cluster instead. The pool's vectors are then `SharedRows` of a file in that folder, and
            never in this process's memory, whatever `memory`.
        progress: Show a progress bar on stderr.
        made: See `vectors_for`.
        n_steer: See `righttime.embedding.represent.represent`.
    """
    texts = texts_for(embedder, text, pool, target)
    n = len(pool)
    done = represent(
        texts,
        n,
        embedder,
        cache,
        memory=0 if on_ray else memory,
        made=made,
        compare=made is None,
        n_steer=n_steer,
        workers=workers,
        on_ray=on_ray,
        progress=progress,
    )
    of_pool, of_target = done.vectors[:n], done.vectors[n:]
    if on_ray and n:  # both are copied, so that the file that they are mapped from goes
        of_pool, of_target = shared_copy(of_pool, cache, "pool vectors").standing_in, np.array(of_target)
    sides = _fingerprinted(of_pool, of_target, done.about)
    truncated = np.flatnonzero(done.truncated[:n]), np.flatnonzero(done.truncated[n:])
    return dataclasses.replace(sides, truncated=truncated)


def _fingerprinted(pool: NDArray[np.float32], target: NDArray[np.float32], about: Mapping[str, Any]) -> Sides:
    prints = {
        f"{side}_vectors_sha256": vectors_sha256(vectors) for side, vectors in (("pool", pool), ("target", target))
    }
    return Sides(pool, target, {**about, **prints})


def vectors_sha256(vectors: NDArray[np.float32]) -> str:
    """The fingerprint of vectors, as a manifest has it of the rows that took part.

    Args:
        vectors: float32 unit vectors, shape (n, d).
    """
    digest = hashlib.sha256()
    for start in range(0, len(vectors), _TOGETHER):
        digest.update(np.ascontiguousarray(vectors[start : start + _TOGETHER], dtype="<f4").data)
    return digest.hexdigest()
