"""Files read by several processes give what reading one after the other gives, errors included."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from readings import all_of
from righttime.cli import main
from righttime.errors import DataError, RighttimeError
from righttime.formats import read_rows
from righttime.formats.files import FileAt, Source, file_source
from righttime.formats.records import Settings
from righttime.formats.side_by_side import read_sources
from righttime.stored import Store, StoredRows
from tiers import quick


def rows_of(file: int, n: int = 6) -> list[dict[str, Any]]:
    """Some with an id, some with a task, one that repeats itself, and one that every file has."""
    rows: list[dict[str, Any]] = [
        {"instruction": f"Add {number} and {file}.", "output": str(number + file)} for number in range(n)
    ]
    rows[0]["id"] = f"{file}-first"
    rows[1]["task"] = f"task{file % 2}"
    rows[2]["why"] = "no rule reads this"
    return [*rows, rows[3], {"instruction": "Say yes.", "output": "Yes.", "id": "yes"}]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of several kinds, and between them a folder of tasks, which is no file."""
    there = tmp_path / "pool"
    there.mkdir()
    (there / "a.jsonl").write_text(jsonl(rows_of(1)))
    (there / "b.jsonl.gz").write_bytes(gzip.compress(jsonl(rows_of(2)).encode()))
    tasks = there / "c" / "tasks"
    tasks.mkdir(parents=True)
    task = {"Definition": ["Answer."], "Positive Examples": [], "Instances": [{"input": "1", "output": ["2"]}]}
    (tasks / "task1_x.json").write_text(json.dumps(task))
    pq.write_table(pa.Table.from_pylist(rows_of(3)), there / "d.parquet")
    (there / "e.json").write_text(json.dumps(rows_of(4)))
    return there


@pytest.mark.parametrize("original", [True, False])
def test_what_is_read_is_the_same(folder: Path, original: bool) -> None:
    paths = [folder, folder / "a.jsonl"]
    how: dict[str, Any] = {"role": "pool", "keep_original": original}
    one, two = (read_rows(paths, workers=workers, **how) for workers in (1, 2))
    assert all_of(one) == all_of(two)
    assert [file.container for file in two.inputs] == [
        "jsonl",
        "jsonl",
        "task-folder",
        "parquet",
        "json-array",
        "jsonl",
    ]
    assert len(set(two.rows.ids)) == len(two.rows) == 41
    assert isinstance(two.rows, StoredRows)


def test_bad_rows_and_repeated_ids_are_accounted_for_alike(folder: Path) -> None:
    for name in ("a", "f"):
        (folder / f"{name}.jsonl").write_text(jsonl([*rows_of(5), {"instruction": "Silent."}, *rows_of(5)]) + "{\n")
    how: dict[str, Any] = {"role": "pool", "bad_rows": "skip", "repeated_ids": "number"}
    one, two = (read_rows([folder], workers=workers, **how) for workers in (1, 2))
    assert all_of(one) == all_of(two)
    assert len(two.left_out) == 4
    assert "repeat the id of an earlier row" in (two.inputs[0].note or "")


@pytest.mark.parametrize("wrong", ["bad row", "repeated id", "unknown keys", "nothing there"])
def test_the_first_error_by_the_order_of_the_files_is_raised(folder: Path, wrong: str) -> None:
    text = {
        "bad row": jsonl(rows_of(6, 3000)) + "{\n",  # takes longer to find than what is wrong with the next file
        "repeated id": jsonl([{**row, "id": "again"} for row in rows_of(6)]),
        "unknown keys": jsonl([{"x": 1}]),
        "nothing there": "\n",
    }[wrong]
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "d.parquet").write_bytes(b"PAR1 and no more")
    said = []
    for workers in (1, 2):
        with pytest.raises(RighttimeError) as error:
            read_rows([folder], role="pool", workers=workers)
        said.append((type(error.value), str(error.value), vars(error.value)))
    assert said[0] == said[1]
    assert "b.jsonl.gz" in said[0][1]


@dataclasses.dataclass(frozen=True, slots=True)
class Deadly(FileAt):
    """A file whose reading kills the process that does it, `times` times."""

    folder: Path = Path()
    times: int = 0

    def source(self) -> Source | None:
        before = len(list(self.folder.iterdir()))
        if before < self.times:
            (self.folder / str(before)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return file_source(self.path, self.file)


def deadly(path: Path, folder: Path, times: int) -> Source:
    source = file_source(str(path))
    assert source.at is not None
    known = {field.name: getattr(source.at, field.name) for field in dataclasses.fields(FileAt)}
    at = Deadly(**known, folder=folder, times=times)
    return dataclasses.replace(source, at=at)


SETTINGS = Settings("pool", None, False, 0, None, False)


@pytest.mark.linux
@pytest.mark.parametrize("times", quick([2, 3], 0))
def test_a_process_that_dies_is_replaced_twice(folder: Path, tmp_path: Path, times: int) -> None:
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    sources = [deadly(folder / "a.jsonl", deaths, times), file_source(str(folder / "d.parquet"))]
    settings, store, plain = dataclasses.replace(SETTINGS, workers=2), Store(), Store()
    if times == 3:
        with pytest.raises(DataError, match=r"a\.jsonl: process \d must live .* \(exit code -9\)\. Hint: if memory"):
            read_sources(sources, settings, store)
        return
    found = read_sources(sources, settings, store)
    assert found == read_sources(sources, SETTINGS, plain)
    assert store.contents.tolist() == plain.contents.tolist()
    assert len(list(deaths.iterdir())) == 2


def test_a_file_that_is_not_found_elsewhere_is_read_here(folder: Path) -> None:
    sources = [file_source(str(folder / name)) for name in ("a.jsonl", "d.parquet")]
    assert sources[0].at is not None
    elsewhere = dataclasses.replace(sources[0].at, size=1)
    store = Store()
    found = read_sources(
        [dataclasses.replace(sources[0], at=elsewhere), sources[1]], dataclasses.replace(SETTINGS, workers=2), store
    )
    assert [one.rows for one in found] == [8, 8]
    assert store.place(8) == (str(folder / "d.parquet"), 1)


def test_an_arrangement_of_shards_has_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "target.jsonl").write_text(jsonl(rows_of(9)))
    words = ["arrange", str(folder), "--target", str(tmp_path / "target.jsonl"), "--method", "random"]
    for workers in ("1", "2"):
        assert main([*words, "--workers", workers, "--out", str(tmp_path / workers)]) == 0
    for name in ("train.jsonl", "arrangement.parquet"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
