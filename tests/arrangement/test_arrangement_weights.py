"""Target rows of unequal weight: turns in proportion and weighted means, against twins and against copies of rows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_vectors import few_directions, some
from righttime import arrange_embeddings
from righttime.arrangement.weights import Turns, weights_of_rows
from righttime.errors import SettingsError, ShapeError
from righttime.similarity import average_distance, unit_rows
from twin import distances, has_turn, matrix, rds_within, tma_within

weight = st.fractions(min_value=Fraction(1, 9), max_value=9, max_denominator=9)


@given(st.lists(weight, min_size=1, max_size=5), st.integers(1, 40))
def test_turns_are_in_proportion(weights: list[Fraction], n: int) -> None:
    turns, had = Turns(weights, len(weights)), [0] * len(weights)
    everyone = np.arange(len(weights))
    for turn in range(n):
        now = turns.next(everyone).tolist()
        want = [j for j in range(len(weights)) if has_turn(weights, j, turn)]
        assert now == want
        for j in now:
            had[j] += 1
        for j, one in enumerate(weights):
            assert 0 <= had[j] - (turn + 1) * one / max(weights) < 1


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Vectors of a few directions, so that most similarities are equal, and weights of a few values."""
    n, m = draw(st.integers(1, 24)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sides = [few_directions(rng, count) for count in (n, m)]
    few = draw(st.lists(weight, min_size=1, max_size=3))
    weights = [str(few[k]) for k in rng.integers(0, len(few), size=m)]
    tasks = [f"task{k}" for k in rng.integers(0, 3, size=n)]
    return {"pool_vectors": sides[0], "target_vectors": sides[1], "target_weights": weights, "tasks": tasks}


@given(
    inputs(),
    st.booleans(),
    st.sampled_from([None, 0.0, 0.5, 0.9]),
    st.one_of(st.none(), st.integers(1, 6)),
    st.sampled_from([None, 0.1, 0.6]),
)
def test_rounds_equal_the_twin(
    made: dict[str, Any], farthest: bool, floor: float | None, cap: int | None, apart: float | None
) -> None:
    pool, target = unit_rows(made["pool_vectors"]), unit_rows(made["target_vectors"])
    s = matrix(pool, target)
    allowed = np.arange(len(s)) if floor is None else np.flatnonzero(s.max(axis=1) >= np.float32(floor))
    if not len(allowed):
        return
    caps = [] if cap is None else [([made["tasks"][row] for row in allowed], cap)]
    pairs = None if apart is None else (matrix(pool[allowed], pool[allowed]), apart)
    weights = [Fraction(one) for one in made["target_weights"]]
    want = tma_within(s[allowed], caps, farthest, None if farthest else floor, pairs, weights)
    found = arrange_embeddings(
        **made,
        method="tma-farthest" if farthest else "tma",
        min_similarity=floor,
        cap_task=cap,
        apart=apart,
        within_round="index",
    )
    assert found.round is not None
    assert found.picked_by is not None
    got = zip(found.round.tolist(), found.order.tolist(), found.picked_by.tolist(), strict=True)
    assert list(got) == [(k, int(allowed[i]), j) for k, played in enumerate(want) for i, j, _ in played]


@given(inputs(), st.sampled_from([None, 0.5, 0.9]))
def test_turns_of_rds_equal_the_twin(made: dict[str, Any], floor: float | None) -> None:
    s = matrix(unit_rows(made["pool_vectors"]), unit_rows(made["target_vectors"]))
    allowed = np.arange(len(s)) if floor is None else np.flatnonzero(s.max(axis=1) >= np.float32(floor))
    if not len(allowed):
        return
    want = rds_within(s[allowed], [], floor, [Fraction(one) for one in made["target_weights"]])
    found = arrange_embeddings(**made, method="rds", min_similarity=floor)
    assert found.picked_by is not None
    got = list(zip(found.order.tolist(), found.picked_by.tolist(), strict=True))
    assert got == [(int(allowed[row]), by) for row, by in want]


@pytest.mark.parametrize("method", ["nearest", "farthest"])
@pytest.mark.parametrize("distance", ["wsd", "ad"])
def test_distances_equal_the_twin(method: str, distance: str) -> None:
    for seed in range(10):
        made = some(seed=seed)
        made["pool_vectors"][:, 0] += 1.0
        made["target_vectors"][:, 0] += 1.0
        weights = [Fraction(k % 3 + 1, 2) for k in range(6)]
        pool, target = unit_rows(made["pool_vectors"]), unit_rows(made["target_vectors"])
        want = distances(matrix(pool, target), pool, target, distance, weights)
        found = arrange_embeddings(**made, method=method, distance=distance, target_weights=[str(w) for w in weights])
        sign = 1 if method == "nearest" else -1
        assert found.order.tolist() == sorted(range(50), key=lambda i: (sign * want[i], i))
        assert found.distance is not None
        assert found.distance.tolist() == [want[i] for i in found.order]
        assert found.settings["target_rows_by_weight"] == {"1/2": 2, "1": 2, "3/2": 2}


@given(st.integers(0, 2**32), st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_whole_weight_is_as_many_copies_in_the_mean(seed: int, weights: list[int]) -> None:
    rng = np.random.default_rng(seed)
    pool, target = unit_rows(rng.normal(size=(9, 4))), unit_rows(rng.normal(size=(len(weights), 4)))
    weighted = average_distance(pool, target, [Fraction(one) for one in weights])
    np.testing.assert_allclose(weighted, average_distance(pool, np.repeat(target, weights, axis=0)), atol=1e-12)


@pytest.mark.parametrize("method", ["tma", "tma-nft", "rds", "nearest", "coarse", "polar"])
def test_equal_weights_change_nothing(method: str) -> None:
    made = some()
    plain = arrange_embeddings(**made, method=method, budget=20)
    same = arrange_embeddings(**made, method=method, budget=20, target_weights=[7] * 6)
    assert same.order.tolist() == plain.order.tolist()
    assert same.settings == plain.settings


def test_a_heavy_target_row_picks_more_rows() -> None:
    made = some(n_pool=200, n_target=2)
    found = arrange_embeddings(**made, budget=60, target_weights=[1, 4])
    assert found.picked_by is not None
    light, heavy = np.bincount(found.picked_by, minlength=2)
    assert abs(heavy - 4 * light) <= 12  # rows that both pick count for one of them


def test_weights_go_by_file_and_task() -> None:
    sources, tasks = ["dev", "dev", "safety", "safety"], ["a", None, "a", "b"]
    third, one, two = Fraction(1, 3), Fraction(1), Fraction(2)
    assert weights_of_rows({"safety": "1/3"}, sources, tasks) == (one, one, third, third)
    assert weights_of_rows({"safety": 2, "a": 0.5}, sources, tasks) == (one / 2, one, one, two)
    assert weights_of_rows({"dev": 3, "safety": 3}, sources, tasks) is None
    assert weights_of_rows({}, sources, tasks) is None
    assert weights_of_rows({"a": 2}, ["a", "b"], ["x", "a"]) == (two, one), "a name that is both is the file's"
    with pytest.raises(SettingsError, match="unknown file or task of the target 'safty': did you mean 'safety'"):
        weights_of_rows({"safty": 2}, sources, tasks)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    *(({"target_weights": [one, *[1] * 5]}, SettingsError, "a number above 0") for one in (0, -1, "x", "1/0", True)),
    ({"target_weights": [float("nan"), *[1] * 5]}, SettingsError, "a number above 0, got nan"),
    ({"target_weights": [float("inf"), *[1] * 5]}, SettingsError, "a number above 0, got inf"),
    ({"target_weights": [1, 2]}, ShapeError, "one entry for each of the 6 rows, got 2"),
    ({"method": "random"}, SettingsError, "whose target rows take turns .* wsd, ad, got it with 'random'"),
    ({"method": "rds-max"}, SettingsError, "got it with 'rds-max'"),
    ({"method": "nearest", "distance": "md"}, SettingsError, "got it with the distance 'md'"),
]


@pytest.mark.parametrize(("change", "kind", "sentence"), BAD)
def test_bad_weights_get_their_sentence(change: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        arrange_embeddings(**some(), **{"target_weights": [1, 2, 3, 4, 5, 6], **change})
