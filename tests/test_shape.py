"""Shapes from the command to the disk and back."""

from __future__ import annotations

import json
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
    """A pool of answers of different lengths, and a target."""
    folder = tmp_path_factory.mktemp("data")
    for name, count in (("pool", 40), ("target", 5)):
        rows = [
            {"id": f"{name}-{row}", "prompt": f"{name} asks {row}", "response": "yes" * (1 + row * 7 % 11)}
            for row in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rng = np.random.default_rng(0)
    np.savez(folder / "both.npz", pool=rng.normal(size=(40, 8)), target=rng.normal(size=(5, 8)))
    return folder


def made(data: Path, method: str, shape: str, *more: str) -> Path:
    out = data / f"{method}-{shape}{'-'.join(more)}".replace("/", "_")
    if not out.exists():
        asked = ["--method", method, "--budget", "20", "--shape", shape, "--embedder", f"vectors:{data}/both.npz"]
        assert main(words(data, out, *asked, *more)) == 0
    return out


def table(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "arrangement.parquet").to_pylist()
    return rows


@pytest.mark.parametrize("method", ["tma", "tma-farthest", "rds", "nearest"])
@pytest.mark.parametrize("more", [(), ("--weave", "0.25", "--seed", "5")])
@pytest.mark.parametrize("shape", ["zigzag:layers=3", "segments:window=4"])
def test_it_is_verified(method: str, more: tuple[str, ...], shape: str, data: Path, tmp_path: Path) -> None:
    out = made(data, method, shape, *more)
    assert [one for one in check(out) if one.ok is not True] == []
    found = check(nearly(data, out, "both.npz", tmp_path))
    assert {one.what for one in found if one.ok is not True} == {"the vectors are the same to the bit"}
    told = {"tma": "round", "tma-farthest": "round", "rds": "turn", "nearest": "order by distance"}[method]
    assert any(one.what.endswith(f"{told} holds within 1e-05") for one in found), "replayed in the method's own order"


def test_a_curriculum_by_length(data: Path, tmp_path: Path) -> None:
    out = made(data, "tma", "sorted:by=length")
    lengths = [
        sum(len(turn["content"]) for turn in json.loads(line)["messages"])
        for line in (out / "train.jsonl").read_text().splitlines()
    ]
    assert lengths == sorted(lengths)
    plain = made(data, "tma", "sorted")
    assert sorted(row["row"] for row in table(out)) == sorted(row["row"] for row in table(plain))
    assert [one for one in check(out) if one.ok is not True] == []
    assert json.loads((out / "manifest.json").read_text())["falloff"]["barrel_round"] is None
    found = check(nearly(data, out, "both.npz", tmp_path))
    assert {one.what for one in found if one.ok is not True} == {"the vectors are the same to the bit"}


@pytest.mark.parametrize("shape", ["zigzag:layers=3", "sorted:by=length"])
def test_a_forgery_is_noticed(shape: str, data: Path, tmp_path: Path) -> None:
    out = made(data, "tma", shape)
    assert False in {one.ok for one in check(forged(out, tmp_path / "forged", exchange()))}
    said = json.loads((out / "manifest.json").read_text())
    said["settings"]["shape"] = None
    plain = forged(out, tmp_path / "plain", lambda rows: None)
    (plain / "manifest.json").write_text(json.dumps({**said, "ids_sha256": said["ids_sha256"]}))
    assert False in {one.ok for one in check(plain)}


def test_a_seed_is_idle_where_a_shape_draws_nothing(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(data, "tma", "folded:layers=2", "--seed", "3")
    assert "--seed 3 changes nothing" in capsys.readouterr().out
    made(data, "tma", "folded:layers=2,window=4", "--seed", "3")
    assert "changes nothing" not in capsys.readouterr().out


def test_help_names_the_shapes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from righttime.arrangement import SHAPES

    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    main(["arrange", "--help"])
    shown = capsys.readouterr().out
    assert not [name for name in SHAPES if name not in shown]
