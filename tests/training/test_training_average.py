"""The mean of the last checkpoints: what it is, what it is measured as, and what is said where it cannot be had."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from processes import ROOT, finish, launcher_on_two, start
from righttime.cli import main
from righttime.errors import ModelError, SettingsError
from righttime.evaluation import open_evaluation
from righttime.evaluation.while_training import dense_evaluation
from righttime.training import Lora, TuneSettings, open_run, tune
from righttime.training.average import average_steps, mean_weights
from righttime.verification.run import verify
from stopped_runs import StopAt, weights

SETTINGS = TuneSettings(batch=8, epochs=4, learning_rate=1e-2, save_every=4, average_last=3)  # 20 steps


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "1", "--target-rows", "1"]) == 0
    return folder / "target.jsonl"


@pytest.fixture(scope="module")
def run(tiny: str, arranged: Path, target: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("average") / "run"
    measuring = dense_evaluation(folder, tiny, {"target": str(target)}, every=10)
    tune(arranged, tiny, folder, SETTINGS, callbacks=[measuring])
    return folder


def by_definition(run: Path, steps: tuple[int, ...], name: str = "model.safetensors") -> dict[str, np.ndarray]:
    """The mean in numpy, in float64."""
    read = [load_file(run / "checkpoints" / f"checkpoint-{step}" / name) for step in steps]
    means = {one: np.mean([found[one].double().numpy() for found in read], axis=0) for one in read[0]}
    return {one: mean.astype(np.float32) for one, mean in means.items()}


def test_it_is_the_mean_and_the_model_is_the_last(arranged: Path, run: Path) -> None:
    steps = (12, 16, 20)
    assert open_run(run).manifest.averaged == steps
    found, wanted = load_file(run / "average" / "model.safetensors"), by_definition(run, steps)
    assert found.keys() == wanted.keys()
    for name, mean in wanted.items():
        assert found[name].dtype == torch.float32
        np.testing.assert_allclose(found[name].numpy(), mean, rtol=2**-23)
    last = load_file(run / "checkpoints" / "checkpoint-20" / "model.safetensors")
    assert all(torch.equal(value, last[name]) for name, value in weights(run).items())
    assert any(not torch.equal(found[name], last[name]) for name in last)
    assert all(finding.ok for finding in verify(run, arranged))
    names = {path.name for path in (run / "average").iterdir()}
    assert names == {path.name for path in (run / "model").iterdir()}, "a model with its tokenizer, and nothing else"


def test_it_is_measured_as_a_model_of_its_own(run: Path, target: Path, tmp_path: Path) -> None:
    measured = open_evaluation(run / "average_evaluation")
    assert measured.manifest.settings.averaged == (12, 16, 20)
    assert set(measured.table["step"].to_pylist()) == {20}
    words = ["evaluate", str(run / "average"), "--target", str(target), "--out", str(tmp_path / "later")]
    assert main(words) == 0
    later = open_evaluation(tmp_path / "later").table
    assert measured.table["id"].to_pylist() == later["id"].to_pylist()
    np.testing.assert_allclose(measured.table["value"].to_pylist(), later["value"].to_pylist(), rtol=1e-5)
    own = open_evaluation(run / "evaluation").table
    assert set(own["step"].to_pylist()) == {0, 10, 20}
    last = [value for value, step in zip(own["value"].to_pylist(), own["step"].to_pylist(), strict=True) if step == 20]
    assert last != measured.table["value"].to_pylist()


def test_asking_for_it_changes_nothing_else(tiny: str, arranged: Path, run: Path, tmp_path: Path) -> None:
    tune(arranged, tiny, tmp_path / "run", dataclasses.replace(SETTINGS, average_last=None))
    one = weights(tmp_path / "run")
    assert all(torch.equal(value, one[name]) for name, value in weights(run).items())
    assert not (tmp_path / "run" / "average").exists()
    assert open_run(tmp_path / "run").manifest.averaged == ()


@pytest.mark.parametrize("stop", [3, 14, 19])
def test_a_stopped_run_goes_on_to_the_same_mean(
    tiny: str, arranged: Path, run: Path, tmp_path: Path, stop: int
) -> None:
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", SETTINGS, callbacks=[StopAt(stop)])
    tune(arranged, tiny, tmp_path / "run", SETTINGS)
    same = (tmp_path / "run" / "average" / "model.safetensors").read_bytes()
    assert same == (run / "average" / "model.safetensors").read_bytes()
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))


def test_a_checkpoint_that_is_missing_is_trained_again(tiny: str, arranged: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", SETTINGS, callbacks=[StopAt(18)])
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "checkpoint-12")
    said: list[str] = []
    done = tune(arranged, tiny, tmp_path / "run", SETTINGS, say=said.append)
    assert done.start.step == 8
    assert "checkpoint-16 is trained again: an earlier one, which is to be averaged, is missing" in "\n".join(said)
    same = (tmp_path / "run" / "average" / "model.safetensors").read_bytes()
    assert same == (run / "average" / "model.safetensors").read_bytes()


def test_adapters_are_averaged(tiny: str, arranged: Path, target: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, lora=Lora(rank=2), epochs=2, save_every=5, average_last=2)
    measuring = dense_evaluation(tmp_path / "run", tiny, {"target": str(target)}, every=5)
    tune(arranged, tiny, tmp_path / "run", settings, callbacks=[measuring])
    found = load_file(tmp_path / "run" / "average" / "adapter_model.safetensors")
    for name, mean in by_definition(tmp_path / "run", (5, 10), "adapter_model.safetensors").items():
        np.testing.assert_allclose(found[name].numpy(), mean, rtol=2**-23)
    words = ["evaluate", str(tmp_path / "run" / "average"), "--target", str(target), "--out", str(tmp_path / "later")]
    assert main(words) == 0
    one, other = (
        open_evaluation(place).table for place in (tmp_path / "run" / "average_evaluation", tmp_path / "later")
    )
    np.testing.assert_allclose(one["value"].to_pylist(), other["value"].to_pylist(), rtol=1e-5)


def test_without_a_model_the_values_alone_are_kept(
    tiny: str, arranged: Path, run: Path, target: Path, tmp_path: Path
) -> None:
    unsaved = dataclasses.replace(SETTINGS, save_model=False)
    with pytest.raises(SettingsError, match="`average_last` must have its model saved or evaluated"):
        tune(arranged, tiny, tmp_path / "neither", unsaved)
    measuring = dense_evaluation(tmp_path / "run", tiny, {"target": str(target)}, every=10)
    tune(arranged, tiny, tmp_path / "run", unsaved, callbacks=[measuring])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names.isdisjoint({"average", "model", "checkpoints"})
    one, other = (open_evaluation(folder / "average_evaluation").table for folder in (tmp_path / "run", run))
    assert one["value"].to_pylist() == other["value"].to_pylist()
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))


def test_verify_finds_another_mean(arranged: Path, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    path = copy / "average" / "model.safetensors"
    changed = load_file(path)
    next(iter(changed.values())).mul_(1.01)
    save_file(changed, path, metadata={"format": "pt"})
    wrong = {finding.what for finding in verify(copy, arranged) if finding.ok is False}
    what = "the average is the mean of the checkpoints of steps 12, 16, 20"
    assert wrong == {"average/model.safetensors is as it was written", what}
    shutil.rmtree(copy / "checkpoints" / "checkpoint-12")
    unsure = [finding for finding in verify(copy, arranged) if finding.ok is None]
    assert [(finding.what, finding.detail) for finding in unsure] == [
        (what, "checkpoint-12 was removed or changed since")
    ]
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["averaged"] = [8, 12, 16]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    found = {finding.what: finding.detail for finding in verify(copy, arranged) if finding.ok is False}
    assert found["the average is the mean of the checkpoints of steps 8, 12, 16"] == (
        "by the settings it is of steps 12, 16, 20"
    )


@given(st.integers(2, 6), st.integers(1, 20), st.integers(1, 60))
def test_the_steps_are_the_last_that_have_a_checkpoint(wanted: int, every: int, steps: int) -> None:
    settings = TuneSettings(average_last=wanted, save_every=every)
    there = [step for step in range(1, steps + 1) if step % every == 0 or step == steps]
    if len(there) < wanted:
        with pytest.raises(SettingsError, match="must be at most the checkpoints of a run"):
            average_steps(settings, steps)
    else:
        assert average_steps(settings, steps) == tuple(there[-wanted:])


def test_fewer_checkpoints_than_asked_for_are_refused_before_any_work(
    tiny: str, arranged: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS, save_every=500)
    with pytest.raises(SettingsError, match=r"20 steps with one every 500 have 1, got 3. Hint: `save_every=6`"):
        tune(arranged, tiny, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
    with pytest.raises(SettingsError, match="average_last must be at least 2, got 1: one checkpoint is its own mean"):
        TuneSettings(average_last=1)


@pytest.mark.parametrize(
    ("version", "kind", "lora"),
    [("1", "FULL_STATE_DICT", None), ("2", "SHARDED_STATE_DICT", None), ("2", "FULL_STATE_DICT", Lora())],
)
def test_sharded_checkpoints_are_refused(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, kind: str, lora: Any
) -> None:
    for name, value in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": version, "FSDP_STATE_DICT_TYPE": kind}.items():
        monkeypatch.setenv(name, value)  # as accelerate launch sets it
    with pytest.raises(SettingsError, match="`average_last` needs the whole weights in each checkpoint"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(SETTINGS, lora=lora))


@pytest.mark.slow
@pytest.mark.linux
def test_a_sharded_runs_average_is_the_mean_and_is_what_is_measured(
    tiny: str, arranged: Path, target: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = [str(ROOT / "tests" / "fsdp_on_cpu.py"), "tune", str(arranged), "--model", tiny, "--out", str(run)]
    words += ["--batch-size", "8", "--learning-rate", "1e-2", "--save-every", "2", "--average-last", "3"]
    words += ["--epochs", "4", "--target", str(target), "--evaluate-every", "4"]
    code, said = finish(start(words, *launcher_on_two("fsdp", tmp_path)))
    assert code == 0, said
    steps = open_run(run).manifest.averaged
    assert len(steps) == 3
    found, wanted = load_file(run / "average" / "model.safetensors"), by_definition(run, steps)
    assert all(np.allclose(found[name].numpy(), mean, rtol=2**-23, atol=0) for name, mean in wanted.items())
    later = ["evaluate", str(run / "average"), "--target", str(target), "--out", str(tmp_path / "later")]
    assert main([*later, "--device", "cpu"]) == 0
    sharded, alone = (open_evaluation(folder).table for folder in (run / "average_evaluation", tmp_path / "later"))
    own = open_evaluation(run / "evaluation").table
    last = own.filter([step == steps[-1] for step in own["step"].to_pylist()])
    mean, again, model = (
        dict(zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True)) for table in (sharded, alone, last)
    )
    assert mean == pytest.approx(again, rel=1e-5)
    assert mean.keys() == model.keys()
    assert mean != pytest.approx(model, rel=1e-5), "not the last weights were measured"
    assert all(finding.ok for finding in verify(run, arranged))


def test_sums_are_float64_and_counters_are_not_averaged(tmp_path: Path) -> None:
    values = [1.0, 2.0**-24, 2.0**-24, -1.0]  # in float32 the small ones are lost
    for number, value in enumerate(values):
        tensors = {"weight": torch.tensor([value]), "half": torch.tensor([value], dtype=torch.bfloat16)}
        save_file({**tensors, "counter": torch.tensor([number])}, tmp_path / f"{number}.safetensors")
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    found = mean_weights(files)
    assert found["weight"].item() == 2.0**-25
    assert found["half"].dtype == torch.bfloat16
    assert found["counter"].item() == 3
    save_file({"weight": torch.tensor([1.0])}, files[1])
    with pytest.raises(ModelError, match="must hold the same weights, but 'counter' differs in .*1.safetensors"):
        mean_weights(files)


def test_the_command_keeps_and_tells(
    tiny: str, arranged: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run"), "--save-every", "1"]
    words += ["--target", str(target), "--evaluate-every", "2"]
    assert main([*words, "--average-last", "2"]) == 0
    said = capsys.readouterr().out
    assert "the mean of the checkpoints of steps 2, 3 is taken at the end" in said
    assert f"the mean of the checkpoints of steps 2, 3 is in {tmp_path / 'run' / 'average'}" in said
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0
    capsys.readouterr()
    assert main([*words, "--average-last", "2", "--overwrite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["average"] == str(tmp_path / "run" / "average")
    assert {entry["step"] for entry in told["average_evaluation"]} == {3}


def test_an_exponential_average_is_that_of_its_recursion(
    tiny: str, arranged: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped and resumed, evaluated, verified; against the textbook's recursion over the same checkpoints."""
    decay, steps, run = 0.6, (8, 12, 16, 20), tmp_path / "run"
    settings = dataclasses.replace(SETTINGS, average_last=4, average_decay=decay)
    measuring = dense_evaluation(run, tiny, {"target": str(target)}, every=10)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, settings, callbacks=[measuring, StopAt(14)])
    said: list[str] = []
    measuring = dense_evaluation(run, tiny, {"target": str(target)}, every=10)
    tune(arranged, tiny, run, settings, callbacks=[measuring], say=said.append)
    assert "steps 8, 12, 16, 20, each weighing 0.6 times the next, is taken at the end" in "\n".join(said)
    found = load_file(run / "average" / "model.safetensors")
    read = [load_file(run / "checkpoints" / f"checkpoint-{step}" / "model.safetensors") for step in steps]
    for name, mean in found.items():
        moved, corrected = np.zeros(mean.shape), 0.0  # begun at 0, with that beginning corrected for, as Adam has it
        for one in read:
            moved = decay * moved + (1 - decay) * one[name].double().numpy()
            corrected = decay * corrected + (1 - decay)
        np.testing.assert_allclose(mean.numpy(), moved / corrected, rtol=2**-23)
    alike = mean_weights([run / "checkpoints" / f"checkpoint-{step}" / "model.safetensors" for step in steps])
    assert any(not torch.equal(found[name], alike[name]) for name in found)
    assert open_evaluation(run / "average_evaluation").manifest.settings.averaged == steps
    findings = {finding.what: finding.ok for finding in verify(run, arranged)}
    assert all(findings.values())
    assert (
        "the average is the mean of the checkpoints of steps 8, 12, 16, 20, each weighing 0.6 times the next"
        in findings
    )
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["settings"]["average_decay"] = 0.7
    path.write_text(json.dumps(manifest))
    wrong = {finding.what for finding in verify(run, arranged) if finding.ok is False}
    assert (
        "the average is the mean of the checkpoints of steps 8, 12, 16, 20, each weighing 0.7 times the next" in wrong
    )


def test_a_decay_must_have_an_effect() -> None:
    with pytest.raises(SettingsError, match="`average_decay` must go with `average_last`, which is not given"):
        TuneSettings(average_decay=0.5)
    for decay in (0.0, 1.0, -0.1):
        with pytest.raises(SettingsError, match=f"average_decay must be above 0 and below 1, got {decay}"):
            TuneSettings(average_last=2, average_decay=decay)
