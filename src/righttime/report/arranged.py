"""Arrangements of one pool and one target, with what can still be had of their rows and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import method_named
from righttime.embedding import given_sides
from righttime.embedding.represent import amplification, lacking, represent
from righttime.embedding.texts import texts_for
from righttime.embedding.vectors import vectors_given
from righttime.errors import RighttimeError, SettingsError
from righttime.formats import Reading
from righttime.formats.folders import labels
from righttime.inputs import read_side
from righttime.report.blocks import Missing
from righttime.results import FinishedResult, open_result
from righttime.results.sources import find_sources_of, inside
from righttime.rows import Rows
from righttime.similarity import pair_similarity, unit_rows
from righttime.store import cache_folder

__all__ = ["Arranged", "Vectors", "arranged_from", "named_folders"]

_TEXTS = "texts"
_VECTORS = "map, nearest rows"
_CLOSE = 1e-5  # similarities of vectors that were embedded in other company agree within this


@dataclass(frozen=True, eq=False)
class Vectors:
    """Unit vectors of the rows that have some.

    Attributes:
        pool: float32, shape (rows, d).
        pool_rows: int64, shape (rows,): the pool row of each, ascending.
        target: float32, shape (n_target, d).
    """

    pool: NDArray[np.float32]
    pool_rows: NDArray[np.int64]
    target: NDArray[np.float32]

    def places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where pool rows stand in `pool`, those that have a vector; and which of them have one."""
        known = np.isin(rows, self.pool_rows)
        return np.searchsorted(self.pool_rows, rows[known]).astype(np.int64), known


@dataclass(frozen=True, eq=False)
class Arranged:
    """What a page shows of arrangements.

    Attributes:
        finished: The arrangements, all of one pool and one target.
        names: What each is called.
        pool: The pool's rows; None where they cannot be had.
        target: The target's.
        vectors: None where they cannot be had, or the methods need none.
        missing: What cannot be shown, and why.
    """

    finished: Sequence[FinishedResult]
    names: Sequence[str]
    pool: Rows | None
    target: Rows | None
    vectors: Vectors | None
    missing: Sequence[Missing] = field(default=())

    @property
    def first(self) -> FinishedResult:
        """The arrangement that stands for all where they share something."""
        return self.finished[0]

    @property
    def prefixed(self) -> list[tuple[FinishedResult, str]]:
        """Each arrangement, and what a sentence about it begins with: its name, where there are several."""
        several = len(self.finished) > 1
        return [(one, f"{name}: " * several) for one, name in zip(self.finished, self.names, strict=True)]


def arranged_from(
    folders: Sequence[Path],
    pool: Sequence[str] | None = None,
    target: Sequence[str] | None = None,
    cache: Path | None = None,
) -> Arranged:
    """Open arrangements and read again what they were made from; nothing is embedded.

    Args:
        folders: Folders that ``righttime arrange`` wrote.
        pool: The pool, where it has moved.
        target: The target, where it has moved.
        cache: The folder of cached vectors; None takes the user's.

    Raises:
        StoreError: If a folder is no arrangement, or one that was changed.
        SettingsError: If they are of different pools or targets, or `pool` or `target` is other data.
    """
    finished = [open_result(folder, unchanged=True) for folder in folders]
    _require_one_data(finished)
    missing: list[Missing] = []
    sides: list[Reading | None] = []
    for side, given in (("pool", pool), ("target", target)):
        read, why = _side(finished[0], side, given)
        sides.append(read)
        if read is None:
            missing.append(Missing(f"{_TEXTS} of the {side}", f"{why}. Hint: `{side}`"))
    vectors, why = _vectors(finished, sides[0], sides[1], cache)
    if why:
        missing.append(Missing(_VECTORS, why))
    rows = [None if side is None else side.rows for side in sides]
    return Arranged(finished, named_folders(folders), rows[0], rows[1], vectors, missing)


