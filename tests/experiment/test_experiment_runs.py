"""Runs of an experiment: each made once, whatever happens on the way, and the analysis of what is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from made_experiments import InProcess, made_data, written
from righttime.analysis import Analysis
from righttime.experiment import (
    Experiment,
    analyse_experiment,
    cells,
    finished_runs,
    read_experiment,
    run_experiment,
    state_of,
    write_analysis,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def made(data: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path, InProcess]:
    """An undisturbed experiment."""
    asked, place = read_experiment(written(data, tiny)), InProcess()
    out = tmp_path_factory.mktemp("experiment") / "out"
    run_experiment(asked, out, place=place)
    return asked, out, place


def analysed(out: Path) -> Analysis:
    found = analyse_experiment(out)
    assert found is not None
    return found


def test_every_run_is_made_once_replicate_by_replicate(made: tuple[Experiment, Path, InProcess]) -> None:
    asked, out, place = made
    assert place.made == [(order, str(k)) for k in (1, 2, 3) for order in ("random", "tma", "back")]
    assert {state_of(cell) for cell in cells(asked, out)} == {"finished"}
    again = InProcess()
    done = run_experiment(asked, out, place=again)
    assert not again.made
    assert done.count("finished") == 9


def test_all_orders_of_a_replicate_have_its_rows(made: tuple[Experiment, Path, InProcess]) -> None:
    asked, out, _ = made
    for cell in cells(asked, out):
        pool = {json.loads(line)["id"] for line in (cell.draw / "pool.jsonl").read_text(encoding="utf-8").splitlines()}
        rows = [json.loads(line)["id"] for line in (cell.arrangement / "train.jsonl").read_text("utf-8").splitlines()]
        assert len(rows) == 8
        assert set(rows) <= pool
        assert not (cell.run / "model").exists()


def test_step_zero_is_evaluated_once(made: tuple[Experiment, Path, InProcess]) -> None:
    asked, out, _ = made
    told = [
        json.loads((cell.run / "evaluation/manifest.json").read_text("utf-8"))["first_from"]
        for cell in cells(asked, out)
    ]
    assert [bool(one) for one in told] == [False, True, True] * 3


def test_the_analysis_rests_on_replicates(made: tuple[Experiment, Path, InProcess]) -> None:
    _, out, _ = made
    found = analysed(out)
    assert (found.baseline, found.judge, found.steps) == ("random", "judge", (0, 1, 2))
    assert [(one.order, one.replicates, one.simultaneous is not None) for one in found.differences] == [
        ("tma", 3, True),
        ("back", 3, True),
    ]
    assert {one.set for one in found.harm} == {"other"}
    assert any("of their pool rows on average" in note for note in found.notes)
    assert any("share" in note and "judge rows" in note for note in found.notes)
    written_there = write_analysis(out, found)
    assert json.loads((out / "analysis/compare.json").read_text(encoding="utf-8")) == written_there


def test_the_comparison_is_stated_before_the_runs(made: tuple[Experiment, Path, InProcess]) -> None:
    _, out, _ = made
    stated = json.loads((out / "experiment.json").read_text(encoding="utf-8"))["primary"]
    assert (stated["baseline"], stated["family"], stated["metric"]) == ("random", ["random", "tma", "back"], "loss")


def test_runs_made_elsewhere_are_taken(made: tuple[Experiment, Path, InProcess], tmp_path: Path) -> None:
    asked, out, _ = made
    for cell in cells(asked, out):
        there = tmp_path / "copy" / cell.run.relative_to(out)
        for name in ("manifest.json", "run.json", "rows.parquet", "consumed.parquet", "evaluation"):
            source = cell.run / name
            there.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, there / name) if source.is_dir() else shutil.copy(source, there / name)
    shutil.copy(out / "experiment.json", tmp_path / "copy")
    place = InProcess()
    run_experiment(asked, tmp_path / "copy", place=place)
    assert not place.made
    assert analysed(tmp_path / "copy").differences == analysed(out).differences


def test_a_failed_run_does_not_stop_the_others(data: Path, tiny: str, tmp_path: Path) -> None:
    asked, out = read_experiment(written(data, tiny, replicates=1)), tmp_path / "out"
    told: list[str] = []
    done = run_experiment(asked, out, place=InProcess(fail=["tma"]), say=told.append)
    assert [state for _, state in done.states] == ["finished", "failed", "finished"]
    assert "its process ended with status 137" in done.failures[0][1]
    assert "Hint: it was killed, most often since memory ran out" in done.failures[0][1]
    assert any("tma, replicate 1 failed" in line for line in told)
    found = analysed(out)
    assert [one.order for one in found.differences] == ["back"]
    assert found.differences[0].verdict == "no verdict"  # one replicate
    assert any("1 of 3 runs are not finished; tma, replicate 1 failed" in note for note in found.notes)
    done = run_experiment(asked, out, place=InProcess())
    assert done.count("finished") == 3
    assert not done.failures


def test_an_error_is_told_beside_the_run(data: Path, tiny: str, tmp_path: Path) -> None:
    orders = {"random": None, "bold": {"method": "tma", "tuning": {"learning_rate": 1e30}}}
    asked = read_experiment(written(data, tiny, replicates=1, orders=orders))
    done = run_experiment(asked, tmp_path / "out", place=InProcess())
    assert [state for _, state in done.states] == ["finished", "failed"]
    assert "loss must be a number" in done.failures[0][1]
    assert analyse_experiment(tmp_path / "out") is None


def test_orders_that_differ_in_tuning_share_an_arrangement(data: Path, tiny: str, tmp_path: Path) -> None:
    orders = {"random": None, "tma": None, "tma-cosine": {"method": "tma", "tuning": {"schedule": "cosine"}}}
    asked = read_experiment(written(data, tiny, replicates=1, orders=orders))
    run_experiment(asked, tmp_path / "out", place=InProcess())
    assert sorted(path.name for path in (tmp_path / "out/replicate-1/arrangements").iterdir() if path.is_dir()) == [
        "random",
        "tma",
    ]
    assert any("differ in more than the order: schedule" in note for note in analysed(tmp_path / "out").notes)


def test_replicates_and_orders_may_be_added(data: Path, tiny: str, tmp_path: Path) -> None:
    out, first = tmp_path / "out", InProcess()
    orders = {"random": None, "tma": None}
    run_experiment(read_experiment(written(data, tiny, replicates=1, orders=orders)), out, place=first)
    more = InProcess()
    asked = read_experiment(written(data, tiny, replicates=2, orders={**orders, "back": {"method": "tma-farthest"}}))
    run_experiment(asked, out, place=more, replicates=[2])
    assert more.made == [("random", "2"), ("tma", "2"), ("back", "2")]
    assert len(finished_runs(out)) == 5
    found = analysed(out)
    assert any("replicate 1 is left out: back has no finished run of it" in note for note in found.notes)


def test_an_order_with_an_embedder_or_text_of_its_own_is_arranged_by_it(data: Path, tiny: str, tmp_path: Path) -> None:
    orders = {"random": None, "tma": None, "asked": {"method": "tma", "text": "prompt"}}
    embedder = {"embedder": f"lm:{tiny}"}
    asked = read_experiment(written(data, tiny, replicates=1, orders=orders, arrange=embedder))
    run_experiment(asked, tmp_path / "out", place=InProcess())
    told = {
        cell.order: json.loads((cell.arrangement / "manifest.json").read_text(encoding="utf-8"))["settings"]
        for cell in cells(asked, tmp_path / "out")
    }
    assert told["tma"]["embedder"].startswith("vectors:")
    assert told["asked"]["embedder"] == embedder["embedder"]
    assert told["asked"]["text"] == "prompt"


def test_stopping_while_a_replicate_is_drawn_begins_no_run(
    data: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from righttime.experiment import matrix

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    asked, place = read_experiment(written(data, tiny, replicates=1)), InProcess()
    monkeypatch.setattr(matrix, "prepare_replicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(asked, tmp_path / "out", place=place, jobs=2)
    assert not place.made
    assert {state_of(cell) for cell in cells(asked, tmp_path / "out")} == {"empty"}


def test_a_run_finished_elsewhere_is_not_failed(made: tuple[Experiment, Path, InProcess]) -> None:
    asked, out, _ = made
    cell = next(iter(cells(asked, out)))
    cell.failed.write_text(json.dumps({"error": "an earlier attempt"}), encoding="utf-8")
    assert state_of(cell) == "finished"
    cell.failed.unlink()
