"""From arrangements on disk to the nine measures along each: read the rows in order, their vectors, measure, write."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding import given_vectors
from righttime.embedding.given import kept_spec
from righttime.embedding.represent import is_centred, samples_of
from righttime.embedding.texts import shared_text
from righttime.embedding.vectors import vectors_for, vectors_given
from righttime.errors import SettingsError, StoreError, unknown_name
from righttime.examples import TEXTS
from righttime.formats import Reading, read_rows
from righttime.formats.bounds import MAX_ROW_BYTES
from righttime.formats.folders import labels
from righttime.measures.dataset import Curves, default_every, measure, prefix_sizes
from righttime.measures.finished import TABLE
from righttime.measures.plot import draw_curves
from righttime.neighbours import MEMORY
from righttime.progress import counting
from righttime.results import FinishedResult, Request, circumstances, open_result
from righttime.similarity import unit_rows
from righttime.store import (
    MANIFEST,
    file_sha256,
    prepare_folder,
    staged,
    write_bytes,
    write_json,
    write_parquet,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Measured", "measure_folders"]

PICTURES = ("measures.svg", "measures.png")
_ASKED = ("embedder", "target_embedder", "max_length", "prefix", "precision", "text")

Vectors = NDArray[np.float32]
Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class Measured:
    """The curves of several arrangements towards one target.

    Attributes:
        whole: For each arrangement, by its short name, the curves towards the whole target.
        by_task: The same with one curve for each target task; empty if not asked for.
        notes: Sentences that a person should read.
    """

    whole: Mapping[str, Curves]
    by_task: Mapping[str, Curves]
    notes: tuple[str, ...] = ()

    def to_table(self) -> pa.Table:
        """All curves as a long Arrow table: arrangement, n, task (null for the whole target), measure, value."""
        import pyarrow as pa

        sides = (*self.whole.items(), *self.by_task.items())
        return pa.concat_tables([curves.to_table(name) for name, curves in sides])


def measure_folders(
    folders: Sequence[Path_],
    target: Path_ | Sequence[Path_],
    *,
    out: Path_ | None = None,
    every: int | None = None,
    per_task: bool = False,
    kl_over_occurrences: bool = False,
    embedder: str | None = None,
    target_embedder: str | None = None,
    text: str | None = None,
    overwrite: bool = False,
    cache: Path_ | None = None,
    memory: int = MEMORY,
    progress: bool = False,
) -> Measured:
    """Measure arrangements, prefix by prefix, against a target.

    Args:
        folders: Folders that ``righttime arrange`` wrote.
        target: The file or folder of the target, or several that are one joint target; read as the first arrangement's
            target was.
        out: A folder to write ``measures.parquet``, ``manifest.json`` and, with matplotlib, ``measures.svg``
            and ``measures.png`` to.
        every: Prefixes of so many rows, twice as many, ..., and the whole; None takes some 20 points, the same of all.
        per_task: Also one curve for each target task.
        kl_over_occurrences: For comparison only, the paper's code's KL; see `righttime.similarity.measure`.
        embedder: A model or ``vectors:FILE``; None takes what the arrangements were made with.
        target_embedder: ``vectors:FILE`` of the target; None takes what the arrangements were made with.
        text: Which text stands for a row; None takes what the arrangements were made with.
        overwrite: Replace a finished result in `out`.
        cache: The folder of cached vectors; None takes the user's.
        memory: Bytes that a compressed file of vectors may take when it is inflated; vectors that take more are mapped.
        progress: Show progress on stderr.

    Raises:
        StoreError: If a folder is no arrangement, was changed, or `out` cannot be written.
        SettingsError: If the arrangements do not share an embedder and text and none is given, or an argument is wrong.
        RighttimeError: As for `righttime.arrange`, for anything wrong with the target or the vectors.
    """
    prefix_sizes(1, 1 if every is None else every)
    if text is not None and text not in TEXTS:
        raise unknown_name("text", text, TEXTS)
    if out is not None:
        prepare_folder(Path(out), (TABLE, *PICTURES), overwrite)
    there = [open_result(folder, unchanged=True) for folder in folders]
    for finished in there:
        _ = finished.rows  # refused here and now where they are in their original form
    if every is None and there:
        every = default_every([len(folder.arrangement) for folder in there])
    given = {"embedder": embedder, "target_embedder": target_embedder, "text": text}
    if embedder is not None:
        given |= {"target_embedder": target_embedder or "", "max_length": "", "prefix": "", "precision": ""}
    settings = _agreed(there, {name: value for name, value in given.items() if value is not None})
    _check_centring(there, settings)
    read = _read_target(target, there[0])
    if settings["text"] not in TEXTS:  # the embedder reads rows in a way of its own, which word bigrams cannot be of
        settings["text"] = there[0].manifest.settings["text_asked"]
    settings["text"], notes = shared_text(settings["text"], read.rows, "measured")
    whole, by_task = {}, {}
    for name, folder in zip(labels([os.fspath(path) for path in folders]), there, strict=True):
        rows = folder.arranged
        texts, target_texts = list(rows.texts(settings["text"])), list(read.rows.texts(settings["text"]))
        sides = _vectors(folder, read, settings, cache, memory, progress)
        tasks = read.rows.tasks
        total = 2 * len(rows) * (1 + per_task)
        with counting(f"measuring {name}", total, shown=progress) as tell:
            common: dict[str, Any] = {"texts": texts, "target_texts": target_texts, "every": every}
            common |= {"kl_over_occurrences": kl_over_occurrences, "progress": tell}
            whole[name] = measure(*sides, **common)
            if per_task:
                by_task[name] = measure(*sides, **common, target_tasks=tasks, per_task=True)
    measured = Measured(whole, by_task, tuple(notes))
    if out is not None:
        asked = {**settings, "every": every, "per_task": per_task, "kl_over_occurrences": kl_over_occurrences}
        _write(measured, there, read, asked, Path(out))
    return measured


def _settings(finished: FinishedResult) -> Mapping[str, Any]:
    return {"precision": "float32", **finished.manifest.settings}  # of results from before precision was a setting


def _agreed(folders: Sequence[FinishedResult], given: Mapping[str, Any]) -> dict[str, Any]:
    """What embeds both sides: as given, else as all arrangements were made, which must then be one way."""
    if not folders:
        raise SettingsError("there must be at least one arrangement to measure, got none.")
    first = folders[0]
    agreed = {name: given.get(name, _settings(first)[name]) or None for name in _ASKED}
    for folder in folders[1:]:
        for name in _ASKED:
            if name not in given and _settings(folder)[name] != _settings(first)[name]:
                raise SettingsError(
                    f"all arrangements must be measured alike, but {first.folder} was made with {name} "
                    f"{_settings(first)[name]!r} and {folder.folder} with {_settings(folder)[name]!r}. "
                    "Hint: name one with `embedder` and `text`."
                )
    if not isinstance(agreed["embedder"], str):
        raise SettingsError(
            f"{first.folder} was made with an embedder of the user's own. Hint: name one with `embedder`, or use "
            "righttime.similarity.measure with vectors."
        )
    return agreed


def _check_centring(folders: Sequence[FinishedResult], settings: Mapping[str, Any]) -> None:
    """Refuse centred vectors where arrangements have no one sample of one pool to be centred by."""
    if vectors_given(settings["embedder"]) or not is_centred(Request(embedder=settings["embedder"]).model()):
        return
    samples = {
        samples_of(folder.manifest.embedding)
        for folder in folders
        if folder.manifest.settings["embedder"] == settings["embedder"]
    }
    unlike = any(folder.manifest.settings["embedder"] != settings["embedder"] for folder in folders)
    if unlike or len(samples) != 1:
        raise SettingsError(
            "arrangements can be measured by centred vectors only if all were made with them and centred by one sample "
            "of one pool, but these were not. Hint: an `embedder` without centring.",
            setting="embedder",
        )


def _read_target(target: Path_ | Sequence[Path_], folder: FinishedResult) -> Reading:
    settings = folder.manifest.settings
    return read_rows(
        [target] if isinstance(target, str | os.PathLike) else target,
        role="target",
        format=settings["target_format"],
        bad_rows=settings["bad_rows"],
        repeated_ids=settings.get("repeated_ids", "stop"),
        positive_examples=settings["positive_examples"],
        task_field=settings["task_field"],
        fields=settings.get("target_fields"),
        max_row_bytes=settings.get("max_row_bytes", MAX_ROW_BYTES),
    )


def _vectors(
    finished: FinishedResult,
    target: Reading,
    settings: Mapping[str, Any],
    cache: Path_ | None,
    memory: int,
    progress: bool,
) -> tuple[Vectors, Vectors]:
    """Unit vectors of the arranged rows in order, and of the target."""
    arrangement, spec = finished.arrangement, settings["embedder"]
    request = Request(
        embedder=spec,
        target_embedder=settings["target_embedder"],
        max_length=settings["max_length"],
        prefix=settings["prefix"] or "",
        precision=settings["precision"] or "float32",
        device=finished.manifest.settings["device"],
        memory=memory,
    )
    how: dict[str, Any] = {"n_pool": arrangement.n_pool, "text": settings["text"], "cache": cache}
    rows = arrangement.order.tolist()
    made = finished.manifest.embedding if settings["embedder"] == finished.manifest.settings["embedder"] else None
    sides = vectors_for(request, finished.arranged, target.rows, rows=rows, progress=progress, made=made, **how)
    if vectors_given(spec) and spec == finished.manifest.settings["embedder"]:
        _must_be_the_same(finished, target, given_vectors(spec, "pool", arrangement.n_pool, memory), sides.target)
    return sides.pool, sides.target


def _must_be_the_same(finished: FinishedResult, target: Reading, pool: NDArray[Any], unit_target: Vectors) -> None:
    """Refuse a file of vectors that was changed since the arrangement was made, where the manifest can tell."""
    known, counts = finished.manifest.embedding, finished.manifest.counts
    want = {}
    dropped = {"duplicate", "too-long", "sampled-away"} & set(counts.left_out_by_reason)
    if not dropped and "pool_vectors_sha256" in known:
        want["pool"] = (known["pool_vectors_sha256"], unit_rows(pool, "pool vectors"))
    was = [file.sha256 for file in finished.manifest.target]
    if was == [file.sha256 for file in target.inputs] and "target_vectors_sha256" in known:
        want["target"] = (known["target_vectors_sha256"], unit_target)
    for side, (sha256, vectors) in want.items():
        if hashlib.sha256(vectors.astype("<f4", copy=False).tobytes()).hexdigest() != sha256:
            raise StoreError(
                f"the {side} vectors must be those that {finished.folder} was made with, but their file was changed "
                "since. Hint: arrange again, or name other vectors with `embedder`."
            )


def _write(
    measured: Measured, folders: Sequence[FinishedResult], read: Reading, asked: Mapping[str, Any], out: Path
) -> None:
    manifest = {
        **circumstances(),
        "arrangements": [
            {
                "name": name,
                "path": str(finished.folder),
                "method": finished.manifest.method,
                "rows": len(finished.arrangement),
                "ids_sha256": finished.manifest.ids_sha256,
            }
            for name, finished in zip(measured.whole, folders, strict=True)
        ],
        "inputs": {"target": [dataclasses.asdict(file) for file in read.inputs]},
        "settings": {name: kept_spec(value) if vectors_given(value) else value for name, value in asked.items()},
        "notes": list(measured.notes),
    }
    embedder = str(asked["embedder"])
    vectors = f"given in {Path(embedder.partition(':')[2]).name}" if vectors_given(embedder) else embedder
    drawn = draw_curves(measured.whole, len(read.rows), vectors, "measures")
    with staged(out, (TABLE, *PICTURES)) as staging:
        write_parquet(staging / TABLE, measured.to_table())
        for name, picture in drawn.items():
            write_bytes(staging / name, picture)
        manifest["files"] = {file.name: file_sha256(file) for file in sorted(staging.iterdir())}
        write_json(staging / MANIFEST, manifest)
