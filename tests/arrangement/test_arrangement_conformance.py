"""One suite that every method passes: a new line in METHODS is tested here at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_vectors import WHOLE, arranged, every_method, same, some
from righttime import Arrangement, RighttimeError, arrange_embeddings
from righttime.arrangement import METHODS, SelectionInput, draws_by_chance
from righttime.arrangement.registry import resolved_params
from righttime.errors import EmptyDataError, NonFiniteError, SettingsError, ShapeError, StoreError
from righttime.similarity import unit_rows
from twin import distances, matrix

NOT_OF_THE_TARGET: frozenset[str] = frozenset()
"""Methods that look at vectors and not at the target, so no target row picks."""

NOT_OF_SIMILARITY_ALONE: frozenset[str] = frozenset({"tsds", "tsds-uniform"})
"""Methods that need no more than vectors, yet look at more than similarities: chance, or the rows' numbers."""

_WITHOUT_MORE = {"vectors", "rounds", "distance"}
of_similarity_alone = pytest.mark.parametrize(
    "method",
    [
        name
        for name, entry in METHODS.items()
        if "vectors" in entry.needs and entry.needs <= _WITHOUT_MORE and name not in NOT_OF_SIMILARITY_ALONE
    ],
)


@every_method
def test_the_table_is_filled(method: str) -> None:
    entry = METHODS[method]
    assert entry.does
    assert entry.source
    assert entry.cost
    assert all(param.does for param in entry.params.values())
    assert entry.needs <= {"vectors", "tasks", "target_tasks", "texts", "target_texts", "rounds", "distance"}


@every_method
@pytest.mark.parametrize("shape", [(50, 6), (3, 20), (1, 1), (50, 1)])
def test_without_a_budget_the_order_is_a_permutation(method: str, shape: tuple[int, int]) -> None:
    arrangement = arranged(method, some(*shape))
    assert sorted(arrangement.order.tolist()) == list(range(shape[0]))
    assert arrangement.order.dtype == np.int64


@every_method
@pytest.mark.parametrize("shape", [(50, 6), (3, 20), (50, 1)])
def test_the_budget_is_exact_and_rows_are_distinct(method: str, shape: tuple[int, int]) -> None:
    whole = arranged(method, some(*shape))
    for budget in (1, 2, 3, 7, 48, 49, 50):
        if budget > shape[0]:
            continue
        cut = arranged(method, some(*shape), budget=budget)
        assert len(cut) == budget
        assert len(set(cut.order.tolist())) == budget
        assert set(cut.order.tolist()) <= set(range(shape[0]))
        if METHODS[method].nested:
            assert cut.order.tolist() == whole.order[:budget].tolist()


@every_method
def test_the_same_input_has_the_same_selection(method: str) -> None:
    for budget in (None, 20):
        assert same(*(arranged(method, some(), seed=4, budget=budget) for _ in range(2)))


@every_method
def test_block_size_changes_nothing(method: str) -> None:
    want = arranged(method, some(), budget=30)
    for block_rows in (1, 7, 1000):
        assert same(arranged(method, some(), budget=30, block_rows=block_rows), want)


@every_method
def test_identical_rows_are_all_taken_once(method: str) -> None:
    given = some()
    given["pool_vectors"][:] = given["pool_vectors"][0]
    given["target_vectors"][:] = given["pool_vectors"][0]
    given["texts"] = [given["texts"][0]] * 50
    given["target_texts"] = [given["texts"][0]] * 6
    assert sorted(arranged(method, given).order.tolist()) == list(range(50))
    assert len(set(arranged(method, given, budget=20).order.tolist())) == 20


@of_similarity_alone
def test_ties_go_to_the_lower_pool_row(method: str) -> None:
    given = some()
    given["pool_vectors"][:] = given["pool_vectors"][0]
    taken = arranged(method, given, budget=20).order.tolist()
    assert sorted(taken) == list(range(20))
    if METHODS[method].nested:
        assert taken == list(range(20))


@of_similarity_alone
def test_relabelled_rows_give_the_relabelled_order(method: str) -> None:
    for seed in range(20):
        given = some(seed=seed)
        label = np.random.default_rng(seed).permutation(50)
        s = matrix(unit_rows(given["pool_vectors"]), unit_rows(given["target_vectors"]))
        assert len(np.unique(s)) == s.size, "no two similarities are equal"
        plain = arranged(method, given, budget=30)
        relabelled = arranged(method, {**given, "pool_vectors": given["pool_vectors"][label]}, budget=30)
        assert label[relabelled.order].tolist() == plain.order.tolist()
        if plain.picked_by is not None:
            assert relabelled.picked_by is not None
            assert relabelled.picked_by.tolist() == plain.picked_by.tolist()


@every_method
def test_columns_are_there_exactly_where_the_method_has_them(method: str) -> None:
    arrangement = arranged(method, some())
    needs = METHODS[method].needs
    assert (arrangement.round is not None) == ("rounds" in needs)
    if "vectors" in needs and method not in NOT_OF_THE_TARGET:
        assert arrangement.picked_by is not None
        assert arrangement.distance is not None
    assert (arrangement.similarity is not None) == (arrangement.picked_by is not None and "vectors" in needs)


