"""What no result could hold is found when it is read, not when hours of work are to be written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from righttime.cli import main
from righttime.formats import read_rows


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [{"id": f"row-{k}", "task": "a", "prompt": f"ask {k}", "response": f"{k}"} for k in range(4)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "target.jsonl").write_text(json.dumps({"id": "aim", "prompt": "want", "response": "1"}) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bad_row_whose_key_is_half_a_character_is_listed(data: Path) -> None:
    with (data / "pool.jsonl").open("a") as file:
        file.write('{"id": "bad", "\\ud800key": "\\ud800"}\n')
    words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--method", "random", "--bad-rows", "skip"]
    assert main([*words, "--out", "out"]) == 0
    (left,) = pq.read_table("out/left_out.parquet").to_pylist()
    assert (left["line"], left["reason"]) == (5, "bad-row")
    assert "\\ud800key" in left["detail"]


@pytest.mark.linux
@pytest.mark.parametrize("inside", [False, True])
def test_a_file_whose_name_is_no_text_is_refused(inside: bool, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "folder").mkdir()
    name = os.fsdecode(b"folder/pool-\xff.jsonl")
    (data / "pool.jsonl").rename(data / name)
    words = ["arrange", "folder" if inside else name, "--target", "target.jsonl", "--method", "random", "--out", "out"]
    assert main(words) == 1
    assert (
        "a file's name must be UTF-8 text, got b'folder/pool-\\xff.jsonl'. Hint: rename it." in capsys.readouterr().err
    )
    assert not (data / "out").exists()


@pytest.mark.parametrize("name", ["Instances", " instances"])
def test_a_key_in_another_spelling_loses_no_instance(tmp_path: Path, name: str) -> None:
    row = {"id": "a", "Instruction": "Suggest.", name: [{"input": "", "output": "Oats."}, {"output": "Rye."}]}
    (tmp_path / "seeds.jsonl").write_text(json.dumps(row) + "\n")
    read = read_rows([tmp_path / "seeds.jsonl"], role="pool")
    assert [(one.id, one.response) for one in read.examples] == [("a", "Oats."), ("a-1", "Rye.")]


@pytest.mark.parametrize("name", ["Paragraphs", "paragraphs "])
def test_a_key_in_another_spelling_loses_no_question(tmp_path: Path, name: str) -> None:
    asked = [{"id": str(n), "question": f"{n}+2?", "answers": [{"text": str(n + 2)}]} for n in range(2)]
    (tmp_path / "squad.jsonl").write_text(json.dumps({"title": "t", name: [{"context": "c", "qas": asked}]}) + "\n")
    read = read_rows([tmp_path / "squad.jsonl"], role="pool")
    assert [(one.id, one.response) for one in read.examples] == [("0", "2"), ("1", "3")]
