"""The guard on a Ray cluster finds, and leaves out, what it finds on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_leaks import ASKED, LONG, OTHERWISE, PROSE, SHORT, Reader
from righttime.choices import Engine, Guard
from righttime.guard.guarded import guard_into
from righttime.pipeline import arrange_rows
from righttime.results import Request
from small_cluster import one_node

__all__ = ["one_node"]

pytestmark = [pytest.mark.slow, pytest.mark.linux]

OTHER = {
    "prompt": "Livia of Ostenbruck repairs 64 pendulums before the feast and sells 19 of them. How many are left?",
    "response": "She keeps 45 pendulums.",
}
TARGET = [OTHER, ASKED]
POOL = [*SHORT, {"prompt": f"Think first. {PROSE[:90]} {OTHER['prompt']}", "response": "Let me see."}]
ROWS = {
    True: [*POOL, {"prompt": OTHERWISE.partition(" Together")[0], "response": "They bear 72."}],
    False: [*POOL, LONG],
}
"""By whether vectors are given: with a model, one leak is past what it reads."""


@pytest.mark.parametrize("mode", ["report", "remove"])
@pytest.mark.parametrize("given", [True, False])
def test_an_arrangement_has_the_same_leaks(one_node: None, mode: Guard, given: bool, tmp_path: Path) -> None:
    pool, reader = ROWS[given], Reader()
    sides = [reader.embed([f"{row['prompt']} {row['response']}" for row in rows]) for rows in (pool, TARGET)]
    np.savez(tmp_path / "v.npz", pool=sides[0], target=sides[1])
    how: dict[str, Any] = {"guard": mode, "embedder": f"vectors:{tmp_path / 'v.npz'}" if given else reader}
    how |= {} if given else {"guard_chunks": True}
    engines: tuple[Engine, Engine] = ("cpu", "ray")
    here, there = (
        arrange_rows(pool, TARGET, Request(engine=engine, **how), cache=tmp_path / engine) for engine in engines
    )
    assert here.guard is not None
    assert here.guard == there.guard
    assert [leak.test for leak in here.guard.found] == ["contained", "meaning"]
    assert here.left_out == there.left_out
    assert len(here.left_out) == (len(here.guard.pool_rows) if mode == "remove" else 0)
    assert here.arrangement.order.tolist() == there.arrangement.order.tolist()


def test_the_command_writes_the_same(one_node: None, tmp_path: Path) -> None:
    engines: tuple[Engine, Engine] = ("cpu", "ray")
    for engine in engines:
        request = Request(engine=engine, embedder=Reader(), guard_chunks=True)
        guard_into(tmp_path / engine, ROWS[False], TARGET, request, meaning=True, cache=tmp_path / "cache" / engine)
    here, there = (pq.read_table(tmp_path / engine / "leaks.parquet") for engine in engines)
    assert here.num_rows == 2
    assert here.equals(there)
