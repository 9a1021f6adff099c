"""An evaluation on disk: a part for each step and set as soon as it is there, one Parquet file at the end.

EVAL/settings.json       what decides the numbers; written before the first part
EVAL/parts/              step-00000010.target.0.6f1ed002ab559585.parquet: step, set, process, start of its sha256
EVAL/evaluation.parquet  all parts in one file
EVAL/loss.png            the loss by step, of several checkpoints, where matplotlib is installed
EVAL/manifest.json       written last; then the parts go

A part appears whole or not at all, and one that is made again takes the place of the first, so a kill at any moment
loses nothing but the part that was being made. A part that a disk or a stray write changed is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime import strict_json
from righttime.errors import SettingsError, StoreError
from righttime.evaluation.manifest import SETTINGS, read_evaluation_manifest, read_settings
from righttime.evaluation.registry import Value
from righttime.evaluation.sets import EvaluationSet
from righttime.locks import let_go
from righttime.store import (
    MANIFEST,
    as_written,
    clear_partial,
    file_sha256,
    make_folder,
    prepare_folder,
    take,
    take_away,
    write_bytes,
    write_json,
    write_parquet,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["VALUES", "EvaluationFolder", "read_evaluation", "schema"]

VALUES, _PARTS, _PICTURE = "evaluation.parquet", "parts", "loss.png"
_FIRST = "first.json"  # among the parts, since it is known at step 0 and told at the end
_NAME = re.compile(r"step-(\d+)\.([\w-]+)\.(\d+)(?:\.([0-9a-f]{16}))?\.parquet")  # once without sha256
_DIGITS = 16


def schema(answers: bool = False) -> pa.Schema:
    """The columns of ``evaluation.parquet``; the answer stands where answers are kept."""
    import pyarrow as pa

    texts, numbers = ("id", "task", "category", "metric"), (("value", pa.float64()), ("tokens", pa.int32()))
    head = [("run", pa.string()), ("step", pa.int64()), ("set", pa.string()), ("row", pa.int32())]
    last = [("answer", pa.string())] if answers else []
    return pa.schema([*head, *((name, pa.string()) for name in texts), *numbers, *last])


class EvaluationFolder:
    """Where the values of one run land."""

    def __init__(self, folder: Path, run: str, answers: bool = False) -> None:
        """Name the folder; nothing is touched yet.

        Args:
            folder: The folder.
            run: What the run is called in the results.
            answers: Whether answers are kept.
        """
        self.folder, self.run, self.answers = folder, run, answers

    def begin(self, deciding: Mapping[str, Any], overwrite: bool = False, reopen: bool = False) -> None:
        """Begin, or go on where an evaluation with the same settings was stopped.

        Args:
            deciding: What decides the numbers, as JSON.
            overwrite: Take away what is there.
            reopen: Go on with a finished evaluation too, as a run does that was killed right after its last step.

        Raises:
            StoreError: If the folder holds a finished evaluation, or somebody else's files, or cannot be written.
            SettingsError: If it was begun with other settings.
        """
        take(self.folder)
        self._clear_remains()
        prepare_folder(self.folder, (VALUES, SETTINGS, _PARTS, _PICTURE), overwrite or reopen)
        make_folder(self.folder)
        settings = self.folder / SETTINGS
        if overwrite:
            for name in (MANIFEST, VALUES, SETTINGS, _PICTURE):
                (self.folder / name).unlink(missing_ok=True)
            shutil.rmtree(self.folder / _PARTS, ignore_errors=True)
        now = json.loads(json.dumps({"run": self.run, **deciding}))
        if settings.exists():
            # Where answers end was not always recorded; the sets' counts of learnt tokens tell the two ways apart.
            then = {"answer_end": now.get("answer_end"), **read_settings(self.folder)}
            differing = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
            if differing:
                raise SettingsError(
                    f"an evaluation must go on with what it began with, but {', '.join(differing)} differ from "
                    f"{settings}. Hint: choose another folder, or `overwrite=True`."
                )
        make_folder(self.folder / _PARTS)
        for path, *_ in _parts(self.folder):
            _read(path)  # before hours of work, not after them
        if not settings.exists():
            write_json(settings, now)
        if (self.folder / MANIFEST).exists():
            self._take_apart()

    def _clear_remains(self) -> None:
        """Take away what a killed process was writing, and parts that a finished evaluation does not need any more."""
        for folder in (self.folder, self.folder / _PARTS):
            if folder.is_dir():
                clear_partial(folder)
        if (self.folder / MANIFEST).exists() and (self.folder / VALUES).exists():
            shutil.rmtree(self.folder / _PARTS, ignore_errors=True)

    @property
    def first_from(self) -> str | None:
        """The evaluation that the values at step 0 were taken from, by its last two names; None if they are its own."""
        path = self.folder / _PARTS / _FIRST
        if not path.exists():
            return None
        with as_written(path, "righttime"):
            found: str | None = strict_json.loads(path.read_bytes())["first_from"]
        return found

    def tell_first(self, name: str | None) -> None:
        """Note where the values at step 0 come from; see `first_from`.

        Raises:
            StoreError: If it cannot be written.
        """
        write_json(self.folder / _PARTS / _FIRST, {"first_from": name})

    def has(self, step: int, name: str, process: int = 0) -> bool:
        """Whether a part is there already."""
        return bool(self._those(step, name, process))

    def add(self, step: int, data: EvaluationSet, values: Sequence[Value], process: int = 0) -> None:
        """Write one part.

        Args:
            step: Optimizer steps that led to the model.
            data: The set.
            values: Its rows' values.
            process: The process that measured them.

        Raises:
            StoreError: If it cannot be written.
        """
        import pyarrow as pa

        rows = [
            {
                "run": self.run,
                "step": step,
                "set": data.name,
                "row": value.row,
                "id": data.rows.ids[value.row],
                "task": data.rows.tasks[value.row],
                "category": data.categories[value.row],
                "metric": value.metric,
                "value": value.value,
                "tokens": value.tokens,
                "answer": value.answer,
            }
            for value in values
        ]
        self._put(step, data.name, process, pa.Table.from_pylist(rows, schema(self.answers)))

    def forget_after(self, step: int) -> None:
        """Take away parts of later steps: training goes on from here, and will come by them again."""
        for path, of_step, _, _ in _parts(self.folder):
            if of_step > step:
                path.unlink()

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Put all parts into one file, write the manifest, take the parts away.

        Raises:
            StoreError: If a file cannot be written.
        """
        from righttime.results import circumstances

        write_parquet(self.folder / VALUES, read_evaluation(self.folder))
        manifest = {
            **circumstances(),
            **read_settings(self.folder),
            **facts,
            "files": {VALUES: file_sha256(self.folder / VALUES)},
        }
        write_json(self.folder / MANIFEST, manifest)
        take_away(self.folder / _PARTS)
        let_go(self.folder)

    def _take_apart(self) -> None:
        """Make parts of a finished evaluation again."""
        values = read_evaluation(self.folder)
        steps, sets = values["step"].to_pylist(), values["set"].to_pylist()
        for key in dict.fromkeys(zip(steps, sets, strict=True)):
            here = [one == key for one in zip(steps, sets, strict=True)]
            self._put(*key, 0, values.filter(here))
        self.tell_first(read_evaluation_manifest(self.folder).first_from)
        (self.folder / MANIFEST).unlink()

    def _put(self, step: int, name: str, process: int, table: pa.Table) -> None:
        """Write a part under a name that tells its content, in place of an earlier one."""
        import pyarrow.parquet as pq

        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue()
        earlier = self._those(step, name, process)
        digits = hashlib.sha256(data).hexdigest()[:_DIGITS]
        path = self.folder / _PARTS / f"step-{step:08}.{name}.{process}.{digits}.parquet"
        write_bytes(path, data)
        for other in earlier:
            if other != path:
                other.unlink()

    def _those(self, step: int, name: str, process: int) -> list[Path]:
        """The files of a part: one, or two after a kill between writing it anew and taking the first away."""
        return [path for path, *key in _parts(self.folder) if key == [step, name, process]]


