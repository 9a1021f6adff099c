"""Whether runs can be compared at all: the same judge rows, metrics and steps; and what should be said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from righttime.analysis.differences import LEAST, varies
from righttime.analysis.runs import Run
from righttime.errors import SettingsError

__all__ = ["PRIMARY", "check_comparable", "common_sets", "common_steps", "mean_overlap", "notes_on"]

Runs = Mapping[str, Sequence[Run]]

PRIMARY = "loss"
"""The metric of the primary comparison."""

_ROWS = ("ids_sha256", "tokens_sha256", "learnt")
_ALIKE = 1e-3  # what two kinds of processor may differ by at step 0, in nats


def check_comparable(runs: Runs, baseline: str, judge: str) -> None:
    """Make sure that the orders of each replicate were judged on the same rows, from the same model.

    Raises:
        SettingsError: If not; names the runs.
    """
    for run in _all(runs):
        if (judge, PRIMARY) not in run.values:
            known = ", ".join(f"{metric} of {name}" for name, metric in run.values)
            raise SettingsError(
                f"every run must have measured the {PRIMARY} of the set {judge}, but {run.told} has only {known}. "
                "Hint: `judge` names another set.",
                setting="judge",
            )
    for order, of_order in runs.items():
        for run, base in zip(of_order, runs[baseline], strict=True):
            if order != baseline and (why := _other_rows(run, base, judge)):
                raise SettingsError(
                    f"the orders of one replicate must be judged on the same rows, but {run.told} and {base.told} "
                    f"differ on the set {judge}: {why}. Hint: evaluate both with the same target and the same model."
                )
            if order != baseline and (why := _other_model(run, base)):
                raise SettingsError(
                    f"the orders of one replicate must begin from the same model, but {run.told} and {base.told} "
                    f"differ: {why}. Hint: tune both from one model."
                )


def _other_rows(run: Run, base: Run, name: str, metric: str = PRIMARY) -> str | None:
    """How the rows of two runs differ; None where they do not."""
    one, two = run.values[name, metric].ids, base.values[name, metric].ids
    if one != two:
        sizes = f"{len(one):,} and {len(two):,} rows"
        strangers = sorted(set(one) ^ set(two))
        return sizes + (f", of which {strangers[0]} is in one alone" if strangers else ", in another order")
    facts = [(each.settings.get("sets") or {}).get(name) or {} for each in (run, base)]
    differing = [what for what in _ROWS if all(what in fact for fact in facts) and facts[0][what] != facts[1][what]]
    return f"the rows have the same ids, but another {differing[0]}" if differing else None


def _other_model(run: Run, base: Run) -> str | None:
    one, two = run.revision, base.revision
    return f"revisions {one[:20]}… and {two[:20]}…" if one and two and one != two else None


def common_steps(runs: Runs, name: str, metric: str = PRIMARY) -> tuple[int, ...]:
    """The steps at which all runs were evaluated.

    Raises:
        SettingsError: If there are fewer than two; names the run that lacks them.
    """
    shared: set[int] | None = None
    for run in _all(runs):
        here = set(run.values[name, metric].steps.tolist())
        before, shared = shared, here if shared is None else shared & here
        if len(shared) < 2:
            rest = f"; the runs before it {_listed(before)}" if before else ""
            raise SettingsError(
                f"all runs must be evaluated at two steps or more in common, but {run.told} has {_listed(here)}{rest}. "
                "Hint: evaluate all at the same steps (`evaluate_every`, `evaluate_at`)."
            )
    return tuple(sorted(shared or ()))


def _listed(steps: set[int]) -> str:
    few = sorted(steps)
    return f"{'step' if len(few) == 1 else 'steps'} " + ", ".join(map(str, few[:8])) + (", …" if len(few) > 8 else "")


def common_sets(runs: Runs, baseline: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Sets and metrics that all runs have of the same rows in each replicate; and what is left out, in sentences."""
    shared = reduce(set.intersection, (set(run.values) for run in _all(runs)))
    notes = [
        f"{metric} of {name} is left out: not every run has it."
        for name, metric in sorted({key for run in _all(runs) for key in run.values} - shared)
    ]
    kept = []
    for key in sorted(shared):
        pairs = [pair for of_order in runs.values() for pair in zip(of_order, runs[baseline], strict=True)]
        if any(_other_rows(run, base, *key) for run, base in pairs):
            notes.append(f"{key[1]} of {key[0]} is left out: the orders of a replicate have other rows of it.")
        else:
            kept.append(key)
    return kept, notes


