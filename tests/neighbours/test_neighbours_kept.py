"""Products of a small pool that are kept: the same choices, to the bit, as from blocks and as from the definition."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime import arrange_embeddings
from righttime.arrangement import candidates, tma_rounds
from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.caps import Cap, Room
from righttime.neighbours import BlockSearch, KeptProducts, Seen, kept
from righttime.neighbours.nominate import by_target
from righttime.similarity import unit_rows
from righttime.similarity.pairs import rounding_margin
from strategies import vectors
from tiers import examples
from twin import matrix, tma_within

BLOCKS = BlockSearch("cpu", block_rows=7)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that run out, and several blocks and groups, at sizes where the twin is still fast."""
    monkeypatch.setattr(candidates, "_SHORTEST_KEPT", 2)
    monkeypatch.setattr(candidates, "AHEAD", 0)
    monkeypatch.setattr(candidates, "_TOGETHER", 1)
    monkeypatch.setattr(kept, "_BLOCK_ROWS", 5)
    monkeypatch.setattr(kept, "_LOOKED_AT", 40)
    monkeypatch.setattr(kept, "_FOLDED", 3)


def near_vectors(seed: int, n: int, m: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Clumps of rows that differ by less than products can tell, and some that do not differ at all."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(4, 48))
    rows = centre[rng.integers(0, 4, size=n)] + 1e-6 * rng.normal(size=(n, 48)) * (rng.random((n, 1)) < 0.5)
    return unit_rows(rows), unit_rows(centre[rng.integers(0, 4, size=m)] + 0.2 * rng.normal(size=(m, 48)))


both_sides = st.one_of(
    vectors(max_pool=50), st.builds(near_vectors, st.integers(0, 2**16), st.integers(1, 50), st.integers(1, 8))
)


@pytest.mark.usefixtures("small")
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(both=both_sides, data=st.data())
def test_rounds_equal_the_twin_and_those_of_blocks(both: tuple[Any, Any], data: st.DataObject) -> None:
    pool, target = both
    weights = data.draw(st.none() | st.lists(st.integers(1, 3), min_size=len(target), max_size=len(target)))
    names = [str(row % 3) for row in range(len(pool))]
    cap = data.draw(st.none() | st.integers(1, len(pool)))
    apart = data.draw(st.none() | st.sampled_from([1e-6, 0.1, 0.5]))
    floor = data.draw(st.none() | st.sampled_from([0.0, 0.5]))
    expected = data.draw(st.integers(1, len(pool)))
    shares = None if weights is None else [Fraction(weight) for weight in weights]

    def played(search: BlockSearch) -> list[tuple[Any, ...]]:
        room = None if cap is None else Room([Cap("task", cap, names)])
        rounds = tma_rounds(
            pool,
            target,
            expected_rows=expected,
            search=search,
            room=room,
            apart=apart,
            min_similarity=floor,
            weights=shares,
        )
        return [(one.rows.tolist(), one.picked_by.tolist(), one.similarity.tolist()) for one in rounds]

    found = played(BlockSearch("cpu"))
    assert found == played(BLOCKS)
    pairs = None if apart is None else (matrix(pool, pool), apart)
    caps = [] if cap is None else [(names, cap)]
    want = tma_within(matrix(pool, target), caps, floor=floor, apart=pairs, weights=shares)
    assert found == [tuple(map(list, zip(*((i, j, float(v)) for i, j, v in one), strict=True))) for one in want]


@pytest.mark.usefixtures("small")
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(both=both_sides, wanted=st.integers(1, 60), seed=st.integers(0, 2**16))
def test_what_is_not_nominated_looks_at_most_like_the_cut(both: tuple[Any, Any], wanted: int, seed: int) -> None:
    pool, target = both
    rng = np.random.default_rng(seed)
    taken = rng.random(len(pool)) < 0.4
    taken[rng.integers(len(pool))] = False
    s, margin = matrix(pool, target).T, rounding_margin(pool.shape[1])
    who = np.flatnonzero(rng.random(len(target)) < 0.7)
    who = who if len(who) else np.arange(1)
    wanted = min(wanted, int(np.count_nonzero(~taken)))
    everything = KeptProducts(pool, target, None, margin)
    living = KeptProducts(pool, target, np.flatnonzero(~taken), margin)
    for products in (everything, living):
        found = products.nominees(who, wanted, taken)
        exact = products.best(who, wanted, taken)
        for place, j in enumerate(who.tolist()):
            rows = found.rows[found.start[place] : found.start[place + 1]]
            value = found.value[found.start[place] : found.start[place + 1]]
            assert wanted <= len(rows) <= 2 * wanted
            assert len(np.unique(rows)) == len(rows)
            assert not taken[rows].any()
            assert (np.diff(value) <= 0).all()
            assert np.abs(value - s[j, rows]).max() <= margin
            others = ~taken
            others[rows] = False
            assert not others.any() or s[j, others].max() <= found.cut[place] + margin
            assert others.any() or found.cut[place] <= value.min()
            alive = np.flatnonzero(~taken)
            want = alive[np.lexsort((alive, -s[j, alive]))][:wanted].tolist()
            some = slice(exact.start[place], exact.start[place + 1])
            assert exact.rows[some].tolist() == want
            assert exact.value[some].tolist() == s[j, want].tolist()


@pytest.mark.parametrize("budget", [30, 300, None])
def test_the_way_changes_no_byte(budget: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products kept from the start, from when few rows are left, and never."""
    pool, target = near_vectors(1, 3000, 30)
    made: list[int] = []
    plain = KeptProducts.__init__

    def told(self: KeptProducts, *arguments: Any, **more: Any) -> None:
        plain(self, *arguments, **more)
        made.append(self.product.shape[1])

    monkeypatch.setattr(KeptProducts, "__init__", told)
    columns, sizes = [], []
    for most in (kept._MOST, 1000 * 30, 0):
        monkeypatch.setattr(kept, "_MOST", most)
        made.clear()
        found = arrange_embeddings(pool, target, budget=budget)
        sizes.append(list(made))
        made_of = (found.order, found.round, found.picked_by, found.similarity)
        columns.append([column.tobytes() for column in made_of if column is not None])
    assert columns[0] == columns[1] == columns[2]
    assert len(columns[0]) == 4
    assert sizes[0] == [3000]
    assert sizes[2] == []
    assert budget is not None or 0 < sizes[1][0] <= 1000


def test_rows_that_are_all_equal_are_bounded_and_go_by_their_number() -> None:
    pool = np.zeros((5000, 16), dtype=np.float32)
    pool[:, 0] = 1
    target = unit_rows(np.eye(64, 16) + 0.1)
    found = KeptProducts(pool, target, None, rounding_margin(16)).nominees(np.arange(64), 8, np.zeros(5000, np.bool_))
    assert len(found.rows) == 2 * 8 * 64
    lists = CandidateLists(pool, target, 10, BlockSearch("cpu"))
    for row in range(40):
        assert set(lists.choose()[0].tolist()) == {row}
        lists.take(np.array([row]))


def test_what_the_products_have_seen_is_what_blocks_have_seen() -> None:
    rng = np.random.default_rng(2)
    pool, target = unit_rows(rng.normal(size=(1000, 8))), unit_rows(rng.normal(size=(10, 8)))
    told = []
    for block_rows in (None, 100):
        seen = Seen(pool, target)
        lists = CandidateLists(pool, target, 100, BlockSearch("cpu", block_rows=block_rows, seen=seen))
        lists.choose()
        told.append(seen)
    assert told[0].of_pool is not None
    assert told[1].of_pool is not None
    assert np.abs(told[0].of_pool - told[1].of_pool).max() <= 2 * told[0].margin
    best = matrix(pool, target).max(axis=0)
    for seen in told:
        known = ~np.isnan(seen.of_target)
        assert known.any()
        assert seen.of_target[known].tolist() == best[known].tolist()


def test_only_few_products_are_kept() -> None:
    assert kept.may_keep(20_000, 1000, 1 << 30)
    assert not kept.may_keep(200_000, 1000, 1 << 30)
    assert not kept.may_keep(20_000, 1000, 1 << 28), "80 MB are more than a quarter of the memory"
    pool, target = near_vectors(3, 200, 5)
    none = np.zeros(200, dtype=np.bool_)
    assert BlockSearch("cpu").kept(pool, target, none) is not None
    assert BlockSearch("cpu", memory=1000).kept(pool, target, none) is None
    assert BlockSearch("torch").kept(pool, target, none) is None


@given(n_rows=st.sampled_from([40, 2**31 - 1, 2**40]), n_target=st.sampled_from([6, 2**30]), seed=st.integers(0, 99))
def test_pairs_are_sorted_by_target_row_and_falling_value(n_rows: int, n_target: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    who = rng.integers(0, n_target, size=50).astype(np.int32) % np.int32(5)
    rows = rng.permutation(50).astype(np.int64) % n_rows
    value = rng.choice(np.array([-1, -0.5, -0.0, 0.0, 1e-30, 0.25, 1]), size=50).astype(np.float32)
    by, where, found = by_target(who, rows, value, n_target, n_rows)
    assert (np.diff(by) >= 0).all()
    assert (np.diff(found)[np.diff(by) == 0] <= 0).all()
    assert sorted(zip(by, where, found, strict=True)) == sorted(zip(who, rows, value, strict=True))
    for column, given_ in ((by, who), (where, rows), (found, value)):
        assert column.dtype == given_.dtype
