"""Shapes from the command to the disk and back."""

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
from righttime.embedding.losses import LossScorer, losses_of
from righttime.formats import read_rows
from righttime.rows import ExampleRows
from righttime.verification.result import check
from tiny_model import save_tiny_model


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

    def longer(rows: list[dict[str, Any]]) -> None:
        rows[-1]["score"] += 1

    found = check(forged(nearly(data, out, "both.npz", tmp_path / "more"), tmp_path / "forged", longer))
    assert [one.ok for one in found if one.what == "every score is that of its row"] == [False]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("more", [(), ("--weave", "0.25", "--seed", "5")])
def test_a_curriculum_by_loss(
    data: Path, tiny: str, more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = made(data, "tma", f"sorted:by=loss:{tiny}", *more)
    rows = [row for row in table(out) if row.get("reason") != "woven"]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores)
    plain = [row for row in table(made(data, "tma", "sorted", *more)) if row.get("reason") != "woven"]
    assert sorted(row["row"] for row in rows) == sorted(row["row"] for row in plain)
    pool = {one.id: one for one in read_rows([data / "pool.jsonl"], role="pool").rows.examples()}
    want = losses_of(ExampleRows([pool[row["id"]] for row in rows]), LossScorer(tiny), tmp_path / "cache")[0]
    assert scores == pytest.approx(want, rel=1e-5)
    assert {row["score"] for row in table(out) if row.get("reason") == "woven"} <= {None}
    said = json.loads((out / "manifest.json").read_text())["settings"]["shape_loss"]
    assert (said["model"], said["form"], said["truncated"]) == (f"loss:{tiny}", "chat", 0)
    assert [one for one in check(out) if one.ok is not True] == []
    capsys.readouterr()
    assert main(["show", str(out), "--first", "3"]) == 0
    assert f"loss {rows[0]['score'] or rows[1]['score']:.3f}" in capsys.readouterr().out
    assert main(["show", str(out), "--row", rows[1]["id"]]) == 0
    assert f"loss {scores[1]:.3f}" in capsys.readouterr().out


def test_losses_computed_anew_may_differ_in_their_last_bits(data: Path, tiny: str, tmp_path: Path) -> None:
    out = made(data, "tma", f"sorted:by=loss:{tiny}")

    def change(by: float) -> Callable[[list[dict[str, Any]]], None]:
        def changed(rows: list[dict[str, Any]]) -> None:
            for row in rows:
                row["score"] += by

        return changed

    found = check(forged(out, tmp_path / "near", change(1e-6)))
    assert {one.what for one in found if one.ok is None} == {"the scores are the same to the bit"}
    assert not [one for one in found if one.ok is False]
    assert any(one.what == "every score is that of its row within 0.0001" and one.ok for one in found)
    far = check(forged(out, tmp_path / "far", change(0.01)))
    assert [one.ok for one in far if one.what == "every score is that of its row within 0.0001"] == [False]
    swapped = {one.what: one.ok for one in check(forged(out, tmp_path / "swapped", exchange()))}
    assert swapped["rows stand in their shape by loss"] is False
    both = check(nearly(data, out, "both.npz", tmp_path))
    assert "the vectors are the same to the bit" in {one.what for one in both if one.ok is None}
    assert not [one for one in both if one.ok is False]


def test_a_model_that_is_not_there_is_told_first(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--shape", "sorted:by=loss:nobody/nothing", "--embedder", f"vectors:{data}/none.npz"]
    assert main(words(data, data / "none", *asked)) != 0
    assert "nobody/nothing" in capsys.readouterr().err


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
