"""What the fault suites found, each by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_runs import made_evaluation
from righttime.cli import main
from righttime.errors import StoreError
from righttime.evaluation import read_evaluation
from righttime.evaluation.folder import EvaluationFolder
from righttime.experiment.prepare import read_draw


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
