"""Evaluation later: checkpoints and models, the folder, the summary, the command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from righttime.cli import main
from righttime.cli.evaluation_tables import evaluation_tables
from righttime.errors import EmptyDataError, ModelError, RighttimeError, SettingsError, StoreError
from righttime.evaluation import (
    GenerationSettings,
    MeasureSettings,
    evaluate,
    generated,
    means_by,
    open_evaluation,
    read_evaluation,
    read_set,
    row_losses,
)
from righttime.evaluation.checkpoints import find_checkpoints, load_evaluated, models_in_turn
from righttime.training.checkpoints import mark_complete
from tiny_model import CHATML, save_tiny_model


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    for name, first in (("target", 0), ("other", 50)):
        lines = [
            {
                "id": f"r{i}",
                "task": f"t{min(i % 4, 2)}",
                "category": f"c{i % 2}",
                "prompt": f"question {i}",
                "response": f"{i}",
            }
            for i in range(first, first + 9)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def checkpoints(bare: Path, bare_model: Any, bare_tokenizer: Any, tmp_path: Path) -> Path:
    """Three checkpoints of one run, each of other weights."""
    import torch

    for step in (20, 100, 3):
        with torch.no_grad():
            bare_model.lm_head.weight.mul_(1.1)
        bare_model.save_pretrained(tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")
        bare_tokenizer.save_pretrained(tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")
    (tmp_path / "run" / "checkpoints" / "checkpoint-7").mkdir()  # what a kill leaves
    return tmp_path / "run"


def test_checkpoints_are_found_in_order(checkpoints: Path, bare: Path, tmp_path: Path) -> None:
    for place in (checkpoints, checkpoints / "checkpoints"):
        assert [one.step for one in find_checkpoints(str(place))] == [3, 20, 100]
    assert [one.step for one in find_checkpoints(str(checkpoints / "checkpoints" / "checkpoint-20"))] == [20]
    assert [(one.step, one.name) for one in find_checkpoints(str(bare))] == [(0, str(bare))]
    assert [(one.step, one.name) for one in find_checkpoints("owner/name")] == [(0, "owner/name")]
    mark_complete(checkpoints / "checkpoints" / "checkpoint-20", 20)
    assert [one.step for one in find_checkpoints(str(checkpoints))] == [20], "a kill left the others half-written"
    with pytest.raises(ModelError, match="it holds neither"):
        find_checkpoints(str(tmp_path))


def test_exchanged_weights_are_those_of_a_model_loaded_anew(checkpoints: Path) -> None:
    import torch

    found = find_checkpoints(str(checkpoints))
    models = set()
    for one, model in models_in_turn(found, "cpu"):
        models.add(id(model))
        fresh = load_evaluated(one.name, "cpu").state_dict()
        assert all(torch.equal(weight, fresh[name]) for name, weight in model.state_dict().items())
    assert len(models) == 1


def test_tied_weights_are_exchanged_too(bare: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(bare, tie_word_embeddings=True)
    for step in (1, 2):
        torch.manual_seed(step)
        LlamaForCausalLM(config).save_pretrained(tmp_path / f"checkpoint-{step}")
    for one, model in models_in_turn(find_checkpoints(str(tmp_path)), "cpu"):
        fresh = load_evaluated(one.name, "cpu")
        assert torch.equal(model.lm_head.weight, fresh.lm_head.weight)
        assert model.lm_head.weight is model.model.embed_tokens.weight


def test_adapters_are_evaluated_with_their_base(
    bare: Path, bare_model: Any, bare_tokenizer: Any, rows: Path, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    lora = get_peft_model(bare_model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, weights in lora.named_parameters():
            if "lora_B" in name:
                weights.normal_()
    lora.save_pretrained(tmp_path / "checkpoint-5")
    bare_tokenizer.save_pretrained(tmp_path / "checkpoint-5")
    evaluate(str(tmp_path), {"target": rows / "target.jsonl"}, tmp_path / "eval", device="cpu")
    got = read_evaluation(tmp_path / "eval")
    from righttime.evaluation import read_set

    want = row_losses(lora, read_set("t", rows / "target.jsonl", bare_tokenizer, "paper", 1024).tokens).mean
    assert got["value"].to_pylist() == pytest.approx(want.tolist(), abs=1e-6)
    assert set(got["step"].to_pylist()) == {5}


def test_the_command_measures_every_checkpoint_and_says_what_it_found(
    checkpoints: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "evaluate",
        str(checkpoints),
        "--target",
        str(rows / "target.jsonl"),
        "--set",
        f"other={rows / 'other.jsonl'}",
    ]
    words += ["--metrics", "loss,rouge,em", "--max-new-tokens", "4", "--out", str(tmp_path / "eval"), "--device", "cpu"]
    assert main(words) == 0
    said = capsys.readouterr().out
    values = read_evaluation(tmp_path / "eval")
    assert len(values) == 3 * 2 * 4 * 9
    assert set(values["run"].to_pylist()) == {"run"}
    losses = [line for line in values.to_pylist() if line["metric"] == "loss" and line["set"] == "other"]
    last = [line for line in losses if line["step"] == 100]
    over_rows = np.mean([line["value"] for line in last])
    tasks = sorted({line["task"] for line in last})
    over_tasks = np.mean([np.mean([line["value"] for line in last if line["task"] == task]) for task in tasks])
    assert abs(over_rows - over_tasks) > 1e-5, "tasks of different sizes"
    found = means_by(values, "step", "set", "metric")[(100, "other", "loss")]
    assert found.rows == 9
    assert (found.over_rows, found.over_tasks) == pytest.approx((over_rows, over_tasks))
    assert f"{over_rows:.4f} ({over_tasks:.4f})" in said
    for part in (
        "every step; mean over rows, in brackets over tasks",
        "step 100 by category",
        "step 100 by task",
        "c1",
    ):
        assert part in said
    assert main(words) == 1
    assert "finished result already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert read_evaluation(tmp_path / "eval").equals(values)


def test_the_summary_says_how_many_rows_a_mean_is_of(bare: Path, rows: Path, tmp_path: Path) -> None:
    long = json.dumps({"id": "long", "task": "t0", "prompt": "word " * 90, "response": "r"})
    (tmp_path / "more.jsonl").write_text((rows / "target.jsonl").read_text() + long + "\n")
    more = {"target": tmp_path / "more.jsonl"}
    said = evaluation_tables(evaluate(str(bare), more, tmp_path / "loss", max_length=60, device="cpu"))
    assert "  target     0     9  " in said
    settings = MeasureSettings(("loss", "em"), GenerationSettings(2))
    both = evaluation_tables(evaluate(str(bare), more, tmp_path / "em", settings, max_length=60, device="cpu"))
    assert "  target     0    10  " in both
    assert " of 9" in both
    assert json.loads((tmp_path / "em" / "manifest.json").read_text())["without_loss"] == {"target": ["long"]}


def test_answers_are_kept_on_request(
    bare: Path, bare_model: Any, bare_tokenizer: Any, rows: Path, tmp_path: Path
) -> None:
    sets = {"target": rows / "target.jsonl"}
    how: dict[str, Any] = {"run": "x", "device": "cpu"}
    settings = MeasureSettings(("loss", "rouge", "em"), GenerationSettings(4))
    plain = evaluate(str(bare), sets, tmp_path / "plain", settings, **how)
    kept = evaluate(str(bare), sets, tmp_path / "kept", replace(settings, keep_answers=True), **how)
    assert kept.drop_columns("answer").equals(plain)
    data = read_set("target", sets["target"], bare_tokenizer, "paper", 1024)
    texts = generated(bare_model, bare_tokenizer, data.prompts, GenerationSettings(4)).texts
    for line in kept.to_pylist():
        assert line["answer"] == (None if line["metric"] == "loss" else texts[line["row"]])
    said = [open_evaluation(tmp_path / name).manifest.settings.answers_kept for name in ("plain", "kept")]
    assert said == [False, True]
    (tmp_path / "kept" / "manifest.json").unlink()
    with pytest.raises(SettingsError, match="answers_kept differ"):
        evaluate(str(bare), sets, tmp_path / "kept", settings, **how)


def test_answers_without_a_score_are_counted_and_not_kept(bare: Path, rows: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (rows / "target.jsonl").read_text().splitlines()]
    for line in lines[:3]:
        del line["response"]
    some, texts = tmp_path / "some.jsonl", tmp_path / "texts.jsonl"
    some.write_text("".join(json.dumps(line) + "\n" for line in lines))
    texts.write_text(json.dumps({"text": "question 1"}) + "\n")
    settings, said = MeasureSettings(("loss", "em"), GenerationSettings(4), keep_answers=True), list[str]()
    kept = evaluate(str(bare), {"target": some}, tmp_path / "kept", settings, device="cpu", say=said.append)
    assert "target: 3 of 9 rows have no reference, so their answers get no score and are not kept" in said
    assert set(kept["row"].to_pylist()) == set(range(3, 9))
    with pytest.raises(EmptyDataError, match="`keep_answers` must have a row with a reference.*of 1 rows none has one"):
        evaluate(str(bare), {"target": texts}, tmp_path / "texts", settings, target_format="text", device="cpu")


def test_a_stopped_evaluation_goes_on(
    checkpoints: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"target": rows / "target.jsonl"}
    evaluate(str(checkpoints), sets, tmp_path / "whole", run="x", device="cpu")
    from righttime.evaluation import measured_set

    calls = list[int]()

    def stopping(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measured_set(*args, **more)

    monkeypatch.setattr("righttime.evaluation.offline.measured_set", stopping)
    with pytest.raises(KeyboardInterrupt):
        evaluate(str(checkpoints), sets, tmp_path / "stopped", run="x", device="cpu")
    evaluate(str(checkpoints), sets, tmp_path / "stopped", run="x", device="cpu")
    assert len(calls) == 4, "the first checkpoint was not measured again"
    assert read_evaluation(tmp_path / "stopped").equals(read_evaluation(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--metrics", "los"], "unknown metric 'los'"),
        (["--metrics", ""], "at least one metric"),
        (["--metrics", "reward"], "--reward-model"),
        (["--set", "target=x"], "--set must be NAME=FILE"),
        (["--set", "x"], "--set must be NAME=FILE"),
        (["--form", "chat"], "chat template"),
        (["--max-length", "1"], "--max-length must be at least 2"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bare: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    words = ["evaluate", str(bare), "--target", str(rows / "target.jsonl"), "--out", str(tmp_path / "eval")]
    assert main([*words, *more]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize("metrics", ["loss", "loss,em"])
def test_a_set_without_an_answer_is_refused_before_any_work(
    bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], metrics: str
) -> None:
    (tmp_path / "asked.jsonl").write_text('{"messages": [{"role": "user", "content": "why?"}]}\n')
    words = ["evaluate", str(bare), "--target", str(tmp_path / "asked.jsonl"), "--out", str(tmp_path / "eval")]
    assert main([*words, "--metrics", metrics]) == 1
    assert "the set target must have a row with an answer" in capsys.readouterr().err
    assert not (tmp_path / "eval").exists()


def test_missing_models_and_weights_that_do_not_fit_are_named(
    bare: Path, checkpoints: Path, rows: Path, tmp_path: Path
) -> None:
    with pytest.raises(RighttimeError, match="loading its tokenizer failed"):
        evaluate(str(tmp_path / "nothing"), {"target": rows / "target.jsonl"}, tmp_path / "eval")
    from safetensors.torch import load_file, save_file

    path = checkpoints / "checkpoints" / "checkpoint-20" / "model.safetensors"
    weights = load_file(path)
    weights.pop("model.norm.weight")
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"must fit its config.json, but 'model.norm.weight' does not"):
        list(models_in_turn(find_checkpoints(str(checkpoints)), "cpu"))
    shutil.rmtree(checkpoints)
    with pytest.raises(StoreError, match="not one value"):
        read_evaluation(tmp_path)


def test_several_checkpoints_are_drawn(checkpoints: Path, bare: Path, rows: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sets = {"target": rows / "target.jsonl"}
    for _ in range(2):
        evaluate(str(checkpoints), sets, tmp_path / "eval", device="cpu", overwrite=True)
        assert (tmp_path / "eval" / "loss.png").read_bytes().startswith(b"\x89PNG")
    evaluate(str(bare), sets, tmp_path / "eval", device="cpu", overwrite=True)
    assert not (tmp_path / "eval" / "loss.png").exists(), "one point is no curve"


def test_a_short_answers_loss_is_not_that_of_a_line_break(tmp_path: Path, rows: Path) -> None:
    """A model that has learnt the line break behind an answer's end: it would count as a token of no loss."""
    model = save_tiny_model(tmp_path / "model", template=CHATML, ends="<|im_end|>")
    sets = {"target": rows / "target.jsonl"}
    both = {}
    for end in ("token", "template"):
        words = ["evaluate", model, "--target", str(sets["target"]), "--out", str(tmp_path / end), "--device", "cpu"]
        assert main([*words, *(["--answer-end", end] if end == "template" else [])]) == 0
        both[end] = read_evaluation(tmp_path / end).to_pylist()
        manifest = json.loads((tmp_path / end / "manifest.json").read_text())
        assert manifest["answer_end"] == end
        assert manifest["sets"]["target"]["learnt"] == sum(line["tokens"] for line in both[end])
    tokenizer = AutoTokenizer.from_pretrained(model)
    for number, (token, template) in enumerate(zip(both["token"], both["template"], strict=True)):
        assert token["tokens"] == len(tokenizer(f"{number}<|im_end|>")["input_ids"])
        assert template["tokens"] == token["tokens"] + 1
        assert template["value"] != pytest.approx(token["value"], abs=1e-4)


def test_an_evaluation_begun_by_an_older_version_goes_on(tmp_path: Path, rows: Path) -> None:
    """It did not record where answers end; the counts of learnt tokens tell."""
    model = save_tiny_model(tmp_path / "model", template=CHATML, ends="<|im_end|>")
    sets = {"target": rows / "target.jsonl"}
    evaluate(model, sets, tmp_path / "eval", answer_end="template", device="cpu")
    made = json.loads((tmp_path / "eval" / "settings.json").read_text())
    del made["answer_end"]
    (tmp_path / "eval" / "settings.json").write_text(json.dumps(made))
    (tmp_path / "eval" / "manifest.json").unlink()
    with pytest.raises(SettingsError, match="but sets differ from"):
        evaluate(model, sets, tmp_path / "eval", device="cpu")
    evaluate(model, sets, tmp_path / "eval", answer_end="template", device="cpu")