@every_method
def test_similarity_is_that_of_the_pair(method: str) -> None:
    given = some()
    arrangement = arranged(method, given)
    if arrangement.picked_by is None or arrangement.similarity is None:
        return
    s = matrix(unit_rows(given["pool_vectors"]), unit_rows(given["target_vectors"]))
    assert arrangement.similarity.tolist() == s[arrangement.order, arrangement.picked_by].tolist()


@every_method
def test_saved_and_loaded_it_is_the_same(method: str, tmp_path: Path) -> None:
    arrangement = arranged(method, some(), budget=20)
    arrangement.save(tmp_path / "a.parquet")
    loaded = Arrangement.load(tmp_path / "a.parquet")
    assert same(arrangement, loaded)
    assert list(loaded.replay(list(range(50)))) == arrangement.order.tolist()


@pytest.mark.parametrize("method", ["nearest", "farthest"])
@pytest.mark.parametrize("distance", ["wsd", "ad", "md"])
def test_distance_orders_equal_the_twin(method: str, distance: str) -> None:
    for seed in range(20):
        given = some(seed=seed)
        given["pool_vectors"][:, 0] += 1.0
        given["target_vectors"][:, 0] += 1.0
        pool, target = unit_rows(given["pool_vectors"]), unit_rows(given["target_vectors"])
        s = matrix(pool, target)
        want = distances(s, pool, target, distance)
        sign = 1 if method == "nearest" else -1
        arrangement = arrange_embeddings(**given, method=method, distance=distance)
        assert arrangement.order.tolist() == sorted(range(50), key=lambda i: (sign * want[i], i))
        assert arrangement.distance is not None
        assert arrangement.distance.tolist() == [want[i] for i in arrangement.order]
        assert arrangement.picked_by is not None
        assert arrangement.picked_by.tolist() == [int(s[i].argmax()) for i in arrangement.order]


def test_wsd_is_guarded_where_its_default_weight_diverges() -> None:
    given = some()
    given["target_vectors"] = np.concatenate([given["target_vectors"], -given["target_vectors"]])
    given["target_tasks"] = given["target_texts"] = None
    with pytest.warns(UserWarning, match=r"needs mean\(AD\) <= -0.01"):
        arrangement = arrange_embeddings(**given, method="nearest")
    assert arrangement.settings["weights"] == {"w_avg": 1.0, "w_min": 1.0}
    assert "w_avg = 1 is used instead" in arrangement.settings["warning"]


def test_cluster_and_round_robin_are_as_defined() -> None:
    given: dict[str, Any] = {
        "pool_vectors": np.ones((7, 2)),
        "target_vectors": np.ones((1, 2)),
        "tasks": list("babcbac"),
    }
    assert arrange_embeddings(**given, method="cluster").order.tolist() == [0, 2, 4, 1, 5, 3, 6]
    assert arrange_embeddings(**given, method="round-robin").order.tolist() == [0, 1, 3, 2, 5, 6, 4]


DRAWN: dict[str, list[dict[str, Any]]] = {
    "granular": [{}, {"groups": 9}, {"groups": 50}],
    "dsir": [{"draw": "sample"}, {"draw": "top"}],
    "kcenter": [{"start": "random"}, {"start": "target"}],
}
"""Parameters with which chance may decide something, and with which it does not."""


@pytest.mark.parametrize("within_round", ["similarity", "index", "random"])
@every_method
def test_the_seed_decides_exactly_where_the_table_says_so(method: str, within_round: str) -> None:
    given, rounds = some(), "rounds" in METHODS[method].needs
    if not rounds and within_round != "similarity":
        return
    for params in DRAWN.get(method, [WHOLE.get(method, {})]):
        settings = {"params": params, "within_round": within_round}
        orders = {tuple(arranged(method, given, **settings, seed=seed).order.tolist()) for seed in range(4)}
        sides = unit_rows(given["pool_vectors"]), unit_rows(given["target_vectors"])
        inputs = SelectionInput(*sides, within_round=within_round, params=resolved_params(method, params))
        assert (len(orders) > 1) == draws_by_chance(method, inputs), params


def test_methods_that_draw_are_as_known() -> None:
    inputs = SelectionInput(np.ones((9, 1), dtype=np.float32), np.ones((1, 1), dtype=np.float32))
    asked = {name: dataclasses.replace(inputs, params=resolved_params(name, {})) for name in METHODS}
    shuffled = {"random", "random-balanced", "tma-rt", "nearest-shuffled", "granular", "coarse"}
    assert {name for name in METHODS if draws_by_chance(name, asked[name])} == {
        *shuffled,
        "dsir",
        "tsds",
        "tsds-uniform",
    }


def test_seeds_differ() -> None:
    orders = {tuple(arrange_embeddings(**some(), method="random", seed=seed).order.tolist()) for seed in range(5)}
    assert len(orders) == 5


