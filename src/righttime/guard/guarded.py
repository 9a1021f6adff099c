"""The guard on its own: read both sides, look for leaks, and write what was found; and the pool without it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.contamination.leaks import Judged, Leak, Leaks
from righttime.embedding.texts import shared_text
from righttime.embedding.vectors import vectors_for
from righttime.errors import SettingsError
from righttime.formats import Reading
from righttime.guard.cutting import check_chunks, check_meaning, chunker_for
from righttime.guard.find import find_leaks
from righttime.guard.finished import LEAKS
from righttime.guard.judging import CommandJudge, Judge
from righttime.guard.watch import removed
from righttime.inputs import read_side
from righttime.neighbours import search_here
from righttime.results import Data, Request, circumstances, guarded, left_out_table
from righttime.store import MANIFEST, file_sha256, prepare_folder, staged, write_json, write_lines, write_parquet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FILES", "Guarded", "guard_into"]

FILES = (LEAKS, "pool.jsonl", "left_out.parquet", "judged.parquet")
"""The files beside the manifest; the middle two only where leaks are removed, the last where there is a judge."""


@dataclass(frozen=True)
class Guarded:
    """What the guard found, and in what.

    Attributes:
        leaks: The leaks.
        pool: The pool as it was read.
        target: The target.
        kept: The pool rows without leaks, ascending.
        notes: Sentences that a person should read.
        embedding: What is known of the vectors; empty without `meaning`.
    """

    leaks: Leaks
    pool: Reading
    target: Reading
    kept: Sequence[int]
    notes: tuple[str, ...]
    embedding: Mapping[str, Any]


def guard_into(
    out: str | os.PathLike[str],
    pool: Data,
    target: Data,
    request: Request,
    *,
    meaning: bool = False,
    remove: bool = False,
    judge: Judge | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Guarded:
    """Look for leaks and write what was found to a folder.

    Args:
        out: The folder.
        pool: See `righttime.arrange`, as for `target`.
        target: The same.
        request: Says how both are read, and how they are embedded for `meaning`; nothing else of it counts.
        meaning: Also embed both sides, to find rows in other words; `guard_chunks` of the request, long rows in chunks.
        remove: Also write the pool without its leaks, each row's own JSON.
        judge: See `righttime.guard.find_leaks`.
        overwrite: Replace a finished result there.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: A kind of it, for anything wrong with data, settings, model or disk.
    """
    request.check()
    folder = Path(out)
    prepare_folder(folder, FILES, overwrite)
    read = read_side(pool, "pool", request, remove, progress), read_side(target, "target", request)
    if remove:
        _one_format(read[0])
    leaks, notes, about = _looked(read, request, meaning, judge, cache, progress)
    gone = set(leaks.pool_rows)
    kept = [number for number in range(len(read[0].rows)) if number not in gone]
    done = Guarded(leaks, *read, kept, tuple(notes), about)
    _write(done, folder, request, remove, judge)
    return done


def _one_format(pool: Reading) -> None:
    formats = sorted({file.format for file in pool.inputs})
    if len(formats) > 1:
        raise SettingsError(
            f"`remove=True` needs pools of one format, got {', '.join(formats)}: no trainer reads a file of both. "
            "Hint: guard them one by one.",
            setting="remove",
        )


def _looked(
    read: tuple[Reading, Reading],
    request: Request,
    meaning: bool,
    judge: Judge | None,
    cache: str | os.PathLike[str] | None,
    progress: bool,
) -> tuple[Leaks, list[str], Mapping[str, Any]]:
    pool, target = read[0].rows, read[1].rows
    if not meaning:
        return find_leaks(pool, target, judge=judge, seed=request.seed or 0), [], {}
    check_meaning(request)
    check_chunks(request)
    text, notes = shared_text(request.text, target, pool=pool)
    asked: dict[str, Any] = {"rows": range(len(pool)), "n_pool": len(pool), "text": text}
    sides = vectors_for(request, pool, target, **asked, cache=cache, progress=progress)
    how: dict[str, Any] = {"cache": cache, "progress": progress}
    chunker = chunker_for(request, sides, range(len(pool)), text, **how) if request.guard_chunks else None
    leaks = find_leaks(
        pool,
        target,
        vectors=(sides.pool, sides.target),
        seed=request.seed or 0,
        about=sides.about,
        search=search_here(request.engine, memory=request.memory),
        chunker=chunker,
        judge=judge,
    )
    return leaks, notes, {"text": text, **sides.about}


def _write(done: Guarded, folder: Path, request: Request, remove: bool, judge: Judge | None) -> None:
    with staged(folder, FILES) as staging:
        write_parquet(staging / LEAKS, _table(done.leaks.found))
        if remove:
            write_lines(staging / "pool.jsonl", _lines(done))
            left_out = (*done.pool.left_out, *removed(done.pool.rows, done.leaks.found))
            write_parquet(staging / "left_out.parquet", left_out_table(left_out))
        if judge is not None:
            write_parquet(staging / "judged.parquet", _judged(done.leaks.judged))
        names = [name for name in FILES if (staging / name).exists()]
        manifest = {
            **circumstances(),
            "inputs": {
                side: [dataclasses.asdict(file) for file in reading.inputs]
                for side, reading in (("pool", done.pool), ("target", done.target))
            },
            "settings": {
                "meaning": "meaning" in done.leaks.tests,
                "chunks": request.guard_chunks,
                "remove": remove,
                "judge": judge.command if isinstance(judge, CommandJudge) else judge is not None,
                "seed": request.seed or 0,
            },
            "embedding": dict(done.embedding),
            "counts": {
                "pool_read": done.pool.total,
                "pool_rows": len(done.pool.rows),
                "target_rows": len(done.target.rows),
                "kept": len(done.kept),
            },
            "guard": guarded(done.leaks),
            "notes": list(done.notes),
            "files": {name: file_sha256(staging / name) for name in names},
        }
        write_json(staging / MANIFEST, manifest)


def _table(leaks: Sequence[Leak]) -> pa.Table:
    import pyarrow as pa

    kinds = {"pool_row": pa.int64(), "pool_id": pa.string(), "target_row": pa.int64(), "target_id": pa.string()}
    kinds |= {"test": pa.string(), "part": pa.string(), "score": pa.float64(), "span": pa.string()}
    return pa.table({name: pa.array([getattr(leak, name) for leak in leaks], kind) for name, kind in kinds.items()})


def _judged(judged: Sequence[Judged]) -> pa.Table:
    """What a judge said, a row for each pair that it was asked about."""
    import pyarrow as pa

    table = _table([one.leak for one in judged])
    table = table.append_column("leak", pa.array([one.is_leak for one in judged], pa.bool_()))
    return table.append_column("reason", pa.array([one.reason for one in judged], pa.string()))


def _lines(done: Guarded) -> Iterator[str]:
    for row in done.pool.rows.examples(done.kept):
        if row.original is None:
            raise SettingsError(
                f"`remove=True` needs each row's own JSON, but row {row.id} came without it.",
                row=row.id,
                setting="remove",
            )
        yield row.original
