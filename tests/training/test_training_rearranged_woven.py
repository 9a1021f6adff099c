"""Rearranging an arrangement with woven rows: they keep their places, all others come anew between them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forging import parsed, put
from rearranged_runs import FAST, STEPS, column, contents, effective, of_step, said, sealed
from righttime.cli import main
from righttime.pipeline import arrange_into
from righttime.results import Request
from righttime.training import Lora, tune
from righttime.training.anew import left_places, order_table, standing
from righttime.training.rearranged import read_rearranged
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiers import quick
from twin import matrix, tma_order

ROUNDS = "every rearrangement is TMA's rounds over its vectors and the rows left"


def arranged_with(data: Path, out: Path, **how: Any) -> Path:
    """A part of the built-in pool, by random vectors."""
    rng = np.random.default_rng(0)
    np.savez(out.parent / f"{out.name}.npz", pool=rng.normal(size=(105, 8)), target=rng.normal(size=(60, 8)))
    asked = Request(embedder=f"vectors:{out.parent / out.name}.npz", guard="off", **how)
    arrange_into(out, [str(data / "pool.jsonl")], [str(data / "target.jsonl")], asked)
    return out


def woven_in(out: Path) -> list[int]:
    reasons = pq.read_table(out / "arrangement.parquet")["reason"].to_pylist()
    return [place for place, reason in enumerate(reasons) if reason == "woven"]


@pytest.fixture(scope="module")
def woven(arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """37 rows, of which 15 were woven in."""
    return arranged_with(arranged.parent / "data", tmp_path_factory.mktemp("woven") / "out", budget=37, weave="40%")


@pytest.fixture(scope="module")
def undisturbed(tiny: str, woven: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 steps, rearranged four times, every checkpoint kept."""
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    tune(woven, tiny, run, FAST)
    return run


@given(st.data())
def test_what_stands_and_what_is_left_are_the_twins(data: st.DataObject) -> None:
    n, beyond, follow = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 3)), data.draw(st.integers(1, 5))
    woven = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    times = data.draw(st.integers(0, n // follow))
    others = [place for place in range(n + beyond) if place not in woven]
    order: list[int] = []  # what was consumed, the others in any order
    for _ in range(times):
        some = data.draw(st.permutations([place for place in others if place not in order]))
        for _ in range(follow):
            order.append(len(order) if len(order) in woven else some.pop())
    stands = standing(follow, n, len(order), np.array(woven, dtype=np.int64)).tolist()
    assert stands == [at if at in woven else -1 for at in range(len(order), min(n, len(order) + follow))]
    left = left_places(n + beyond, np.array(order, dtype=np.int64), None, np.array(woven, dtype=np.int64)).tolist()
    assert left == [place for place in others if place not in order]
    assert len(left) >= stands.count(-1)


@given(st.data())
def test_others_come_between_in_their_new_order(data: st.DataObject) -> None:
    n_left, n_target = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 3))
    marks = data.draw(st.lists(st.booleans(), max_size=9).filter(lambda found: found.count(False) <= n_left))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    raw = rng.integers(1, 3, size=(n_left + n_target, 2)).astype(np.float32)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    left, stands = np.arange(20, 20 + n_left), np.array([at if mark else -1 for at, mark in enumerate(marks)], np.int64)
    ids = tuple(f"row {place}" for place in range(30)), tuple("xyz"[:n_target])
    coming = iter(tma_order(matrix(unit[:n_left], unit[n_left:]), None)) if n_left else iter(())
    want: list[tuple[Any, ...]] = []
    for at, mark in enumerate(marks):
        row, *why = (at, None, None, None) if mark else next(coming)
        place = row if mark else 20 + row
        want.append((place, f"row {place}", *why))
    table = order_table(unit, left, stands, ids, None)
    columns = ("place", "id", "round", "picked_by_row", "similarity")
    assert list(zip(*(table[name].to_pylist() for name in columns), strict=True)) == want


