"""One suite that every method passes: a new line in METHODS is tested here at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from righttime import Arrangement, RighttimeError, arrange_embeddings
from righttime.arrangement import METHODS
from righttime.errors import EmptyDataError, NonFiniteError, SettingsError, ShapeError, StoreError
from righttime.similarity import unit_rows
from twin import distances, matrix

every_method = pytest.mark.parametrize("method", list(METHODS))


def some(n_pool: int = 50, n_target: int = 6, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    tasks = [f"task{number}" for number in rng.integers(0, 4, size=n_pool)]
    return {
        "pool_vectors": rng.normal(size=(n_pool, 5)),
        "target_vectors": rng.normal(size=(n_target, 5)),
        "tasks": tasks,
        "target_tasks": [f"goal{number % 2}" for number in range(n_target)],
        "texts": [f"word{number % 7} of row {number} in {task}" for number, task in enumerate(tasks)],
        "target_texts": [f"word{number} of goal {number}" for number in range(n_target)],
    }


def same(a: Arrangement, b: Arrangement) -> bool:
    return bool(a.to_table().equals(b.to_table(), check_metadata=True))


@every_method
@pytest.mark.parametrize("shape", [(50, 6), (3, 20), (1, 1), (50, 1)])
def test_without_a_budget_the_order_is_a_permutation(method: str, shape: tuple[int, int]) -> None:
    arrangement = arrange_embeddings(**some(*shape), method=method)
    assert sorted(arrangement.order.tolist()) == list(range(shape[0]))
    assert arrangement.order.dtype == np.int64


@every_method
def test_the_budget_is_exact_and_a_prefix_of_the_whole(method: str) -> None:
    whole = arrange_embeddings(**some(), method=method)
    for budget in (1, 7, 49, 50):
        cut = arrange_embeddings(**some(), method=method, budget=budget)
        assert cut.order.tolist() == whole.order[:budget].tolist()


@every_method
def test_the_same_question_has_the_same_answer(method: str) -> None:
    assert same(*(arrange_embeddings(**some(), method=method, seed=4) for _ in range(2)))


@every_method
def test_identical_rows_are_all_taken_once(method: str) -> None:
    given = some()
    given["pool_vectors"][:] = given["pool_vectors"][0]
    given["target_vectors"][:] = given["pool_vectors"][0]
    order = arrange_embeddings(**given, method=method).order
    assert sorted(order.tolist()) == list(range(50))
    if "vectors" in METHODS[method].needs and "seed" not in METHODS[method].needs:
        assert order.tolist() == list(range(50)), "ties go to the lower pool row"


@every_method
def test_columns_are_there_exactly_where_the_method_has_them(method: str) -> None:
    arrangement = arrange_embeddings(**some(), method=method)
    needs = METHODS[method].needs
    assert (arrangement.round is not None) == ("rounds" in needs)
    for column in (arrangement.picked_by, arrangement.similarity):
        assert (column is not None) == ("vectors" in needs)
    assert (arrangement.distance is not None) == bool(needs & {"vectors", "texts"})


@every_method
def test_similarity_is_that_of_the_pair(method: str) -> None:
    given = some()
    arrangement = arrange_embeddings(**given, method=method)
    if arrangement.picked_by is None or arrangement.similarity is None:
        return
    s = matrix(unit_rows(given["pool_vectors"]), unit_rows(given["target_vectors"]))
    assert arrangement.similarity.tolist() == s[arrangement.order, arrangement.picked_by].tolist()


@every_method
def test_saved_and_loaded_it_is_the_same(method: str, tmp_path: Path) -> None:
    arrangement = arrange_embeddings(**some(), method=method, budget=20)
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
