"""Woven rows against a twin written from the definition, in every method."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_vectors import arranged, every_method, same, some
from righttime import Arrangement, arrange_embeddings
from righttime.arrangement import METHODS
from righttime.arrangement.weaving import Weave, read_anneal, read_weave
from righttime.errors import SettingsError

shares = st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(999, 1000), max_denominator=1000)


def twin_places(share: Fraction, n: int) -> list[bool]:
    """Place by place: a woven row wherever the count would otherwise fall more than half a row behind."""
    woven, places = 0, []
    for k in range(1, n + 1):
        behind = share * k - woven
        places.append(behind > Fraction(1, 2))
        woven += places[-1]
    return places


@given(shares, st.integers(0, 300))
def test_places_equal_the_twin_and_are_spread_evenly(share: Fraction, n: int) -> None:
    weave = Weave(share)
    places = weave.places(n)
    assert places.tolist() == twin_places(share, n)
    for k in range(n + 1):
        assert abs(int(places[:k].sum()) - share * k) <= Fraction(1, 2)
        assert weave.among(k, n) == int(places[:k].sum())


@given(shares, st.integers(0, 300))
def test_the_total_is_the_fewest_rows_with_so_many_arranged(share: Fraction, n: int) -> None:
    weave = Weave(share)
    total = weave.total(n)
    assert total - weave.among(total, total) == n
    assert total == 0 or (total - 1) - weave.among(total - 1, total - 1) == n - 1


@given(shares, shares, st.integers(0, 200))
def test_places_of_a_changing_share_equal_the_twin(first: Fraction, last: Fraction, n: int) -> None:
    places = Weave(first, last).places(n)
    want, due = 0, Fraction(0)
    for k in range(1, n + 1):
        due += first + (last - first) * Fraction(2 * k - 1, 2 * n)
        woven = due - want > Fraction(1, 2)
        assert bool(places[k - 1]) == woven
        want += woven
        assert abs(want - due) <= Fraction(1, 2)


@every_method
def test_every_method_is_annealed(method: str) -> None:
    weave = read_anneal("1:25%")
    assert weave is not None
    found = arranged(method, some(), budget=40, seed=3, anneal="1:25%")
    alone = arranged(method, some(), budget=40 - weave.among(40, 40), seed=3)
    assert found.woven is not None
    assert found.woven.tolist() == weave.places(40).tolist()
    assert found.arranged().order.tolist() == alone.order.tolist()
    assert int(found.woven.sum()) == 15  # three eighths
    assert int(found.woven[:20].sum()) < int(found.woven[20:].sum())
    assert found.settings == {**alone.settings, "budget": 40, "anneal": "1:25%"}


def twin(alone: Arrangement, share: Fraction, n: int, seed: int, n_pool: int) -> list[int]:
    """The method's rows with rows of a seeded shuffle of the others between them."""
    keys = np.random.default_rng([seed, *b"weave"]).random(n_pool)
    taken = set(alone.order.tolist())
    drawn = iter(sorted((row for row in range(n_pool) if row not in taken), key=lambda row: keys[row]))
    own = iter(alone.order.tolist())
    return [next(drawn) if woven else next(own) for woven in twin_places(share, n)]


@every_method
@pytest.mark.parametrize("share", ["0.2", "37.5%", "0.9"])
def test_every_method_is_woven_as_the_twin(method: str, share: str) -> None:
    weave = read_weave(share)
    assert weave is not None
    for budget in (7, 30):
        found = arranged(method, some(), budget=budget, seed=3, weave=share)
        alone = arranged(method, some(), budget=budget - weave.among(budget, budget), seed=3)
        assert found.order.tolist() == twin(alone, weave.share, budget, 3, 50)
        assert len(set(found.order.tolist())) == budget
        assert found.woven is not None
        assert found.woven.tolist() == twin_places(weave.share, budget)
        only = found.arranged()
        for name in ("order", "round", "picked_by", "similarity", "distance"):
            own, other = getattr(only, name), getattr(alone, name)
            assert (own is None) == (other is None)
            assert own is None or own.tolist() == other.tolist()
        assert found.n_rounds == alone.n_rounds
        assert found.settings == {**alone.settings, "budget": budget, "weave": share}


