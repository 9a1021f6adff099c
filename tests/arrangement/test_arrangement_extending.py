"""A pool that grows: the search looks at what is arranged and what is new, and finds what the whole pool gives."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from righttime.arrangement import Arrangement, SelectionInput, arrange_unit_vectors
from righttime.arrangement.extending import Bounds, GrownSearch, Looked, bounds_of
from righttime.neighbours import BlockSearch
from strategies import vectors
from tiers import examples
from twin import matrix, similarity, tma_order


def arranged(pool: Any, target: Any, method: str, search: Any = None, **more: Any) -> Arrangement:
    inputs = SelectionInput(pool=pool, target=target, search=search or BlockSearch(), **more)
    return arrange_unit_vectors(method, inputs)


def places(arrangement: Arrangement) -> list[tuple[Any, ...]]:
    columns = (arrangement.order, arrangement.round, arrangement.picked_by, arrangement.similarity)
    return list(zip(*(column.tolist() for column in columns if column is not None), strict=True))


def bounds(old: Arrangement, pool: Any, target: Any, sign: float, **more: Any) -> tuple[Any, Bounds | None]:
    assert old.round is not None
    assert old.picked_by is not None
    assert old.similarity is not None
    order = np.argsort(old.order)
    rows = old.order[order]
    near = np.float32(sign) * old.similarity[order] + np.float32(0.0)
    turned = target if sign > 0 else -target
    return rows, bounds_of(
        pool[rows], turned, old.round[order], old.picked_by[order], near, search=BlockSearch(), **more
    )


def grown(old: Arrangement, n_old: int, pool: Any, target: Any, sign: float, **more: Any) -> tuple[GrownSearch, Looked]:
    rows, found = bounds(old, pool, target, sign, **more)
    assert found is not None
    numbers = np.where(found.row < 0, -1, rows[found.row])
    some = np.concatenate([rows, np.arange(n_old, len(pool))])
    looked, turned = Looked(), target if sign > 0 else -target
    return GrownSearch(BlockSearch(), some, pool[some], turned, Bounds(found.similarity, numbers), looked), looked


@settings(max_examples=examples(1500))
@given(vectors(), st.data(), st.sampled_from(["tma", "tma-farthest"]), st.sampled_from(["similarity", "index"]))
def test_an_extended_arrangement_is_that_of_the_whole_pool(
    given_vectors: Any, data: st.DataObject, method: str, within: str
) -> None:
    pool, target = given_vectors
    sign = -1.0 if method == "tma-farthest" else 1.0
    n_old = data.draw(st.integers(1, len(pool)))
    first = data.draw(st.one_of(st.none(), st.integers(1, n_old)))
    budget = data.draw(st.one_of(st.none(), st.integers(1, len(pool))))
    old = arranged(pool[:n_old], target, method, budget=first, within_round=within)
    search, _ = grown(old, n_old, pool, target, sign, cut=first is not None, by_similarity=within == "similarity")
    got = places(arranged(pool, target, method, search, budget=budget, within_round=within))
    want = tma_order(matrix(pool, target), budget, sign < 0, within)
    assert got == [(row, number, by, float(value)) for row, number, by, value in want]


@settings(max_examples=examples(500))
@given(vectors(), st.data())
def test_no_row_that_was_left_comes_before_the_bounds(given_vectors: Any, data: st.DataObject) -> None:
    pool, target = given_vectors
    budget = data.draw(st.integers(1, len(pool)))
    old = arranged(pool, target, "tma", budget=budget)
    rows, found = bounds(old, pool, target, 1.0, cut=True, by_similarity=True)
    assert found is not None
    for row in set(range(len(pool))) - set(rows.tolist()):
        for who in range(len(target)):
            number = -1 if found.row[who] < 0 else rows[found.row[who]]
            at = similarity(pool[row], target[who])
            assert at < found.similarity[who] or (at == found.similarity[who] and row > number)


@settings(max_examples=examples(200))
@given(vectors(), st.data())
def test_weights_turn_by_turn(given_vectors: Any, data: st.DataObject) -> None:
    pool, target = given_vectors
    weights = [Fraction(data.draw(st.integers(1, 3))) for _ in target]
    n_old = data.draw(st.integers(1, len(pool)))
    budget = data.draw(st.integers(1, n_old))
    more: dict[str, Any] = {"target_weights": weights, "budget": budget}
    old = arranged(pool[:n_old], target, "tma", **more)
    search, _ = grown(old, n_old, pool, target, 1.0, cut=True, by_similarity=True, weights=weights)
    assert places(arranged(pool, target, "tma", search, **more)) == places(arranged(pool, target, "tma", **more))


def test_other_vectors_are_noticed() -> None:
    rng = np.random.default_rng(3)
    pool, target = rng.normal(size=(60, 6)).astype("f4"), rng.normal(size=(5, 6)).astype("f4")
    pool, target = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (pool, target))
    old = arranged(pool, target, "tma", budget=20)
    assert bounds(old, pool, target, 1.0, cut=True, by_similarity=True)[1] is not None
    pool[old.order[3]] = pool[old.order[7]]
    assert bounds(old, pool, target, 1.0, cut=True, by_similarity=True)[1] is None
