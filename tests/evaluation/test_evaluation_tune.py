"""`righttime tune` with a target: the losses of its rows along the run, at steps and in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from righttime.cli import main
from righttime.errors import EmptyDataError, SettingsError
from righttime.evaluation import evaluate, open_evaluation, read_evaluation
from righttime.evaluation.while_training import dense_evaluation
from righttime.store import file_sha256
from righttime.training import TuneSettings, open_run, tune


def test_tune_measures_as_it_goes_and_evaluate_finds_the_same_later(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = arranged.parent / "data"
    words = ["tune", str(arranged), "--model", tiny, "--batch", "8", "--learning-rate", "0.003"]
    words += ["--save-every", "2", "--keep", "9"]
    watch = ["--target", str(data / "target.jsonl"), "--set", f"pool={data / 'pool.jsonl'}", "--evaluate-every", "2"]
    assert main([*words, "--run", str(tmp_path / "plain")]) == 0
    assert main([*words, *watch, "--run", str(tmp_path / "run")]) == 0
    model = "model/model.safetensors"
    assert file_sha256(tmp_path / "plain" / model) == file_sha256(tmp_path / "run" / model), "nothing was disturbed"
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0
    values = read_evaluation(tmp_path / "run" / "evaluation")
    assert sorted(set(values["step"].to_pylist())) == [0, 2, 4, 5]
    assert set(values["set"].to_pylist()) == {"target", "pool"}
    capsys.readouterr()
    sets = {"target": data / "target.jsonl", "pool": data / "pool.jsonl"}
    evaluate(str(tmp_path / "run"), sets, tmp_path / "later", device="cpu")
    later = read_evaluation(tmp_path / "later")
    assert sorted(set(later["step"].to_pylist())) == [2, 4, 5]
    want = {(line["step"], line["set"], line["row"]): line["value"] for line in values.to_pylist()}
    for line in later.to_pylist():
        assert line["value"] == pytest.approx(want[line["step"], line["set"], line["row"]], abs=1e-6)


def test_tune_measures_at_listed_steps(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, run = arranged.parent / "data" / "target.jsonl", tmp_path / "run"
    words = ["tune", str(arranged), "--model", tiny, "--batch", "8", "--run", str(run), "--target", str(target)]
    assert main([*words, "--evaluate-at", "0,1,x"]) == 1
    assert "--evaluate-at must be steps with commas between" in capsys.readouterr().err
    assert main([*words, "--evaluate-at", "0,9"]) == 1
    assert "at most the run's last, 5, got 9" in capsys.readouterr().err
    assert main([*words, "--evaluate-at", "0, 1,3"]) == 0
    assert sorted(set(read_evaluation(run / "evaluation")["step"].to_pylist())) == [0, 1, 3, 5]


def test_a_run_without_model_is_resumed_verified_and_compared(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, target = tmp_path / "run", arranged.parent / "data" / "target.jsonl"
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "8", "--no-model"]
    words += ["--target", str(target), "--evaluate-every", "2"]
    with monkeypatch.context() as patch:

        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("righttime.training.run.finish", stopped)
        assert main([*words, "--out", str(run)]) == 130
    first = read_evaluation(run / "evaluation")
    assert (run / "evaluation" / "manifest.json").exists()
    assert not (run / "manifest.json").exists()
    capsys.readouterr()
    assert main([*words, "--out", str(run)]) == 0, "without a checkpoint both begin again"
    assert f"the model was not saved; verify the run: righttime verify {run} {arranged}" in capsys.readouterr().out
    assert read_evaluation(run / "evaluation").equals(first)
    assert main(["verify", str(run), str(arranged)]) == 0
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "fast"), "--learning-rate", "0.001", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] is None
    compared = ["compare", f"random={run}", f"fast={tmp_path / 'fast'}", "--out", str(tmp_path / "compare")]
    assert main(compared) == 0


def test_runs_of_one_model_share_what_is_measured_before_the_first_step(
    tiny: str, arranged: Path, tmp_path: Path
) -> None:
    sets, tables = {"target": arranged.parent / "data" / "target.jsonl"}, {}
    for name, first in (("one", None), ("two", "one")):
        folder = tmp_path / first / "evaluation" if first else None
        watch = dense_evaluation(tmp_path / name, tiny, sets, every=4, first=folder)
        tune(arranged, tiny, tmp_path / name, TuneSettings(batch=8, save_model=False), callbacks=[watch])
        tables[name] = read_evaluation(tmp_path / name / "evaluation")
        assert open_evaluation(tmp_path / name / "evaluation").manifest.first_from == (first and f"{first}/evaluation")
        assert set(tables[name]["run"].to_pylist()) == {name}
    assert tables["one"].drop_columns("run").equals(tables["two"].drop_columns("run"))


@pytest.mark.parametrize("version", [{}, {"FSDP_VERSION": "1"}])
def test_a_model_that_fsdp1_shards_is_not_measured(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: dict[str, str]
) -> None:
    for name, value in {"ACCELERATE_USE_FSDP": "true", **version}.items():
        monkeypatch.setenv(name, value)  # as accelerate launch sets it
    sets = {"target": arranged.parent / "data" / "target.jsonl"}
    with pytest.raises(SettingsError, match=r"FSDP2 or DeepSpeed shards, but FSDP1 does\. .*righttime evaluate"):
        dense_evaluation(tmp_path / "run", tiny, sets, every=2)


def test_tune_measures_answers_too(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, run = str(arranged.parent / "data" / "target.jsonl"), str(tmp_path / "run")
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "16", "--out", run]
    watch = ["--target", target, "--evaluate-every", "2"]
    assert main([*words, "--metrics", "em"]) == 1
    told = "--metrics, --max-new-tokens, --keep-answers, --target-format and --target-fields go with them"
    assert told in capsys.readouterr().err
    assert main([*words, *watch, "--max-new-tokens", "3"]) == 1
    assert "--max-new-tokens must go with metrics of answers" in capsys.readouterr().err
    assert main([*words, *watch, "--metrics", "loss,reward"]) == 1
    assert "of the model that is trained, but reward takes a second one" in capsys.readouterr().err
    assert main([*words, *watch, "--keep-answers"]) == 1
    assert "--keep-answers must go with a metric of answers, got loss" in capsys.readouterr().err
    answers = ["--max-new-tokens", "3", "--keep-answers"]
    assert main([*words, *watch, "--metrics", "loss, em", *answers]) == 0
    later = ["evaluate", f"{run}/model", "--target", target, "--metrics", "loss,em", *answers]
    assert main([*later, "--out", str(tmp_path / "later"), "--device", "cpu"]) == 0
    found = [
        {(line["metric"], line["row"]): (line["value"], line["tokens"], line["answer"]) for line in table.to_pylist()}
        for table in (read_evaluation(tmp_path / "run" / "evaluation"), read_evaluation(tmp_path / "later"))
    ]
    assert found[0].keys() == found[1].keys()
    assert {metric for metric, _ in found[0]} == {"loss", "em"}
    answered = [[values[key] for key in values if key[0] == "em"] for values in found]
    assert answered[0] == answered[1]
    assert max(tokens for _, tokens, _ in answered[0]) == 3
    assert all(isinstance(answer, str) for *_, answer in answered[0])
    assert {answer for (metric, _), (*_, answer) in found[0].items() if metric == "loss"} == {None}


def test_tune_notes_answers_that_are_not_kept(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, run = tmp_path / "some.jsonl", tmp_path / "run"
    lines = [{"prompt": "question 1"}, {"prompt": "question 2", "response": "2"}]
    target.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "16", "--out", str(run), "--target", str(target)]
    assert main([*words, "--evaluate-at", "0", "--metrics", "em", "--max-new-tokens", "2", "--keep-answers"]) == 0
    note = "target: 1 of 2 rows have no reference, so their answers get no score and are not kept"
    assert f"note: {note}" in capsys.readouterr().out
    assert note in open_run(run).manifest.notes


def test_a_target_without_an_answer_is_refused_before_training(tiny: str, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"messages": [{"role": "user", "content": "why?"}]}\n')
    with pytest.raises(EmptyDataError, match="the set target must have a row with an answer to take loss of"):
        dense_evaluation(tmp_path / "run", tiny, {"target": asked}, every=2)