@every_method
def test_woven_it_is_saved_and_loaded(method: str, tmp_path: Path) -> None:
    found = arranged(method, some(), budget=20, weave="0.3")
    found.save(tmp_path / "a.parquet")
    loaded = Arrangement.load(tmp_path / "a.parquet")
    assert same(found, loaded)
    for name in ("round", "picked_by", "similarity", "distance"):
        column, again = getattr(found, name), getattr(loaded, name)
        assert (column is None) == (again is None)
        if column is not None:
            assert column.dtype == again.dtype
            np.testing.assert_array_equal(column, again)
    table = found.to_table()
    reasons = table["reason"].to_pylist()
    assert reasons == ["woven" if woven else "arranged" for woven in twin_places(Fraction(3, 10), 20)]
    for row in table.to_pylist():
        if row["reason"] == "woven":
            assert [row[name] for name in ("round", "picked_by", "picked_by_row", "similarity", "distance")] == [
                None
            ] * 5


def test_nothing_woven_leaves_the_table_as_it_was() -> None:
    assert "reason" not in arrange_embeddings(**some(), budget=20).to_table().column_names


def test_without_a_budget_all_arranged_rows_stay() -> None:
    given = some()
    found = arrange_embeddings(**given, method="tma", rounds=(0, 3), weave="0.25")
    alone = arrange_embeddings(**given, method="tma", rounds=(0, 3))
    assert found.arranged().order.tolist() == alone.order.tolist()
    assert found.woven is not None
    assert len(found) - int(found.woven.sum()) == len(alone)
    assert not found.woven[-1]


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_seed_alone_decides_what_is_woven(one: int, other: int) -> None:
    orders = [arrange_embeddings(**some(), budget=30, weave="0.5", seed=seed) for seed in (one, one, other)]
    assert same(*orders[:2])
    assert orders[0].arranged().order.tolist() == orders[2].arranged().order.tolist()
    assert (orders[0].order.tolist() == orders[2].order.tolist()) == (one == other)


def test_rows_below_the_least_similarity_are_not_woven() -> None:
    given = some()
    found = arrange_embeddings(**given, budget=20, min_similarity=0.4, weave="0.5")
    allowed = set(arrange_embeddings(**given, min_similarity=0.4).order.tolist())
    assert len(allowed) < 50
    assert set(found.order.tolist()) <= allowed
    assert found.n_pool == 50


def test_what_is_kept_has_no_secrets() -> None:
    weave, anneal = read_weave("0.2:https://me:word@example.org/a.jsonl?key=1"), read_anneal("1:0.5:s3://me:word@b/c")
    assert weave is not None
    assert anneal is not None
    assert (weave.pool, weave.given) == ("https://me:word@example.org/a.jsonl?key=1", "0.2:https://example.org/a.jsonl")
    assert (anneal.given, anneal.shares, weave.shares) == ("1:0.5:s3://b/c", "1:0.5", "0.2")


BAD: list[tuple[dict[str, Any], str]] = [
    *(({"weave": share}, r"a share above 0 and below 1.*got ") for share in ("0", "1", "1.5", "-0.1", "x", "", "100%")),
    ({"weave": "0.0000000001"}, "at most nine digits behind the point"),
    ({"weave": True}, "a share above 0 and below 1"),
    ({"weave": "0.2:"}, "a share and a file"),
    ({"weave": "0.2:other.jsonl"}, "must be a share where there are only vectors, got '0.2:other.jsonl'"),
    ({"weave": "0.2"}, "12 rows to weave among 50 arranged ones, but there are 0 that the arrangement has not taken"),
    ({"weave": "0.9", "budget": 1}, "must leave a row to arrange, but of a budget of 1 it takes all"),
    *(({"anneal": two}, "`anneal` must be the share of arranged rows") for two in ("1", "1:1", "2:1", "1:x", "1:0.5:")),
    ({"anneal": "1:0.5"}, "`anneal` must have a `budget`"),
    ({"anneal": "1:0.5", "weave": "0.2", "budget": 20}, "both weave rows in: give one of them"),
    ({"anneal": "0:0", "budget": 20}, "must leave a row to arrange, but of a budget of 20 it takes all"),
    ({"weave": "0.5", "budget": 51}, "budget must be at most the pool's 50 rows, got 51"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_shares_get_their_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        arrange_embeddings(**some(), **{"method": "tma", **change})
    assert caught.value.setting in ("weave", "anneal", "budget")


def test_every_method_draws_where_rows_are_woven() -> None:
    from righttime.arrangement import SelectionInput, draws_by_chance
    from righttime.arrangement.registry import resolved_params

    one = np.ones((9, 1), dtype=np.float32)
    for name in METHODS:
        params = resolved_params(name, {})
        assert draws_by_chance(name, SelectionInput(one, one, params=params, weave=Weave(Fraction(1, 2))))
