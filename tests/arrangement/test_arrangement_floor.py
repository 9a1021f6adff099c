"""A least similarity, and budgets as shares: held to twins written from the definition, for every method and engine."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime import Arrangement, arrange_embeddings
from righttime.arrangement import METHODS, SelectionInput, arrange_unit_vectors
from righttime.arrangement.budget import read_budget, rows_of
from righttime.errors import SettingsError
from righttime.neighbours import BlockSearch, Search
from righttime.similarity import pair_similarity, unit_rows
from righttime.verification.replay import rounds_hold, turns_hold
from strategies import vectors

FLOOR = 0.5


def some(n_pool: int = 50, n_target: int = 6) -> dict[str, Any]:
    """An input with everything that any method may look at."""
    rng = np.random.default_rng(0)
    words = ["the", "sum", "of", "two", "numbers", "is", "odd", "or", "even"]
    return {
        "pool_vectors": rng.normal(size=(n_pool, 5)),
        "target_vectors": rng.normal(size=(n_target, 5)),
        "tasks": [f"task{number}" for number in rng.integers(0, 4, size=n_pool)],
        "target_tasks": [f"target{number}" for number in rng.integers(0, 3, size=n_target)],
        "texts": [" ".join(rng.choice(words, size=6)) for _ in range(n_pool)],
        "target_texts": [" ".join(rng.choice(words, size=6)) for _ in range(n_target)],
    }


def similarities(pool: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([pair_similarity(pool, row[None]) for row in target], axis=1)


def tma_twin(s: NDArray[np.float32], floor: float) -> list[tuple[int, int, int]]:
    """(pool row, round, picked by): a target row whose nearest row still there is below the floor stops."""
    there, places, number = np.ones(len(s), dtype=bool), [], 0
    while there.any():
        picks: dict[int, int] = {}
        for j in range(s.shape[1]):
            row = int(np.where(there, s[:, j], -np.inf).argmax())
            if s[row, j] >= np.float32(floor) and (row not in picks or s[row, j] > s[row, picks[row]]):
                picks[row] = j
        if not picks:
            break
        places += [(row, number, picks[row]) for row in sorted(picks, key=lambda row: (-s[row, picks[row]], row))]
        there[list(picks)] = False
        number += 1
    return places


def rds_twin(s: NDArray[np.float32], floor: float) -> list[tuple[int, int]]:
    """(pool row, picked by): turns 0, 1, …; whose nearest row still there is below the floor has no more turns."""
    there, places = np.ones(len(s), dtype=bool), []
    turns = list(range(s.shape[1]))
    while turns and there.any():
        j = turns.pop(0)
        row = int(np.where(there, s[:, j], -np.inf).argmax())
        if s[row, j] >= np.float32(floor):
            places.append((row, j))
            there[row] = False
            turns.append(j)
    return places


@given(vectors(), st.sampled_from([-0.5, 0.0, 0.3, 0.6, 0.9]))
def test_tma_and_rds_stop_as_the_twins_do(both: tuple[Any, Any], floor: float) -> None:
    pool, target = both
    s = similarities(pool, target)
    if not (s >= np.float32(floor)).any():
        with pytest.raises(SettingsError, match="some pool row must be as similar"):
            arrange_embeddings(pool, target, min_similarity=floor)
        return
    got = arrange_embeddings(pool, target, min_similarity=floor)
    assert got.round is not None
    assert got.picked_by is not None
    columns = (got.order, got.round, got.picked_by)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == tma_twin(s, floor)
    turns = arrange_embeddings(pool, target, min_similarity=floor, method="rds")
    assert turns.picked_by is not None
    assert list(zip(turns.order.tolist(), turns.picked_by.tolist(), strict=True)) == rds_twin(s, floor)
    for one in (got, turns):
        assert one.similarity is not None
        assert (one.similarity >= np.float32(floor)).all()
        assert sorted(one.order.tolist()) == np.flatnonzero((s >= np.float32(floor)).any(axis=1)).tolist()
        assert one.n_pool == len(pool)
        assert one.settings["min_similarity"] == floor


@pytest.mark.parametrize(
    "method", [name for name, entry in METHODS.items() if "vectors" in entry.needs and name not in ("tma", "rds")]
)
def test_rows_below_it_are_as_if_they_were_not_there(method: str) -> None:
    given_ = some()
    s = similarities(*(unit_rows(given_[f"{side}_vectors"]) for side in ("pool", "target")))
    near = np.flatnonzero(s.max(axis=1) >= np.float32(FLOOR))
    assert 10 < len(near) < 50
    params = {"k": 1000} if method in ("polar", "uniform") else None
    settings: dict[str, Any] = {"method": method, "params": params, "budget": 10}
    got = arrange_embeddings(**given_, **settings, min_similarity=FLOOR)
    without = {
        **given_,
        "pool_vectors": given_["pool_vectors"][near],
        "tasks": [given_["tasks"][row] for row in near],
        "texts": [given_["texts"][row] for row in near],
    }
    assert set(got.order.tolist()) <= set(near.tolist())
    assert len(got) == 10
    if method not in ("tma-nft", "tma-fft", "tma-rt"):  # whose nearest walk stops as tma does
        assert got.order.tolist() == near[arrange_embeddings(**without, **settings).order].tolist()


@pytest.mark.parametrize("search", [BlockSearch("cpu", block_rows=7), BlockSearch("torch"), BlockSearch("cpu")])
@pytest.mark.parametrize("method", ["tma", "rds", "nearest"])
def test_every_engine_stops_at_the_same_row(method: str, search: Search) -> None:
    rng = np.random.default_rng(3)
    pool, target = unit_rows(rng.normal(size=(3000, 8))), unit_rows(rng.normal(size=(20, 8)))
    inputs = SelectionInput(pool, target, min_similarity=0.8, params={})
    want = arrange_unit_vectors(method, inputs)
    got = arrange_unit_vectors(method, dataclasses.replace(inputs, search=search))
    assert 20 < len(got) < 3000
    assert got.to_table().equals(want.to_table())


def test_rows_that_are_left_may_lie_in_a_mapped_file() -> None:
    given_ = some(500)
    want = arrange_embeddings(**given_, method="kcenter", min_similarity=FLOOR)
    pool, target = unit_rows(given_["pool_vectors"]), unit_rows(given_["target_vectors"])
    got = arrange_unit_vectors("kcenter", SelectionInput(pool, target, min_similarity=FLOOR), most_bytes=100)
    assert got.order.tolist() == want.order.tolist()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"min_similarity": 1.5}, r"must be a cosine similarity from -1 to 1, got 1\.5"),
        ({"min_similarity": float("nan")}, "must be a cosine similarity"),
        ({"min_similarity": "much"}, "must be a cosine similarity"),
        ({"min_similarity": 0.5, "method": "random"}, "for methods that look at vectors, got it with 'random'"),
        ({"min_similarity": 0.5, "method": "dsir"}, "for methods that look at vectors, got it with 'dsir'"),
        ({"min_similarity": 1.0}, r"some pool row must be .* the most similar one is at 0\.\d{4}"),
        ({"min_similarity": FLOOR, "budget": 49}, r"at most the \d+ of 50 pool rows that are as similar .* got 49"),
        ({"min_similarity": FLOOR, "budget": "90%"}, "of 50 pool rows that are as similar .* got 45"),
        ({"budget": "0%"}, "above 0% and up to 100%, got 0%"),
        ({"budget": "101%"}, "above 0% and up to 100%, got 101%"),
        ({"budget": "half"}, "a whole number of rows or a share such as 10%, got 'half'"),
        ({"budget": "0.1"}, r"a share such as 10%, got '0\.1'\. Hint: 10% is that share\.$"),
        ({"budget": 0.025}, r"got 0\.025\. Hint: 2\.5% is that share\.$"),
        ({"budget": "1/0"}, r"got '1/0'\.$"),
        ({"budget": "10"}, "a whole number of rows or a share such as 10%, got '10'"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        arrange_embeddings(**{**some(), **settings})


def test_a_share_is_of_the_rows_and_one_row_at_least() -> None:
    assert len(arrange_embeddings(**some(), budget="10%")) == 5
    assert len(arrange_embeddings(**some(), budget="0.1%")) == 1
    assert len(arrange_embeddings(**some(), budget="100%")) == 50
    assert arrange_embeddings(**some(), budget="10%").settings["budget"] == 5
    assert rows_of("33.3%", 1000) == 333
    assert rows_of("10%", None) is None
    assert read_budget("12") == 12
    assert read_budget(None) is None


def test_a_similarity_equal_to_the_least_is_enough() -> None:
    pool = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
    s = float(pair_similarity(unit_rows(np.array(pool[1:2])), np.array([[1, 0]], dtype=np.float32))[0])
    assert arrange_embeddings(pool, [[1.0, 0.0]], min_similarity=s).order.tolist() == [0, 1]
    assert arrange_embeddings(pool, [[1.0, 0.0]], min_similarity=0.6).order.tolist() == [0, 1]
    assert arrange_embeddings(pool, [[1.0, 0.0]], min_similarity=np.nextafter(np.float32(s), 2)).order.tolist() == [0]


@pytest.mark.parametrize("method", ["tma", "rds"])
def test_a_stored_order_is_held_to_the_least_similarity_too(method: str) -> None:
    given_ = some()
    pool, target = (unit_rows(given_[f"{side}_vectors"]) for side in ("pool", "target"))
    near = pool[similarities(pool, target).max(axis=1) >= np.float32(FLOOR)]
    arrangement = arrange_embeddings(near, target, method=method, min_similarity=FLOOR)
    order, close = arrangement.order, 1e-5

    def wrong(of: Arrangement, floor: float | None = FLOOR) -> str:
        if method == "tma":
            return rounds_hold(of.order, of, near, target, 1.0, close, floor)
        return turns_hold(of.order, of, near, target, close, floor)

    assert wrong(arrangement) == ""
    assert wrong(arrangement, 0.0), "with a lower one other target rows would still pick"
    swapped = order.copy()
    swapped[[0, -1]] = order[[-1, 0]]
    assert wrong(dataclasses.replace(arrangement, order=swapped))