BAD: list[tuple[dict[str, Any], type[RighttimeError], str]] = [
    ({"budget": 51}, SettingsError, "budget must be at most the pool's 50 rows, got 51"),
    ({"budget": 0}, SettingsError, "budget must be at least 1 row, got 0"),
    ({"method": "nearst"}, SettingsError, "unknown method 'nearst': did you mean 'nearest'"),
    ({"distance": "wds"}, SettingsError, "unknown distance 'wds'"),
    ({"within_round": "best"}, SettingsError, "unknown order within a round 'best'"),
    ({"rounds": (3, 3)}, SettingsError, "0 <= start < stop, got 3:3"),
    ({"rounds": (900, None)}, SettingsError, "the pool is empty after"),
    ({"rounds": (0, 1), "budget": 40}, SettingsError, "of the chosen rounds, got 40"),
    ({"rounds": (0, 1), "method": "nearest"}, SettingsError, "only of methods that have them"),
    ({"seed": -1}, SettingsError, "seed must be 0 or more, got -1"),
    ({"tasks": ["a"]}, ShapeError, "tasks must have one entry for each of the 50 rows, got 1"),
    ({"tasks": None, "method": "cluster"}, SettingsError, "needs the task of every pool row, got none"),
    ({"tasks": ["a"] * 49 + [None], "method": "round-robin"}, SettingsError, "pool row 49 has none"),
    ({"params": {"w_avg": "much"}, "method": "nearest"}, SettingsError, "'w_avg' of 'nearest' must be a finite number"),
    (
        {"params": {"w_min": "nan"}, "method": "farthest"},
        SettingsError,
        "must be a finite number, got 'nan'",
    ),
    ({"params": {"w_avg": 2}, "method": "coarse", "distance": "md"}, SettingsError, "of the distance wsd, got .*'md'"),
    ({"params": {"groups": 51}, "method": "granular"}, SettingsError, "from 1 to the pool's 50 rows, got 51"),
    (
        {"params": {"groups": -1}, "method": "granular"},
        SettingsError,
        "must be a whole number from 0 up, got -1",
    ),
    ({"tasks": None, "method": "coarse"}, SettingsError, "needs the task of every pool row, got none"),
    ({"params": {"k": 0}, "method": "polar"}, SettingsError, "'k' of 'polar' must be a whole number from 1 up, got 0"),
    (
        {"params": {"k": 3}, "method": "polar", "budget": 13},
        SettingsError,
        "at most 12, which is k=3 rows of each task, got 13",
    ),
    ({"rounds": (0, 1), "method": "tma-nft", "budget": 40}, SettingsError, "of the chosen rounds, got 40"),
    ({"target_tasks": None, "method": "mixture"}, SettingsError, "needs the task of every target row, got none"),
    ({"target_tasks": ["a"] * 5 + [None], "method": "mixture"}, SettingsError, "target row 5 has none"),
    ({"params": {"shares": "targt1=1"}, "method": "mixture"}, SettingsError, "unknown target task in shares 'targt1'"),
    (
        {"params": {"shares": "target1"}, "method": "mixture"},
        SettingsError,
        "must be TASK=NUMBER,TASK=NUMBER, got 'target1'",
    ),
    ({"params": {"shares": "target1=1,target1=2"}, "method": "mixture"}, SettingsError, "'target1' twice"),
    ({"params": {"shares": "target1=-1"}, "method": "mixture"}, SettingsError, "0 or more, got '-1'"),
    ({"params": {"shares": "target1=nan"}, "method": "mixture"}, SettingsError, "0 or more, got 'nan'"),
    ({"params": {"shares": "target1=0"}, "method": "mixture"}, SettingsError, "at least one share must be above 0"),
    ({"pool_vectors": np.zeros((0, 5))}, EmptyDataError, "the pool must hold at least one row"),
    ({"target_vectors": np.zeros((0, 5))}, EmptyDataError, "the target must hold at least one row"),
    ({"target_vectors": np.ones((2, 4))}, ShapeError, "same dimension, got 5 and 4"),
    ({"pool_vectors": np.ones(5)}, ShapeError, r"shape \(rows, dimensions\), got shape \(5,\)"),
    ({"pool_vectors": np.array([["a"]])}, ShapeError, "must hold numbers"),
    ({"target_vectors": np.array([[1.0] * 5, [0.0] * 5])}, NonFiniteError, r"target_vectors .* row 1 \(all zeros\)"),
    ({"target_vectors": np.array([[np.nan] * 5])}, NonFiniteError, r"row 0 \(NaN or infinity\)"),
]


@pytest.mark.parametrize(("change", "kind", "sentence"), BAD)
def test_bad_input_gets_its_sentence(change: dict[str, Any], kind: type[RighttimeError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        arrange_embeddings(**{**some(), "method": "tma", **change})


def test_replay_refuses_another_pool() -> None:
    arrangement = arrange_embeddings(**some(), method="tma")
    with pytest.raises(ShapeError, match="must be the pool's 50, got 3"):
        next(arrangement.replay([1, 2, 3]))


def test_loading_something_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nothing of ours")
    with pytest.raises(StoreError, match="must be an arrangement saved by righttime"):
        Arrangement.load(tmp_path / "x.parquet")
