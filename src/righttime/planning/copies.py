"""What copies of files at addresses will take: the bytes that their servers tell, and the time at the rate of a few."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence

from righttime.arrangement import method_named
from righttime.each_target import of_target
from righttime.embedding.given import PREFIX, split_spec
from righttime.embedding.vectors import vectors_given
from righttime.formats.folders import DATA_ENDINGS
from righttime.formats.remote import Listed, address, fetched, first_of_each_kind, listed
from righttime.planning.stages import Stage
from righttime.results import Data, Request

__all__ = ["fetch_stage"]


def fetch_stage(pool: Data, target: Data, request: Request, names: Sequence[str]) -> Stage | None:
    """The stage that fetches files at addresses; None where there are none. Fetches one file of each ending.

    Args:
        pool: As for `righttime.planning.plan`, as for `target` and `request`.
        target: See there.
        request: See there.
        names: Those of targets that are arranged for one by one.

    Raises:
        DataError: If an address cannot be looked at.
    """
    afar = {path: endings for path, endings in _paths(pool, target, request, names) if address(path) is not None}
    there = {path: listed(path, endings) for path, endings in afar.items()}
    files = [(path, one) for path, found in there.items() for one in found]
    missing = sum(one.size for _, one in files if not one.copied)
    if not files:
        return None
    sample = {one.file for found in there.values() for one in first_of_each_kind(found) if not one.copied}
    some, start = [(path, one) for path, one in files if one.file in sample], time.perf_counter()
    for path in {path for path, _ in some}:
        fetched(path, afar[path], sample.__contains__)
    took, bytes_of_some = time.perf_counter() - start, sum(one.size for _, one in some)
    seconds = missing * took / bytes_of_some if bytes_of_some else (None if missing else 0.0)
    return Stage("fetch", 1, seconds, 0, missing, _note([one for _, one in files], missing, len(some)))


def _note(files: Sequence[Listed], missing: int, some: int) -> str:
    note = (
        f"copies of {len(files):,} files at addresses, {sum(one.size for one in files) / 2**20:,.0f} MiB, of which "
        f"{missing / 2**20:,.0f} MiB are not in the cache yet"
    )
    unsized = sum(not one.size for one in files)
    note += f"; of {unsized:,} files the server does not tell the size" if unsized else ""
    note += f"; at the rate of {some:,} that were fetched to plan" if some else ""
    return f"{note}. Rows of files that were not fetched are estimated by their bytes"


def _paths(pool: Data, target: Data, request: Request, names: Sequence[str]) -> Iterable[tuple[str, tuple[str, ...]]]:
    """All that is read, and the endings of what is read of a folder."""
    widens = request.widens.pool if request.widens is not None else None
    for data in (pool, target, request.woven_pool, widens):
        for item in [data] if isinstance(data, str | os.PathLike) else data if isinstance(data, Sequence) else ():
            if isinstance(item, str | os.PathLike):
                yield os.fspath(item), DATA_ENDINGS
    if vectors_given(request.embedder) and "vectors" in method_named(request.method).needs:
        for one in [of_target(request, name, len(names)) for name in names] or [request]:
            for spec in split_spec(str(one.embedder), one.target_embedder):
                yield spec.removeprefix(PREFIX).partition("#")[0], ("",)
