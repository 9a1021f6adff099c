from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime import arrange_embeddings
from righttime.errors import SettingsError
from righttime.similarity import entropic_distance, transport, transport_distance, unit_rows
from strategies import vectors
from tiers import examples
from twin_paper import transport_cost


def cost(pool: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([[np.linalg.norm(x.astype(float) - t.astype(float)) for t in target] for x in pool])


def some(n: int = 40, m: int = 7, d: int = 6, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return unit_rows(rng.normal(size=(n, d))), unit_rows(rng.normal(size=(m, d)))


@settings(max_examples=examples(100), deadline=None)
@given(vectors(max_pool=12, max_target=6))
def test_rows_costs_sum_to_the_least_cost_there_is(given_vectors: Any) -> None:
    pytest.importorskip("ot")
    pool, target = given_vectors
    found = transport_distance(pool, target)
    assert found.values.shape == (len(pool),)
    assert found.values.min() >= 0
    assert found.values.sum() == pytest.approx(transport_cost(cost(pool, target)), abs=1e-9)


def test_a_row_costs_what_its_mass_travels() -> None:
    pytest.importorskip("ot")
    pool, target = unit_rows([[1, 0], [0, 1]]), unit_rows([[1, 0], [0.6, 0.8]])
    assert transport_distance(pool, target).values.tolist() == pytest.approx([0, np.sqrt(0.4) / 2], abs=1e-7)


def test_entropic_is_the_plan_of_sinkhorn() -> None:
    ot = pytest.importorskip("ot")
    for seed in range(5):
        pool, target = some(seed=seed)
        c = cost(pool, target)
        plan = ot.sinkhorn(np.full(40, 1 / 40), np.full(7, 1 / 7), c, transport.REG, stopThr=1e-12, numItermax=10_000)
        found = entropic_distance(pool, target)
        assert np.allclose(found.values, (plan * c).sum(axis=1), atol=1e-6)
        assert found.warning is None
        exact = transport_distance(pool, target).about["cost"]
        assert exact <= found.about["cost"] <= exact + transport.REG * np.log(40 * 7)


def test_entropic_costs_nothing_between_identical_rows() -> None:
    """A float32 row is of length 1 to seven digits only: 2 - 2·x·t would part this one from itself by 3e-4."""
    row = np.array([[0.70710677, 0.0, 0.70710677]], dtype=np.float32)
    assert entropic_distance(row, row).about["cost"] < 1e-7


@pytest.mark.filterwarnings("ignore:ot-entropic")
@settings(max_examples=examples(100), deadline=None)
@given(vectors(max_pool=12, max_target=6))
def test_entropic_holds_where_rows_tie_repeat_and_oppose(given_vectors: Any) -> None:
    pool, target = given_vectors
    found = entropic_distance(pool, target)
    assert np.isfinite(found.values).all()
    assert found.values.min() >= 0
    if found.warning is None:
        exact = transport_cost(cost(pool, target))
        assert exact - 1e-5 <= found.about["cost"] <= exact + transport.REG * np.log(len(pool) * len(target)) + 1e-5


def test_entropic_without_kept_kernels_gives_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, target = some(300, 9)
    want = entropic_distance(pool, target).values
    monkeypatch.setattr(transport, "MOST_PAIRS", 10)
    assert entropic_distance(pool, target).values.tolist() == want.tolist()
    monkeypatch.setattr(transport, "_BLOCK_PAIRS", 70)
    assert np.allclose(entropic_distance(pool, target).values, want, rtol=1e-6)


def test_entropic_says_when_it_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MOST_STEPS", 1)
    with pytest.warns(UserWarning, match="after 1 steps the target's marginal is off by"):
        arrangement = arrange_embeddings(*some(), method="nearest", distance="ot-entropic")
    assert "off by" in arrangement.settings["warning"]


def test_too_many_pairs_for_exact_transport_are_refused_with_the_way_out() -> None:
    pool, target = some(2, 1)
    with pytest.raises(SettingsError, match=r"at most 20,000,000 pairs, got 5,000 × 4,001 .* `distance='ot-entropic'`"):
        transport_distance(np.repeat(pool[:1], 5000, axis=0), np.repeat(target, 4001, axis=0))


def test_without_pot_there_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(SettingsError, match=r"needs the package POT, .* pip install 'righttime\[ot\]'"):
        arrange_embeddings(*some(), method="nearest", distance="ot")


@pytest.mark.parametrize("name", ["ot", "ot-entropic"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_nearest_by_transport_is_sorted_by_it(name: str, seed: int) -> None:
    if name == "ot":
        pytest.importorskip("ot")
    pool, target = some(seed=seed)
    found = (transport_distance if name == "ot" else entropic_distance)(pool, target)
    arrangement = arrange_embeddings(pool, target, method="nearest", distance=name)
    assert arrangement.distance is not None
    assert np.allclose(arrangement.distance, np.sort(found.values), rtol=1e-5, atol=1e-9)
    assert arrangement.settings["transport"]["cost"] == pytest.approx(found.about["cost"])
