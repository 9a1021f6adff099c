"""The primary comparison: against scipy, textbook numbers, slow computation and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from righttime.analysis import area, area_differences, holm, replicates_needed, row_areas, smallest_visible
from righttime.analysis.differences import t_interval, varies
from righttime.errors import SettingsError

losses = st.lists(st.floats(0, 10), min_size=3, max_size=8)


def test_holm_of_a_textbook_family() -> None:
    # p.adjust(c(0.01, 0.02, 0.03, 0.005), "holm") of R
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(p: list[float]) -> None:
    def rejected(level: float) -> set[int]:
        gone: set[int] = set()
        for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
            if p[place] > level / (len(p) - rank):
                break
            gone.add(place)
        return gone

    adjusted = holm(p)
    assert all(one >= two for one, two in zip(adjusted, p, strict=True))
    for level in (0.01, 0.0501, 0.2013):
        assert {i for i, one in enumerate(adjusted) if one <= level} == rejected(level)


def test_areas_are_compared_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    areas = {name: list(rng.normal(0.1 * k, 1, 6)) for k, name in enumerate(("random", "tma", "nearest"))}
    found = area_differences(areas, "random")
    assert [one.order for one in found] == ["tma", "nearest"]
    raw = []
    for one in found:
        test = stats.ttest_rel(areas[one.order], areas["random"])
        assert one.p == pytest.approx(test.pvalue, rel=1e-10)
        assert one.interval == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-9)
        assert one.simultaneous == pytest.approx(tuple(test.confidence_interval(0.975)), rel=1e-9)
        raw.append(float(test.pvalue))
    assert [one.p_holm for one in found] == pytest.approx(holm(raw))


def test_a_clear_difference_is_found_and_a_small_one_is_not() -> None:
    areas = {"random": [2.0, 2.2, 2.1], "low": [1.0, 1.21, 1.1], "high": [3.0, 3.21, 3.1], "same": [2.1, 2.0, 2.15]}
    verdicts = {one.order: one.verdict for one in area_differences(areas, "random")}
    assert verdicts == {"low": "lower", "high": "higher", "same": "not told apart"}


def test_without_three_replicates_or_without_variation_there_is_no_verdict() -> None:
    few, same = area_differences({"r": [2.0, 2.1], "a": [1.0, 1.2], "b": [1.0]}, "r")
    for one in (few, same):
        assert (one.verdict, one.interval, one.simultaneous, one.p, one.visible) == (
            "no verdict",
            None,
            None,
            None,
            None,
        )
    (one,) = area_differences({"r": [2.0, 2.0, 2.0], "a": [1.0, 1.0, 1.0]}, "r")
    assert one.verdict == "no verdict"
    assert one.interval is None
    assert not varies([0.1 + 0.2, 0.3, 0.3])


def test_an_order_without_a_verdict_still_counts_in_the_family() -> None:
    areas = {"r": [2.0, 2.1, 2.3], "a": [1.0, 1.2, 1.21]}
    (alone,) = area_differences(areas, "r")
    beside = area_differences({**areas, "b": [1.0]}, "r")[0]
    assert alone.p_holm is not None
    assert beside.p_holm == pytest.approx(2 * alone.p_holm)


def test_the_smallest_visible_difference_has_the_power_it_states() -> None:
    rng, n, level = np.random.default_rng(1), 5, 0.05 / 3
    true = smallest_visible(0.7, n, level)
    draws = rng.normal(true, 0.7, (20_000, n))
    p = stats.ttest_1samp(draws, 0, axis=1).pvalue
    assert np.mean(p <= level) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("n", "effect"), [(34, 0.5), (15, 0.8)])
def test_replicates_needed_are_those_of_cohens_tables(n: int, effect: float) -> None:
    # Paired t test, two-sided 5%, power 80%: 34 pairs for d = 0.5, 15 for d = 0.8 (G*Power).
    assert replicates_needed(effect, 1.0) == n
    assert replicates_needed(-effect, 1.0) == n
    assert replicates_needed(0.01, 1.0) is None


@given(losses, st.data())
def test_the_area_of_the_mean_is_the_mean_of_the_rows_areas(curve: list[float], data: st.DataObject) -> None:
    steps = np.cumsum(data.draw(st.lists(st.integers(1, 9), min_size=len(curve), max_size=len(curve)))).tolist()
    rows = np.stack([np.asarray(curve), np.asarray(curve)[::-1]], axis=1)
    slow = sum((a + b) / 2 * (t - s) for a, b, s, t in zip(curve, curve[1:], steps, steps[1:], strict=False))
    assert area(steps, curve) == pytest.approx(slow / (steps[-1] - steps[0]))
    assert area(steps, rows.mean(axis=1).tolist()) == pytest.approx(row_areas(steps, rows).mean())
    assert min(curve) - 1e-9 <= area(steps, curve) <= max(curve) + 1e-9


@given(losses)
def test_the_interval_is_that_of_scipy(values: list[float]) -> None:
    found = t_interval(values)
    if found is None:
        assert np.ptp(values) < 1e-10
    else:
        want = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert found == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_the_baseline_must_be_one_of_several() -> None:
    with pytest.raises(SettingsError, match="unknown baseline 'randon': did you mean 'random'"):
        area_differences({"random": [1.0], "tma": [1.0]}, "randon")
    with pytest.raises(SettingsError, match="compared with another, got only random"):
        area_differences({"random": [1.0]}, "random")
