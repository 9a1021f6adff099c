"""RDS+, LESS's rule, k-center, facility location, task-balanced random: against twins written from the definitions."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime import arrange_embeddings
from righttime.arrangement import METHODS, Arrangement, SelectionInput, arrange_unit_vectors
from righttime.arrangement.methods import facility
from righttime.errors import SettingsError
from righttime.neighbours import BlockSearch
from righttime.similarity.lattice import UNIT, on_lattice
from strategies import vectors
from tiers import examples
from twin import matrix


def arranged(method: str, pool: Any, target: Any, **settings: Any) -> Arrangement:
    return arrange_unit_vectors(method, SelectionInput(pool=pool, target=target, **settings))


def slow_products(x: NDArray[np.float64]) -> list[list[float]]:
    """Products of lattice vectors, each summed exactly."""
    return [[math.fsum((a * b).tolist()) for b in x] for a in x]


@given(vectors(), st.integers(0, 40))
def test_rds_takes_turns(both: Any, block_rows: int) -> None:
    pool, target = both
    s = matrix(pool, target)
    left, want = set(range(len(pool))), []
    for turn in range(len(pool)):
        j = turn % len(target)
        best = min(left, key=lambda i: (-s[i, j], i))
        left.remove(best)
        want.append((best, j, float(s[best, j])))
    found = arranged("rds", pool, target, search=BlockSearch(block_rows=block_rows or None))
    assert found.picked_by is not None
    assert found.similarity is not None
    assert list(zip(found.order.tolist(), found.picked_by.tolist(), found.similarity.tolist(), strict=True)) == want


def test_rds_goes_on_where_lists_run_out() -> None:
    """All target rows are alike, so they compete for the same rows and every list is used up several times."""
    rng = np.random.default_rng(0)
    given_vectors: dict[str, Any] = {"pool_vectors": rng.normal(size=(3000, 4)), "target_vectors": np.ones((100, 4))}
    found = arrange_embeddings(**given_vectors, method="rds")
    nearest = arrange_embeddings(**given_vectors, method="rds-max")
    assert found.order.tolist() == nearest.order.tolist()


@given(vectors())
def test_rds_max_is_nearest_by_md(both: Any) -> None:
    pool, target = both
    a, b = arranged("rds-max", pool, target), arranged("nearest", pool, target, distance="md")
    assert a.to_table().replace_schema_metadata(None).equals(b.to_table().replace_schema_metadata(None))


@given(vectors(), st.integers(1, 3))
def test_less_ranks_by_the_best_task_mean(both: Any, n_tasks: int) -> None:
    pool, target = both
    tasks = [f"t{number % n_tasks}" for number in range(len(target))]
    found = arranged("less", pool, target, target_tasks=tasks)
    s = matrix(pool, target).astype(np.float64)
    means = {task: s[:, [t == task for t in tasks]].mean(axis=1) for task in tasks}
    score = np.max(list(means.values()), axis=0)
    assert found.distance is not None
    assert found.picked_by is not None
    assert np.abs(found.distance + score[found.order]).max() < 1e-6
    assert (np.diff(found.distance) >= 0).all()
    for row, picker in zip(found.order.tolist(), found.picked_by.tolist(), strict=True):
        task = tasks[picker]
        assert means[task][row] >= score[row] - 1e-6, "picked by a row of the task it agrees with most"
        assert s[row, picker] == max(s[row, j] for j, name in enumerate(tasks) if name == task)


def test_less_without_tasks_is_one_task() -> None:
    rng = np.random.default_rng(1)
    both: dict[str, Any] = {"pool_vectors": rng.normal(size=(40, 5)), "target_vectors": rng.normal(size=(6, 5))}
    less, nearest = (arrange_embeddings(**both, method=name, distance="ad") for name in ("less", "nearest"))
    assert less.order.tolist() == nearest.order.tolist()


@given(vectors(), st.sampled_from([0.0, 0.5, 3.0]), st.sampled_from(["target", "random"]))
@settings(max_examples=50)
def test_kcenter_is_farthest_first(both: Any, weight: float, start: str) -> None:
    pool, target = both
    found = arranged("kcenter", pool, target, params={"weight": weight, "start": start}, seed=3)
    s = slow_products(on_lattice(pool))
    near = matrix(pool, target).max(axis=1).astype(np.float64)
    factor = np.clip((1 + near) / 2, 0, 1) ** weight if weight else np.ones(len(pool))
    chosen = [int(found.order[0])]
    if start == "target":
        means = (pool.astype(np.float64) @ target.astype(np.float64).mean(axis=0)).tolist()
        assert means[chosen[0]] >= max(means) - 1e-12
    for _ in range(len(pool) - 1):
        value = {
            i: np.sqrt(max(2.0 - 2.0 * max(s[i][j] for j in chosen), 0.0)) * factor[i]
            for i in range(len(pool))
            if i not in chosen
        }
        chosen.append(min(value, key=lambda i: (-value[i], i)))
    assert found.order.tolist() == chosen


def test_kcenter_is_within_twice_of_the_best_centers() -> None:
    from itertools import combinations

    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    gap = np.linalg.norm(x[:, None] - x[None], axis=2)
    order = arrange_embeddings(x, x[:1], method="kcenter").order
    for k in range(1, 5):
        best = min(gap[:, list(some)].min(axis=1).max() for some in combinations(range(12), k))
        assert gap[:, order[:k]].min(axis=1).max() <= 2 * best + 1e-6


@given(vectors(), st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))
@settings(max_examples=examples(100))
def test_facility_is_the_plain_greedy(both: Any, block: int, unsettled: int, at_once: int) -> None:
    pool, target = both
    s = np.maximum(np.rint(np.array(slow_products(on_lattice(pool))) * UNIT) / UNIT, 0.0)
    covered, chosen, gains = np.zeros(len(pool)), [], []
    for _ in range(len(pool)):
        gain = {j: math.fsum(np.maximum(s[:, j] - covered, 0.0).tolist()) for j in range(len(pool)) if j not in chosen}
        chosen.append(min(gain, key=lambda j: (-gain[j], j)))
        gains.append(gain[chosen[-1]])
        covered = np.maximum(covered, s[:, chosen[-1]])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_ROWS", block), ("_COLUMNS", block), ("_UNSETTLED", unsettled), ("_AT_ONCE", at_once)):
            patch.setattr(facility, name, value)
        found = arranged("facility", pool, target)
    assert found.order.tolist() == chosen
    assert found.distance is not None
    assert found.distance.tolist() == [-gain for gain in gains]


def test_facility_says_how_many_rows_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facility, "FACILITY_ROWS", 10)
    with pytest.raises(SettingsError, match=r"at most 10 pool rows, got 11: .* Hint: kcenter has no such limit"):
        arrange_embeddings(np.ones((11, 2)), np.ones((1, 2)), method="facility")


@given(st.integers(0, 2**31), st.integers(1, 60))
def test_random_balanced_gives_every_task_the_same_share(seed: int, budget: int) -> None:
    tasks = ["a"] * 40 + ["b"] * 15 + ["c"] * 5
    ones = np.ones((60, 2))
    order = arrange_embeddings(ones, ones[:1], method="random-balanced", tasks=tasks, seed=seed, budget=budget).order
    got = Counter(tasks[row] for row in order)
    turns = max(got.values())
    for task, size in Counter(tasks).items():
        assert got[task] in (min(size, turns), min(size, turns - 1))


def test_random_balanced_is_random_within_a_task() -> None:
    ones = np.ones((30, 2))
    firsts = [
        int(arrange_embeddings(ones, ones[:1], method="random-balanced", tasks=["a"] * 30, seed=seed).order[0])
        for seed in range(300)
    ]
    assert len(set(firsts)) > 25


@pytest.mark.parametrize(
    ("method", "params", "sentence"),
    [
        ("kcenter", {"weight": -1}, "'weight' of 'kcenter' must be a finite number from 0 up, got -1.0"),
        ("kcenter", {"weight": float("nan")}, "'weight' of 'kcenter' must be a finite number, got nan"),
        ("kcenter", {"start": "targt"}, "unknown start of 'kcenter' 'targt': did you mean 'target'"),
        ("kcenter", {"weight": None}, "'weight' of 'kcenter' must be a finite number, got None"),
        ("tsds", {"alpha": 1.5}, "'alpha' of 'tsds' must be a finite number from 0 to 1, got 1.5"),
        ("tsds", {"c": 0}, "'c' of 'tsds' must be a finite number above 0, got 0.0"),
        ("tsds", {"sigma": -0.1}, "'sigma' of 'tsds' must be a finite number from 0 up, got -0.1"),
        ("tsds", {"max_k": "0"}, "'max_k' of 'tsds' must be a whole number from 1 up, got 0"),
        ("tsds-uniform", {"sigma": 1}, "unknown parameter of 'tsds-uniform' 'sigma'"),
        ("dsir", {"buckets": 0}, "'buckets' of 'dsir' must be a whole number from 1 to 100,000,000, got 0"),
        ("dsir", {"ngrams": np.float32(1.5)}, "'ngrams' of 'dsir' must be a whole number, got "),
        ("dsir", {"ngrams": 1.5}, "'ngrams' of 'dsir' must be a whole number, got 1.5"),
        ("dsir", {"draw": "tops"}, "unknown draw of 'dsir' 'tops': did you mean 'top'"),
        ("polar", {"k": "three"}, "'k' of 'polar' must be a whole number, got 'three'"),
        ("uniform", {"k": 0}, "'k' of 'uniform' must be a whole number from 1 up, got 0"),
        ("granular", {"groups": -1}, "'groups' of 'granular' must be a whole number from 0 up, got -1"),
        ("nearest", {"w_avg": "much"}, "'w_avg' of 'nearest' must be a finite number, got 'much'"),
        ("farthest", {"w_min": "inf"}, "'w_min' of 'farthest' must be a finite number, got 'inf'"),
        ("tma", {"k": 1}, "method 'tma' has no parameters of its own, got 'k'"),
    ],
)
def test_bad_parameters_get_their_sentence(method: str, params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        arrange_embeddings(
            np.ones((9, 2)), np.ones((1, 2)), method=method, params=params, texts=["a"] * 9, target_texts=["a"]
        )


@pytest.mark.parametrize("method", ["rds", "rds-max", "less", "kcenter", "facility", "tsds", "tsds-uniform"])
def test_block_size_changes_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    both: dict[str, Any] = {
        "pool_vectors": rng.normal(size=(80, 6)).round(1) + 0.05,
        "target_vectors": rng.normal(size=(7, 6)),
    }
    whole = arrange_embeddings(**both, method=method).to_table()
    monkeypatch.setattr("righttime.arrangement.methods.tsds._BLOCK_ELEMENTS", 160)
    for name, value in (("_ROWS", 7), ("_COLUMNS", 5), ("_UNSETTLED", 11), ("_AT_ONCE", 3)):
        monkeypatch.setattr(facility, name, value)
    assert arrange_embeddings(**both, method=method, block_rows=3).to_table().equals(whole)


def test_every_rival_names_its_source_and_cost() -> None:
    for name in ("rds", "rds-max", "dsir", "tsds", "tsds-uniform", "kcenter", "facility", "less"):
        assert METHODS[name].source, name
        assert METHODS[name].cost, name
