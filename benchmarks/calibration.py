"""Does the analysis keep what it promises? Families of simulated experiments with known truth.

    python benchmarks/calibration.py [--families 1000] [--quick] [--results DIR]
    python benchmarks/calibration.py --measure EXP [--results DIR]

A family is three orders against a baseline. The loss of order o in replicate k at step s is

    fall(s) + replicate(k) + [s > 0] · (effect(o) + own(o, k)) + evaluation(o, k, s)

with independent errors of the standard deviations in `Components`; all orders of a replicate share its first error,
and the paired comparison takes it out. 3, 5 and 10 replicates; normal errors, errors of t with 3 degrees of freedom
(heavy tails), and orders whose own errors are 1, 2 and 4 times as large. The areas are made and compared by
`righttime.analysis`. Counted over the families: any verdict where there is no effect; families in which all
simultaneous intervals hold the truth; how often an effect of the smallest visible difference, and of twice that, is
found (the least of the three orders; the difference is the median of what the families without effect state). For
contrast the false alarms of a percentile bootstrap over three replicates, with Bonferroni's intervals.

--measure takes the components from the runs of an experiment, by analysis of variance, and writes them to
results/components.json, which the simulation reads.
What is counted does not depend on a common factor of all components.
The errors of areas hold those of single evaluations already: simulated runs are a little noisier than the measured.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from machine import RESULTS, parser, save
from righttime.analysis import area, area_differences, read_given
from righttime.analysis.indicators import step_noise

ORDERS = ("a", "b", "c")
BASELINE = "random"
STEPS = (0, 1, 2, 4, 8, 16)
REPLICATES = (3, 5, 10)
UNEVEN = {BASELINE: 1.0, "a": 1.0, "b": 2.0, "c": 4.0}
Tails = Literal["normal", "heavy"]


@dataclass(frozen=True)
class Components:
    """Standard deviations, in nats.

    Attributes:
        replicate: Of what all orders of a replicate share.
        own: Of what one order in one replicate has of its own.
        evaluation: Of single evaluations.
        source: Where they are from.
    """

    replicate: float = 0.05
    own: float = 0.05
    evaluation: float = 0.01
    source: str = "assumed"


@dataclass(frozen=True)
class Scenario:
    """One way to draw families."""

    name: str
    tails: Tails = "normal"
    spread: Mapping[str, float] = dataclasses.field(default_factory=dict)


SCENARIOS = (
    Scenario("normal errors"),
    Scenario("heavy tails", "heavy"),
    Scenario("uneven orders", spread=UNEVEN),
)


def drawn(rng: np.random.Generator, tails: Tails, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Errors of variance 1."""
    return rng.standard_normal(shape) if tails == "normal" else rng.standard_t(3, shape) / np.sqrt(3)


def family(
    rng: np.random.Generator, n: int, parts: Components, scenario: Scenario, effects: Mapping[str, float]
) -> dict[str, list[float]]:
    """The areas of one simulated experiment."""
    fall, started = 3 * np.exp(-np.asarray(STEPS) / 3), np.asarray(STEPS) > 0
    shared = parts.replicate * drawn(rng, scenario.tails, (n, 1))
    areas = {}
    for name in (BASELINE, *ORDERS):
        own = scenario.spread.get(name, 1.0) * parts.own * drawn(rng, scenario.tails, (n, 1))
        noise = parts.evaluation * drawn(rng, scenario.tails, (n, len(STEPS)))
        curves = fall + shared + started * (effects.get(name, 0.0) + own) + noise
        areas[name] = [area(STEPS, curve) for curve in curves.tolist()]
    return areas


def true_areas(effects: Mapping[str, float]) -> dict[str, float]:
    """What an effect after step 0 is in the area."""
    share = area(STEPS, [float(step > 0) for step in STEPS])
    return {name: share * effects.get(name, 0.0) for name in ORDERS}


def calibrated(n: int, parts: Components, scenario: Scenario, families: int, seed: int = 0) -> dict[str, Any]:
    """All counts for one number of replicates."""
    rng = np.random.default_rng([seed, n, [one.name for one in SCENARIOS].index(scenario.name)])
    false = covered = 0
    stated: dict[str, list[float]] = {name: [] for name in ORDERS}
    for _ in range(families):
        found = area_differences(family(rng, n, parts, scenario, {}), BASELINE)
        false += any(one.verdict in ("lower", "higher") for one in found)
        covered += all(
            one.simultaneous is not None and one.simultaneous[0] <= 0 <= one.simultaneous[1] for one in found
        )
        for one in found:
            stated[one.order].append(one.visible or 0.0)
    visible = {name: median(each) for name, each in stated.items()}
    share = true_areas(dict.fromkeys(ORDERS, 1.0))
    once, twice = (
        min(_found(rng, n, parts, scenario, families, name, factor * visible[name] / share[name]) for name in ORDERS)
        for factor in (1, 2)
    )
    counts = {"false": false, "covered": covered, "found_once": once, "found_twice": twice}
    return {"scenario": scenario.name, "replicates": n, "families": families, **counts, "visible": visible}