def read_evaluation(folder: Path) -> pa.Table:
    """All values of an evaluation, finished or not, by step, set, metric and row.

    Raises:
        StoreError: If there is none, or a part is not as it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if (folder / MANIFEST).exists():
        try:
            return pq.read_table(folder / VALUES)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{folder / VALUES} must be as it was written, got: {error}. Hint: measure anew."
            ) from error
    # Of a part that was being made again when the process was killed there are two files; one is as good as the other.
    one_each = {(step, name, process): path for path, step, name, process in _parts(folder)}
    parts = [_read(path) for path in one_each.values()]
    if not parts:
        raise StoreError(f"{folder} must hold an evaluation, but there is not one value in it.")
    by = [(name, "ascending") for name in ("step", "set", "metric", "row")]
    return pa.concat_tables(parts).sort_by(by)


def _read(path: Path) -> pa.Table:
    """A part, if its bytes are those that its name tells of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = path.read_bytes()
        found = _NAME.fullmatch(path.name)
        if found and found[4] in (None, hashlib.sha256(data).hexdigest()[:_DIGITS]):
            return pq.read_table(io.BytesIO(data))
    except (OSError, ValueError, pa.ArrowException):
        pass
    raise StoreError(
        f"{path} must be as it was written, but it is not what its name says: it was damaged or changed. "
        "Hint: begin anew with `overwrite=True`; of an evaluation of checkpoints, deleting that file is enough."
    )


def _parts(folder: Path) -> Iterator[tuple[Path, int, str, int]]:
    """Every part with its step, set and process, by step."""
    for path in sorted((folder / _PARTS).glob("*.parquet")):
        if found := _NAME.fullmatch(path.name):
            yield path, int(found[1]), found[2], int(found[3])
