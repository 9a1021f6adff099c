"""What the fault suites found, each by itself."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from faulty_commands import save_word_model
from made_runs import made_evaluation
from righttime.cli import main
from righttime.embedding.cache import _checksum
from righttime.errors import StoreError
from righttime.evaluation import read_evaluation
from righttime.evaluation.folder import EvaluationFolder
from righttime.experiment.prepare import read_draw
from righttime.training.checkpoints import clear_broken, saving


def test_half_a_built_in_data_set_is_finished_by_the_same_command(tmp_path: Path) -> None:
    words = ["builtin", "--rows", "1", "--out", str(tmp_path / "b")]
    assert main(words) == 0
    wanted = (tmp_path / "b" / "target.jsonl").read_bytes()
    (tmp_path / "b" / "target.jsonl").unlink()
    (tmp_path / "b" / ".killed.partial").mkdir()
    assert main(words) == 0
    assert (tmp_path / "b" / "target.jsonl").read_bytes() == wanted
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["pool.jsonl", "target.jsonl"]


def test_a_damaged_part_of_an_evaluation_is_refused(tmp_path: Path) -> None:
    folder = made_evaluation(tmp_path / "e", {("target", "loss"): np.ones((5, 2))}, finished=False)
    table = pq.read_table(next((folder / "parts").iterdir()))
    next((folder / "parts").iterdir()).unlink()
    EvaluationFolder(folder, "e")._put(0, "target", 0, table)
    assert read_evaluation(folder).num_rows == 10
    (part,) = (folder / "parts").iterdir()
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 1
    part.write_bytes(data)
    with pytest.raises(StoreError, match=r"must be as it was written, but it is not what its name says"):
        read_evaluation(folder)


def test_an_evaluation_that_was_cut_is_named(tmp_path: Path) -> None:
    folder = made_evaluation(tmp_path / "eval", {("target", "loss"): np.zeros((5, 2))})
    whole = (folder / "evaluation.parquet").read_bytes()
    (folder / "evaluation.parquet").write_bytes(whole[:-9])
    with pytest.raises(StoreError, match=r"evaluation\.parquet must be as it was written"):
        read_evaluation(folder)


def test_a_draw_that_was_changed_is_named(tmp_path: Path) -> None:
    (tmp_path / "draw.json").write_bytes(b'{"guard": "\xb5')
    with pytest.raises(StoreError, match=r"draw\.json must be as `righttime experiment` wrote it"):
        read_draw(tmp_path)


TUNE = ("--batch-size", "4", "--save-every", "2")


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit on what every file may hold: to whoever writes it, the same as a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.linux
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt"])
def test_weights_that_the_disk_has_no_room_for_are_one_sentence(
    file: str, tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", str(arranged), "--model", tiny, *TUNE, "--out", str(tmp_path / "run")]
    room = (Path(tiny) / "model.safetensors").stat().st_size  # the optimizer's state takes twice as much
    with files_of_at_most(room // 2 if file == "model.safetensors" else room + room // 2):
        assert main(words) == 1
    said = capsys.readouterr().err
    assert "must be writable, got" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert (tmp_path / "run" / "checkpoints" / "checkpoint-2" / "model.safetensors").exists() == (
        file == "optimizer.pt"
    )
    assert main(words) == 0, "with room again it goes on"


def test_other_errors_of_torch_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shape"), saving(tmp_path):
        raise RuntimeError("shape '[2]' is invalid")


@pytest.mark.linux
@pytest.mark.parametrize("there", [True, False], ids=["somewhere", "nowhere"])
def test_a_link_in_place_of_a_run_s_folder_is_named(
    there: bool, tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    words = ["tune", str(arranged), "--model", tiny, *TUNE, "--out", str(run)]
    assert main(words) == 0
    (run / "manifest.json").unlink()
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").symlink_to(elsewhere)
    if there:
        elsewhere.mkdir()
        (elsewhere / "kept").touch()
    capsys.readouterr()
    assert main(words) == 1
    assert "checkpoints must be a folder of the run's own, but it is a link to" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert not (run / "checkpoints").is_symlink()
    assert not there or [path.name for path in elsewhere.iterdir()] == ["kept"]


@pytest.mark.linux
def test_a_checkpoint_that_is_a_link_is_taken_away_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-2").symlink_to(tmp_path / "elsewhere")
    assert clear_broken(tmp_path / "checkpoints") == ["checkpoint-2"]
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert (tmp_path / "elsewhere" / "kept").exists()


def data(folder: Path) -> list[str]:
    """The words that arrange twelve rows."""
    rows = [{"prompt": f"add {number}", "response": f"the answer is {number}"} for number in range(12)]
    for name, some in (("pool", rows), ("target", rows[:4])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl")]


@pytest.mark.parametrize("lost", [4, 3, 64], ids=["a number less", "part of a number", "empty"])
def test_cached_vectors_of_another_size_are_made_again(tmp_path: Path, lost: int) -> None:
    save_word_model(tmp_path / "words")
    words = [*data(tmp_path), "--embedder", str(tmp_path / "words"), "--cache", str(tmp_path / "cache")]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    (file,) = (tmp_path / "cache").glob("*.sqlite")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as held:
        key, length, blob = held.execute("SELECT key, length, vector FROM vectors").fetchone()
        short = blob[:-lost]
        changed = (short, _checksum(key, length, short), key)
        held.execute("UPDATE vectors SET vector = ?, checksum = ? WHERE key = ?", changed)
    assert main([*words, "--out", str(tmp_path / "second")]) == 0
    made = [(tmp_path / name / "arrangement.parquet").read_bytes() for name in ("first", "second")]
    assert made[0] == made[1]
    assert json.loads((tmp_path / "second" / "manifest.json").read_text())["embedding"]["cache_damaged"] == 1


def test_given_vectors_need_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()  # nothing can be made inside
    monkeypatch.delenv("RIGHTTIME_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "home"))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "both.npz", pool=rng.normal(size=(12, 4)), target=rng.normal(size=(4, 4)))
    assert main([*data(tmp_path), "--embedder", f"vectors:{tmp_path}/both.npz", "--out", str(tmp_path / "out")]) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0


def test_a_home_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    save_word_model(tmp_path / "words")
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "file" / "home"))
    words = [*data(tmp_path), "--embedder", str(tmp_path / "words"), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.count("righttime: error: ") == 1
    assert f"{os.sep}file{os.sep}home" in said
    assert "Hint: " in said


BROKEN_FOOTER = (
    "eNptks9LQkEQx2dftlhImLTLLryDlx5BamoqFUKMphWp9aTQvL1EtCCzZyV0jk4d+3v6W/orOjfv+RNqDrPDd2c+M8vsBdZTIiDCYqMiDAER"
    "gKAZAID0dvpQgIgIGROcrrngZg62Ap6ufL++TmkrUYM8Z4wDUVbF2pSyHGZ0kfkHwTKKZabFljMv1/ksKD5s9zr3jgiACG1GVPDxuTN8un3o"
    "b0LFpFQSDcWd/nDUcSeS5NrUMQtMEdJZ4GE9LxKG5PKNyQ9m7VnBv/PrGA0NwgByYTryUmmuLeCEXQROGvo4V75aX8z6ZItv+QviM5D8YZJb"
    "QflugDZVCOv188bB+JXqm+14lkPPbBzbGeIIC10sI3ax2PW1QgGx6gVFxFNfmJ84DseR72t3BN2joFQu+aIPKeHMrj2xd9Ov7baaVFu99PJt"
    "LNge/xixjUcT2KzIvrKnneaj+vMgnpRTrWYt6TT2nyfJs1JQ0YHj0kKe4u3BIO647sMo+tJxh7SeaDqXSCZSOkZr9Da5RH/pgv7jLzC5ejY="
)
"""A Parquet file of two columns; asked for the size of one of them, Arrow 26 ends the process."""


@pytest.mark.parametrize(
    "words",
    [["split", "x.parquet", "--count", "1", "--out", "s"], ["arrange", "a.jsonl", "--target", "a.jsonl", "--out", "s"]],
    ids=["rows", "vectors"],
)
def test_a_damaged_footer_does_not_end_the_process(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(zlib.decompress(base64.b64decode(BROKEN_FOOTER)))
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "response": "b"}\n' * 3)
    if words[0] == "arrange":
        words = [*words, "--embedder", "vectors:x.parquet#answer", "--target-embedder", "vectors:x.parquet#question"]
    done = subprocess.run(
        [sys.executable, "-m", "righttime.cli", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
