"""RUN/loss.png: the training loss of each step, and the losses of the sets where they were taken."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from righttime.cli import main
from righttime.evaluation import means_by, read_evaluation
from righttime.training.picture import draw_losses, loss_figure
from righttime.verification.run import verify

LOG = [
    {"step": 0, "target_loss": 3.5},
    {"step": 1, "loss": 3.0, "learning_rate": 1e-5},
    {"step": 2, "target_loss": 3.25, "target_em": 0.5, "other_loss": 4.0},
    {"step": 2, "loss": 2.5, "learning_rate": 1e-5},
    {"step": 2, "train_runtime": 1.0, "train_loss": 2.75},
]
drawn = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")


@drawn
def test_each_loss_is_a_line_with_its_name() -> None:
    figure = loss_figure(LOG)
    (panel,) = figure.axes
    assert panel.get_xlabel() == "optimizer steps"
    assert panel.get_ylabel() == "loss (nats per token)"
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines}
    assert lines == {
        "training, the rows of a step": ([1, 2], [3.0, 2.5]),
        " target, mean over its rows": ([0, 2], [3.5, 3.25]),
        " other, mean over its rows": ([2], [4.0]),
    }
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(lines)


@drawn
def test_the_caption_says_of_how_much_and_a_name_is_no_formula() -> None:
    figure = loss_figure([*LOG, {"step": 2, "$\\q$_loss": 3.0}])
    assert "one run of 2 optimizer steps. One run: no bands." in figure.get_supxlabel()
    assert draw_losses([*LOG, {"step": 2, "$\\q$_loss": 3.0}]) is not None


@drawn
def test_a_single_step_is_seen_too() -> None:
    (panel,) = loss_figure(LOG[1:2]).axes
    assert panel.lines[0].get_marker() == "."


@drawn
def test_every_run_has_its_picture(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, target = tmp_path / "run", arranged.parent / "data" / "target.jsonl"
    logs: list[Any] = []

    def seen(log: Any) -> bytes | None:
        logs.append(log)
        return draw_losses(log)

    monkeypatch.setattr("righttime.training.job.draw_losses", seen)
    words = ["tune", str(arranged), "--model", tiny, "--run", str(run), "--batch", "8"]
    assert main([*words, "--target", str(target), "--evaluate-every", "2"]) == 0
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert f"the losses along the run are in {run / 'loss.png'}" in capsys.readouterr().out
    lines = {line.get_label(): line for line in loss_figure(logs[0]).axes[0].lines}
    found = lines[" target, mean over its rows"]
    means = means_by(read_evaluation(run / "evaluation"), "step")
    assert list(found.get_xdata()) == [step for (step,) in means] == [0, 2, 4, 5]
    assert list(found.get_ydata()) == pytest.approx([one.over_rows for one in means.values()])
    written = [json.loads(line) for line in (run / "train_log.jsonl").open()]
    assert list(lines["training, the rows of a step"].get_ydata()) == [entry["loss"] for entry in written]
    (run / "loss.png").write_bytes(b"drawn over")
    assert all(finding.ok for finding in verify(run, arranged)), "a picture proves nothing"
    assert main([*words, "--overwrite"]) == 0
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_a_sentence(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw_losses(LOG) is None
    words = ["tune", str(arranged), "--model", tiny, "--run", str(tmp_path / "run"), "--batch", "37"]
    assert main(words) == 0
    assert "no picture of the losses: that takes matplotlib (pip install righttime[report])" in capsys.readouterr().out
    assert not (tmp_path / "run" / "loss.png").exists()
