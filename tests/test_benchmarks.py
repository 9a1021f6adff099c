"""What the benchmarks stand on: rivals play by the definition, peaks are those of the work, tables have files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import arrange
import rivals
import tables
from directions import above, bounded, by_bound, turned
from machine import RESULTS
from righttime import arrange_embeddings
from righttime.arrangement import tma_rounds
from righttime.neighbours import top_k
from trials import alone, clustered, exponent, in_turn, ratio


@pytest.mark.parametrize("rival", [rivals.released, rivals.one_product])
def test_rivals_on_a_matrix_play_our_rounds(rival: object) -> None:
    pool, target = clustered(600, 20, 16, centres=5)
    theirs = [chosen.tolist() for chosen in rival(pool, target)]  # type: ignore[operator]
    assert theirs == [played.rows.tolist() for played in tma_rounds(pool, target)]
    assert sum(map(len, theirs)) == 600


def test_round_robin_on_a_matrix_takes_our_rows() -> None:
    pool, target = clustered(600, 20, 16, centres=5)
    ours = arrange_embeddings(pool, target, method="rds", budget=200).order
    assert rivals.round_robin_on_matrix(pool, target, 200).tolist() == ours.tolist()


def test_rounds_on_faiss_lists_are_ours_however_short_the_lists() -> None:
    pytest.importorskip("faiss")
    pool, target = clustered(600, 20, 16, centres=5)
    ours = np.concatenate([played.rows for played in tma_rounds(pool, target)])
    for k in (4, 600):
        theirs = rivals.rounds_on_lists(pool, target, 300, k)
        assert theirs.tolist() == ours[: len(theirs)].tolist()
        assert len(theirs) >= 300


def test_the_bound_loses_no_pair() -> None:
    pool, target = clustered(3_000, 20, 32, centres=5)
    turned_pool, turned_target = turned(pool, target)
    cut = top_k(pool, target, 50).similarity[:, -1] - np.float32(1e-5)
    wanted = above(turned_pool, turned_target, cut)
    for leading in (4, 16):
        short, target_short = bounded(turned_pool, leading), bounded(turned_target, leading)
        left, found = by_bound(turned_pool, turned_target, short, target_short, cut)
        assert found == wanted >= 50 * 20
        assert left >= found


def test_works_are_timed_in_turn() -> None:
    said: list[str] = []
    seconds = in_turn({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, 3)
    assert said == ["a", "b"] * 3
    assert [len(times) for times in seconds.values()] == [3, 3]
    assert len(in_turn({"a": lambda: None}, 9, at_most_s=0)["a"]) == 2


def test_ratios_and_exponents() -> None:
    assert ratio([3.0, 2.0, 8.0], [1.0, 2.0, 2.0]) == {"of_best": 2.0, "median": 3.0}
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2.0)


def test_clusters_go_one_after_another_and_some_rows_are_twins() -> None:
    pool, target = clustered(1_000, 10, 384, centres=4, repeated=0.1)
    assert (pool.shape, target.shape) == ((1_000, 384), (10, 384))
    assert 80 <= (pool[1:] == pool[:-1]).all(axis=1).sum() <= 100
    assert np.abs(np.linalg.norm(pool, axis=1) - 1).max() < 1e-6
    assert pool[0] @ pool[100] > 0.3 > abs(pool[0] @ pool[900])


@pytest.mark.slow
def test_a_work_of_its_own_has_its_own_peak_and_limit(tmp_path: Path) -> None:
    for side, vectors in zip(("pool", "target"), clustered(20_000, 1_000, 8), strict=True):
        np.save(tmp_path / f"{side}.npy", vectors)
    matrix = 4 * 20_000 * 1_000 / 2**20
    found = arrange.rival(str(tmp_path), "one_product", (20_000, 1_000), [200, 20_000], 60.0)
    assert found["finished"]
    assert 0 < found["seconds"]["200"] < found["seconds"]["20000"]
    assert matrix < found["peak_mib"] < 1.5 * matrix
    assert found["rows_done"] == 20_000
    stopped = arrange.rival(str(tmp_path), "released", (20_000, 1_000), [20_000], 0.5)
    assert not stopped["finished"]
    assert stopped["seconds"] == {"20000": None}
    assert "stopped after" in stopped["reason"]
    assert stopped["rows_done"] < 20_000


def test_a_work_that_needs_more_memory_than_there_is_is_not_started() -> None:
    found = alone(arrange.ours_alone, "nowhere", 1, "rounds", needs_bytes=1 << 60)
    assert not found.finished
    assert found.seconds is None
    assert found.reason is not None
    assert "GiB" in found.reason


def test_the_tables_of_the_docs_are_what_the_results_give() -> None:
    results = tables.read(RESULTS)
    for path in tables.DOCS:
        text = path.read_text(encoding="utf-8")
        assert tables.filled(text, results) == text, f"{path.name}: run python benchmarks/tables.py"
        assert "<!-- table: " in text
