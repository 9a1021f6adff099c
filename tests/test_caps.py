"""Caps from the command to the disk and back: reasons, verification, forgeries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_results import exchange, forged, nearly, words
from righttime.cli import main
from righttime.verification.result import check


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool in two files with four tasks, and a target."""
    folder = tmp_path_factory.mktemp("data")
    for name, start, stop in (("pool", 0, 30), ("more", 30, 40), ("target", 40, 44)):
        rows = [
            {
                "id": f"{name}-{row}",
                "task": f"task-{row % 4}",
                "prompt": f"{name} asks {row}",
                "response": "yes",
            }
            for row in range(start, stop)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rng = np.random.default_rng(0)
    np.savez(folder / "both.npz", pool=rng.normal(size=(40, 8)), target=rng.normal(size=(4, 8)))
    return folder


def made(data: Path, method: str, *more: str) -> Path:
    out = data / f"{method}{'-'.join(more).replace('/', '_')}"
    if not out.exists():
        both = [f"{data}/more.jsonl", "--method", method, "--budget", "16", "--cap-task", "30%", "--cap-source", "12"]
        assert main([*words(data, out, *both), "--embedder", f"vectors:{data}/both.npz", *more]) == 0
    return out


METHODS = ["tma", "tma-farthest", "rds", "nearest", "mixture"]


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_were_passed_over_have_their_reason(method: str, data: Path) -> None:
    out = made(data, method)
    rows = pq.read_table(out / "arrangement.parquet").to_pylist()
    tasks, sources = Counter(row["task"] for row in rows), Counter(row["source"] for row in rows)
    assert len(rows) == 16
    assert max(tasks.values()) <= 4  # of 30% of 16, whole rows
    assert max(sources.values()) <= 12
    left = pq.read_table(out / "left_out.parquet").to_pylist()
    assert len(left) == 24
    for row in left:
        number = row["row"]
        task, source = f"task-{number % 4}", "pool" if number < 30 else "more"
        if tasks[task] == 4:
            assert row["reason"] == "task-full"
            assert row["detail"] == f"its task {task} has the 4 rows that `cap_task` allows"
        elif sources[source] == 12:
            assert row["reason"] == "source-full"
            assert row["detail"] == f"its source {source} has the 12 rows that `cap_source` allows"
        else:
            assert row["reason"] == "not-chosen"
    said = json.loads((out / "manifest.json").read_text())
    assert said["settings"]["caps"] == {"task": 4, "source": 12}
    assert (said["settings"]["cap_task"], said["settings"]["cap_source"]) == ("30%", "12")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("more", [(), ("--weave", "0.25"), ("--min-similarity", "0.0")])
def test_it_is_verified(method: str, more: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    out = made(data, method, *more)
    found = check(out)
    assert [one for one in found if one.ok is not True] == []
    assert {"no task has more than 4 rows", "no source has more than 12 rows"} <= {one.what for one in found}
    near = check(nearly(data, out, "both.npz", tmp_path))
    assert {one.what for one in near if one.ok is not True} == {"the vectors are the same to the bit"}


def another_task(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["task"] = "task-0"


@pytest.mark.parametrize("change", [exchange(), another_task])
def test_a_forgery_is_noticed(change: Callable[[list[dict[str, Any]]], None], data: Path, tmp_path: Path) -> None:
    for method in METHODS:
        out = forged(made(data, method), tmp_path / method, change)
        assert False in {one.ok for one in check(out)}
    assert (change is another_task) == (False in {one.ok for one in check(out, files_only=True)})


def test_a_cap_that_leaves_too_few_rows_is_an_error(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--method", "random", "--budget", "30", "--cap-task", "5"]
    assert main(words(data, tmp_path / "out", *more)) == 1
    assert "budget must be at most the 20 rows that there are within --cap-task 5, got 30" in capsys.readouterr().err
    assert main(words(data, tmp_path / "out", "--method", "random", "--cap-task", "5%")) == 1
    assert "--cap-task as a share must be one of a --budget, but there is none" in capsys.readouterr().err