def notes_on(runs: Runs, baseline: str, judge: str, steps: Sequence[int]) -> list[str]:
    """Sentences on what limits the comparison."""
    notes = [note for run in _all(runs) for note in run.notes]
    for order, of_order in runs.items():
        ends = [float(run.values[judge, PRIMARY].at(steps).mean()) for run in of_order]
        if len(of_order) > 1 and not varies(ends):
            notes.append(
                f"nothing varies between the {len(of_order)} runs of {order}: they are one run several times, and no "
                "band is drawn. Draw replicates, such as `subsample=0.5` with `seed=1`."
            )
    notes += _start(runs, baseline, judge, steps) + _settings(runs, baseline) + _processors(runs)
    notes += _judge_rows(runs, baseline, judge)
    if min(map(len, runs.values())) < LEAST:
        notes.append(f"a verdict takes at least {LEAST} replicates of each order.")
    return notes


def _start(runs: Runs, baseline: str, judge: str, steps: Sequence[int]) -> list[str]:
    """Whether runs of one replicate begin with the same loss, as one model on one kind of processor does."""
    if steps[0] != 0:
        return ["step 0 was not evaluated: there is no onset."]
    worst = 0.0
    for of_order in runs.values():
        for run, base in zip(of_order, runs[baseline], strict=True):
            at = [float(each.values[judge, PRIMARY].at([0]).mean()) for each in (run, base)]
            worst = max(worst, abs(at[0] - at[1]))
    if worst <= _ALIKE:
        return []
    return [
        f"at step 0 runs of one replicate differ by up to {worst:.2g}: other models, precisions or kinds of processor; "
        "differences of that size say nothing of the order."
    ]


def _settings(runs: Runs, baseline: str) -> list[str]:
    differing = set()
    for of_order in runs.values():
        for run, base in zip(of_order, runs[baseline], strict=True):
            if run.tuning and base.tuning:
                one, two = run.tuning, base.tuning
                differing |= {name for name in {*one, *two} - {"seed"} if one.get(name) != two.get(name)}
    if not differing:
        return []
    return [f"runs of one replicate differ in more than the order: {', '.join(sorted(differing))}."]


def _processors(runs: Runs) -> list[str]:
    """Replicates whose orders ran on different kinds of processor, which round differently."""
    kinds: dict[int, set[str]] = {}
    for run in _all(runs):
        kinds.setdefault(run.replicate, set()).update([run.processor] if run.processor else [])
    mixed: dict[tuple[str, ...], list[int]] = {}
    for replicate, found in sorted(kinds.items()):
        if len(found) > 1:
            mixed.setdefault(tuple(sorted(found)), []).append(replicate)
    return [
        f"the orders of {'replicate' if len(which) == 1 else 'replicates'} {', '.join(map(str, which))} ran on "
        f"different kinds of processor, which round differently: {'; '.join(found)}."
        for found, which in mixed.items()
    ]


def mean_overlap(draws: Sequence[set[str]]) -> float | None:
    """What share of its rows a draw has in common with another, on average over pairs; None for a single draw."""
    shares = [len(one & two) / min(len(one), len(two)) for k, one in enumerate(draws) for two in draws[:k]]
    return float(np.mean(shares)) if shares else None


def _judge_rows(runs: Runs, baseline: str, judge: str) -> list[str]:
    share = mean_overlap([set(run.values[judge, PRIMARY].ids) for run in runs[baseline]])
    if share is None:
        return []
    if share == 1:
        return ["all replicates are judged on the same rows: intervals hold for these rows, not for others."]
    return [f"two replicates share {share:.0%} of their judge rows on average: they are not wholly independent."]


def _all(runs: Mapping[str, Sequence[Any]]) -> Iterator[Run]:
    for of_order in runs.values():
        yield from of_order