def test_woven_rows_keep_their_places_and_the_others_come_by_the_definition(woven: Path, undisturbed: Path) -> None:
    own, consumed = woven_in(woven), effective(undisturbed)
    assert len(own) == 15
    assert sorted(consumed) == list(range(37))
    assert [consumed[place] for place in own] == own
    assert consumed != sorted(consumed), "it did rearrange"
    for step in STEPS:
        found = read_rearranged(undisturbed, step)
        assert found is not None
        left = [place for place in range(37) if place not in own and place not in consumed[: 4 * step]]
        assert found.about["candidates"] == len(left), "no woven row was embedded"
        order = tma_order(matrix(found.numbers[: len(left)], found.numbers[len(left) :]), None)
        places = iter([left[row] for row, *_ in order])
        want = [at if at in own else next(places) for at in range(4 * step, min(37, 4 * step + 8))]
        assert consumed[4 * step : 4 * step + 8] == want
        rounds = found.order["round"].to_pylist()
        assert [at in own for at in range(4 * step, 4 * step + len(rounds))] == [one is None for one in rounds]


def test_it_is_verified_and_a_woven_row_that_was_moved_is_found(woven: Path, undisturbed: Path, tmp_path: Path) -> None:
    assert [finding for finding in verify(undisturbed, woven) if not finding.ok] == []
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    before = pq.read_table(run / "plans" / "step-00000004" / "order.parquet")
    one, other = before["round"].to_pylist().index(None), before["round"].to_pylist().index(0)
    for name in ("place", "id"):
        values = before[name].to_pylist()
        of_step(4, column(name, one, values[other]))(run)
        of_step(4, column(name, other, values[one]))(run)
    sealed(run)
    assert ROUNDS in said(verify(run, woven), False)


def test_a_stopped_run_goes_on_to_the_same_bytes(tiny: str, woven: Path, undisturbed: Path, tmp_path: Path) -> None:
    run, rarely = tmp_path / "run", dataclasses.replace(FAST, save_every=3)
    for stop in (4, 8):
        with pytest.raises(RuntimeError, match="power failure"):
            tune(woven, tiny, run, rarely, callbacks=[StopAt(stop)])
    tune(woven, tiny, run, rarely)
    assert contents(run) == contents(undisturbed)
    ends, wanted = weights(run), weights(undisturbed)
    assert all(torch.equal(value, wanted[name]) for name, value in ends.items())


@pytest.mark.parametrize("by", quick(["loss", "gradients", "gradients:adam"], 0, 1))
def test_it_goes_on_where_no_other_row_is_left(tiny: str, arranged: Path, tmp_path: Path, by: str) -> None:
    """The last rows are all woven, and before them stands a step with one other row."""
    out = arranged_with(arranged.parent / "data", tmp_path / "out", budget=24, anneal="0.4:0")
    own = woven_in(out)
    assert own[-6:] == list(range(18, 24))
    lora = Lora(rank=4) if "adam" in by else None
    settings = dataclasses.replace(FAST, rearrange_every=1, rearrange_by=by, lora=lora, batch=3, accumulation=1)
    tune(out, tiny, tmp_path / "run", settings)
    assert sorted(effective(tmp_path / "run")) == list(range(24))
    assert [effective(tmp_path / "run")[place] for place in own] == own
    assert [finding for finding in verify(tmp_path / "run", out) if not finding.ok] == []


def test_with_a_pool_beyond_and_a_window(
    tiny: str, woven: Path, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool, run, own = str(arranged.parent / "data" / "pool.jsonl"), tmp_path / "run", woven_in(woven)
    words = ["tune", str(woven), "--model", tiny, "--batch-size", "8", "--rearrange-every", "2", "--window", "30"]
    assert main([*words, "--pool", pool, "--out", str(run)]) == 0
    told = "2 times, 60 rows embedded in all beside the target's; 15 woven rows keep their places"
    assert told in capsys.readouterr().out
    consumed = effective(run)
    assert len(set(consumed)) == len(consumed) == 37
    assert max(consumed) >= 37, "some are of the pool"
    assert [consumed[place] for place in own] == own
    assert main(["verify", str(run), str(woven)]) == 0
    for name in ("run.json", "manifest.json"):
        parsed(name, put("settings", "window", value=1))(run)
    there = "every rearrangement is there and as it was written, vectors too"
    assert there in said(verify(run, woven), False), "of another window it is told, too"


def test_a_plan_says_what_it_is_of(undisturbed: Path) -> None:
    about = json.loads((undisturbed / "plans" / "step-00000008" / "plan.json").read_text())
    assert (about["rows"], about["candidates"]) == (5, 3)
