"""Rows of a round that stay apart, from the command to the disk and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_results import exchange, forged, nearly, words
from righttime.cli import main
from righttime.similarity import unit_rows
from righttime.verification.result import check
from twin import matrix


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of near-copies of ten rows, and a target."""
    folder = tmp_path_factory.mktemp("data")
    for name, count in (("pool", 40), ("target", 5)):
        rows = [{"id": f"{name}-{row}", "prompt": f"{name} asks {row}", "response": "yes"} for row in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(10, 8))[np.arange(40) % 10] + 0.05 * rng.normal(size=(40, 8))
    np.savez(folder / "both.npz", pool=pool, target=rng.normal(size=(5, 8)))
    return folder


@pytest.fixture(scope="module", params=["", "0.25"])
def out(data: Path, request: pytest.FixtureRequest) -> Path:
    """Twenty rows, plain and woven."""
    folder = data / f"out{request.param}"
    weave = ["--weave", request.param] if request.param else []
    more = ["--apart", "0.1", "--budget", "20", *weave, "--embedder", f"vectors:{data}/both.npz"]
    assert main(words(data, folder, *more)) == 0
    return folder


def test_no_near_copies_stand_in_one_round(data: Path, out: Path) -> None:
    rows = [row for row in pq.read_table(out / "arrangement.parquet").to_pylist() if row["round"] is not None]
    with np.load(data / "both.npz") as both:
        pool = unit_rows(both["pool"])
    for one in rows:
        for other in rows:
            if one["round"] == other["round"] and one["row"] < other["row"]:
                assert matrix(pool[[one["row"]]], pool[[other["row"]]])[0, 0] <= np.float32(0.9)
    assert json.loads((out / "manifest.json").read_text())["settings"]["apart"] == 0.1


def test_it_is_verified(data: Path, out: Path, tmp_path: Path) -> None:
    assert [one for one in check(out) if one.ok is not True] == []
    found = check(nearly(data, out, "both.npz", tmp_path))
    assert {one.what for one in found if one.ok is not True} == {"the vectors are the same to the bit"}
    assert "the order comes out again" in {one.what for one in found}


def one_round(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["round"] = None if row["round"] is None else 0


@pytest.mark.parametrize("change", [exchange(), one_round])
def test_a_forgery_is_noticed(
    change: Callable[[list[dict[str, Any]]], None], data: Path, out: Path, tmp_path: Path
) -> None:
    forgery = forged(out, tmp_path / "forged", change)
    assert False in {one.ok for one in check(forgery)}
    near = check(nearly(data, forgery, "both.npz", tmp_path))
    failed = {one.what for one in near if one.ok is False}
    assert failed
    if change is one_round:
        assert "no two rows of a round are nearer than 0.1 within 1e-05" in failed
