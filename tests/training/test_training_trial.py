"""`righttime plan --model M --measure`: the time of a step, from some steps of `tune` itself."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from righttime.cli import main
from righttime.errors import ModelError, SettingsError
from righttime.training import tune
from righttime.training.settings import TuneSettings
from righttime.training.trial import measured_stages, try_steps
from tiny_model import save_arrangement, save_tiny_model

SETTINGS = TuneSettings(batch=2, accumulation=2, epochs=3, learning_rate=1e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("trial") / "tiny")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which 2 s pass from one look to the next: a look before the first step, and one after each."""
    seconds = itertools.count(0.0, 2.0)
    clock = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr("righttime.training.trial.time", clock)


@pytest.mark.usefixtures("ticking")
def test_the_time_is_that_of_the_steps_that_were_run(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[Any, TuneSettings, int]] = []

    def watched(out: Any, name: str, run: Any, settings: TuneSettings, **how: Any) -> Any:
        done = tune(out, name, run, settings, **how)
        runs.append((name, settings, done.manifest.counts.consumed))
        return done

    monkeypatch.setattr("righttime.training.trial.tune", watched)
    start, steps = measured_stages(model, SETTINGS, n_rows=101, row_tokens=60, learnt=20)
    [(name, asked, consumed)] = runs
    assert (name, consumed) == (model, 4 * 6)  # the first step, and five that count
    assert (asked.batch, asked.accumulation, asked.rate, asked.precision) == (2, 2, 1e-3, SETTINGS.precision)
    assert (asked.epochs, asked.save_model) == (1, False)
    assert start.seconds == 2.0
    assert steps.passes == 3 * 26
    assert steps.seconds == (3 * 26 - 1) * 2.0  # the first step is part of the start
    assert "2 s a step of 4 rows of " in steps.note
    assert "the mean of 5 steps of 2 to 2 s; 101 rows × 3 epochs" in steps.note
    (_, one) = measured_stages(model, SETTINGS, row_tokens=60)
    assert (one.name, one.passes, one.seconds) == ("a step", 1, 2.0)


def test_made_rows_have_the_length_that_was_asked_for(model: str) -> None:
    trial = try_steps(model, SETTINGS, row_tokens=60, learnt=20, steps=1)
    assert trial.rows == 4
    assert 57 <= trial.tokens <= 60
    assert 17 <= trial.learnt <= 20
    assert len(trial.steps) == 1
    for wrong in (0, 10**9):
        with pytest.raises(SettingsError, match="`row_tokens` must be from 1 to the"):
            try_steps(model, SETTINGS, row_tokens=wrong)
    with pytest.raises(SettingsError, match="must leave room for the form of a row"):
        try_steps(model, SETTINGS, row_tokens=2)


def test_rows_of_an_arrangement_stand_for_all(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = save_arrangement(tmp_path, 60)
    n = len((out / "train.jsonl").read_text().splitlines())
    words = ["plan", str(out), "--model", model, "--measure", "--tune", "batch_size=2", "--json"]
    capsys.readouterr()
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    steps = found["stages"][-1]
    assert steps["passes"] == -(-n // 2)
    assert found["seconds_complete"]
    assert found["seconds"] == pytest.approx(found["stages"][-2]["seconds"] + steps["seconds"])
    with pytest.raises(SettingsError, match="must have at least 2 steps, got 1"):
        try_steps(model, TuneSettings(batch=10_000), out=out)
    assert main([*words, "--row-tokens", "9"]) == 1
    assert "--row-tokens and --learnt-tokens are for made rows" in capsys.readouterr().err


@pytest.mark.usefixtures("ticking")
def test_rearranging_and_checkpoints_are_no_part_of_a_step(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Any] = []
    monkeypatch.setattr("righttime.training.trainer.OrderedTrainer._save_checkpoint", lambda *args: saved.append(args))
    settings = dataclasses.replace(SETTINGS, epochs=1, save_every=1, rearrange_every=2, rearrange_pool="more.jsonl")
    *_, steps = measured_stages(model, settings, n_rows=8, row_tokens=60)
    assert len(saved) == 1, "after the last step, where nothing is written without `save_model`"
    assert steps.note.endswith("evaluations, checkpoints and rearranging come on top")


def test_what_cannot_be_measured_is_refused(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare").mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (Path(model) / name).exists():
            (tmp_path / "bare" / name).write_bytes((Path(model) / name).read_bytes())
    with pytest.raises(ModelError):
        measured_stages(str(tmp_path / "none"), SETTINGS)
    assert main(["plan", "--model", str(tmp_path / "bare"), "--measure", "--row-tokens", "60"]) == 1
    assert "must hold safetensors weights, but no *.safetensors is in it" in capsys.readouterr().err
    for words, why in (
        (["--measure"], "--measure must go with --model"),
        (["--model", model, "--rows", "9"], "a plan is of tuning (--model) or of an arrangement"),
        (["--model", model, "--measure", "--rows", "0"], "--rows must be from 1"),
        (["a", "b", "--model", model, "--measure"], "takes the rows of one arrangement, got 2"),
    ):
        assert main(["plan", *words]) == 1
        assert why in capsys.readouterr().err


@pytest.mark.slow
def test_planned_and_real_time_agree_within_a_factor_of_one_and_a_half(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By CPU time, so that other work on the machine counts on neither side.
    monkeypatch.setattr("righttime.training.trial.time", SimpleNamespace(perf_counter=time.process_time))
    out = save_arrangement(tmp_path, 60)
    settings = TuneSettings(batch=2, epochs=6, save_model=False)
    tune(out, model, tmp_path / "warm", TuneSettings(batch=8, save_model=False))  # imports what it needs
    planned = sum(stage.seconds or 0.0 for stage in measured_stages(model, settings, out=out))
    begun = time.process_time()
    tune(out, model, tmp_path / "run", settings)
    real = time.process_time() - begun
    assert planned / 1.5 <= real <= planned * 1.5
