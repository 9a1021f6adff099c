"""Verify a result: its files, its numbers and, with the data at hand, every similarity and round."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement, method_named
from righttime.arrangement.floor import reaches
from righttime.arrangement.shapes import read_shape
from righttime.arrangement.weaving import what_is_woven
from righttime.errors import EmbeddingError, RighttimeError, SettingsError
from righttime.formats import Reading
from righttime.inputs import read_side
from righttime.neighbours import MEMORY
from righttime.pipeline import arrange_rows
from righttime.results import BAD_TARGET, Data, FinishedResult, Request, Result, ResultManifest, Widening, open_result
from righttime.results.sources import find_sources_of, inside
from righttime.store import ids_sha256
from righttime.verification.contents import contents_hold, with_stored_order
from righttime.verification.finding import Finding, as_sealed, equal
from righttime.verification.nearness import close_to
from righttime.verification.scores import scores_hold, scores_sorted
from righttime.verification.stored_order import (
    Stored,
    caps_of,
    order_holds,
    row_distances_hold,
    similarities_hold,
    woven_rows_hold,
)
from righttime.verification.widened import side_changed, widening_holds, widening_in_order

__all__ = ["DATA", "check"]

Vectors = NDArray[np.float32]

DATA = "pool and target are at hand"


def check(
    out: str | os.PathLike[str],
    pool: Data | None = None,
    target: Data | None = None,
    *,
    files_only: bool = False,
    cache: str | os.PathLike[str] | None = None,
    memory: int = MEMORY,
    progress: bool = False,
) -> list[Finding]:
    """Verify a result on disk.

    The files' hashes, that the order is a permutation of what was kept, all counts, and that ``train.jsonl`` holds
    exactly those rows. With the data also that the arrangement comes out again, each similarity, and everything that
    is said of a row or of the whole: every text, tool, id, position, row that was left out, count and setting. The
    data is what the manifest names, read in the folder where the arrangement was made (the process works there
    meanwhile); where it is gone or was changed, a finding that is neither good nor bad says so.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        pool: The pool it was made from, in place of the one that the manifest names: must be the same data.
        target: The target it was made around; goes with `pool`.
        files_only: Do not look for the data.
        cache: The folder of cached vectors; None takes the user's.
        memory: Bytes that the search takes, and a compressed file of vectors when it is inflated.
        progress: Show progress on stderr.

    Returns:
        Everything that was verified, good and bad.

    Raises:
        StoreError: If the folder holds no manifest or its files cannot be read.
        SettingsError: If only one of `pool` and `target` is given.
    """
    if files_only and pool is not None:
        raise SettingsError("`files_only=True` checks without data, got data with it.", setting="files_only")
    if (pool is None) != (target is None):
        raise SettingsError("`pool` and `target` go together, got only one of them.", setting="pool")
    finished = open_result(Path(out).absolute())
    findings = [as_sealed(finished.manifest.intact), *_hashes(finished)]
    if any(not finding.ok for finding in findings[1:]):
        return findings  # what follows would only repeat it
    findings += _numbers(finished)
    if files_only or any(not finding.ok for finding in findings[1:]):
        return findings
    if pool is not None and target is not None:
        request = dataclasses.replace(finished.manifest.request(), memory=memory)
        original = finished.manifest.form == "original"
        sides = read_side(pool, "pool", request, original, progress), read_side(target, "target", request)
        same = list(_same_data(finished, *sides))
        if finished.manifest.widening is not None:
            changed = side_changed(finished.manifest.widening, request)
            same.append(Finding("the side pool is the same data", not changed, changed))
        if all(finding.ok for finding in same):
            how = _Embedding(request, cache, progress, finished.manifest.widening)
            same += _again(finished, sides, how)
        return findings + same
    cache = None if cache is None else Path(cache).absolute()
    return [*findings, *_with_its_own_data(finished, cache, memory, progress)]


def _with_its_own_data(finished: FinishedResult, cache: Path | None, memory: int, progress: bool) -> list[Finding]:
    """What the data that the manifest names tells, where it is to be had."""
    found = find_sources_of(finished.manifest)
    if found.lost:
        return [Finding(DATA, None, found.lost)]
    if finished.manifest.own_embedder:
        return [Finding(DATA, None, "it was made with an embedder of the user's own")]
    request = dataclasses.replace(finished.manifest.request(), memory=memory)
    with inside(found.folder):
        try:
            sides = (
                read_side(found.pool, "pool", request, finished.manifest.form == "original", progress),
                read_side(found.target, "target", request),
            )
        except RighttimeError as error:
            return [Finding(DATA, None, f"the data cannot be read any more: {error}")]
        changed = [finding.what for finding in _same_data(finished, *sides) if not finding.ok]
        if changed:
            return [Finding(DATA, None, f"not so that {' and '.join(changed)}: it was changed since")]
        widening = finished.manifest.widening
        if widening is not None and (told := side_changed(widening, request)):
            return [Finding(DATA, None, told)]
        try:
            again = list(_again(finished, sides, _Embedding(request, cache, progress, widening), moved=False))
        except EmbeddingError as error:
            return [Finding(DATA, None, f"the data has no vectors any more: {error}")]
    return [*_same_data(finished, *sides), *again]


def _hashes(finished: FinishedResult) -> Iterator[Finding]:
    for file in finished.files():
        detail = f"sha256 {file.found[:16]}…, the manifest says {str(file.written)[:16]}…"
        yield Finding(f"{file.name} is as it was written", file.unchanged, "" if file.unchanged else detail)


def _numbers(finished: FinishedResult) -> Iterator[Finding]:
    manifest, arrangement, left_out = finished.manifest, finished.arrangement, finished.left_out
    counts, labels = manifest.counts, arrangement.labels
    rows = arrangement.order.tolist()
    yield equal("the order holds each pool row at most once", len(set(rows)), len(rows))
    yield Finding("every place names a row of the pool", all(0 <= row < counts.pool_rows for row in rows))
    outside = {row for row in left_out["row"].to_pylist() if row is not None}
    yield equal("a row is either in or left out", len(outside & set(rows)), 0)
    reasons = Counter(left_out["reason"].to_pylist())
    n_target = reasons.pop(BAD_TARGET, 0)
    yield equal("in = out + left out", len(rows) + reasons.total(), counts.pool_read)
    yield equal("skipped target rows as counted", n_target, counts.target_bad_rows)
    yield equal("arranged rows as counted", len(rows), counts.arranged)
    yield equal("left-out rows as counted", dict(sorted(reasons.items())), counts.left_out_by_reason)
    ids = labels.id if labels else ()
    yield equal("ids as fingerprinted", ids_sha256(ids), manifest.ids_sha256)
    yield Finding("ids are unique", len(set(ids)) == len(ids))
    yield from _train_lines(finished, ids)
    yield from _woven_places(finished)
    yield from widening_in_order(manifest)
    yield from _caps_hold(finished)
    arrangement = arrangement.arranged()
    yield from scores_sorted(
        arrangement, read_shape(manifest.settings.get("shape")), manifest.settings.get("seed") or 0
    )
    if arrangement.picked_by is not None:
        inside = (arrangement.picked_by >= 0) & (arrangement.picked_by < counts.target_rows)
        yield Finding("every row was picked by a row of the target", bool(inside.all()))
    method = method_named(manifest.method)
    if arrangement.round is not None and method.verified_by == "rounds" and manifest.settings.get("shape") is None:
        yield Finding("rounds never go back", bool((np.diff(arrangement.round) >= 0).all()))
    floor = manifest.settings.get("min_similarity")
    if floor is not None and arrangement.similarity is not None and method.picked_near:
        yield Finding(f"no row is less similar than {floor:g}", bool(reaches(arrangement.similarity, floor).all()))


def _woven_places(finished: FinishedResult) -> Iterator[Finding]:
    said, at = finished.manifest.settings, finished.arrangement.woven
    weave = what_is_woven(said.get("weave"), said.get("anneal"))
    if weave is None and at is None:
        return
    right = weave is not None and at is not None and np.array_equal(at, weave.places(len(at)))
    yield Finding("woven rows stand at their places", bool(right))


def _caps_hold(finished: FinishedResult) -> Iterator[Finding]:
    labels, caps = finished.arrangement.labels, finished.arrangement.settings.get("caps", {})
    for of, most in caps.items() if labels else ():
        found = Counter(getattr(labels, of)).most_common(1)
        detail = f"{found[0][0]} has {found[0][1]:,}" if found and found[0][1] > most else ""
        yield Finding(f"no {of} has more than {most:,} rows", not detail, detail)


def _train_lines(finished: FinishedResult, ids: Sequence[str]) -> Iterator[Finding]:
    lines = list(finished.lines())
    if finished.manifest.form == "messages":
        names = [line.get("id") if isinstance(line, dict) else None for line in lines]
        wrong = [place for place, (found, name) in enumerate(zip(names, ids, strict=False)) if found != name]
        detail = f"place {wrong[0]} holds another row" if wrong else ""
        yield Finding("train.jsonl holds the arranged rows in order", not wrong and len(lines) == len(ids), detail)
    else:
        yield equal("train.jsonl holds as many rows as were arranged", len(lines), len(ids))


def _same_data(finished: FinishedResult, pool: Reading, target: Reading) -> Iterator[Finding]:
    then = finished.manifest
    for side, reading, inputs in (("pool", pool, then.pool), ("target", target, then.target)):
        same = [file.sha256 for file in reading.inputs] == [file.sha256 for file in inputs]
        yield Finding(f"the {side} is the same data", same, "" if same else "its content has another sha256")


@dataclass(frozen=True)
class _Embedding:
    """How rows are arranged once more."""

    request: Request
    cache: str | os.PathLike[str] | None
    progress: bool
    widening: Widening | None = None

    def arranged(
        self, sides: tuple[Reading, Reading], *, anew: bool = False, scored: Mapping[int, float] | None = None
    ) -> Result:
        """Arrange; with vectors `anew` from the model, whatever the cache holds, or by scores computed before."""
        how: dict[str, Any] = {"progress": self.progress, "scored": scored, "widening": self.widening}
        if not anew:
            return arrange_rows(*sides, self.request, cache=self.cache, **how)
        with tempfile.TemporaryDirectory() as empty:
            return arrange_rows(*sides, self.request, cache=empty, **how)


def _again(
    finished: FinishedResult, read: tuple[Reading, Reading], how: _Embedding, *, moved: bool = True
) -> Iterator[Finding]:
    manifest, arrangement = finished.manifest, finished.arrangement
    if how.widening is not None:
        held = widening_holds(how.widening, read[1], how.request, how.cache, how.progress)
        yield held
        if held.ok is False:
            return
    result = how.arranged(read)
    same = _same(arrangement, result.arrangement)
    anew = not _same_vectors(manifest, result) and bool(result.embedding.get("from_cache"))
    if anew:
        result = how.arranged(read, anew=True)  # in the company in which they were embedded at first
        same |= _same(arrangement, result.arrangement)
    if not same and arrangement.score is not None:
        shape = read_shape(manifest.settings.get("shape"))
        of_model = shape is not None and shape.model is not None
        yield from scores_hold(arrangement, result.arrangement, exact=not of_model)
        if of_model:
            stored = dict(zip(arrangement.order.tolist(), arrangement.score.tolist(), strict=True))
            result = how.arranged(read, anew=anew, scored=stored)
            same = _same(arrangement, result.arrangement)
    if _same_vectors(manifest, result):
        yield Finding("order, rounds, pickers and similarities come out again, to the bit", same)
        if same:
            yield from contents_hold(finished, result, exact=True, moved=moved)
        return
    what = "the vectors are the same to the bit"
    if same:  # other vectors would give other similarities
        yield Finding(what, False, "the manifest has another sha256 than vectors that give these similarities")
        return
    yield Finding(what, None, "embedded anew, or the manifest was changed; what follows allows for that")
    whole = result
    kept, vectors, close = result.kept, result.vectors, close_to(result.embedding)
    if result.best is not None:
        floor = float(manifest.settings["min_similarity"])
        out_then = set(finished.left_out_rows("too-dissimilar"))
        near, finding = _near_enough(out_then, floor, result, result.best, close)
        yield finding
        kept, vectors = [kept[number] for number in near.tolist()], (vectors[0][near], vectors[1])
    place = {row: number for number, row in enumerate(kept)}
    rows = [place.get(row, -1) for row in arrangement.order.tolist()]
    n = len(kept) - result.others
    if min(rows) < 0:
        yield Finding("every arranged row takes part", False, f"row {arrangement.order[rows.index(-1)]} does not")
        return
    order, sides = np.asarray(rows, dtype=np.int64), (vectors[0][:n], vectors[1])
    if arrangement.woven is not None:
        yield woven_rows_hold(order, arrangement, result, kept, n)
        order = order[~arrangement.woven]
        arrangement, result = (
            arrangement.arranged(),
            dataclasses.replace(result, arrangement=result.arrangement.arranged()),
        )
    if len(order) and order.max() >= n:
        yield Finding("every arranged row is one that the method could choose", False)
        return
    yield similarities_hold(order, arrangement, sides, close)
    yield row_distances_hold(arrangement, result.arrangement)
    yield order_holds(Stored(order, arrangement, result, sides, caps_of(arrangement, result, kept), close))
    yield from contents_hold(finished, with_stored_order(finished, whole), exact=False, moved=moved)


def _same_vectors(manifest: ResultManifest, result: Result) -> bool:
    """Whether the vectors have the manifest's fingerprints; without vectors there are none."""
    both = (manifest.embedding, result.embedding)
    keys = {name for about in both for name in about if name.endswith("_vectors_sha256")}
    return all(both[0].get(key) == both[1].get(key) for key in keys)


def _near_enough(
    out_then: set[int], floor: float, result: Result, best: Vectors, close: float
) -> tuple[NDArray[np.intp], Finding]:
    """The places in `kept` of the rows that were similar enough then, and whether new vectors agree."""
    then = np.array([row not in out_then for row in result.kept])
    wrong = np.flatnonzero(np.where(then, best < floor - close, best >= floor + close))
    detail = f"{len(wrong):,} rows are not, the first: pool row {result.kept[wrong[0]]}" if len(wrong) else ""
    what = f"rows less similar than {floor:g} within {close:g}, and only these, are left out as too dissimilar"
    return np.flatnonzero(then), Finding(what, not len(wrong), detail)


def _same(a: Arrangement, b: Arrangement) -> bool:
    return bool(a.to_table().replace_schema_metadata(None).equals(b.to_table().replace_schema_metadata(None)))
