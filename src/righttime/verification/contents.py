"""What a result says, entry by entry, against what its data gives: texts, tables and manifest, not only the order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa

from righttime.examples import LeftOut
from righttime.formats import InputFile
from righttime.results import (
    FinishedResult,
    Request,
    Result,
    ResultManifest,
    left_out_table,
    manifest_of,
    not_chosen,
    train_lines,
)
from righttime.store import plain
from righttime.verification.finding import Finding

__all__ = ["contents_hold", "with_stored_order"]

_CHOSEN_OR_NOT = ("too-dissimilar", "not-chosen", "task-full", "source-full")
_OF_THE_RUN = {"embedded_now", "from_cache", "cache_damaged", "found_in", "revision"}
"""What the manifest says of the vectors that tells of the run and the machine, not of them."""
_VECTORS = {"pool_vectors_sha256", "target_vectors_sha256", "statistics_sha256"}
_BY_MEANING = {"leaks", "pool_rows", "target_rows", "threshold", "first"}
"""What the manifest says of leaks that nearness of vectors takes part in."""
_NOT_THE_RESULT = {"engine", "memory", "workers", "device"}
_DEFAULTS = plain(Request())
_EXACT, _NEAR = 1e-5, 1e-3
"""How far numbers may differ that were computed anew from the same vectors, and from others in their last bits."""


def with_stored_order(finished: FinishedResult, result: Result) -> Result:
    """What the data gives, with the stored order in place of the one that new vectors lead to.

    Args:
        finished: The result on disk, whose order was verified within what vectors may differ by.
        result: What came of the same data and request.
    """
    new, stored = result.arrangement, finished.arrangement
    same = dataclasses.replace(stored, n_pool=new.n_pool, n_target=new.n_target, settings=new.settings)
    same = same.with_rows(result.pool.rows, result.target.rows)
    best, floor = result.best, result.request.min_similarity
    if best is not None and floor is not None:  # rows at the floor fall where they fell then
        far = set(finished.left_out_rows("too-dissimilar"))
        out = np.array([row in far for row in result.kept])
        best = np.where(out, np.minimum(best, floor - 1), np.maximum(best, floor)).astype(np.float32)
    vain = not_chosen(result.pool.rows, result.kept, same, result.request, best, result.others)
    others = [row for row in result.left_out if row.reason not in _CHOSEN_OR_NOT]
    return dataclasses.replace(result, arrangement=same, left_out=(*others, *vain))


def contents_hold(finished: FinishedResult, result: Result, *, exact: bool, moved: bool = True) -> Iterator[Finding]:
    """Compare everything that a result says with what its data gives.

    Args:
        finished: The result on disk.
        result: What came of the same data and request; if not `exact`, with the stored order.
        exact: Whether the vectors are the same to the bit.
        moved: Whether the data may have other names now than it had then.

    Yields:
        Findings on texts, both tables and the manifest. What depends on versions or on the machine is reported as
        neither good nor bad.
    """
    renamed = _renamer(finished.manifest, result) if moved else str
    yield _texts(finished, result)
    yield _table(finished, result)
    yield _left_out(finished, result, renamed, exact)
    yield from _manifest(finished, result, renamed, _EXACT if exact else _NEAR)


def _texts(finished: FinishedResult, result: Result) -> Finding:
    what = "every line of train.jsonl is its row's: id, texts and tools"
    wanted = train_lines(result, finished.manifest.form)
    for number, (line, want) in enumerate(zip_longest(finished.raw_lines(), wanted), 1):
        if line is None or want is None or line.rstrip("\n") != want:
            return Finding(what, False, f"line {number} is not that of its row")
    return Finding(what, True)


def _table(finished: FinishedResult, result: Result) -> Finding:
    what = "every position, id, task, source and picker's id in arrangement.parquet is its row's"
    return _same_tables(what, finished.table.replace_schema_metadata(None), result.arrangement.to_table())


def _left_out(finished: FinishedResult, result: Result, renamed: Callable[[str], str], exact: bool) -> Finding:
    rows = (*result.left_out, *result.left_out_of_target)
    found, want = finished.left_out, left_out_table(tuple(_moved(row, renamed) for row in rows))
    if not exact and "detail" in found.column_names:  # it says how similar, in digits that may differ
        found, want = _without_similarities(found), _without_similarities(want)
    return _same_tables("every row left out is there with its file, line, id, reason and detail", found, want)


def _moved(row: LeftOut, renamed: Callable[[str], str]) -> LeftOut:
    return dataclasses.replace(row, file=renamed(row.file), detail=renamed(row.detail))


def _without_similarities(table: pa.Table) -> pa.Table:
    pairs = zip(table["reason"].to_pylist(), table["detail"].to_pylist(), strict=True)
    details = pa.array([None if reason == "too-dissimilar" else detail for reason, detail in pairs], pa.string())
    return table.set_column(table.column_names.index("detail"), "detail", details)


def _same_tables(what: str, found: pa.Table, want: pa.Table) -> Finding:
    if found.column_names != want.column_names:
        return Finding(what, False, f"its columns are {', '.join(found.column_names)}")
    if len(found) != len(want):
        return Finding(what, False, f"it has {len(found):,} rows, expected {len(want):,}")
    for name in want.column_names:
        if not found[name].combine_chunks().equals(want[name].combine_chunks()):
            pairs = zip(found[name].to_pylist(), want[name].to_pylist(), strict=True)
            place = next((number for number, (a, b) in enumerate(pairs) if a != b), 0)
            return Finding(what, False, f"`{name}` differs, first in row {place:,}")
    return Finding(what, True)


def _manifest(
    finished: FinishedResult, result: Result, renamed: Callable[[str], str], close: float
) -> Iterator[Finding]:
    found, want = finished.manifest, manifest_of(result, finished.manifest.form)
    for side in ("pool", "target"):
        wanted = [_moved_file(file, renamed) for file in getattr(want, side)]
        yield _alike(f"the {side}'s files are described as they are", getattr(found, side), wanted)
    yield _alike("what widened the target is described as it is", found.widening, want.widening, close)
    yield _alike("all counts are those of the data", found.counts, want.counts)
    # Results of earlier versions lack settings that were added since; they had what is the default now.
    then, now = (_but({**_DEFAULTS, **one.settings}, _NOT_THE_RESULT) for one in (found, want))
    yield _alike("all settings, the seed among them, are those that the order comes from", then, now, close)
    stored, new = finished.arrangement, result.arrangement
    said, true = ((one.n_pool, one.n_target, one.settings) for one in (stored, new))
    yield _alike("arrangement.parquet names the same settings", said, true, close)
    then, now = (_of_the_vectors(one.embedding) for one in (found, want))
    yield _alike("the embedder and what it truncated are as described", then, now, _NEAR)
    fall = _alike("where quality falls is as described", found.falloff, want.falloff, close)
    # By other vectors a near tie may fall otherwise.
    yield fall if close == _EXACT or fall.ok else dataclasses.replace(fall, ok=None)
    yield from _guard(found, want, close)
    yield from _of_versions(found, want, renamed)


def _guard(found: ResultManifest, want: ResultManifest, close: float) -> Iterator[Finding]:
    """What the guard found; by other vectors a near tie of meaning may fall otherwise, but not what texts tell."""
    what = "what the guard found is what it finds now"
    if "guard" not in found.settings and not found.guard:
        yield Finding(what, None, "the manifest says nothing of a guard")
    elif close == _EXACT or "meaning" not in want.guard.get("tests", ()):
        yield _alike(what, found.guard, want.guard, close)
    else:
        yield _alike(f"{what}, by texts", _by_texts(found.guard), _by_texts(want.guard))
        whole = _alike(f"{what}, by meaning too", found.guard, want.guard, close)
        yield whole if whole.ok else dataclasses.replace(whole, ok=None)


def _by_texts(guard: Mapping[str, Any]) -> dict[str, Any]:
    by_test = guard.get("by_test")
    counts = _but(by_test, {"meaning"}) if isinstance(by_test, Mapping) else by_test
    return {**_but(guard, _BY_MEANING), "by_test": counts}


def _of_versions(found: ResultManifest, want: ResultManifest, renamed: Callable[[str], str]) -> Iterator[Finding]:
    """What may differ without anything being wrong, where versions differ."""
    differing = [
        f"{name} {found.versions.get(name, 'none')} then, {want.versions.get(name, 'none')} now"
        for name in sorted({*found.versions, *want.versions})
        if found.versions.get(name) != want.versions.get(name)
    ]
    yield Finding("versions are those of now", None if differing else True, "; ".join(differing))
    revisions = found.embedding.get("revision"), want.embedding.get("revision")
    same = revisions[0] == revisions[1]
    detail = "" if same else f"{revisions[0]} then, {revisions[1]} now"
    yield Finding("the embedder's revision is that of now", True if same else None, detail)
    wanted = [renamed(note) for note in want.notes]
    # Whether a seed was asked for or is the default is not recorded; only of the former it is noted that it is idle.
    unasked = [note for note in wanted if not note.startswith("`seed=")]
    notes = _alike("all notes are there", found.notes, unasked if list(found.notes) == unasked else wanted)
    other = found.versions.get("righttime") != want.versions.get("righttime")
    yield dataclasses.replace(notes, ok=None) if other and not notes.ok else notes


def _renamer(then: ResultManifest, result: Result) -> Callable[[str], str]:
    """What turns the names that files have now into those that they had then; the longest first."""
    pairs = [(now.path, old.path) for now, old in zip(result.pool.inputs, then.pool, strict=True)]
    pairs += [(now.path, old.path) for now, old in zip(result.target.inputs, then.target, strict=True)]
    moved = sorted({pair for pair in pairs if pair[0] != pair[1]}, key=lambda pair: -len(pair[0]))

    def renamed(text: str) -> str:
        for now, old in moved:
            if now in text:
                return text.replace(now, old)
        return text

    return renamed


def _moved_file(file: InputFile, renamed: Callable[[str], str]) -> InputFile:
    return dataclasses.replace(file, path=renamed(file.path), note=file.note and renamed(file.note))


def _but(entries: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in names}


def _of_the_vectors(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of vectors that others in their last bits have in common with them."""
    kept = _but(about, _OF_THE_RUN | _VECTORS)
    if "centring" in kept:
        kept["centring"] = _but(kept["centring"], _VECTORS)
    if "parts" in kept:
        kept["parts"] = [_of_the_vectors(part) for part in kept["parts"]]
    return kept


def _alike(what: str, found: Any, want: Any, close: float = 0.0) -> Finding:
    """Whether two values are the same as JSON has them, numbers within `close`; names the first that is not."""
    where = next(_differences(plain(found), plain(want), close), None)
    return Finding(what, where is None, where or "")


def _differences(found: Any, want: Any, close: float, name: str = "") -> Iterator[str]:
    if isinstance(found, dict) and isinstance(want, dict):
        for key in sorted({*found, *want}):
            inner = f"{name}.{key}" if name else key
            if key in found and key in want:
                yield from _differences(found[key], want[key], close, inner)
            else:
                yield f"{inner} is {'not there' if key in want else 'not of the data'}"
    elif isinstance(found, list) and isinstance(want, list) and len(found) == len(want):
        for number, (one, other) in enumerate(zip(found, want, strict=True)):
            yield from _differences(one, other, close, f"{name}[{number}]")
    elif not _same_value(found, want, close):
        yield f"{name or 'it'} is {str(found)[:80]!r}, expected {str(want)[:80]!r}"


def _same_value(found: Any, want: Any, close: float) -> bool:
    if isinstance(found, float) and isinstance(want, float):
        return abs(found - want) <= close * (1 + abs(want))
    return type(found) is type(want) and bool(found == want)
