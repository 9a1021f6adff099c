"""A pool that has grown, arranged from an earlier arrangement: the bytes that arranging the whole pool gives."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from righttime.arrangement import method_named
from righttime.arrangement.extending import Bounds, GrownSearch, Looked, bounds_of
from righttime.choices import Engine
from righttime.embedding.vectors import vectors_given, vectors_sha256
from righttime.errors import SettingsError, StoreError
from righttime.formats.hub import PREFIX
from righttime.formats.remote import address
from righttime.inputs import Inputs, read_inputs
from righttime.neighbours import MEMORY, Search
from righttime.ordering import Ready
from righttime.pipeline import begin, finish, taking_part
from righttime.results import Request, Result, open_result, prepare_result, write_result
from righttime.results.finished import FinishedResult
from righttime.results.sources import find_sources_of
from righttime.rows import as_numbers
from righttime.similarity import copied_rows, first_rows
from righttime.store import cache_folder

__all__ = ["Saved", "extend_into"]

_UNEXTENDED = ("min_similarity", "cap_task", "cap_source", "apart", "weave", "anneal", "shape", "subsample")
"""Settings with which what an arrangement left says nothing of what it may take once the pool has grown."""


@dataclass
class Saved:
    """What looking at an earlier arrangement first has saved.

    Attributes:
        pairs: How many pairs of a pool row and a target row the search looked at.
        whole: How many one look at the whole pool takes.
        again: How many of `pairs` were looked at since the earlier arrangement did not settle a choice.
        why: Why nothing could be saved; empty where something could.
    """

    pairs: int = 0
    whole: int = 0
    again: int = 0
    why: str = ""


def extend_into(
    out: str | os.PathLike[str],
    old: str | os.PathLike[str],
    more: Sequence[str | os.PathLike[str]],
    *,
    embedder: str | None = None,
    target_embedder: str | None = None,
    device: str | None = None,
    workers: int = 1,
    engine: Engine = "auto",
    memory: int = MEMORY,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    on_read: Callable[[Inputs], None] | None = None,
) -> tuple[Result, Saved]:
    """Arrange the pool of a finished arrangement and more behind it, with the settings that it was made with.

    Args:
        out: The folder to write to.
        old: The finished arrangement. Its pool and target must be as they were.
        more: Files and folders that its pool has grown by.
        embedder: ``vectors:FILE`` of the whole pool, where the earlier one's vectors were given.
        target_embedder: ``vectors:FILE`` of the target; None takes the earlier one's.
        device: See `righttime.arrange`, as for all that follow; None takes the earlier one's.
        workers: See `righttime.arrange`.
        engine: See `righttime.arrange`.
        memory: See `righttime.arrange`.
        overwrite: See `righttime.arrange`.
        cache: See `righttime.arrange`.
        progress: See `righttime.arrange`.
        on_read: See `righttime.pipeline.arrange_into`.

    Returns:
        The result, which is that of arranging both pools from the start, to the byte, and what was saved.

    Raises:
        StoreError: If `old` holds no finished arrangement, was changed, or its pool or target is gone or was changed.
        SettingsError: If it was not made from files, or needs vectors of the pool that it has grown to.
        RighttimeError: As `righttime.arrange`.
    """
    finished = open_result(old, unchanged=True)
    here = _from_here(finished)
    own, target = (_names(finished, side, here) for side in ("pool", "target"))
    pool = [*own, *(os.fspath(name) for name in more)]
    how: dict[str, Any] = {"device": device} if device is not None else {}
    request = dataclasses.replace(
        _asked(finished, embedder, target_embedder).with_side_pools(here),
        workers=workers,
        engine=engine,
        memory=memory,
        **how,
    )
    request.check()
    prepare_result(Path(out), overwrite)
    form = finished.manifest.form
    read = read_inputs(pool, target, request, keep_original=form == "original", progress=progress)
    if on_read:
        on_read(read)
    _check_unchanged(finished, read, read.pool.inputs_of_last if request.woven_pool is not None else 0)
    begun = begin(read, request, taking_part(read, request), cache=cache, progress=progress)
    if begun.widening is not None and finished.manifest.widening is not None:
        both = [[file.sha256 for file in one.pool] for one in (begun.widening, finished.manifest.widening)]
        _check_same("side pool", finished, *both)
    grown = _Grown(finished, begun.ready, request, Path(cache) if cache else cache_folder())
    result = finish(begun, search=grown.search, cache=cache, progress=progress)
    write_result(result, Path(out), form)
    return result, grown.saved()


def _from_here(finished: FinishedResult) -> Callable[[str], str]:
    """From the name of a file as the arrangement has it to its name from where we are."""
    found = find_sources_of(finished.manifest)
    if found.lost:
        raise StoreError(
            f"the pool and the target of {finished.folder} must be where they were: {found.lost}. Hint: arrange again."
        )

    def here(name: str) -> str:
        near = found.folder == Path.cwd() or name.startswith(PREFIX) or address(name) is not None
        return name if near else str(found.folder / name)

    return here


def _names(finished: FinishedResult, side: str, here: Callable[[str], str]) -> list[str]:
    """The names of a side's own files and folders, from where we are."""
    return [here(name) for name in getattr(finished.manifest.given, side) or ()]