def _found(
    rng: np.random.Generator, n: int, parts: Components, scenario: Scenario, families: int, order: str, effect: float
) -> int:
    """How often one order's effect is found, where the others have none."""
    found = 0
    for _ in range(families):
        compared = area_differences(family(rng, n, parts, scenario, {order: -effect}), BASELINE)
        found += any(one.order == order and one.verdict == "lower" for one in compared)
    return found


def bootstrap_alarms(n: int, families: int, level: float = 5.0, seed: int = 0) -> int:
    """Families without effect in which a percentile bootstrap over replicates calls an order different.

    Args:
        n: Replicates.
        families: How many are simulated.
        level: Percent outside the interval of each order.
        seed: Decides what is drawn.
    """
    rng, false = np.random.default_rng([seed, n]), 0
    for _ in range(families):
        areas = {name: np.asarray(found) for name, found in family(rng, n, Components(), SCENARIOS[0], {}).items()}
        draws = rng.integers(0, n, (1000, n))
        means = [(areas[name] - areas[BASELINE])[draws].mean(axis=1) for name in ORDERS]
        ends = [np.percentile(each, [level / 2, 100 - level / 2]) for each in means]
        false += any(low > 0 or high < 0 for low, high in ends)
    return false


def components_of(areas: Mapping[str, Sequence[float]], evaluation: float, source: str) -> Components:
    """Components from a two-way layout of orders × replicates, by analysis of variance.

    Args:
        areas: Each order's area by replicate, as many of each.
        evaluation: The noise of single evaluations.
        source: Where they are from.
    """
    table = np.asarray(list(areas.values()), np.float64)
    orders, replicates = table.shape
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    own = float((rest**2).sum() / ((orders - 1) * (replicates - 1)))
    shared = float(orders * table.mean(axis=0).var(ddof=1))
    return Components(float(np.sqrt(max(0.0, (shared - own) / orders))), float(np.sqrt(own)), evaluation, source)


def measured(folder: Path) -> Components:
    """The components of an experiment's finished runs, by their losses on the judge rows."""
    from righttime.analysis.pairs import whole_replicates
    from righttime.experiment import finished_runs, open_experiment

    read, _ = whole_replicates(read_given(finished_runs(folder)), open_experiment(folder).baseline)
    areas, noises = {}, []
    for order, found in read.items():
        values = [run.values["judge", "loss"] for run in found]
        curves = [one.values.mean(axis=1) for one in values]
        areas[order] = [area(one.steps.tolist(), curve.tolist()) for one, curve in zip(values, curves, strict=True)]
        # The fall itself bends; what single evaluations err is seen in each replicate's distance from the mean curve.
        mean = np.mean(curves, axis=0)
        noises += [step_noise(one.steps.tolist(), curve - mean) for one, curve in zip(values, curves, strict=True)]
    replicates = len(next(iter(areas.values())))
    scale = replicates / (replicates - 1)
    noise = float(np.sqrt(scale * np.mean([one**2 for one in noises if one is not None])))
    asked = open_experiment(folder)
    source = f"{len(areas)} orders × {replicates} replicates of {asked.model}, {asked.budget} rows each"
    return components_of(areas, noise, source)


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("--families", type=int, default=1000)
    asked.add_argument("--measure", type=Path, metavar="EXP", help="take the components from this experiment's runs")
    given = asked.parse_args()
    file = given.results / "components.json"
    file = file if given.measure or file.exists() else RESULTS / "components.json"
    if given.measure:
        save(given.results, "components", dataclasses.asdict(measured(given.measure)))
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    held.pop("made_on", None)
    parts, began = Components(**held), time.perf_counter()
    families = 100 if given.quick else given.families
    rows = [calibrated(n, parts, scenario, families) for scenario in SCENARIOS for n in REPLICATES]
    corrected = bootstrap_alarms(3, families, 5 / len(ORDERS))
    seconds = round(time.perf_counter() - began, 1)
    save(
        given.results,
        "calibration",
        {"components": dataclasses.asdict(parts), "seconds": seconds, "bootstrap": corrected, "rows": rows},
    )


if __name__ == "__main__":
    main()
