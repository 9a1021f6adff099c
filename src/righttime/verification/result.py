"""Verify a result: its files, its numbers and, with the data at hand, every similarity and round."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement
from righttime.errors import SettingsError, StoreError
from righttime.formats import Reading
from righttime.pipeline import BAD_TARGET, Data, Request, Result, arrange_rows, read_side
from righttime.results import FILES, result_manifest
from righttime.similarity import pair_similarity
from righttime.store import file_sha256, ids_sha256
from righttime.verification.replay import distances_hold, rounds_hold, turns_hold

__all__ = ["Finding", "check"]

_CLOSE = 1e-5
"""Vectors embedded in other company may differ by 1e-6; similarities of such vectors agree within this."""


def _unshuffled(order: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    ranked = np.empty_like(order)
    ranked[np.random.default_rng(seed).permutation(len(order))] = order
    return ranked


_BY_DISTANCE: Mapping[str, Callable[[NDArray[np.int64], int], NDArray[np.int64]]] = {
    "nearest": lambda order, _: order,
    "farthest": lambda order, _: order,
    "rds-max": lambda order, _: order,
    "nearest-reversed": lambda order, _: order[::-1],
    "nearest-shuffled": _unshuffled,
}
"""Methods that rank by distance, and how their order is turned back into the ranking, given the seed."""


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
    manifest = result_manifest(folder)
    findings = list(_hashes(folder, manifest))
    if not all(finding.ok for finding in findings):
        return findings  # what follows would only repeat it
    arrangement = Arrangement.load(folder)
    findings += _numbers(folder, manifest, arrangement)
    if pool is None or target is None or not all(finding.ok for finding in findings):
        return findings
    request = _request(manifest)
    sides = read_side(pool, "pool", request), read_side(target, "target", request)
    findings += _same_data(manifest, *sides)
    if all(finding.ok for finding in findings):
        result = arrange_rows(*sides, request, cache=cache, progress=progress)
        findings += _again(manifest, arrangement, result)
    return findings


def _hashes(folder: Path, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    for name in FILES:
        got, want = file_sha256(folder / name), manifest["files"].get(name)
        detail = "" if got == want else f"sha256 {got[:16]}…, the manifest says {str(want)[:16]}…"
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
    if arrangement.picked_by is not None:
        inside = (arrangement.picked_by >= 0) & (arrangement.picked_by < counts["target_rows"])
        yield Finding("every row was picked by a row of the target", bool(inside.all()))
    if arrangement.round is not None and manifest["settings"].get("method") in ("tma", "tma-farthest"):
        yield Finding("rounds never go back", bool((np.diff(arrangement.round) >= 0).all()))


def _train_lines(folder: Path, manifest: Mapping[str, Any], ids: Sequence[str]) -> Iterator[Finding]:
    try:
        with (folder / "train.jsonl").open(encoding="utf-8", newline="\n") as file:
            lines = [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / 'train.jsonl'} must be readable JSONL, got: {error}.") from error
    if manifest["settings"].get("as") == "messages":
        wrong = [place for place, (line, name) in enumerate(zip(lines, ids, strict=False)) if line.get("id") != name]
        detail = f"place {wrong[0]} holds another row" if wrong else ""
        yield Finding("train.jsonl holds the arranged rows in order", not wrong and len(lines) == len(ids), detail)
    else:
        yield _equal("train.jsonl holds as many rows as were arranged", len(lines), len(ids))


def _equal(what: str, got: object, want: object) -> Finding:
    return Finding(what, got == want, "" if got == want else f"got {got}, expected {want}")


def _request(manifest: Mapping[str, Any]) -> Request:
    """The request that a manifest records."""
    settings = dict(manifest["settings"])
    if not isinstance(settings.get("embedder"), str):
        raise SettingsError(
            "this result was made with an embedder of the user's own: check it without --pool and --target."
        )
    settings["text"] = settings.get("text_asked", "prompt+response")
    if settings.get("rounds") is not None:
        settings["rounds"] = tuple(settings["rounds"])
    # Where the search ran is no part of the result, and may not be at hand.
    known = {entry.name for entry in dataclasses.fields(Request)} - {"engine", "memory", "workers"}
    return Request(**{name: value for name, value in settings.items() if name in known})


def _same_data(manifest: Mapping[str, Any], pool: Reading, target: Reading) -> Iterator[Finding]:
    for side, reading in (("pool", pool), ("target", target)):
        want = [file.get("sha256") for file in manifest["inputs"].get(side, [])]
        same = [file.sha256 for file in reading.inputs] == want
        yield Finding(f"the {side} is the same data", same, "" if same else "its content has another sha256")


def _again(manifest: Mapping[str, Any], arrangement: Arrangement, result: Result) -> Iterator[Finding]:
    keys = [key for key in ("pool_vectors_sha256", "target_vectors_sha256") if key in result.embedding]
    if all(manifest["embedding"].get(key) == result.embedding[key] for key in keys):
        same = _same(arrangement, result.arrangement)
        yield Finding("order, rounds, pickers and similarities come out again, to the bit", same)
        return
    yield Finding("the vectors are the same to the bit", None, "embedded anew; what follows allows for that")
    place = {row: number for number, row in enumerate(result.kept)}
    rows = [place.get(row, -1) for row in arrangement.order.tolist()]
    if min(rows) < 0:
        yield Finding("every arranged row takes part", False, f"row {arrangement.order[rows.index(-1)]} does not")
        return
    order = np.asarray(rows, dtype=np.int64)
    yield _similarities(order, arrangement, result)
    yield _order_holds(order, arrangement, result)


def _order_holds(order: NDArray[np.int64], arrangement: Arrangement, result: Result) -> Finding:
    """Rounds, turns and distances by the new vectors, within what new vectors may differ by."""
    method, settings = str(arrangement.settings.get("method")), arrangement.settings
    vectors = result.vectors
    sign = -1.0 if method.endswith("farthest") else 1.0
    if method in ("tma", "tma-farthest") and not (settings.get("rounds") and settings["rounds"][0]):
        wrong = rounds_hold(order, arrangement, *vectors, sign, _CLOSE)
        return Finding(f"every round holds within {_CLOSE}", not wrong, wrong)
    if method == "rds":
        wrong = turns_hold(order, arrangement, *vectors, _CLOSE)
        return Finding(f"every turn holds within {_CLOSE}", not wrong, wrong)
    distance = "md" if method == "rds-max" else settings.get("distance")
    if method in _BY_DISTANCE and distance in ("wsd", "ad", "md"):
        ranked = _BY_DISTANCE[method](order, settings.get("seed", 0))
        wrong = distances_hold(ranked, *vectors, distance, settings.get("params", {}), sign, _CLOSE)
        return Finding(f"the order by distance holds within {_CLOSE}", not wrong, wrong)
    differing = int((arrangement.order != result.arrangement.order).sum())
    detail = f"{differing:,} of {len(order):,} places differ, perhaps only by near ties" if differing else ""
    return Finding("the order comes out again", None if differing else True, detail)


def _same(a: Arrangement, b: Arrangement) -> bool:
    return bool(a.to_table().replace_schema_metadata(None).equals(b.to_table().replace_schema_metadata(None)))


def _similarities(order: NDArray[np.int64], arrangement: Arrangement, result: Result) -> Finding:
    """Each place's similarity against the pair's new vectors."""
    what = f"every similarity is that of its pair within {_CLOSE}"
    if arrangement.similarity is None or arrangement.picked_by is None:
        return Finding(what, True, "the method has none")
    pool, target = result.vectors
    now = pair_similarity(pool[order], target[arrangement.picked_by])
    worst = float(np.abs(now - arrangement.similarity).max())
    return Finding(what, worst <= _CLOSE, f"largest difference {worst:.1e}")
