"""A target that is widened on a Ray cluster: embedded and searched there, with the bytes of one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import righttime
from righttime.results import open_result
from small_cluster import one_node

__all__ = ["one_node"]

pytest.importorskip("ray")


@pytest.mark.slow
def test_a_widened_target_is_the_same_on_a_cluster(one_node: None, tmp_path: Path) -> None:
    from righttime.pipeline import arrange_into
    from righttime.results import Request

    for name, rows in (
        ("pool", righttime.builtin_rows("pool", rows_per_family=3)),
        ("side", righttime.builtin_rows("pool", rows_per_family=2, seed=5)),
        ("target", righttime.builtin_rows("target", rows_per_family=1, seed=1)[:3]),
    ):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sides = str(tmp_path / "pool.jsonl"), str(tmp_path / "target.jsonl")
    engines: tuple[Any, Any] = ("cpu", "ray")
    for engine in engines:
        request = Request(widen=f"{tmp_path}/side.jsonl:3", budget=30, engine=engine)
        arrange_into(tmp_path / engine, *sides, request, cache=tmp_path / "cache" / engine)
    here, there = (open_result(tmp_path / engine) for engine in engines)
    assert here.manifest.widening is not None
    assert len({row.round for row in here.manifest.widening.rows}) == 3
    assert here.manifest.widening == there.manifest.widening
    for file in ("train.jsonl", "arrangement.parquet"):
        assert (here.folder / file).read_bytes() == (there.folder / file).read_bytes()
