"""Checkpoints count only while they are as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from righttime.errors import ModelError
from righttime.evaluation.checkpoints import find_checkpoints
from righttime.training.checkpoints import (
    clear_broken,
    keep_newest,
    mark_complete,
    require_whole,
    whole_checkpoints,
)
from righttime.training.folder import begin, end
from righttime.training.models import model_identity

DECIDING: dict[str, dict[str, str]] = {name: {} for name in ("plan", "settings", "model", "rows")}


def save(folder: Path, step: int) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "part").mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(bytes(range(256)) * 4)
    (checkpoint / "part" / "optimizer.pt").write_bytes(b"state" * 50)
    mark_complete(checkpoint, step)
    return checkpoint


def flip(file: Path, place: int, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1 << bit
    file.write_bytes(data)


def steps(folder: Path) -> list[int]:
    return [checkpoint.step for checkpoint in whole_checkpoints(folder)]


def test_flipped_bits_anywhere_make_it_not_whole(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 5)
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    rng = np.random.default_rng(0)
    for _ in range(200):
        file = files[rng.integers(len(files))]
        before = file.read_bytes()
        flip(file, int(rng.integers(len(before))), int(rng.integers(8)))
        if file.name != "complete.json":
            assert steps(tmp_path) == []
        elif steps(tmp_path) != []:  # white space, or a size or a hash that is not there to be compared any more
            assert steps(tmp_path) == [5], "never another step"
        file.write_bytes(before)
    assert steps(tmp_path) == [5]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(tmp_path: Path) -> None:
    end(begin(tmp_path, DECIDING))
    for step in (5, 10):
        save(tmp_path / "checkpoints", step)
    flip(tmp_path / "checkpoints" / "checkpoint-10" / "model.safetensors", 100)
    start = begin(tmp_path, DECIDING)
    end(start)
    assert (start.step, start.broken) == (5, ("checkpoint-10",))
    assert not (tmp_path / "checkpoints" / "checkpoint-10").exists()
    flip(tmp_path / "checkpoints" / "checkpoint-5" / "part" / "optimizer.pt", 3)
    start = begin(tmp_path, DECIDING)
    end(start)
    assert (start.step, start.checkpoint, start.broken) == (0, None, ("checkpoint-5",)), "a fresh start"


def test_a_mark_under_another_step_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 5).rename(tmp_path / "checkpoint-50")
    assert steps(tmp_path) == []


def test_marks_of_earlier_versions_count_by_size(tmp_path: Path) -> None:
    mark = save(tmp_path, 5) / "complete.json"
    written = json.loads(mark.read_text())
    del written["sha256"]
    mark.write_text(json.dumps(written))
    assert steps(tmp_path) == [5]
    require_whole(mark.parent)
    (mark.parent / "model.safetensors").write_bytes(b"short")
    assert steps(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", '{"step": 5}', '{"step": 5, "files": []}', '{"step": "5", "files": 1}'])
def test_a_mark_that_is_none_does_not_count(tmp_path: Path, text: str) -> None:
    (save(tmp_path, 5) / "complete.json").write_text(text)
    assert steps(tmp_path) == []
    assert clear_broken(tmp_path) == ["checkpoint-5"]


def test_old_ones_are_taken_away_without_reading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    with monkeypatch.context() as patch:
        patch.setattr("righttime.training.checkpoints.file_sha256", lambda path: pytest.fail("it is read"))
        keep_newest(tmp_path, 2)
    assert steps(tmp_path) == [2, 3]


def test_a_damaged_checkpoint_is_no_model(tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "checkpoints", 5)
    (checkpoint / "part" / "optimizer.pt").unlink()
    assert [one.step for one in find_checkpoints(str(checkpoint))] == [5], "weights alone may be kept"
    moved = checkpoint.rename(tmp_path / "mine")
    assert [one.step for one in find_checkpoints(str(moved))] == [0]
    moved.rename(checkpoint)
    flip(checkpoint / "model.safetensors", 7)
    for name in (checkpoint, tmp_path / "checkpoints", tmp_path):
        with pytest.raises(ModelError, match=r"model.safetensors must be as it was written"):
            find_checkpoints(str(name))
    with pytest.raises(ModelError, match=r"must be as it was written, but it is not what complete.json says"):
        model_identity(str(checkpoint))
    (checkpoint / "complete.json").write_text("half")
    with pytest.raises(ModelError, match="complete.json must be as it was written"):
        require_whole(checkpoint)
