"""Verify a result: its files, its numbers and, with the data at hand, every similarity and round."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from righttime.arrangement import Arrangement
from righttime.arranging import BAD_TARGET, Data, Request, Result, arrange_rows
from righttime.errors import SettingsError, StoreError
from righttime.results import FILES
from righttime.similarity import pair_similarity
from righttime.store import file_sha256, ids_sha256, read_manifest

__all__ = ["Finding", "check"]

_CLOSE = 1e-5
"""Vectors embedded in other company may differ by 1e-6; similarities of such vectors agree within this."""


@dataclass(frozen=True)
class Finding:
    """One thing that was verified.

    Attributes:
        what: What must hold.
        ok: Whether it does; None where it could not be decided.
        detail: What was found.
    """

    what: str
    ok: bool | None
    detail: str = ""


def check(
    out: str | os.PathLike[str],
    pool: Data | None = None,
    target: Data | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> list[Finding]:
    """Verify a result on disk.

    Without data: the files' hashes, that the order is a permutation of what was kept, all counts, and that
    ``train.jsonl`` holds exactly those rows. With `pool` and `target`: also that they are the same data, that the
    arrangement comes out again, and each similarity.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        pool: The pool it was made from.
        target: The target it was made around.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress bars on stderr.

    Returns:
        Everything that was verified, good and bad.

    Raises:
        StoreError: If the folder holds no manifest or its files cannot be read.
        SettingsError: If only one of `pool` and `target` is given.
    """
    if (pool is None) != (target is None):
        raise SettingsError("--pool and --target go together, got only one of them.")
    folder = Path(out)
    manifest = read_manifest(folder)
    findings = list(_hashes(folder, manifest))
    if not all(finding.ok for finding in findings):
        return findings  # what follows would only repeat it
    arrangement = Arrangement.load(folder)
    findings += _numbers(folder, manifest, arrangement)
    if pool is not None and target is not None:
        result = arrange_rows(pool, target, _request(manifest), cache=cache, progress=progress)
        findings += _again(manifest, arrangement, result)
    return findings


def _hashes(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    for name in FILES:
        got, want = file_sha256(folder / name), manifest["files"][name]
        detail = "" if got == want else f"sha256 {got[:16]}…, the manifest says {want[:16]}…"
        yield Finding(f"{name} is as it was written", got == want, detail)


def _numbers(folder: Path, manifest: Mapping[str, Any], arrangement: Arrangement) -> Iterator[Finding]:
    import pyarrow.parquet as pq

    counts, labels = manifest["counts"], arrangement.labels
    left_out = pq.read_table(folder / "left_out.parquet")
    rows = arrangement.order.tolist()
    yield _equal("the order holds each pool row at most once", len(set(rows)), len(rows))
    yield Finding("every place names a row of the pool", all(0 <= row < counts["pool_rows"] for row in rows))
    outside = {row for row in left_out["row"].to_pylist() if row is not None}
    yield _equal("a row is either in or left out", len(outside & set(rows)), 0)
    reasons = Counter(left_out["reason"].to_pylist())
    n_target = reasons.pop(BAD_TARGET, 0)
    yield _equal("in = out + left out", len(rows) + reasons.total(), counts["pool_read"])
    yield _equal("skipped target rows as counted", n_target, counts["target_bad_rows"])
    yield _equal("arranged rows as counted", len(rows), counts["arranged"])
    yield _equal("left-out rows as counted", dict(sorted(reasons.items())), counts["left_out_by_reason"])
    ids = labels.id if labels else ()
    yield _equal("ids as fingerprinted", ids_sha256(ids), manifest["ids_sha256"])
    yield Finding("ids are unique", len(set(ids)) == len(ids))
    yield from _train_lines(folder, manifest, ids)
    if arrangement.round is not None and manifest["settings"]["method"] in ("tma", "tma-farthest"):
        yield Finding("rounds never go back", bool((np.diff(arrangement.round) >= 0).all()))


def _train_lines(folder: Path, manifest: Mapping[str, Any], ids: Sequence[str]) -> Iterator[Finding]:
    try:
        with (folder / "train.jsonl").open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / 'train.jsonl'} must be readable JSONL, got: {error}.") from error
    if manifest["settings"]["as"] == "messages":
        wrong = [place for place, (line, name) in enumerate(zip(lines, ids, strict=False)) if line["id"] != name]
        detail = f"place {wrong[0]} holds another row" if wrong else ""
        yield Finding("train.jsonl holds the arranged rows in order", not wrong and len(lines) == len(ids), detail)
    else:
        yield _equal("train.jsonl holds as many rows as were arranged", len(lines), len(ids))


def _equal(what: str, got: object, want: object) -> Finding:
    return Finding(what, got == want, "" if got == want else f"got {got}, expected {want}")


def _request(manifest: Mapping[str, Any]) -> Request:
    """The request that a manifest records."""
    settings = dict(manifest["settings"])
    if not isinstance(settings["embedder"], str):
        raise SettingsError(
            "this result was made with an embedder of the user's own: check it without --pool and --target."
        )
    settings["text"] = settings["text_asked"]
    if settings["rounds"] is not None:
        settings["rounds"] = tuple(settings["rounds"])
    known = {entry.name for entry in dataclasses.fields(Request)}
    return Request(**{name: value for name, value in settings.items() if name in known})


def _again(manifest: Mapping[str, Any], arrangement: Arrangement, result: Result) -> Iterator[Finding]:
    for side, reading in (("pool", result.pool), ("target", result.target)):
        want = [file["sha256"] for file in manifest["inputs"][side]]
        yield _equal(f"the {side} is the same data", [file.sha256 for file in reading.inputs], want)
    again = result.arrangement
    keys = [key for key in ("pool_vectors_sha256", "target_vectors_sha256") if key in manifest["embedding"]]
    same_vectors = all(manifest["embedding"][key] == result.embedding[key] for key in keys)
    if same_vectors:
        yield Finding("order, rounds, pickers and similarities come out again, to the bit", _same(arrangement, again))
        return
    yield Finding(
        "the vectors are the same to the bit", None, "they were embedded anew; similarities are compared instead"
    )
    yield _similarities(arrangement, result)
    differing = int((arrangement.order != again.order).sum()) if len(arrangement) == len(again) else len(arrangement)
    detail = (
        f"{differing:,} of {len(arrangement):,} places differ, as near ties do with new vectors" if differing else ""
    )
    yield Finding("order and rounds come out again", None if differing else True, detail)


def _same(a: Arrangement, b: Arrangement) -> bool:
    return bool(a.to_table().replace_schema_metadata(None).equals(b.to_table().replace_schema_metadata(None)))


def _similarities(arrangement: Arrangement, result: Result) -> Finding:
    """Each place's similarity against the pair's new vectors."""
    what = f"every similarity is that of its pair within {_CLOSE}"
    if arrangement.similarity is None or arrangement.picked_by is None:
        return Finding(what, True, "the method has none")
    pool, target = result.vectors
    place = {row: number for number, row in enumerate(result.kept)}
    rows = [place[row] for row in arrangement.order.tolist()]
    now = pair_similarity(pool[rows], target[arrangement.picked_by])
    worst = float(np.abs(now - arrangement.similarity).max())
    return Finding(what, worst <= _CLOSE, f"largest difference {worst:.1e}")
