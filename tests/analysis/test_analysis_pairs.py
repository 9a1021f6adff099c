"""Replicates that not every order has: nothing is ever paired with a run of another replicate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_runs import made_run
from righttime.analysis import Analysis, GivenRun, analyse, read_given, read_runs
from righttime.errors import SettingsError


def given(root: Path, **replicates: tuple[int, ...]) -> list[GivenRun]:
    """Runs whose losses tell order and replicate; those of one replicate are judged on the same rows."""
    found = []
    for place, (name, numbers) in enumerate(replicates.items()):
        for k in numbers:
            losses = np.linspace(3, 2, 5)[:, None] + k / 10 - place * k / 100 + np.zeros((5, 6))
            ids = [f"row{k}-{i}" for i in range(6)]
            found.append(GivenRun(name, k, made_run(root / f"{name}{k}", losses, ids=ids)))
    return found


def test_replicates_that_lack_a_run_are_left_out_of_everything(tmp_path: Path) -> None:
    runs = given(tmp_path, random=(1, 2, 3, 4, 5), tma=(2, 4, 5), nearest=(1, 2, 4, 5))
    found = analyse(read_given(runs[::-1]))
    assert [note for note in found.notes if "left out" in note] == [
        "replicate 1 is left out: tma has no finished run of it.",
        "replicate 3 is left out: nearest and tma have no finished run of it.",
    ]
    by = {one.order: one.each for one in found.differences}
    assert by["tma"] == pytest.approx((-0.02, -0.04, -0.05)), "each from the baseline of its own replicate"
    assert by["nearest"] == pytest.approx((-0.04, -0.08, -0.1))
    assert {(one.order, one.replicate) for one in found.runs} == {
        (order, k) for order in ("random", "tma", "nearest") for k in (2, 4, 5)
    }
    assert {one.replicate for one in found.onsets} == {None, 2, 4, 5}
    assert {one.replicate for one in found.saved} == {2, 4, 5}
    assert all(len(one.each) == 3 for one in (*found.curves, *found.paired))
    whole = [one for one in runs if one.replicate in (2, 4, 5)]
    assert _numbers(analyse(read_given(whole[::-1]))) == _numbers(found), "as if they had never been run"


def _numbers(analysis: Analysis) -> object:
    return {name: found for name, found in analysis.as_json().items() if name != "notes"}


def test_an_order_without_a_replicate_of_the_baseline_is_left_out(tmp_path: Path) -> None:
    found = analyse(read_given(given(tmp_path, random=(1, 2), tma=(1, 2), late=(3,))))
    assert "late is left out: it shares no replicate with random." in found.notes
    assert {one.order for one in found.runs} == {"random", "tma"}
    assert not any("replicate 3" in note for note in found.notes)


def test_runs_given_without_replicates_are_numbered(tmp_path: Path) -> None:
    runs = given(tmp_path, random=(1, 2, 3), tma=(1, 2))
    found = analyse(read_runs([f"{one.name}={one.folder}" for one in runs]))
    assert found.differences[0].each == pytest.approx((-0.01, -0.02))
    assert "replicate 3 is left out: tma has no finished run of it." in found.notes


@pytest.mark.parametrize(
    ("replicates", "message"),
    [
        ({"random": (1, 2), "tma": (3,)}, "in common, but random has replicates 1, 2; tma has replicate 3"),
        ({"random": (1, 2), "tma": (1,), "x": (2,)}, "in common, but random has replicates 1, 2; tma has replicate 1"),
        ({"random": (), "tma": (1,)}, "at least two orders must be compared, got only tma"),
        ({"random": (), "tma": (1,), "x": (1,)}, "unknown baseline 'random'"),
    ],
)
def test_orders_without_a_replicate_of_all_are_refused(
    replicates: dict[str, tuple[int, ...]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        analyse(read_given(given(tmp_path, **replicates)))


def test_one_replicate_twice_is_refused(tmp_path: Path) -> None:
    runs = given(tmp_path, random=(1, 2), tma=(1, 2))
    twice = [GivenRun(one.name, 1, one.folder) for one in runs]
    with pytest.raises(SettingsError, match=r"one run of each replicate, but random, replicate 1 \(.*random2\)"):
        analyse(read_given(twice))
    with pytest.raises(SettingsError, match="random1 twice: a run is one replicate, not two"):
        read_given([runs[0], GivenRun("tma", 1, runs[0].folder)])
