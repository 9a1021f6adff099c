"""`righttime report` of runs, evaluations, experiments and comparisons."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_runs import STEPS, made_evaluation, made_family
from opened_page import data_of, numbers, rows_of
from righttime.analysis import analyse, given_runs, read_given, verdict
from righttime.cli import main
from righttime.errors import StoreError
from righttime.evaluation import means_by, open_evaluation, read_evaluation
from righttime.experiment import finished_runs
from righttime.measures import MEASURES
from righttime.report import make_report
from righttime.results import open_result
from righttime.training import open_run

MANIFESTS = ("manifest.json", "evaluation/manifest.json")


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


def test_an_experiment_with_empty_cells_says_so(experiment: Path, tmp_path: Path) -> None:
    experiment = shutil.copytree(experiment, tmp_path / "out")
    page = data_of(make_report([experiment]).html)["page"]
    table = next(block for block in blocks(page, "table") if block["title"] == "Runs")
    assert {cell for row in table["rows"] for cell in row[1:]} == {"finished"}
    run = finished_runs(experiment)[0]
    shutil.rmtree(run.folder.parent)
    page = data_of(make_report([experiment]).html)["page"]
    table = next(block for block in blocks(page, "table") if block["title"] == "Runs")
    assert next(row for row in table["rows"] if row[0] == run.name)[run.replicate] == "–"
    assert any("runs are not finished" in block["text"] for block in blocks(page, "text"))


def texts_of(page: dict[str, Any]) -> str:
    return " ".join(block["text"] for block in blocks(page, "text"))


def facts(page: dict[str, Any], section: str) -> dict[str, str]:
    (found,) = [one for one in page["sections"] if one["id"] == section]
    return {name: value for block in found["blocks"] if block["kind"] == "facts" for name, value in block["rows"]}


def commands(page: dict[str, Any]) -> list[str]:
    return [block["text"] for block in blocks(page, "pre") if not block["title"]]


def manifests(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(block["text"]) for block in blocks(page, "pre") if block["title"]]


def table(page: dict[str, Any], title: str) -> list[list[Any]]:
    rows: list[list[Any]] = next(block["rows"] for block in blocks(page, "table") if block["title"] == title)
    return rows


def test_a_run_says_what_it_is_of_and_how_it_is_made_again(tiny: str, arranged: Path, tmp_path: Path) -> None:
    run, target = tmp_path / "run", arranged.parent / "data" / "target.jsonl"
    words = ["tune", str(arranged), "--model", tiny, "--out", str(run), "--batch-size", "8", "--learning-rate", "3e-4"]
    words += ["--evaluate-every", "4", "--target", str(target), "--no-model"]
    assert main(words) == 0
    manifest = open_run(run).manifest
    alone, beside = (data_of(make_report(folders).html)["page"] for folders in ([run], [run, arranged]))
    for page in (alone, beside):
        said = facts(page, "run-1")
        assert (said["model"], said["revision"]) == (tiny, manifest.model.revision)
        assert said["sha256 of its ids in order"] == open_result(arranged).manifest.ids_sha256
        assert (said["seed"], said["learning rate"]) == ("0", "0.0003, constant")
        assert manifests(page)[-2:] == [json.loads((run / name).read_text()) for name in MANIFESTS]
        files = [dict(map(tuple, one["rows"])) for one in blocks(page, "table") if one["title"] == "Files"]
        assert {**manifest.files, "the plan": manifest.plan_fingerprint} in files
    assert facts(alone, "run-1")["order"] == "37 rows"
    assert str(arranged) in facts(beside, "run-1")["order"]
    assert "ARRANGEMENT is the folder whose ids in order have the sha256" in texts_of(alone)
    (command,) = [one for one in commands(beside) if one.startswith("righttime tune")]
    words = shlex.split(command)
    assert main([*words[1:-1], str(tmp_path / "again")]) == 0
    again = open_run(tmp_path / "again").manifest
    assert again.settings == manifest.settings
    first, second = (read_evaluation(tmp_path / name / "evaluation")["value"].to_pylist() for name in ("run", "again"))
    assert first == second


def test_a_run_that_is_not_finished_says_what_it_is_of(tiny: str, arranged: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["tune", str(arranged), "--model", tiny, "--out", str(run), "--no-model"]) == 0
    (run / "manifest.json").unlink()
    page = data_of(make_report([run]).html)["page"]
    assert "This run is not finished." in texts_of(page)
    assert facts(page, "run-1")["model"] == tiny


def test_an_evaluation_alone_says_what_it_is_of(tiny: str, arranged: Path, tmp_path: Path) -> None:
    target = arranged.parent / "data" / "target.jsonl"
    assert main(["evaluate", tiny, "--target", str(target), "--out", str(tmp_path / "eval"), "--run", "base"]) == 0
    page = data_of(make_report([tmp_path / "eval"]).html)["page"]
    said = facts(page, "run-1")
    assert (said["run"], said["metrics"]) == ("base", "loss")
    assert tiny in said["models"]
    ((name, rows, *_, ids),) = table(page, "Sets")
    assert (name, rows) == ("target", len(target.read_text().splitlines()))
    assert ids == open_evaluation(tmp_path / "eval").manifest.settings.sets["target"].ids_sha256
    assert table(page, "Inputs")[0][-1] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert manifests(page)[0]["run"] == "base"


def test_measures_are_drawn_arrangement_by_arrangement(arranged: Path, tmp_path: Path) -> None:
    target = str(arranged.parent / "data" / "target.jsonl")
    words = ["similarity", str(arranged), "--target", target, "--out", str(tmp_path / "measured")]
    assert main([*words, "--every", "10", "--per-task"]) == 0
    page = data_of(make_report([tmp_path / "measured"]).html)["page"]
    charts = blocks(page, "chart")
    assert [chart["title"] for chart in charts] == list(MEASURES)
    lines = pq.read_table(tmp_path / "measured" / "measures.parquet").to_pylist()
    for chart in charts:
        found = [one for one in lines if one["measure"] == chart["title"] and one["task"] is None]
        (line,) = chart["series"]
        assert (line["name"], line["x"]) == ("out", [one["n"] for one in found])
        assert line["y"] == [one["value"] for one in found]
    assert "Curves towards single target tasks are in the folder's table." in texts_of(page)
    more = ["--every", "10", "--per-task", "--out", "measured"]
    assert shlex.split(commands(page)[0]) == ["righttime", *words[:-2], *more]
    (tmp_path / "measured" / "measures.parquet").write_bytes(b"other")
    with pytest.raises(StoreError, match=r"measures\.parquet must be what was written"):
        make_report([tmp_path / "measured"])


def test_an_experiment_shows_the_rows_of_a_replicate_and_how_far_orders_agree(experiment: Path) -> None:
    found = data_of(make_report([experiment]).html)
    page = found["page"]
    outs = [experiment / "replicate-1" / "arrangements" / name for name in ("random", "tma", "back")]
    assert [order["name"] for order in found["rows"]["orders"]] == ["random", "tma", "back"]
    assert found["rows"]["has_map"]
    drawn = [json.loads(line)["id"] for line in (experiment / "replicate-1" / "pool.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows_of(found["texts"], "pool")] == drawn
    for order, out in zip(found["rows"]["orders"], outs, strict=True):
        places = numbers(order["columns"]["position"])
        assert np.argsort(places)[: order["n"]].tolist() == open_result(out).arrangement.order.tolist()
    assert "Rows, here and below, are those that replicate 1 of out drew" in texts_of(page)
    matrix = next(block for block in blocks(page, "matrix") if block["title"] == "Rows in common")
    every = []
    for k in (1, 2, 3):
        there = [open_result(experiment / f"replicate-{k}" / "arrangements" / name) for name in ("random", "tma")]
        one, two = (set(out.arrangement.order.tolist()) for out in there)
        every.append(len(one & two) / len(one | two))
    assert matrix["values"][0][1] == pytest.approx(sum(every) / 3)


def test_an_experiment_names_its_draws_and_its_runs(experiment: Path) -> None:
    page = data_of(make_report([experiment]).html)["page"]
    runs = {(row[0], row[1]): row for row in table(page, "Runs and their orders")}
    cell = open_run(experiment / "replicate-2" / "runs" / "tma" / "run").manifest
    assert runs["tma", 2][2:6] == [2, "0.001", cell.plan.ids_sha256, cell.model.revision]
    assert [row[:4] for row in table(page, "What replicates drew")][:2] == [[1, 1, "pool", 30], [1, 1, "steer", 9]]
    assert manifests(page)[-1] == json.loads((experiment / "experiment.json").read_text())


def test_an_experiment_that_was_moved_has_its_rows_and_vectors(experiment: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment, tmp_path / "moved")
    kept = experiment.rename(experiment.with_name("elsewhere"))
    try:
        report = make_report([tmp_path / "moved"])
    finally:
        kept.rename(experiment)
    assert not report.missing
    assert data_of(report.html)["rows"]["has_map"]


def test_arrangements_beside_an_experiment_are_those_that_are_shown(experiment: Path) -> None:
    out = experiment / "replicate-2" / "arrangements" / "tma"
    found = data_of(make_report([experiment, out]).html)
    assert [order["name"] for order in found["rows"]["orders"]] == ["tma"]
    assert found["page"]["sections"][0]["id"] == "summary"
    assert "Rows, here and below" not in texts_of(found["page"])


def test_a_comparison_names_its_runs_and_its_command(tmp_path: Path) -> None:
    words = made_family(tmp_path, {"random": 0.0, "tma": 0.1})
    assert main(["compare", *words, "--out", str(tmp_path / "compared")]) == 0
    page = data_of(make_report([tmp_path / "compared"]).html)["page"]
    assert {f"{row[0]}={row[2]}" for row in table(page, "Runs compared")} == set(words)
    command = shlex.split(commands(page)[0])
    assert main([*command[1:-1], str(tmp_path / "again")]) == 0
    one, two = ((tmp_path / name / "compare.json").read_text() for name in ("compared", "again"))
    assert json.loads(one)["differences"] == json.loads(two)["differences"]


def test_a_damaged_comparison_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compare.json").write_text('{"verdict": 3}')
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 1
    assert "compare.json must be what `righttime compare` wrote" in capsys.readouterr().err
