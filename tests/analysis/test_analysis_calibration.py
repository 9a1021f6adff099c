"""A quick version of benchmarks/calibration.py: verdicts and intervals keep what they promise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration import ORDERS, SCENARIOS, Components, bootstrap_alarms, calibrated, components_of
from machine import RESULTS

FAMILIES = 150


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_three_replicates_give_few_false_alarms_and_find_twice_the_visible(scenario: object) -> None:
    found = calibrated(3, Components(), scenario, FAMILIES)  # type: ignore[arg-type]
    # What 5% of 150 families stays under with a chance of 99.9%: 7.5 expected, and three standard deviations.
    assert found["false"] <= 16
    assert found["covered"] >= FAMILIES - 16
    assert found["found_twice"] >= 0.8 * FAMILIES
    assert found["found_once"] < found["found_twice"]


def test_a_percentile_bootstrap_would_be_caught() -> None:
    assert bootstrap_alarms(3, FAMILIES, 5 / len(ORDERS)) > 0.15 * FAMILIES


def test_components_are_those_that_were_put_in() -> None:
    rng, n = np.random.default_rng(0), 3000
    shared = rng.normal(0, 0.3, n)
    areas = {name: list(k + shared + rng.normal(0, 0.1, n)) for k, name in enumerate("abcd")}
    found = components_of(areas, 0.02, "put in")
    assert found.replicate == pytest.approx(0.3, rel=0.05)
    assert found.own == pytest.approx(0.1, rel=0.05)


def test_the_committed_results_keep_the_promise() -> None:
    rows = json.loads((RESULTS / "calibration.json").read_text())["rows"]
    assert {row["replicates"] for row in rows} == {3, 5, 10}
    for row in rows:
        assert row["families"] == 1000
        assert row["false"] <= 64
        assert row["covered"] >= 930
        assert row["found_twice"] >= 800
