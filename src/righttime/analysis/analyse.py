"""The analysis as a whole: one comparison with a verdict, and what describes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from righttime.analysis.comparable import PRIMARY, check_comparable, common_sets, common_steps, notes_on
from righttime.analysis.curves import Point, area, curves, paired_curves
from righttime.analysis.differences import Difference, area_differences
from righttime.analysis.falling import FallingTask, falling_tasks
from righttime.analysis.harm import Harm, harm
from righttime.analysis.indicators import Indicator, indicator
from righttime.analysis.measured import MeasureLink, measure_links
from righttime.analysis.noise import Drop, Onset, Saved, drops, onset, order_onset, steps_saved
from righttime.analysis.pairs import whole_replicates
from righttime.analysis.parts import Deciding, Part, deciding_tasks, parts
from righttime.analysis.runs import Run
from righttime.store import plain

__all__ = ["Analysis", "RunFacts", "analyse"]


@dataclass(frozen=True)
class RunFacts:
    """One run in numbers.

    Attributes:
        order: The order.
        replicate: The replicate.
        folder: Its folder.
        rows: Judge rows.
        tasks: Tasks among them.
        first: The mean loss at the first common step.
        last: The mean loss at the last.
        area: The area under the curve, divided by the range of steps.
    """

    order: str
    replicate: int
    folder: str
    rows: int
    tasks: int
    first: float
    last: float
    area: float


@dataclass(frozen=True)
class Analysis:
    """What orders did, against a baseline.

    Attributes:
        baseline: The order that others are compared with.
        judge: The set whose loss decides.
        steps: The steps that all runs were evaluated at.
        runs: Every run that is compared.
        differences: The primary comparison: areas under the loss curve on the judge rows, paired by replicate.
        curves: Every set and metric that all runs have, by order and step.
        paired: Differences of these from the baseline. Descriptive, as all that follows.
        onsets: Where the loss of each order, over replicates, and of each run begins to stay below step 0.
        saved: Where each order reaches each other's final loss.
        drops: Falls of single tasks beyond their noise.
        falling: The tasks with the largest drops, each along its run.
        parts: By task and category.
        deciding: Tasks without which the ranking would be another.
        harm: Increases on other sets.
        indicators: How good an indicator each metric is.
        measured: The data-set measures against the loss, across the orders at each step.
        notes: Sentences that a person should read.
    """

    baseline: str
    judge: str
    steps: tuple[int, ...]
    runs: tuple[RunFacts, ...]
    differences: tuple[Difference, ...]
    curves: tuple[Point, ...]
    paired: tuple[Point, ...]
    onsets: tuple[Onset, ...]
    saved: tuple[Saved, ...]
    drops: tuple[Drop, ...]
    falling: tuple[FallingTask, ...]
    parts: tuple[Part, ...]
    deciding: tuple[Deciding, ...]
    harm: tuple[Harm, ...]
    indicators: tuple[Indicator, ...]
    measured: tuple[MeasureLink, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """All numbers, as JSON; what cannot be told is null."""
        found = plain({entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)})
        return {"unit": "the replicate", "primary": "differences", **found}


def analyse(runs: Mapping[str, Sequence[Run]], baseline: str = "random", judge: str = "target") -> Analysis:
    """Compare orders by what their evaluations hold.

    Args:
        runs: Each order's runs; those of one replicate share pool and target. Replicates that not every order has are
            left out, and so are orders that share none with the baseline; a note names each.
        baseline: The order that the others are compared with.
        judge: The set whose loss decides; other sets are looked at for harm.

    Raises:
        SettingsError: If the runs cannot be compared; names them.
    """
    runs, gaps = whole_replicates(runs, baseline)
    check_comparable(runs, baseline, judge)
    steps = common_steps(runs, judge)
    kept, left_out = common_sets(runs, baseline)
    every = [run for of_order in runs.values() for run in of_order]
    facts = tuple(_facts(run, judge, steps) for run in every)
    areas = {order: [one.area for one in facts if one.order == order] for order in runs}
    points = tuple(point for key in kept for point in curves(runs, *key, _steps(runs, key)))
    others = [name for name, metric in kept if metric == PRIMARY and name != judge]
    links, unlinked = measure_links(runs, judge, PRIMARY, steps)
    judged = [(run, run.values[judge, PRIMARY]) for run in every]
    dropped = tuple(drop for run, values in judged for drop in drops(run, values, values.steps.tolist()))
    return Analysis(
        baseline=baseline,
        judge=judge,
        steps=steps,
        runs=facts,
        differences=area_differences(areas, baseline),
        curves=points,
        paired=tuple(paired_curves(points, baseline)),
        onsets=(*_order_onsets(runs, judge, steps), *(onset(run, one, one.steps.tolist()) for run, one in judged)),
        saved=tuple(steps_saved(runs, judge, PRIMARY, steps)),
        drops=dropped,
        falling=tuple(falling_tasks(runs, dropped, judge, PRIMARY)),
        parts=tuple(parts(runs, baseline, judge, PRIMARY, steps)),
        deciding=tuple(deciding_tasks(runs, baseline, judge, PRIMARY, steps)),
        harm=tuple(harm(runs, baseline, {name: _steps(runs, (name, PRIMARY)) for name in others}, PRIMARY)),
        indicators=tuple(indicator(runs, baseline, *key, _steps(runs, key)) for key in kept if key[0] == judge),
        measured=tuple(links),
        notes=(*gaps, *left_out, *unlinked, *notes_on(runs, baseline, judge, steps)),
    )


def _steps(runs: Mapping[str, Sequence[Run]], key: tuple[str, str]) -> tuple[int, ...]:
    return common_steps(runs, *key)


def _order_onsets(runs: Mapping[str, Sequence[Run]], judge: str, steps: Sequence[int]) -> list[Onset]:
    found = []
    for order, of_order in runs.items():
        means = [run.values[judge, PRIMARY].at(steps).mean(axis=1) for run in of_order]
        if (one := order_onset(order, means, steps)) is not None:
            found.append(one)
    return found


def _facts(run: Run, judge: str, steps: Sequence[int]) -> RunFacts:
    values = run.values[judge, PRIMARY]
    mean = values.at(steps).mean(axis=1)
    about = (len(values.ids), len(values.places("task")), float(mean[0]), float(mean[-1]))
    return RunFacts(run.name, run.replicate, str(run.folder), *about, area(steps, mean.tolist()))
