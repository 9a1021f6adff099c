"""Onset, steps saved, drops, parts, harm and indicators against what was put in and slow computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from made_runs import STEPS, made_evaluation, made_run
from righttime.analysis import Analysis, analyse, read_runs, verdict
from righttime.analysis.harm import upper_bound
from righttime.analysis.indicators import step_noise
from righttime.analysis.noise import Onset, fall, order_onset

RNG = np.random.default_rng(0)


def curve(*means: float, rows: int = 9, noise: float = 0.0) -> np.ndarray:
    return np.asarray(means)[:, None] + np.linspace(-1, 1, rows) + RNG.normal(0, noise, (len(means), rows))


def analysed(tmp_path: Path, **losses: np.ndarray) -> Analysis:
    words = [f"{name}={made_run(tmp_path / name, found)}" for name, found in losses.items()]
    return analyse(read_runs(words))


def test_the_onset_is_where_the_loss_stays_below_the_start(tmp_path: Path) -> None:
    found = analysed(
        tmp_path,
        random=curve(3, 2.5, 3.1, 2.6, 2.4, noise=0.05),  # below at step 1, above at 2: it does not stay
        never=curve(3, 2.9, 2.9, 2.9, 3.0, noise=0.05),
        once=curve(3, 2.5, 2.4, 2.3, 2.2, noise=0.05),
        noisy=curve(3, 2.9, 2.9, 2.9, 2.9, noise=0.9),
    )
    assert {one.order: one.step for one in found.onsets} == {"random": 4, "never": None, "once": 1, "noisy": None}


def test_the_onset_of_an_order_is_over_replicates() -> None:
    means = [np.array([3.0, 2.9, 3.1, 2.5, 2.4]) + shift for shift in (0.0, 0.4, -0.3)]
    late, steps = np.array([0, 0, 0, 1, 1]), (0, 1, 2, 4, 8)
    alike = [mean + noise * late for mean, noise in zip(means, (0, 0.02, 0.05), strict=True)]
    assert order_onset("tma", alike, steps) == Onset("tma", None, 4, "replicates"), "whatever level each has"
    apart = [mean + noise * late for mean, noise in zip(means, (-0.5, 0.4, 0.9), strict=True)]
    assert order_onset("tma", apart, steps) == Onset("tma", None, None, "replicates")
    assert order_onset("tma", means[:2], steps) is None
    assert order_onset("tma", means, (1, 2, 3, 4, 8)) is None


def test_noise_is_of_rows_or_clustered_by_task() -> None:
    before, after = RNG.normal(3, 1, 40), RNG.normal(2, 1, 40)
    by_rows = fall(before, after)
    assert by_rows.error == pytest.approx(stats.sem(before - after))
    tasks = [f"t{i // 8}" for i in range(40)]
    by_task = fall(before, after, tasks)
    means = (before - after).reshape(5, 8).mean(axis=1)
    assert by_task.groups == 5
    assert by_task.error == pytest.approx(stats.sem(means)), "of equal size: that of their means"
    assert fall(before, after, [*tasks[:-1], None]) == by_rows
    assert fall(before, after, ["t1"] * 40) == by_rows, "one task has no spread between tasks"


def test_steps_saved_count_from_the_first_evaluation_that_reaches_the_other(tmp_path: Path) -> None:
    found = analysed(tmp_path, random=curve(3, 2.9, 2.8, 2.6, 2.5), tma=curve(3, 2.6, 2.5, 2.2, 2.0))
    saved = {(one.order, one.other): (one.step, one.saved) for one in found.saved}
    assert saved == {("tma", "random"): (2, 6), ("random", "tma"): (None, None)}


def test_a_drop_of_one_task_is_found_with_the_rows_before_it(tmp_path: Path) -> None:
    losses = curve(3, 3, 3, 3, 3, rows=15, noise=0.02)
    losses[3:, 1::3] -= 1.5  # task1, between steps 2 and 4
    consumed = {step: [f"r{step}a", f"r{step}b"] for step in range(8)}
    tasks = {name: "coqa" for ids in consumed.values() for name in ids}
    run = made_run(tmp_path / "run", losses, consumed=consumed, row_tasks=tasks)
    base = made_run(tmp_path / "base", curve(3, 3, 3, 3, 3, rows=15, noise=0.02))
    (drop,) = analyse(read_runs([f"cluster={run}", f"random={base}"])).drops
    assert (drop.order, drop.task, drop.before, drop.step) == ("cluster", "task1", 2, 4)
    assert drop.fall == pytest.approx(1.5, abs=0.05)
    assert drop.ids == ("r2a", "r2b", "r3a", "r3b"), "updates 2 and 3, and nothing that was superseded"
    assert drop.tasks == {"coqa": 4}
    assert drop.share == pytest.approx(1, abs=0.05)


def test_noise_alone_makes_hardly_any_drop(tmp_path: Path) -> None:
    words = [
        f"{name}={made_run(tmp_path / f'{name}{k}', curve(3, 3, 3, 3, 3, rows=15, noise=0.3))}"
        for name in ("random", "x")
        for k in range(10)
    ]
    found = analyse(read_runs(words))
    assert len({(one.order, one.replicate) for one in found.drops}) <= 4  # 5% of 20 runs, and chance
    assert all(one.rows is None and one.ids == () for one in found.drops)


def test_a_task_that_decides_the_ranking_is_named(tmp_path: Path) -> None:
    one, two = curve(3, 2.5, 2.5, 2.5, 2.5), curve(3, 2.6, 2.6, 2.6, 2.6)
    two[1:, 2::3] -= 0.9  # task2 alone puts it first
    found = analysed(tmp_path, random=one, tma=two)
    (deciding,) = found.deciding
    assert (deciding.task, deciding.first, deciding.first_without) == ("task2", "tma", "random")
    assert deciding.turned == ("tma",)
    assert verdict(found).endswith("One task decides the ranking: without task2, random comes before tma.")
    parts = {(p.kind, p.name): p for p in found.parts if p.order == "tma"}
    assert parts["task", "task2"].difference == pytest.approx(-0.8 * 7.5 / 8)
    assert parts["task", "task0"].difference == pytest.approx(0.1 * 7.5 / 8)
    assert parts["category", "category0"].rows == 6
    assert analysed(tmp_path / "clear", random=one, tma=one - 0.2 * (STEPS[1:] > (0,))).deciding == ()


def test_harm_is_an_upper_bound_of_the_mean_increase(tmp_path: Path) -> None:
    words, ends = [], {"random": [2.0, 2.1, 1.9], "tma": [2.2, 2.4, 2.15]}
    for name, each in ends.items():
        for k, end in enumerate(each):
            losses = curve(3, 2.9, 2.8, 2.6, 2.5) + 0.01 * k
            words.append(f"{name}={made_run(tmp_path / f'{name}{k}', losses, other=curve(2, 2, 2, 2, end, rows=4))}")
    found = {(one.order, one.against): one for one in analyse(read_runs(words)).harm}
    increases = np.subtract(ends["tma"], ends["random"])
    test = stats.ttest_1samp(increases, 0, alternative="less")
    harm = found["tma", "baseline"]
    assert harm.bound == pytest.approx(test.confidence_interval(0.95).high)
    assert harm.each == pytest.approx(increases.tolist())
    assert harm.mean == pytest.approx(0.25)
    started = stats.ttest_1samp(np.subtract(ends["tma"], 2.0), 0, alternative="less")
    assert found["tma", "step 0"].bound == pytest.approx(started.confidence_interval(0.975).high)
    assert upper_bound([0.1, 0.2]) is None
    assert upper_bound([0.1, 0.1, 0.1]) is None


def test_a_metric_that_jumps_is_a_worse_indicator(tmp_path: Path) -> None:
    steps = tuple(range(40))
    words = []
    for name in ("random", "tma"):
        for k in range(3):
            line = np.linspace(0, 1, 40)[:, None] + np.zeros((40, 5))
            values = {("target", "loss"): 3 - line + RNG.normal(0, 0.01, (40, 1))}
            values |= {("target", "em"): line + RNG.normal(0, 0.2, (40, 1))}
            words.append(f"{name}={made_evaluation(tmp_path / f'{name}{k}', values, steps)}")
    loss, em = (next(one for one in analyse(read_runs(words)).indicators if one.metric == m) for m in ("loss", "em"))
    assert loss.between_steps == pytest.approx(0.01, rel=0.15)
    assert em.between_steps == pytest.approx(0.2, rel=0.15)
    assert (loss.ratio or 0) > 10 * (em.ratio or 0)


def test_noise_between_steps_is_recovered_at_uneven_steps() -> None:
    steps = np.cumsum(RNG.integers(1, 9, 4000))
    assert step_noise(steps.tolist(), 0.01 * steps + RNG.normal(0, 0.3, 4000)) == pytest.approx(0.3, rel=0.05)
    assert step_noise([0, 5], np.array([1.0, 2.0])) is None
