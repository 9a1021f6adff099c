"""The commands: experiment, pilot, and compare of experiments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from made_experiments import InProcess, made_data, written
from righttime.cli import main
from righttime.experiment import places
from righttime.experiment.pilot import early_steps


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Runs are made in this process."""
    place = InProcess()
    monkeypatch.setitem(places.PLACES, "local", lambda: place)
    return place


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return made_data(tmp_path / "data")


def test_an_experiment_from_file_to_analysis(
    data: Path, tiny: str, tmp_path: Path, here: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(data, tiny, orders={"random": None, "tma": None}), tmp_path / "out"
    assert main(["experiment", str(path), "--out", str(out), "--set", "replicates=1"]) == 0
    shown = capsys.readouterr()
    assert "2 of 2 runs: tma, replicate 1: loss" in shown.err
    assert "No verdict on tma against random: it takes 3 replicates, here are 1" in shown.out
    assert (out / "analysis/compare.json").exists()
    assert main(["compare", str(out), "--out", str(tmp_path / "compared"), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert (compared["judge"], [one["order"] for one in compared["differences"]]) == ("judge", ["tma"])
    assert compared["differences"] == json.loads((out / "analysis/compare.json").read_text("utf-8"))["differences"]
    assert main(["compare", str(out), f"other={out}", "--out", str(tmp_path / "twice")]) == 1
    assert "runs must be different" in capsys.readouterr().err
    assert len(here.made) == 2


def test_a_failed_run_is_told_and_the_exit_status_says_so(
    data: Path, tiny: str, tmp_path: Path, here: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    here._fail = ["tma"]
    path = written(data, tiny, orders={"random": None, "tma": None}, replicates=1)
    assert main(["experiment", str(path), "--out", str(tmp_path / "out"), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [run["state"] for run in shown["runs"]] == ["finished", "failed"]
    assert shown["analysis"] is None


def test_a_pilot_answers_in_one_paragraph(
    data: Path, tiny: str, tmp_path: Path, here: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pilot", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl"), "--budget", "8"]
    words += ["--model", tiny, "--batch-size", "4", "--learning-rate", "1e-3"]
    words += ["--order", "tma", "--order", "round-robin"]
    words += ["--embedder", f"vectors:{data / 'both.npz'}", "--set", f"other={data / 'other.jsonl'}"]
    assert main([*words, "--out", str(tmp_path / "pilot"), "--precision", "float32"]) == 0
    shown = capsys.readouterr().out
    told = next(line for line in shown.splitlines() if line.startswith("On your data "))
    for part in ("tma", "round-robin", "against random", "over 8 rows", "harm on other by tma at most", "9 runs"):
        assert part in told or (part == "against random" and "and random cannot be told apart" in told), part
    assert [order for order, replicate in here.made if replicate == "1"] == ["random", "tma", "round-robin"]
    steps = json.loads((tmp_path / "pilot/analysis/compare.json").read_text("utf-8"))["steps"]
    assert steps == [0, 1, 2] == list(early_steps(2))


def test_a_dry_run_tells_what_would_be_made(
    data: Path, tiny: str, tmp_path: Path, here: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = written(data, tiny), tmp_path / "out"
    assert main(["experiment", str(path), "--out", str(out), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "3 orders × 3 replicates = 9 runs, 9 of them not done" in shown
    assert "each of 2 steps and 3 evaluations" in shown
    assert "30 pool, 9 steer, 9 judge" in shown
    assert "in all (a trial: " in shown
    told = "comparing 2 orders at once with the baseline, the smallest visible difference, in standard deviations"
    assert f"{told} between replicates, is 4.6 for 3 replicates, 2.7 for 4, 1.7 for 6\n" in shown
    assert not out.exists()
    assert not here.made


def test_a_model_that_is_not_there_is_named_before_anything_runs(
    data: Path, tmp_path: Path, here: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(data, "no-such/model")
    assert main(["experiment", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "no-such/model" in capsys.readouterr().err
    assert main(["experiment", str(path), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "how long it takes cannot be told here" in shown
    assert not here.made


def test_every_problem_of_a_file_is_shown(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(data, "x", budget="many")
    assert main(["experiment", str(path), "--out", str(tmp_path / "out"), "--set", "such=1"]) == 1
    shown = capsys.readouterr().err
    assert "2 things are wrong" in shown
    assert "--set: unknown name 'such'" in shown


def test_steps_come_early() -> None:
    assert early_steps(1) == (0, 1)
    assert early_steps(30) == (0, 1, 2, 4, 8, 16, 30)
