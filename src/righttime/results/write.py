"""A result on disk: the ordered rows, why each is where it is, what was left out, and the manifest, written last."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from righttime.contamination.leaks import Leaks
from righttime.embedding import Embedder
from righttime.embedding.given import kept_spec
from righttime.embedding.vectors import vectors_given
from righttime.errors import SettingsError
from righttime.examples import LeftOut
from righttime.formats import InputFile, Reading
from righttime.leaving import AllLeftOut, as_tables, reasons_of
from righttime.results.manifest import FILES, ResultManifest, typed_manifest
from righttime.results.result import Result
from righttime.splits import Split
from righttime.store import (
    MANIFEST,
    file_sha256,
    ids_sha256,
    plain,
    prepare_folder,
    staged,
    write_json,
    write_lines,
    write_parquet,
)
from righttime.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "circumstances",
    "guarded",
    "left_out_table",
    "manifest_of",
    "prepare_result",
    "prepare_split",
    "train_lines",
    "write_result",
    "write_split",
]

_FIRST = 20  # leaks that a manifest names
SPLIT_FILES = ("pool.jsonl", "target.jsonl", "left_out.parquet")
_LIBRARIES = ("numpy", "pyarrow", "torch", "transformers", "sentence-transformers", "datasets")


def prepare_result(out: Path, overwrite: bool = False) -> None:
    """Make sure, before any work, that a result can be written to `out`; see `righttime.store.prepare_folder`."""
    prepare_folder(out, FILES, overwrite)


def write_result(result: Result, out: Path, as_: Literal["messages", "original"] = "messages") -> dict[str, Any]:
    """Write a result into a folder that `prepare_result` has made ready.

    Args:
        result: What `arrange_rows` returned.
        out: The folder.
        as_: ``messages`` writes ``id``, ``messages`` and ``tools``; ``original`` each row's own JSON.

    Returns:
        The manifest.

    Raises:
        StoreError: If a file cannot be written; what was there before is not damaged.
        SettingsError: If the rows' own JSON was not kept.
    """
    with staged(out) as staging:
        write_lines(staging / "train.jsonl", train_lines(result, as_))
        write_parquet(staging / "arrangement.parquet", result.arrangement.to_table())
        left_out = AllLeftOut(result.left_out, result.left_out_of_target)
        write_parquet(staging / "left_out.parquet", as_tables(left_out))
        manifest = _manifest(result, as_)
        manifest["files"] = {name: file_sha256(staging / name) for name in FILES}
        write_json(staging / MANIFEST, manifest)
    result.done()
    return manifest


def train_lines(result: Result, as_: str) -> Iterator[str]:
    """The lines of ``train.jsonl``, without their ends.

    Raises:
        SettingsError: If the rows' own JSON was not kept.
    """
    for row in result.arrangement.rows.examples() if result.arrangement.rows else ():
        if as_ == "messages":
            yield json.dumps(row.as_dict(), ensure_ascii=False)
        elif row.original is not None:
            yield row.original
        else:
            raise SettingsError(
                f"`as='original'` needs each row's own JSON, but row {row.id} came without it.",
                row=row.id,
                setting="as",
            )


def left_out_table(rows: Sequence[LeftOut]) -> pa.Table:
    """The rows that are not in the result, as an Arrow table: the columns of ``left_out.parquet``."""
    import pyarrow as pa

    return pa.concat_tables(as_tables(rows))


def manifest_of(result: Result, as_: str) -> ResultManifest:
    """What the manifest of a result says, but for its files."""
    return typed_manifest({**json.loads(json.dumps(plain(_manifest(result, as_)))), "files": {}}, Path())


def _manifest(result: Result, as_: str) -> dict[str, Any]:
    arrangement = result.arrangement
    counts = {
        "pool_read": result.pool.total,
        "pool_rows": len(result.pool.rows),
        "target_rows": len(result.target.rows),
        "target_bad_rows": len(result.target.left_out),
        "arranged": len(arrangement),
        "rounds": arrangement.n_rounds,
        "left_out": len(result.left_out),
        "left_out_by_reason": dict(sorted(reasons_of(result.left_out).items())),
        "duplicates": result.duplicates,
        "target_prompts_in_pool": len(result.leaks),
    }
    ids = arrangement.labels.id if arrangement.labels else ()
    return {
        **circumstances(),
        "inputs": {"pool": _inputs(result.pool.inputs), "target": _inputs(result.target.inputs)},
        "given": {"folder": os.getcwd(), **result.given},
        "settings": _settings(result, as_),
        "embedding": dict(result.embedding),
        "counts": counts,
        "guard": guarded(result.guard) if result.guard else None,
        "falloff": dataclasses.asdict(result.falloff) if result.falloff else None,
        "widening": dataclasses.asdict(result.widening) if result.widening else None,
        "notes": list(result.notes),
        "ids_sha256": ids_sha256(ids),
    }


def guarded(leaks: Leaks) -> dict[str, Any]:
    """What a manifest says of leaks."""
    return {
        "leaks": len(leaks.found),
        "pool_rows": len(leaks.pool_rows),
        "target_rows": len(leaks.target_rows),
        "by_test": leaks.counts(),
        "tests": list(leaks.tests),
        "threshold": dict(leaks.threshold),
        "shared_groups": [dataclasses.asdict(group) for group in leaks.groups],
        "unseen": list(leaks.unseen),
        **({"chunks": dataclasses.asdict(leaks.chunked)} if leaks.chunked else {}),
        "first": [dataclasses.asdict(leak) for leak in leaks.found[:_FIRST]],
    }


def prepare_split(out: Path, overwrite: bool = False) -> None:
    """Make sure, before any work, that a split can be written to `out`; see `righttime.store.prepare_folder`."""
    prepare_folder(out, SPLIT_FILES, overwrite)


def write_split(split: Split, read: Reading, out: Path, settings: Mapping[str, Any]) -> None:
    """Write both sides of a hold-out, what is on neither side, and the manifest, last.

    Raises:
        StoreError: If a file cannot be written.
    """
    manifest = {
        **circumstances(),
        "inputs": {"pool": _inputs(read.inputs)},
        "settings": dict(settings),
        "held_out": list(split.held_out),
        "relatives": list(split.relatives),
        "counts": {"read": read.total, "pool": len(split.pool), "target": len(split.target)},
    }
    with staged(out) as staging:
        for name, rows in (("pool", split.pool), ("target", split.target)):
            lines = ({**row.as_dict(), "task": row.task} for row in rows.examples())
            write_lines(staging / f"{name}.jsonl", (json.dumps(line, ensure_ascii=False) for line in lines))
        write_parquet(staging / "left_out.parquet", left_out_table((*read.left_out, *split.left_out)))
        manifest["files"] = {name: file_sha256(staging / name) for name in SPLIT_FILES}
        write_json(staging / MANIFEST, manifest)


def circumstances(*libraries: str) -> dict[str, Any]:
    """When, from what and with which versions a result was made.

    Args:
        libraries: Libraries whose versions count as well, where they are installed.
    """
    return {
        "righttime": __version__,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "git_commit": _git_commit(),
        "versions": {"python": platform.python_version(), **_versions(_LIBRARIES + libraries)},
    }


def _inputs(files: tuple[InputFile, ...]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(file) for file in files]


def _settings(result: Result, as_: str) -> dict[str, Any]:
    """What was asked for and what it resolved to."""
    asked = {entry.name: getattr(result.request, entry.name) for entry in dataclasses.fields(result.request)}
    if isinstance(asked["embedder"], Embedder):
        asked["embedder"] = dict(asked["embedder"].identity)
    asked |= {name: kept_spec(asked[name]) for name in ("embedder", "target_embedder") if vectors_given(asked[name])}
    if (widens := result.request.widens) is not None:
        asked["widen"] = widens.kept
    budget = result.arrangement.settings["budget"]
    resolved = {"text": result.text, "text_asked": asked["text"], "as": as_}
    resolved["budget_asked"] = asked["budget"] if isinstance(asked["budget"], str) else budget
    return {**asked, **result.arrangement.settings, **resolved}


def _versions(libraries: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    """The commit of the working directory's repository, if it is in one: it dates the user's own scripts."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
