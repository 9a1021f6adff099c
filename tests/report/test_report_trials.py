"""`righttime report` of runs, evaluations, experiments and comparisons."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_experiments import InProcess, made_data, written
from made_runs import STEPS, made_evaluation, made_family
from opened_page import data_of
from righttime.analysis import analyse, given_runs, read_given, verdict
from righttime.cli import main
from righttime.evaluation import means_by, read_evaluation
from righttime.experiment import finished_runs, read_experiment, run_experiment
from righttime.report import make_report


@pytest.fixture(scope="module")
def experiment(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("experiment") / "out"
    asked = read_experiment(written(made_data(tmp_path_factory.mktemp("data")), tiny))
    run_experiment(asked, out, place=InProcess())
    return out


def blocks(page: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [block for section in page["sections"] for block in section["blocks"] if block["kind"] == kind]


def test_an_evaluation_is_drawn_metric_by_metric(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = {("target", "loss"): rng.normal(size=(len(STEPS), 6)), ("other", "em"): rng.normal(size=(len(STEPS), 4))}
    folder = made_evaluation(tmp_path / "eval", values)
    charts = blocks(data_of(make_report([folder]).html)["page"], "chart")
    assert [chart["title"] for chart in charts] == ["loss", "em"]
    (line,) = charts[0]["series"]
    assert line["x"] == list(STEPS)
    assert line["y"] == pytest.approx(values["target", "loss"].mean(axis=1).tolist())


def test_a_run_has_its_training_loss_and_its_sets(tiny: str, arranged: Path, tmp_path: Path) -> None:
    run, target = tmp_path / "run", arranged.parent / "data" / "target.jsonl"
    words = ["tune", str(arranged), "--model", tiny, "--run", str(run), "--batch", "8", "--evaluate-every", "2"]
    assert main([*words, "--target", str(target)]) == 0
    assert main(["report", str(run), str(arranged), "--out", str(tmp_path / "page.html")]) == 0
    page = data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["page"]
    chart = next(block for block in blocks(page, "chart") if block["title"] == "loss")
    lines = {line["name"]: line for line in chart["series"]}
    means = means_by(read_evaluation(run / "evaluation"), "step")
    assert lines["target, mean over its rows"]["x"] == [step for (step,) in means] == [0, 2, 4, 5]
    assert lines["target, mean over its rows"]["y"] == [one.over_rows for one in means.values()]
    assert lines["training, the rows of a step"]["grey"]


def test_a_comparison_shows_its_verdict_bands_and_intervals(tmp_path: Path) -> None:
    words = made_family(tmp_path, {"random": 0.0, "tma": 0.1})
    assert main(["compare", *words, "--out", str(tmp_path / "compared")]) == 0
    page = data_of(make_report([tmp_path / "compared"]).html)["page"]
    analysis = analyse(read_given(given_runs(words)))
    assert verdict(analysis) in [block["text"] for block in blocks(page, "text")]
    (forest,) = blocks(page, "intervals")
    assert [(row["name"], row["value"]) for row in forest["rows"]] == [
        (one.order, one.mean) for one in analysis.differences
    ]
    for row, one in zip(forest["rows"], analysis.differences, strict=True):
        assert (row["low"], row["high"]) == (one.simultaneous or (None, None))
    curve = next(block for block in blocks(page, "chart") if block["title"] == "Loss: target rows")
    for line in curve["series"]:
        points = [
            one for one in analysis.curves if (one.order, one.set, one.metric) == (line["name"], "target", "loss")
        ]
        assert line["y"] == [one.mean for one in points]
        assert line["low"] == [(one.band or (one.mean,))[0] for one in points]


def test_an_experiment_with_empty_cells_says_so(experiment: Path) -> None:
    page = data_of(make_report([experiment]).html)["page"]
    table = next(block for block in blocks(page, "table") if block["title"] == "Runs")
    assert {cell for row in table["rows"] for cell in row[1:]} == {"finished"}
    run = finished_runs(experiment)[0]
    shutil.rmtree(run.folder.parent)
    page = data_of(make_report([experiment]).html)["page"]
    table = next(block for block in blocks(page, "table") if block["title"] == "Runs")
    assert next(row for row in table["rows"] if row[0] == run.name)[run.replicate] == "–"
    assert any("runs are not finished" in block["text"] for block in blocks(page, "text"))


def test_a_damaged_comparison_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compare.json").write_text('{"verdict": 3}')
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 1
    assert "compare.json must be what `righttime compare` wrote" in capsys.readouterr().err
