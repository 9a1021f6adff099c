"""What the benchmarks stand on: rivals play by the definition, peaks are those of the work, tables have files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

import arrange
import covered
import fidelity
import growth as growing
import guard
import guard_long
import guard_plants
import guard_speed
import rivals
import tables
from directions import above, bounded, by_bound, turned
from machine import RESULTS
from made_leaks import Reader
from righttime import arrange_embeddings
from righttime.arrangement import tma_rounds
from righttime.embedding.gradients import SEPARATOR, GradientEmbedder
from righttime.guard import find_text_leaks
from righttime.neighbours import top_k
from tiny_model import save_tiny_model
from trials import alone, clustered, exponent, growth, in_turn, ratio, real


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


def test_growth_has_an_exponent_and_its_interval() -> None:
    sizes = [1, 2, 4, 8, 16]
    exact = growth(sizes, [3.0 * size**1.5 for size in sizes])
    assert exact.refused is None
    assert exact.exponent == pytest.approx(1.5)
    assert exact.half_width == pytest.approx(0.0, abs=1e-9)
    noisy = growth(sizes, [size * factor for size, factor in zip(sizes, (1.05, 0.95, 1, 1.05, 0.95), strict=True)])
    assert noisy.exponent == pytest.approx(0.98, abs=0.02)
    assert 0.02 < (noisy.half_width or 0) < 0.15
    assert str(noisy).startswith("0.9")
    assert "±" in str(noisy)


@pytest.mark.parametrize(
    ("sizes", "values", "why"),
    [
        ([1, 2, 16], [1, 2, 16], "3 points, needs 4"),
        ([1, 2, 3, 4], [1, 2, 3, 4], "sizes span 4.0 ×, needs 8 ×"),
        ([1, 2, 4, 8], [0.01, 0.02, 0.04, 0.08], "values from 0.01, needs 0.05"),
        ([1, 2, 4, 8], [0.0, 1.0, 2.0, 4.0], "values from 0"),
        ([1, 2, 4, 8, 16], [1.0, 1.0, 1.0, 4.0, 16.0], "no power: a point is"),
        ([1, 2, 4, 8], [1.0, 1.14, 1.0, 1.14], "no power: 0.0"),
    ],
)
def test_growth_refuses_an_exponent_that_means_nothing(sizes: list[float], values: list[float], why: str) -> None:
    found = growth(sizes, values, least=0.05 if values[0] else 0.0)
    assert found.exponent is None
    assert str(found).startswith(why)


def test_quick_sizes_give_no_exponent_and_are_said_to_be_quick() -> None:
    def curve(name: str) -> dict[str, object]:
        points = [
            {name: size, "seconds": [size / 1e6], "floor_s": [size / 1e6], "peak_mib": 3.0, "reason": None}
            for size in (2_500, 5_000, 10_000, 20_000, 40_000)
        ]
        return {"grows": name, "points": points}

    quick = {"growth": {"middle": {**growing.MIDDLE, "pool": 10_000}, "curves": [curve("pool")]}}
    text = tables.growth(quick)
    assert text.count("none (values from ") == 3
    assert "sizes of `--quick`" in text
    assert "--quick" not in tables.growth({"growth": {"middle": growing.MIDDLE, "curves": [curve("pool")]}})


def test_the_readme_says_what_the_search_costs_as_measured() -> None:
    """The three ranges, taken from the results anew: no page may say them in other words."""
    results = tables.read(RESULTS)
    lines = [(pool["pool"], row) for pool in results["arrange"]["pools"] for row in pool["rows"]]
    kinds: dict[str, list[float]] = {"large_part": [], "small_part": [], "whole_pools": []}
    for n, row in lines:
        kind = "whole_pools" if row["budget"] == n else "large_part" if n >= 100_000 else "small_part"
        kinds[kind].append(min(row["seconds"]["whole"]) / min(row["seconds"]["floor"]))
    readme = tables.DOCS[0].read_text(encoding="utf-8")
    for kind, ratios in kinds.items():
        said = readme.partition(f"<!-- figure: {kind} -->")[2].partition("<!-- end -->")[0]
        low, high = (float(part) for part in said.split(" to "))
        assert low == pytest.approx(min(ratios), rel=0.05), kind
        assert high == pytest.approx(max(ratios), rel=0.05), kind
    assert "little more than" not in readme


@pytest.mark.real
def test_the_readme_says_what_the_first_2000_rows_cover() -> None:
    vectors = real()
    if vectors is None:
        pytest.skip("niv2_vectors.npz is not in RIGHTTIME_DATA")
    pool, target = vectors
    nearest = (target @ pool.T).max(axis=1)

    def share(method: str, seed: int = 0) -> float:
        order = arrange_embeddings(pool, target, method=method, budget=2000, seed=seed).order
        return float(((target @ pool[order].T).max(axis=1) >= nearest - 1e-6).mean())

    assert share("tma") == 1.0
    readme = " ".join(tables.DOCS[0].read_text(encoding="utf-8").split())
    chance = np.mean([share("random", seed) for seed in range(5)])
    assert f"random order has found {chance:.0%} of them" in readme
    assert f"ranking by distance to the whole target {share('nearest'):.0%}" in readme
    order = arrange_embeddings(pool, target, method="tma", budget=2000).order
    found = covered.found_at(pool, target, order, nearest)
    assert f"after {found[-1]} rows every target row has found it" in readme


def test_a_figure_that_drifts_is_found() -> None:
    results = tables.read(RESULTS)
    text = "a <!-- figure: rds_jaccard -->0.99<!-- end --> b"
    assert tables.filled(text, results) != text
    assert tables.filled(tables.filled(text, results), results) == tables.filled(text, results)


def test_the_released_round_robin_loses_turns() -> None:
    pool = np.array([[1, 0], [0.9, 0.1], [0.5, 0.5], [0, 1]], dtype=np.float32)
    target = np.array([[1, 0], [1, 0.01]], dtype=np.float32)
    found = rivals.released_round_robin(pool, target, 3)
    assert found.in_turn.tolist() == [0, 1, 2]
    assert (found.turns, found.lost) == (6, 3), "both want the same rows, so every second turn is lost"
    assert sorted(found.saved.tolist()) == [0, 1, 2]
    both = clustered(600, 20, 16, centres=5)
    lost = rivals.released_round_robin(*both, 200)
    assert len(set(lost.in_turn.tolist())) == len(set(lost.saved.tolist())) == 200
    assert lost.turns % 20 == 0
    assert lost.in_turn.tolist() != arrange_embeddings(*both, method="rds", budget=200).order.tolist()


def test_whole_gradients_are_what_is_projected(tmp_path: Path) -> None:
    """Multiplied with the signs of an embedder, they give its vectors."""
    embedder = GradientEmbedder(save_tiny_model(tmp_path), device="cpu", dim=64)
    texts = [f"add 1 and {n}{SEPARATOR}{n + 1}" for n in range(3)]
    whole = fidelity.whole_gradients(embedder, texts)
    signs = np.concatenate([adapter.signs.numpy() for adapter in embedder._adapters]).astype(np.float64)
    want = np.concatenate([embedder.embed([text]) for text in texts])
    got = whole @ signs
    scale = np.linalg.norm(want, axis=1) / np.linalg.norm(got, axis=1)
    assert np.allclose(got * scale[:, None], want, rtol=1e-3, atol=1e-5 * np.abs(want).max())


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
        assert "<!-- table: " in text or "<!-- figure: " in text


def test_plants_of_every_kind_are_put_in_and_exact_ones_found() -> None:
    target = guard_plants.made_rows(120, "target")
    made = guard.plant(guard_plants.made_rows(300, "pool"), target, "test")
    kinds = {kind for group in guard.GROUPS.values() for kind in group}
    assert {kind for kind, _ in made.kinds} == kinds
    assert all(number % 2 == 0 for _, number in made.kinds)
    found = find_text_leaks(guard.read(made.pool, "pool"), guard.read(made.target, "target")).leaks.found
    pairs = {(leak.pool_row, leak.target_row) for leak in found}
    for place, (kind, number) in enumerate(made.kinds):
        if kind in guard_plants.EXACT or kind in guard_plants.NO_LEAK:
            assert ((300 + place, number) in pairs) == (kind in guard_plants.EXACT), kind


def test_changes_keep_what_they_say() -> None:
    row = {"prompt": "Anna has 31 apples. Then Boris, who is 9, eats 2. How many apples were left?", "response": "29"}
    rng = random.Random(0)
    assert guard_plants.spelled(row, rng)["prompt"].startswith("Anna has thirty-one apples. Then Boris, who is nine,")
    assert "Work out the number of" in guard_plants.restated(row, rng)["prompt"]
    assert "Boris" not in guard_plants.renamed(row, rng)["prompt"]
    assert guard_plants.other_numbers(row, rng)["response"] != "29"
    assert sorted(guard_plants.shuffled(row, rng)["prompt"].split()) == sorted(row["prompt"].split())


def test_the_guard_and_its_rival_read_the_same_rows(tmp_path: Path) -> None:
    """The rival here says that the last row of the pool is the target row that it was made of."""
    made = guard.plant(guard_plants.made_rows(40, "pool"), guard_plants.made_rows(6, "target"), "test")
    (_, number) = made.kinds[-1]
    report = json.dumps({"training_line": len(made.pool) - 1, "eval_instance_index": number})
    rival = tmp_path / "rival"
    rival.write_text(
        f"#!/bin/sh\nset -e\ntest -s $3/train/pool.jsonl\nmkdir -p $3/report\necho '{report}' >$3/report/one.jsonl\n"
    )
    rival.chmod(0o755)
    found = guard_speed.raced("made", made, str(rival), 1)
    ours, theirs = found["ways"]
    assert (found["pool"], found["target"], found["planted"] + found["near"]) == (len(made.pool), 6, len(made.kinds))
    assert theirs["pairs"] == theirs["found"] + theirs["near_found"] == 1
    assert 0 < ours["found"] <= found["planted"]
    assert 0 < theirs["peak_mib"] < 50 < ours["peak_mib"]
    assert ours["processor_seconds"][0] > theirs["processor_seconds"][0]


def test_leaks_are_put_past_what_the_embedder_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_long, "load_embedder", Reader)
    monkeypatch.setattr(guard_long, "cache_folder", lambda: tmp_path)
    rows, target = guard_plants.made_rows(60, "pool"), guard_plants.made_rows(8, "target")
    found = guard_long.long_trial("made", rows[:4], rows[4:], target, "test")
    assert 0 < sum(group["planted"] for group in found["groups"]) <= found["innocent"] == 4
    assert found["long_rows"] >= 8
    assert all(max(group["texts"], group["chunks"]) <= group["either"] <= group["planted"] for group in found["groups"])
    assert sum(group["either"] for group in found["groups"]) > 0
