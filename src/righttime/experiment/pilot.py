"""A small experiment with sensible defaults: which order for this data?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from righttime.analysis import Analysis, Difference
from righttime.analysis.differences import LEAST
from righttime.analysis.harm import Harm
from righttime.analysis.verdict import digits
from righttime.choices import Guard, RepeatedIds
from righttime.experiment.settings import Evaluation, Experiment, Order, Source

__all__ = ["ORDERS", "early_steps", "paragraph", "pilot_experiment"]

ORDERS = ("random", "tma", "nearest")


def pilot_experiment(
    pool: Sequence[str],
    target: Sequence[str],
    budget: int,
    *,
    orders: Sequence[str] = ORDERS,
    model: str = "smollm2-135m",
    sets: Mapping[str, Sequence[str]] | None = None,
    replicates: int = 3,
    subsample: int | float | str | None = "50%",
    judge_share: float | None = 0.5,
    guard: Guard = "remove",
    max_tokens: int | None = None,
    seed: int = 0,
    fields: Mapping[str, str] | None = None,
    target_fields: Mapping[str, str] | None = None,
    repeated_ids: RepeatedIds = "stop",
    arranging: Mapping[str, Any] | None = None,
    tuning: Mapping[str, Any] | None = None,
) -> Experiment:
    """Three orders, three replicates, few steps.

    Args:
        pool: Files to choose rows from.
        target: Rows like those that the model will be judged on.
        budget: Rows of a run.
        orders: Methods to try; ``random``, the baseline, is among them in any case.
        model: The model to tune.
        sets: Other sets, where harm may show.
        replicates: How many.
        subsample: The part of the pool that a replicate draws.
        judge_share: The share of the target that judges and does not steer.
        guard: See `Experiment`.
        max_tokens: Rows of more tokens take no part.
        seed: Decides every draw.
        fields: For a pool of no known format: which field holds what; see `Source`.
        target_fields: The same for the target.
        repeated_ids: See `Source`.
        arranging: Settings of every order, such as ``embedder``.
        tuning: Settings of tuning that differ from the defaults.
    """
    names = dict.fromkeys(("random", *orders))
    rate = 10 * _RATE if (tuning or {}).get("lora") else _RATE
    settings = {"learning_rate": rate, **(tuning or {})}
    steps = -(-budget // (settings.get("batch", 16) * settings.get("accumulation", 1)))
    sides = [
        tuple(Source(path, fields=named or {}, repeated_ids=repeated_ids) for path in side)
        for side, named in ((pool, fields), (target, target_fields))
    ]
    return Experiment(
        pool=sides[0],
        target=sides[1],
        orders={name: Order(name, {**(arranging or {}), "method": name}) for name in names},
        model=model,
        budget=budget,
        sets={
            name: tuple(Source(path, repeated_ids=repeated_ids) for path in files)
            for name, files in (sets or {}).items()
        },
        replicates=replicates,
        subsample=subsample,
        judge_share=judge_share,
        guard=guard,
        max_tokens=max_tokens,
        seed=seed,
        tuning=settings,
        evaluation=Evaluation(at=early_steps(steps)),
        question="Which order for this data?",
    )


_RATE = 3e-5  # at which a model of 135M parameters learns from 160 rows; adapters want ten times it


def early_steps(last: int) -> tuple[int, ...]:
    """Steps to evaluate at: 0, then each twice as far as the one before, and the last; most is learnt early.

    Example:
        >>> early_steps(10)
        (0, 1, 2, 4, 8, 10)
    """
    steps, step = [0], 1
    while step < last:
        steps.append(step)
        step *= 2
    return tuple(sorted({*steps, last}))


def paragraph(analysis: Analysis, rows: int, runs: int, minutes: float | None) -> str:
    """What a pilot says, in one paragraph.

    Args:
        analysis: Its analysis.
        rows: Rows of a run.
        runs: How many runs there are.
        minutes: What one took; None where that is not known.
    """
    told = [_told(one, rows) for one in analysis.differences]
    harms = [_harm(one) for one in analysis.harm if one.against == "baseline"]
    each = f" of {minutes:.1f} minutes" if minutes is not None and minutes >= 0.1 else ""
    return "On your data " + "; ".join([*told, *harms, f"{runs:,} runs{each}"]) + "."


def _told(one: Difference, rows: int) -> str:
    if one.simultaneous is None:
        few = f"it takes {LEAST} replicates" if one.replicates < LEAST else "nothing varies between the replicates"
        return f"nothing can be said of {one.order} (mean difference {one.mean:+.2f}): {few}"
    (low, high), n = one.simultaneous, digits(one.simultaneous[1] - one.mean)
    if one.verdict in ("lower", "higher"):
        does, ends = ("lowers", (-high, -low)) if one.verdict == "lower" else ("raises", (low, high))
        size = f"{abs(one.mean):.{n}f} [{ends[0]:.{n}f}, {ends[1]:.{n}f}]"
        return f"{one.order} {does} the loss on the judge rows by {size} against {one.baseline} over {rows:,} rows"
    needed = f"about {one.needed:,} replicates" if one.needed else "more than 1,000 replicates"
    return (
        f"{one.order} and {one.baseline} cannot be told apart over {rows:,} rows ({one.mean:+.{n}f} [{low:+.{n}f}, "
        f"{high:+.{n}f}]; a true difference of that size would take {needed})"
    )


def _harm(one: Harm) -> str:
    bound = "cannot be bounded" if one.bound is None else f"at most {max(0.0, one.bound):.2f}"
    return f"harm on {one.set} by {one.order} {bound}"
