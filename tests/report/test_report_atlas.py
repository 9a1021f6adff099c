"""`righttime export --to embedding-atlas`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from righttime.cli import main
from righttime.similarity import unit_rows


def test_every_row_is_there_with_its_place_and_exact_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for side, n in (("pool", 30), ("target", 4)):
        rows = [{"id": f"{side}-{k}", "prompt": f"ask {k}", "response": f"say {k}"} for k in range(n)]
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.savez(tmp_path / "v.npz", pool=rng.normal(size=(30, 5)), target=rng.normal(size=(4, 5)))
    monkeypatch.chdir(tmp_path)
    words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--embedder", "vectors:v.npz", "--budget", "12"]
    assert main([*words, "--out", "out"]) == 0
    assert main(["export", "out", "--to", "embedding-atlas", "--out", "atlas"]) == 0
    assert "embedding-atlas atlas.parquet --text text --x x --y y --neighbors neighbors" in capsys.readouterr().out
    table = pq.read_table("atlas/atlas.parquet").to_pylist()
    assert [row["id"] for row in table] == [*(f"pool-{k}" for k in range(30)), *(f"target-{k}" for k in range(4))]
    arranged = {row["id"]: row for row in pq.read_table("out/arrangement.parquet").to_pylist()}
    for row in table:
        place = arranged.get(row["id"])
        assert (row["position"], row["round"], row["picked_by"]) == (
            (place["position"], place["round"], place["picked_by"]) if place else (None, None, None)
        )
        assert (row["left_out"] is not None) == (row["side"] == "pool" and place is None)
        assert 0 <= row["x"] <= 1
    with np.load("v.npz") as arrays:
        both = np.concatenate([unit_rows(arrays[side]) for side in ("pool", "target")]).astype(np.float64)
    far = 1 - both @ both.T
    np.fill_diagonal(far, np.inf)
    for number, row in enumerate(table):
        assert row["neighbors"]["ids"] == np.argsort(far[number])[:10].tolist()
        assert row["neighbors"]["distances"] == pytest.approx(np.sort(far[number])[:10].tolist(), abs=1e-6)
    (tmp_path / "v.npz").unlink()
    assert main(["export", "out", "--to", "embedding-atlas", "--out", "other"]) == 1
    assert "needs texts and vectors of both sides" in capsys.readouterr().err
    assert not (tmp_path / "other").exists() or not list((tmp_path / "other").iterdir())
