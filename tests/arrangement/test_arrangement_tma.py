from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from righttime import Arrangement, arrange_embeddings
from righttime.arrangement import SelectionInput, arrange_unit_vectors
from righttime.neighbours import BlockSearch
from strategies import vectors
from tiers import examples
from twin import matrix, tma, tma_order


def arranged(pool: Any, target: Any, method: str = "tma", **settings: Any) -> Arrangement:
    search = BlockSearch(block_rows=settings.pop("block_rows", None))
    return arrange_unit_vectors(method, SelectionInput(pool=pool, target=target, search=search, **settings))


def places(arrangement: Arrangement) -> list[tuple[Any, ...]]:
    assert arrangement.round is not None
    assert arrangement.picked_by is not None
    assert arrangement.similarity is not None
    columns = (arrangement.order, arrangement.round, arrangement.picked_by, arrangement.similarity)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=examples(2500))
@given(vectors(), st.data(), st.sampled_from(["tma", "tma-farthest"]), st.sampled_from(["similarity", "index"]))
def test_equals_the_twin_of_algorithm_1(given_vectors: Any, data: st.DataObject, method: str, within: str) -> None:
    pool, target = given_vectors
    budget = data.draw(st.one_of(st.none(), st.integers(1, len(pool))))
    block = data.draw(st.one_of(st.none(), st.integers(1, len(pool) + 2)))
    got = places(arranged(pool, target, method, budget=budget, within_round=within, block_rows=block))
    want = tma_order(matrix(pool, target), budget, method == "tma-farthest", within)
    assert got == [(row, number, by, float(value)) for row, number, by, value in want]


def test_budget_at_and_between_round_boundaries() -> None:
    rng = np.random.default_rng(0)
    pool, target = rng.normal(size=(300, 8)), rng.normal(size=(7, 8))
    whole = arrange_embeddings(pool, target, method="tma")
    assert whole.round is not None
    boundaries = np.flatnonzero(np.diff(whole.round)) + 1
    for budget in [1, *boundaries[:5], *(boundaries[:5] + 1), *(boundaries[:5] - 1), 299, 300]:
        cut = arrange_embeddings(pool, target, method="tma", budget=int(budget))
        assert len(cut) == budget
        assert places(cut) == places(whole)[:budget]


def test_rounds_window_selects_first_then_the_budget_cuts() -> None:
    rng = np.random.default_rng(1)
    pool, target = rng.normal(size=(200, 6)), rng.normal(size=(5, 6))
    for within in ("similarity", "index", "random"):
        whole = places(arrange_embeddings(pool, target, method="tma", within_round=within, seed=3))
        window = arrange_embeddings(pool, target, method="tma", rounds=(2, 5), within_round=within, seed=3)
        assert places(window) == [place for place in whole if 2 <= place[1] < 5]
        to_the_end = arrange_embeddings(pool, target, method="tma", rounds=(2, None), within_round=within, seed=3)
        assert places(to_the_end) == [place for place in whole if place[1] >= 2]
        cut = arrange_embeddings(pool, target, method="tma", rounds=(2, 5), within_round=within, seed=3, budget=7)
        assert places(cut) == places(window)[:7]


def test_random_within_a_round_is_seeded_and_keeps_the_rounds() -> None:
    rng = np.random.default_rng(2)
    pool, target = rng.normal(size=(200, 6)), rng.normal(size=(20, 6))
    one, again, other = (
        arrange_embeddings(pool, target, method="tma", within_round="random", seed=seed) for seed in (1, 1, 2)
    )
    assert places(one) == places(again)
    assert places(one) != places(other)
    assert sorted(places(one)) == sorted(places(other))


@settings(max_examples=examples(200))
@given(st.integers(0, 2**32 - 1), st.sampled_from(["tma", "tma-farthest", "nearest", "farthest"]))
def test_relabelled_pool_gives_the_relabelled_order(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    pool, target = rng.normal(size=(40, 7)), rng.normal(size=(6, 7))
    label = rng.permutation(len(pool))
    plain, relabelled = (arrange_embeddings(rows, target, method=method) for rows in (pool, pool[label]))
    assume(len(np.unique(matrix_of(pool, target))) == 240)  # no two similarities are equal
    assert label[relabelled.order].tolist() == plain.order.tolist()
    assert dataclasses.asdict(plain)["picked_by"].tolist() == dataclasses.asdict(relabelled)["picked_by"].tolist()


def matrix_of(pool: Any, target: Any) -> Any:
    from righttime.similarity import unit_rows

    return matrix(unit_rows(pool), unit_rows(target))


@settings(max_examples=examples(200))
@given(vectors(max_pool=40), st.sampled_from(["tma", "tma-farthest"]))
def test_a_target_rows_picks_never_get_better_from_round_to_round(given_vectors: Any, method: str) -> None:
    pool, target = given_vectors
    s = matrix(pool, target)
    sign = 1 if method == "tma" else -1
    picked = [[sign * s[row, by] for row, by, _ in played] for played in tma(s, method == "tma-farthest")]
    arrangement = arranged(pool, target, method)
    assert arrangement.round is not None
    assert arrangement.similarity is not None
    for number, want in enumerate(picked):
        got = sign * arrangement.similarity[arrangement.round == number]
        assert sorted(got.tolist()) == sorted(float(value) for value in want)
    if method == "tma":  # round 0 attains every target row's own minimum distance
        first = arrangement.order[arrangement.round == 0]
        assert np.array_equal(s[first].max(axis=0), s.max(axis=0))


def test_block_size_and_threads_change_nothing() -> None:
    import threadpoolctl

    rng = np.random.default_rng(5)
    # Near ties on purpose: many rows that differ only in the last bits.
    centre = rng.normal(size=(30, 384))
    pool = np.repeat(centre, 100, axis=0) + 1e-6 * rng.normal(size=(3000, 384))
    target = centre[:20] + 0.1 * rng.normal(size=(20, 384))
    for method in ("tma", "tma-farthest", "nearest"):
        want = arrange_embeddings(pool, target, method=method)
        for block, threads in [(1, 1), (17, 2), (1000, 1), (2999, 2), (10_000, 1)]:
            with threadpoolctl.threadpool_limits(threads):
                got = arrange_embeddings(pool, target, method=method, block_rows=block)
            assert got.to_table().equals(want.to_table(), check_metadata=True)
