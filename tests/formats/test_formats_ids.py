"""Ids: given ones are kept, made ones are made from content, all are unique."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

import righttime
from righttime.cli import app, main
from righttime.errors import DuplicateIdError, EmptyDataError, SettingsError
from righttime.evaluation.sets import read_set
from righttime.examples import content_id
from righttime.formats import from_records, read_rows
from righttime.formats.ids import Named, settle


def row(text: str, name: str | None = None) -> dict[str, Any]:
    return {"question": text, "answer": "a", "id": name}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
def test_one_id_twice_in_a_file(tmp_path: Path, bad_rows: Literal["stop", "skip"]) -> None:
    file = write(tmp_path / "x.jsonl", [row("p", "1"), row("q", "2"), row("r", "1")])
    with pytest.raises(DuplicateIdError) as caught:
        read_rows([file], role="pool", bad_rows=bad_rows)
    message = str(caught.value)
    assert message.startswith(f"{file}:3: an id must stand once in a file, got '1' here and in {file}:1. ")
    assert "`repeated_ids='number'` keeps every row" in message


def test_one_id_twice_in_a_file_is_numbered(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [row("p", "1"), row("q", "2"), row("r", "1"), row("s"), row("t", "1")])
    reading = read_rows([file], role="pool", repeated_ids="number")
    assert [one.prompt for one in reading.examples] == ["p", "q", "r", "s", "t"]
    assert [one.id for one in reading.examples if one.prompt != "s"] == ["x:1", "2", "x:1-2", "x:1-3"]
    assert reading.inputs[0].note == "2 rows repeat the id of an earlier row; such ids are numbered"
    plain = read_rows([write(tmp_path / "y.jsonl", [row("p", "1"), row("q", "2")])], role="pool", repeated_ids="number")
    assert plain.inputs[0].note is None
    with pytest.raises(SettingsError, match="way with repeated ids 'skip'"):
        read_rows([file], role="pool", repeated_ids="skip")  # type: ignore[arg-type]


def test_the_hint_for_one_id_twice_works_as_it_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pool = write(Path("pool.jsonl"), [row("p", "1"), row("q", "2"), row("r", "1")])
    target = write(Path("target.jsonl"), [row("t", "1"), row("u", "1")])
    command = ["arrange", str(pool), "--target", str(target), "--out", "out", "--method", "random"]
    assert main(command) == 1
    flags = re.findall(r"Hint: (--\S+ \S+) ", capsys.readouterr().err)
    assert main([*command, *flags[0].split()]) == 0
    assert "; 1 rows repeat the id of an earlier row; such ids are numbered" in capsys.readouterr().out
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["settings"]["repeated_ids"] == "number"
    assert main(["verify", "out"]) == 0
    arranged = righttime.arrange(pool, target, method="random", repeated_ids="number")
    assert arranged.labels is not None
    assert sorted(arranged.labels.id) == ["2", "pool:1", "pool:1-2"]


def test_every_command_that_reads_a_pool_can_take_that_hint() -> None:
    group: Any = get_command(app)
    options = {name: {option.name for option in command.params} for name, command in group.commands.items()}
    readers = {name for name, names in options.items() if "pool" in names and "fields" in names}
    assert {"arrange", "guard", "pilot", "plan", "split"} <= readers
    assert not [name for name in readers if "repeated_ids" not in options[name]]


def test_a_set_to_evaluate_on_gets_another_hint(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [row("p", "1"), row("r", "1")])
    with pytest.raises(DuplicateIdError, match=r"in .*x.jsonl:1\. Hint: make the ids differ, or take them out"):
        read_set("x", file, None, "chat", 8)


def test_clashing_ids_are_put_behind_both_sources(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [row("p", "1"), row("q", "2")])
    second = write(tmp_path / "b.jsonl", [row("r", "1"), row("s", "3")])
    reading = read_rows([first, second], role="pool")
    assert [one.id for one in reading.examples] == ["a:1", "2", "b:1", "3"]
    assert [one.source for one in reading.examples] == ["a", "a", "b", "b"]


def test_one_file_given_twice(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [row("p", "1"), row("q")])
    reading = read_rows([file, file], role="pool")
    made = content_id(reading.examples[1].messages)
    assert [one.id for one in reading.examples] == ["x:1", made, "x-2:1", f"{made}-1"]
    assert [one.duplicates for one in reading.inputs] == [0, 2]


def test_made_ids_count_repeats_over_the_whole_reading(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [row("p"), row("p")])
    second = write(tmp_path / "b.jsonl", [row("q"), row("p")])
    ids = [one.id for one in read_rows([first, second], role="pool").examples]
    assert ids[1:2] + ids[3:] == [f"{ids[0]}-1", f"{ids[0]}-2"]
    assert len(ids[0]) == len(ids[2]) == 16


def test_a_made_id_that_someone_gave() -> None:
    made = from_records([row("p")], role="pool").examples[0].id
    reading = from_records([row("q", made), row("p")], role="pool", source="s")
    assert [one.id for one in reading.examples] == [f"s:{made}", f"s:{made}-2"]


def test_a_given_id_that_looks_as_if_put_behind_its_source() -> None:
    rows = [Named("a", "1", "p"), Named("b", "1", "q"), Named("b", "b:1", "r"), Named("b", "b:1-2", "s")]
    assert settle(rows) == ["a:1", "b:1", "b:1-3", "b:1-2"]


NAMES = st.none() | st.sampled_from(["1", "2", "a:1", "b:1", "1-2", "", content_id([]), "x"])
RECORDS = st.builds(row, st.sampled_from(["p", "q", "", " "]), NAMES)
FILES = st.lists(st.lists(RECORDS | st.just({"other": 1}), min_size=1, max_size=8), min_size=1, max_size=3)


@given(FILES)
def test_ids_are_unique_and_no_row_is_lost(files: list[list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, rows in zip("abc", files, strict=False):
            fresh = list({one.get("id") or f"none {place}": one for place, one in enumerate(rows)}.values())
            paths.append(write(Path(folder, f"{name}.jsonl"), [row("always"), *fresh]))
        reading = read_rows(paths, role="pool", bad_rows="skip")
        lines = sum(len(path.read_text().splitlines()) for path in paths)
    ids = [one.id for one in reading.examples]
    assert len(set(ids)) == len(ids)
    assert reading.total == lines == sum(file.rows + file.left_out for file in reading.inputs)
    places = [(one.file, one.line) for one in reading.examples] + [(one.file, one.line) for one in reading.left_out]
    assert len(set(places)) == lines


@given(st.lists(st.builds(Named, st.sampled_from("ab"), NAMES, st.sampled_from("xy")), max_size=12))
def test_settled_ids_are_unique_whatever_comes(rows: list[Named]) -> None:
    ids = settle(rows)
    assert len(set(ids)) == len(rows) == len(ids)
    given_once = [one.given for one in rows if one.given is not None]
    for one, name in zip(rows, ids, strict=True):
        if one.given is not None and given_once.count(one.given) == 1 and not one.given.startswith(("x", "y")):
            assert name == one.given or name.startswith(f"{one.given}-")


def test_empty_pool_of_bad_rows_is_an_error(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [row("", "1")])
    with pytest.raises(EmptyDataError, match="the pool must hold a usable row, got 1 bad ones"):
        read_rows([file], role="pool", bad_rows="skip")