def named_folders(folders: Sequence[Path]) -> list[str]:
    """What folders are called: by their last names, with as much before those as tells them apart."""
    return labels([str(folder) for folder in folders])


def _require_one_data(finished: Sequence[FinishedResult]) -> None:
    first = finished[0]
    for other in finished[1:]:
        for side, inputs in (("pool", "pool"), ("target", "target")):
            then, now = ([file.sha256 for file in getattr(one.manifest, inputs)] for one in (first, other))
            if then != now:
                raise SettingsError(
                    f"arrangements on one page must be of one {side}, but {first.folder} and {other.folder} are of "
                    f"different ones. Hint: make a page of each."
                )


def _side(finished: FinishedResult, side: str, given: Sequence[str] | None) -> tuple[Reading | None, str]:
    if given is None:
        return finished.read_again("pool" if side == "pool" else "target")
    read = read_side(list(given), "pool" if side == "pool" else "target", finished.manifest.request())
    then = finished.manifest.pool if side == "pool" else finished.manifest.target
    if [file.sha256 for file in read.inputs] != [file.sha256 for file in then]:
        raise SettingsError(
            f"`{side}` must be the data that {finished.folder} was made from, but its content has another sha256."
        )
    return read, ""


def _vectors(
    finished: Sequence[FinishedResult], pool: Reading | None, target: Reading | None, cache: Path | None
) -> tuple[Vectors | None, str]:
    with_vectors = [one for one in finished if "vectors" in method_named(one.manifest.method).needs]
    if not with_vectors:
        return None, f"method {finished[0].manifest.method} takes no vectors"
    one = with_vectors[0]
    if pool is None or target is None:
        return None, f"the {'pool' if pool is None else 'target'} cannot be read"
    if one.manifest.own_embedder:
        return None, "the vectors were made by an embedder of the user's own"
    try:
        with inside(find_sources_of(one.manifest).folder):
            found, why = _read_vectors(one, pool, target, (cache or cache_folder()).absolute())
    except (RighttimeError, OSError) as error:
        return None, str(error)
    if found is not None and not all(_agree(each, found) for each in with_vectors):
        return None, "the vectors are not those that the rows were arranged by: they were changed since"
    return found, why


def _agree(finished: FinishedResult, vectors: Vectors) -> bool:
    """Whether vectors give the similarities that were written, of the arranged rows that have a vector."""
    arrangement = finished.arrangement.arranged()
    if arrangement.similarity is None or arrangement.picked_by is None:
        return True
    places, known = vectors.places(arrangement.order)
    pool, target = vectors.pool[places], vectors.target[arrangement.picked_by[known]]
    close = _CLOSE * amplification(finished.manifest.embedding)
    return bool((np.abs(pair_similarity(pool, target) - arrangement.similarity[known]) <= close).all())


def _read_vectors(finished: FinishedResult, pool: Reading, target: Reading, cache: Path) -> tuple[Vectors | None, str]:
    request = finished.manifest.request()
    if vectors_given(request.embedder):
        n = len(pool.rows), len(target.rows)
        sides = given_sides(request.embedder, request.target_embedder, *n)
        found = unit_rows(sides[0], "pool vectors"), unit_rows(sides[1], "target vectors")
        return Vectors(found[0], np.arange(n[0], dtype=np.int64), found[1]), ""
    embedder, text, n_pool = request.model(), finished.manifest.text, len(pool.rows)
    texts = texts_for(embedder, pool.rows, text) + texts_for(embedder, target.rows, text)
    without = lacking(texts, n_pool, embedder, cache)
    if without[n_pool:].any():
        return (
            None,
            "vectors of target rows are not in the cache. Hint: the `cache` they were made with, or arrange again",
        )
    rows = np.flatnonzero(~without[:n_pool])
    wanted = [texts[number] for number in rows.tolist()] + texts[n_pool:]
    unit = represent(wanted, len(rows), embedder, cache, made=finished.manifest.embedding).vectors
    return Vectors(unit[: len(rows)], rows, unit[len(rows) :]), ""