def _asked(finished: FinishedResult, embedder: str | None, target_embedder: str | None) -> Request:
    """The request that led to the arrangement, with vectors of the pool that it has grown to."""
    request = finished.manifest.request()
    if request.seed == 0 and not any(note.startswith("`seed=0`") for note in finished.manifest.notes):
        request = dataclasses.replace(request, seed=None)  # a manifest has 0 for both; one that is given has its note
    if not vectors_given(request.embedder):
        if embedder is not None or target_embedder is not None:
            raise SettingsError(
                f"`embedder` is for arrangements with given vectors; {finished.folder} was made with "
                f"{request.embedder}, which embeds what is new.",
                setting="embedder",
            )
        return request
    if embedder is None:
        raise SettingsError(
            f"{finished.folder} was made with given vectors ({request.embedder}), so there must be vectors of the "
            "pool that it has grown to. Hint: `embedder='vectors:FILE'`, old rows first"
            f"{', woven ones last' if request.woven_pool is not None else ''}.",
            setting="embedder",
        )
    return dataclasses.replace(
        request, embedder=embedder, target_embedder=target_embedder or request.target_embedder or request.embedder
    )


def _check_unchanged(finished: FinishedResult, read: Inputs, woven: int) -> None:
    """The pool's own sources come first, those that are only woven, the last, behind what is new."""
    pool, target = ([file.sha256 for file in side.inputs] for side in (read.pool, read.target))
    then = [file.sha256 for file in finished.manifest.pool]
    own = max(0, len(then) - woven)
    now = pool[: min(own, len(pool) - woven)] + pool[len(pool) - woven :]
    _check_same("pool", finished, then, now)
    _check_same("target", finished, [file.sha256 for file in finished.manifest.target], target)


def _check_same(side: str, finished: FinishedResult, before: list[str], now: list[str]) -> None:
    if before != now:
        raise StoreError(
            f"the {side} of {finished.folder} must be as it was, but it was changed since. Hint: arrange again."
        )


class _Grown:
    """The search of a pool that has grown, and what it saved."""

    def __init__(self, finished: FinishedResult, ready: Ready, request: Request, folder: Path) -> None:
        self._finished, self._ready, self._request, self._folder = finished, ready, request, folder
        self._looked = Looked()
        self._why = self._not_extended()

    def saved(self) -> Saved:
        """What was saved, once the search is done."""
        whole = len(self._ready.inputs.pool) * len(self._ready.inputs.target)
        return Saved(self._looked.pairs, whole, self._looked.again, self._why)

    def search(self, search: Search) -> Search:
        """The search that looks at the earlier arrangement and at new rows first, where that says anything."""
        if self._why:
            return search
        inputs, then = self._ready.inputs, self._finished.arrangement
        assert then.round is not None
        assert then.picked_by is not None
        assert then.similarity is not None
        by_row = np.argsort(then.order)
        numbers = as_numbers(self._ready.kept)
        old = np.searchsorted(numbers, then.order[by_row])
        some = np.concatenate([old, np.arange(self._n_old(), len(numbers))])
        vectors = copied_rows(inputs.pool, some, self._request.memory, self._folder)
        sign = np.float32(-1.0 if method_named(self._request.method).farthest else 1.0)
        target = inputs.target if sign > 0 else -inputs.target
        found = bounds_of(
            vectors[: len(old)],
            target,
            then.round[by_row],
            then.picked_by[by_row],
            sign * then.similarity[by_row] + np.float32(0.0),
            search=search,
            cut=self._finished.manifest.settings.get("budget") is not None,
            by_similarity=self._request.within_round == "similarity",
            weights=inputs.target_weights,
        )
        self._looked.pairs += len(old) * len(target)
        if found is None:
            self._why = f"its rounds are not those that its vectors give with this version ({self._finished.folder})"
            return search
        bounds = Bounds(found.similarity, np.where(found.row < 0, -1, old[found.row]))
        return GrownSearch(search, some, vectors, target, bounds, self._looked)

    def _n_old(self) -> int:
        """How many of the rows that take part are of the earlier pool."""
        return int(np.searchsorted(as_numbers(self._ready.kept), self._finished.manifest.counts.pool_rows))

    def _not_extended(self) -> str:
        """Why the earlier arrangement says nothing of the new one; empty where it does."""
        request, then = self._request, self._finished.manifest
        if method_named(request.method).verified_by != "rounds":
            return f"method {request.method} is no rounds of nearest or farthest rows"
        for name in _UNEXTENDED:
            if getattr(request, name) is not None:
                return f"`{name}` decides what is taken besides nearness"
        if request.rounds is not None and request.rounds[0] > 0:
            return "`rounds` begins after round 0, and what the rounds before it took is not in the result"
        n = self._n_old()
        if not np.array_equal(as_numbers(self._ready.kept)[:n], self._finished.embedded_rows):
            return "other rows of the earlier pool take part now"
        sides = self._ready.sides
        now = vectors_sha256(first_rows(sides.pool, n)), vectors_sha256(sides.target)
        if now != (then.embedding.get("pool_vectors_sha256"), then.embedding.get("target_vectors_sha256")):
            return "the earlier rows' vectors are not the same as then, to the bit"
        return ""
