"""The command that a page prints arranges the same again, whatever was asked for."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from righttime.cli import main
from righttime.report.commands import arrange_again
from righttime.results import open_result


@pytest.mark.parametrize(
    "more",
    [
        ["--weave", "20%", "--seed", "3", "--shape", "folded:layers=3,window=4"],
        ["--anneal", "1:0.5:other.jsonl", "--cap-task", "30%", "--cap-source", "9"],
        ["--apart", "0.2", "--target-weight", "dev=3", "--target-weight", "task-1=1/2"],
    ],
)
def test_the_command_makes_the_same(more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, count in (("pool", 30), ("other", 12), ("dev", 3), ("test", 3)):
        rows = [{"task": f"task-{k % 4}", "prompt": f"{name} {k}", "response": "yes"} for k in range(count)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    n = 42 if "--anneal" in more else 30
    rng = np.random.default_rng(0)
    np.savez("both.npz", pool=rng.normal(size=(n, 6)), target=rng.normal(size=(6, 6)))
    words = ["arrange", "pool.jsonl", "--target", "dev.jsonl", "--target", "test.jsonl", "--budget", "12", *more]
    assert main([*words, "--embedder", "vectors:both.npz", "--out", "out"]) == 0
    where, command = arrange_again(open_result("out")).split("\n")
    assert where == f"cd {tmp_path}"
    given = shlex.split(command)
    assert given[:2] == ["righttime", "arrange"]
    assert main([*given[1:], "--overwrite"]) == 0
    first = {name: Path("out", name).read_bytes() for name in ("train.jsonl", "arrangement.parquet")}
    assert main([*words, "--embedder", "vectors:both.npz", "--out", "again"]) == 0
    assert {name: Path("again", name).read_bytes() for name in first} == first
