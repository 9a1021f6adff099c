"""The data-set measures against the loss, across orders at one step, against scipy's rank correlation."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from made_runs import STEPS, made_run
from righttime.analysis import Analysis, GivenRun, analyse, read_given, write_comparison
from righttime.errors import StoreError
from righttime.measures import MEASURES
from righttime.store import write_parquet

ORDERS = ("random", "tma", "nearest", "cluster", "farthest")
TASKS = (None, "task0", "task1", "task2")
Value = Callable[[str, int, int, str | None, str], float]


def family(root: Path, value: Value, orders: tuple[str, ...] = ORDERS, replicates: int = 3) -> list[GivenRun]:
    """Runs with chosen measures and random losses; the judge rows' tasks are task0 to task2."""
    rng = np.random.default_rng(0)
    found = []
    for name in orders:
        for k in range(1, replicates + 1):
            losses = np.linspace(3, 2, 5)[:, None] + rng.normal(0, 0.3, (5, 9))
            lines = [
                {"step": step, "rows": 16 * step, "task": task, "measure": measure}
                | {"value": value(name, k, step, task, measure)}
                for step in STEPS[1:]
                for task in TASKS
                for measure in MEASURES
            ]
            path = root / f"{name}-{k}" / "measures.parquet"
            run = made_run(root / f"{name}-{k}" / "run", losses)
            write_parquet(path, pa.Table.from_pylist(lines))
            found.append(GivenRun(name, k, run, path))
    return found


def by_chance(*key: object) -> float:
    return float(np.random.default_rng(crc32(str(key).encode())).integers(0, 4))  # with ties


def by(found: Analysis) -> dict[tuple[int, str | None, str], tuple[float | None, ...]]:
    return {(one.step, one.task, one.measure): one.each for one in found.measured}


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_each_correlation_is_scipys_across_the_orders_of_one_replicate(tmp_path: Path) -> None:
    given = family(tmp_path, by_chance)
    runs = read_given(given)
    found = analyse(runs)
    assert list(by(found)) == [(step, task, name) for step in STEPS[1:] for task in TASKS for name in MEASURES]
    for one in found.measured:
        want = []
        for k in range(3):
            values = [runs[order][k].values["target", "loss"] for order in ORDERS]
            rows = [place for place, task in enumerate(values[0].tasks) if one.task in (None, task)]
            losses = [each.at([one.step])[0, rows].mean() for each in values]
            want.append(
                stats.spearmanr([by_chance(o, k + 1, one.step, one.task, one.measure) for o in ORDERS], losses)[0]
            )
        assert one.orders == 5
        assert [np.nan if each is None else each for each in one.each] == pytest.approx(want, nan_ok=True)
        there = [each for each in want if np.isfinite(each)]
        assert one.mean == pytest.approx(np.mean(there))
        if len(there) == 3 and np.ptp(there) > 1e-9:
            half = stats.sem(there) * stats.t.isf(0.025, 2)
            assert one.interval == pytest.approx(np.clip([one.mean - half, one.mean + half], -1, 1).tolist())
    out = tmp_path / "out"
    write_comparison(found, out)
    lines = list(csv.DictReader((out / "measured.csv").open()))
    assert [line["measure"] for line in lines[:9]] == list(MEASURES)
    assert len(lines) == 4 * 4 * 9


def test_a_measure_that_ranks_the_orders_as_their_losses_do(tmp_path: Path) -> None:
    runs = read_given(family(tmp_path, by_chance))
    ends = {(o, k): runs[o][k - 1].values["target", "loss"].at([8]).mean() for o in ORDERS for k in (1, 2, 3)}
    given = family(tmp_path / "again", lambda o, k, step, task, measure: float(ends[o, k]))
    found = by(analyse(read_given(given)))
    assert all(found[8, None, measure] == pytest.approx((1, 1, 1)) for measure in MEASURES)


def test_the_same_rows_in_another_order_are_ties_and_unknown_values_none(tmp_path: Path) -> None:
    def value(order: str, k: int, step: int, task: str | None, measure: str) -> float:
        rounded = 0.5 + 1e-12 * ORDERS.index(order)
        return {"kl": float("nan") if order == "tma" else 1.0 * len(order)}.get(measure, rounded)

    found = analyse(read_given(family(tmp_path, value)))
    assert {each for one in found.measured for each in one.each} == {None}
    assert {(one.replicates, one.mean, one.interval) for one in found.measured} == {(0, None, None)}


def test_too_few_orders_or_missing_tables_are_told(tmp_path: Path) -> None:
    few = analyse(read_given(family(tmp_path / "few", by_chance, ORDERS[:3])))
    assert few.measured == ()
    assert "measures are not compared with the loss: it takes 4 orders with measures, here are 3." in few.notes
    given = family(tmp_path / "gaps", by_chance)
    gone = [GivenRun(one.name, one.replicate, one.folder) if one == given[3] else one for one in given]
    found = analyse(read_given(gone))
    assert {one.orders for one in found.measured} == {4}
    assert any("tma is left out where measures are compared with the loss" in note for note in found.notes)
    without = analyse(read_given([GivenRun(one.name, one.replicate, one.folder) for one in given]))
    assert without.measured == ()
    assert not any("measures" in note for note in without.notes), "nobody asked for them"


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    given = family(tmp_path, by_chance, replicates=1)
    (tmp_path / "tma-1" / "measures.parquet").write_bytes(b"no table")
    with pytest.raises(StoreError, match="tma-1/measures.parquet must be a table of measures by step"):
        analyse(read_given(given))
    write_parquet(tmp_path / "tma-1" / "measures.parquet", pa.table({"step": [1]}))
    with pytest.raises(StoreError, match="must be a table of measures by step"):
        analyse(read_given(given))
