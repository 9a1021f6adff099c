"""The vectors that a page's map and neighbours are of, and which arrangements they made."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import method_named
from righttime.embedding import given_sides
from righttime.embedding.represent import lacking, represent
from righttime.embedding.texts import texts_for
from righttime.embedding.vectors import vectors_given, vectors_sha256
from righttime.errors import RighttimeError
from righttime.formats import Reading
from righttime.growing import Picked
from righttime.results import FinishedResult
from righttime.results.sources import find_sources_of, inside
from righttime.similarity import pair_similarity, unit_rows
from righttime.store import cache_folder
from righttime.verification.nearness import close_to

__all__ = ["Vectors", "vectors_of"]

_SETTINGS = ("embedder", "max_length", "prefix", "precision", "text")

Named = Sequence[tuple[str, FinishedResult]]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Unit vectors of the rows that have some.

    Attributes:
        pool: float32, shape (rows, d).
        pool_rows: int64, shape (rows,): the pool row of each, ascending.
        target: float32, shape (n_target, d).
        told: What made them: a file, or a model and the text it read.
        made: Names of the arrangements that they made.
        others: Names of those that other vectors made, each with what is told of these.
    """

    pool: NDArray[np.float32]
    pool_rows: NDArray[np.int64]
    target: NDArray[np.float32]
    told: str = ""
    made: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()

    def places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where pool rows stand in `pool`, those that have a vector; and which of them have one."""
        known = np.isin(rows, self.pool_rows)
        return np.searchsorted(self.pool_rows, rows[known]).astype(np.int64), known

    def sentences(self) -> list[str]:
        """Whose vectors they are, and which arrangements are by others."""
        if not self.others:
            return [f"Vectors: {self.told}."]
        made = " and ".join(self.made)
        first = f"Map, nearest rows and best similarities are by the vectors of {made}: {self.told}."
        more = [
            f"{name} was arranged by other vectors ({told}); the similarities of its own places are by those."
            for name, told in self.others
        ]
        return [first, *more]


def vectors_of(
    named: Named,
    pool: Reading | None,
    target: Reading | None,
    cache: Path | None = None,
    moved: Path | None = None,
) -> tuple[Vectors | None, str]:
    """The vectors of the first arrangement whose vectors can still be had; nothing is embedded.

    Args:
        named: The arrangements by their names on the page.
        pool: The pool, read again; None where it cannot be.
        target: The target, likewise.
        cache: The folder of cached vectors; None takes the user's.
        moved: Where a file of given vectors of the same name lies now.

    Returns:
        The vectors, or None and why there are none.
    """
    having = [(name, one) for name, one in named if "vectors" in method_named(one.manifest.method).needs]
    if not having:
        return None, f"method {named[0][1].manifest.method} takes no vectors"
    if pool is None or target is None:
        return None, f"the {'pool' if pool is None else 'target'} cannot be read"
    why = ""
    for _, one in having:
        found, reason = _vectors(one, pool, target, cache, moved)
        if found is not None:
            return _with_names(found, one, having), ""
        why = why or reason
    return None, why


def _with_names(found: Vectors, one: FinishedResult, having: Named) -> Vectors:
    made = [name for name, each in having if each is one or _made(each, found, _alike(one, each))]
    others = [(name, _told(each)) for name, each in having if name not in made]
    return Vectors(found.pool, found.pool_rows, found.target, _told(one), tuple(made), tuple(others))


def _told(one: FinishedResult) -> str:
    if one.manifest.own_embedder:
        return "an embedder of the user's own"
    settings = one.manifest.settings
    if vectors_given(settings["embedder"]):
        files = dict.fromkeys((settings["embedder"], settings.get("target_embedder") or settings["embedder"]))
        return f"given in {' and '.join(name.partition(':')[2] for name in files)}"
    more = [f"prefix {settings['prefix']!r}"] if settings.get("prefix") else []
    more += [f"{settings['max_length']:,} tokens"] if settings.get("max_length") else []
    more += [settings["precision"]] if settings.get("precision", "float32") != "float32" else []
    return ", ".join([f"{settings['embedder']} of each row's {one.manifest.text}", *more])


def _alike(one: FinishedResult, other: FinishedResult) -> bool:
    """Whether the same model embedded both in the same way, so that vectors may differ in their last digits alone."""
    if any(vectors_given(each.manifest.settings["embedder"]) or each.manifest.own_embedder for each in (one, other)):
        return False
    revisions = {str(each.manifest.embedding.get("revision")) for each in (one, other)}
    then, now = (each.manifest.settings for each in (one, other))
    return len(revisions) == 1 and all(then.get(name) == now.get(name) for name in _SETTINGS)


def _made(finished: FinishedResult, vectors: Vectors, alike: bool) -> bool:
    """Whether an arrangement was made by these vectors: to the bit, or by the same model within rounding."""
    embedding = finished.manifest.embedding
    if "pool_vectors_sha256" not in embedding or "target_vectors_sha256" not in embedding:
        return _agree(finished, vectors)  # of an earlier version
    rows = finished.embedded_rows
    places, known = vectors.places(rows)
    same = (
        bool(known.all())
        and embedding["pool_vectors_sha256"] == vectors_sha256(vectors.pool[places])
        and embedding["target_vectors_sha256"] == vectors_sha256(vectors.target)
    )
    return same or (alike and _agree(finished, vectors))


def _agree(finished: FinishedResult, vectors: Vectors) -> bool:
    """Whether vectors give the similarities that were written, of the arranged rows that have a vector."""
    arrangement = finished.arrangement.arranged()
    if arrangement.similarity is None or arrangement.picked_by is None:
        return True
    places, known = vectors.places(arrangement.order)
    pool, target = vectors.pool[places], vectors.target[arrangement.picked_by[known]]
    off = np.abs(pair_similarity(pool, target) - arrangement.similarity[known])
    return bool((off <= close_to(finished.manifest.embedding)).all())


def _vectors(
    one: FinishedResult, pool: Reading, target: Reading, cache: Path | None, moved: Path | None
) -> tuple[Vectors | None, str]:
    if one.manifest.own_embedder:
        return None, "the vectors were made by an embedder of the user's own"
    folder, kept = find_sources_of(one.manifest).folder, (cache or cache_folder()).absolute()
    spec = _spec(one, None if moved is None else moved.absolute())
    try:
        with inside(folder) if folder.is_dir() else contextlib.nullcontext():
            found, why = _read(one, spec, pool, target, kept)
    except (RighttimeError, OSError) as error:
        return None, str(error)
    if found is not None and not _made(one, found, _alike(one, one)):
        return None, "the vectors are not those that the rows were arranged by: they were changed since"
    return found, why


def _spec(one: FinishedResult, moved: Path | None) -> str:
    """What names the vectors; those of a folder that was moved with its vectors lie there."""
    spec = str(one.manifest.settings["embedder"])
    if moved is not None and vectors_given(spec) and moved.is_file() and Path(spec).name == moved.name:
        return f"{spec.partition(':')[0]}:{moved}"
    return spec


def _read(
    finished: FinishedResult, spec: str, pool: Reading, target: Reading, cache: Path
) -> tuple[Vectors | None, str]:
    request = finished.manifest.request()
    if vectors_given(spec):
        n = len(pool.rows), len(target.rows)
        sides = given_sides(spec, request.target_embedder, *n)
        found = unit_rows(sides[0], "pool vectors"), unit_rows(sides[1], "target vectors")
        return Vectors(found[0], np.arange(n[0], dtype=np.int64), found[1]), ""
    embedder, text, n_pool = request.model(), finished.manifest.text, len(pool.rows)
    texts = texts_for(embedder, text, pool.rows, target.rows)
    without = lacking(texts, n_pool, embedder, cache)
    hint = "Hint: the `cache` they were made with, or arrange again"
    if without[n_pool:].any():
        return None, f"vectors of target rows are not in the cache. {hint}"
    rows = np.flatnonzero(~without[:n_pool])
    if not len(rows):
        return None, f"no pool row's vector is in the cache. {hint}"
    wanted = Picked(texts, np.append(rows, np.arange(n_pool, len(texts))))
    unit = represent(wanted, len(rows), embedder, cache, made=finished.manifest.embedding).vectors
    return Vectors(unit[: len(rows)], rows, unit[len(rows) :]), ""
