from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from righttime.cli import main
from righttime.errors import ModelError, SettingsError, StoreError
from righttime.evaluation.checkpoints import find_checkpoints
from righttime.processor import processor
from righttime.tokenization.masking import AnswerEnd
from righttime.training import Lora, TuneSettings, first_difference, open_run, read_records, tune
from righttime.training.job import bfloat16_note
from righttime.training.models import load_model
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiny_model import CHATML, save_arrangement, save_tiny_model

FAST = TuneSettings(batch=2, accumulation=2, epochs=2, learning_rate=1e-3, save_every=5)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], tolerance: float) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], atol=tolerance, rtol=0) for name in a)


@pytest.fixture(scope="module")
def undisturbed(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    tune(arranged, tiny, run, FAST)
    return run


@pytest.fixture(scope="module")
def begun(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after its first step."""
    run = tmp_path_factory.mktemp("runs") / "begun"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, FAST, callbacks=[StopAt(1)])
    return run


def by_hand(model_name: str, arranged: Path, settings: TuneSettings) -> dict[str, torch.Tensor]:
    """The definition: rows one at a time, in file order, the mean over a step's answer tokens, AdamW."""
    tokenizer, model = AutoTokenizer.from_pretrained(model_name), AutoModelForCausalLM.from_pretrained(model_name)
    rows = [json.loads(line)["messages"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.rate, settings.betas, settings.eps, weight_decay=settings.weight_decay
    )
    size = settings.batch * settings.accumulation
    for _ in range(settings.epochs):
        for start in range(0, len(rows), size):
            total, count = torch.zeros(()), 0
            for messages in rows[start : start + size]:
                made = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
                ids = torch.tensor([made["input_ids"]])
                losses = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none")
                mask = torch.tensor(made["assistant_masks"][1:], dtype=torch.bool)
                total, count = total + losses[mask].sum(), count + int(mask.sum())
            optimizer.zero_grad()
            (total / count).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
    return {name: value.detach() for name, value in model.named_parameters()}


def test_the_weights_are_those_of_a_plain_loop_over_the_file(tiny: str, arranged: Path, undisturbed: Path) -> None:
    plain, before = by_hand(tiny, arranged, FAST), dict(load_file(Path(tiny) / "model.safetensors"))
    assert close(weights(undisturbed), plain, 2e-5)
    assert not close(weights(undisturbed), before, 1e-3), "it did learn"


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (1, 4)])
def test_how_a_step_is_cut_up_does_not_matter(
    tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path, batch: int, accumulation: int
) -> None:
    tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, batch=batch, accumulation=accumulation))
    assert close(weights(tmp_path / "run"), weights(undisturbed), 2e-5)


def test_what_lies_on_disk(arranged: Path, undisturbed: Path) -> None:
    ids = [json.loads(line)["id"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    consumed = pq.read_table(undisturbed / "consumed.parquet")
    assert consumed["id"].to_pylist() == 2 * ids
    assert consumed["step"].to_pylist() == [epoch * 10 + place // 4 for epoch in range(2) for place in range(37)]
    assert set(consumed["superseded"].to_pylist()) == {False}
    assert pq.read_table(undisturbed / "rows.parquet")["id"].to_pylist() == ids
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["first_difference"] is None
    assert manifest["counts"]["consumed"] == 74
    assert open_run(undisturbed).manifest.processor == processor()
    assert "processor" not in json.loads((undisturbed / "run.json").read_text()), "it decides nothing"
    assert not list(undisturbed.rglob("*.bin")), "no pickles but the optimizer's and the generators'"
    log = [json.loads(line) for line in (undisturbed / "train_log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == list(range(1, 21))
    assert {entry["learning_rate"] for entry in log} == {1e-3}, "the default rate is constant"
    assert sorted(path.name for path in (undisturbed / "checkpoints").iterdir()) == ["checkpoint-15", "checkpoint-20"]
    assert all(finding.ok for finding in verify(undisturbed, arranged))


@pytest.mark.parametrize(
    ("stop", "shuffle_after"),
    [(13, 3), *(pytest.param(stop, None, marks=pytest.mark.slow) for stop in (0, 3, 5, 9, 10, 13, 17))],
)
def test_a_stopped_run_goes_on_to_the_same_weights(
    tmp_path: Path, arranged: Path, stop: int, shuffle_after: int | None
) -> None:
    """With dropout, so that the random generators must go on too; stops before, at and after checkpoints and epochs."""
    model = save_tiny_model(tmp_path / "model", dropout=0.1)
    settings = dataclasses.replace(FAST, shuffle_after=shuffle_after)
    tune(arranged, model, tmp_path / "undisturbed", settings)
    run = tmp_path / "stopped"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, model, run, settings, callbacks=[StopAt(stop)])
    assert not (run / "manifest.json").exists()
    done = tune(arranged, model, run, settings)
    assert done.start.step == stop // 5 * 5
    assert same(weights(run), weights(tmp_path / "undisturbed"))
    assert first_difference(done.job.plan, read_records(run / "consumed")) is None
    assert done.manifest.counts.superseded == sum(
        len(batch.places) for batch in done.job.plan.all_batches() if done.start.step <= batch.step < stop
    )


def test_half_a_checkpoint_is_not_gone_on_from(tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError):
        tune(arranged, tiny, run, FAST, callbacks=[StopAt(12)])
    newest = run / "checkpoints" / "checkpoint-10"
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:100])
    shutil.copytree(run / "checkpoints" / "checkpoint-5", run / "checkpoints" / "checkpoint-11")
    (run / "checkpoints" / "checkpoint-11" / "complete.json").unlink()
    done = tune(arranged, tiny, run, FAST)
    assert done.start.step == 5
    assert done.start.broken == ("checkpoint-10", "checkpoint-11")
    assert same(weights(run), weights(undisturbed))


def test_killed_while_the_result_was_written(tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "manifest.json").unlink()
    (run / "model" / "model.safetensors").write_bytes(b"half")
    done = tune(arranged, tiny, run, FAST)
    assert done.start.step == 20
    assert same(weights(run), weights(undisturbed))
    assert all(finding.ok for finding in verify(run, arranged))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 4}, r"plan\.batch was 2 and is 4 now"),
        ({"accumulation": 1}, r"plan\.accumulation was 2 and is 1 now"),
        ({"epochs": 3}, r"plan\.epochs was 2 and is 3 now"),
        ({"learning_rate": 1e-4}, r"learning_rate was 0\.001 and is 0\.0001 now.*Hint: `learning_rate=0\.001`, or"),
        ({"shuffle_after": 2}, r"plan\.shuffle_after was None and is 2 now"),
        ({"max_length": 100}, r"rows\.hashes_sha256|rows\.max_length was 512 and is 100 now"),
        ({"form": "paper"}, r"rows\.form was 'chat' and is 'paper' now"),
    ],
)
def test_a_run_goes_on_only_as_it_began(
    tiny: str, arranged: Path, begun: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        tune(arranged, tiny, begun, dataclasses.replace(FAST, **changes))


def test_what_does_not_decide_the_weights_may_change(tiny: str, arranged: Path, begun: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    free = dataclasses.replace(FAST, save_every=7, keep=1, log_every=3)
    assert tune(arranged, tiny, run, free).manifest.counts.consumed == 74
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["checkpoint-20"]


def test_another_arrangement_or_model_is_another_run(tiny: str, arranged: Path, begun: Path, tmp_path: Path) -> None:
    other = save_arrangement(tmp_path / "other", 37, seed=1)
    with pytest.raises(SettingsError, match=r"plan\.ids_sha256 was"):
        tune(other, tiny, begun, FAST)
    another = Path(shutil.copytree(tiny, tmp_path / "model"))
    assert tune(arranged, str(another), shutil.copytree(begun, tmp_path / "run"), FAST).start.attempt == 2, (
        "it only moved"
    )
    (another / "generation_config.json").unlink()
    with pytest.raises(SettingsError, match=r"model\.revision was"):
        tune(arranged, str(another), begun, FAST)


def test_finished_runs_and_strangers_are_left_alone(
    tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="holds a finished run already"):
        tune(arranged, tiny, undisturbed, FAST)
    (tmp_path / "thesis.tex").touch()
    for overwrite in (False, True):
        with pytest.raises(StoreError, match=r"it holds 'thesis\.tex'"):
            tune(arranged, tiny, tmp_path, FAST, overwrite=overwrite)
    run = tmp_path / "again"
    shutil.copytree(undisturbed, run)
    for name in ("manifest.json", "run.json"):  # as if killed while it was being taken away
        (run / name).unlink()
    with pytest.raises(StoreError, match="must be empty or hold a run, but it holds 'checkpoints'"):
        tune(arranged, tiny, run, FAST)
    done = tune(arranged, tiny, run, dataclasses.replace(FAST, epochs=1), overwrite=True)
    assert done.start.attempt == 1
    assert done.manifest.counts.consumed == 37


def test_two_processes_never_train_in_one_folder(tiny: str, arranged: Path, tmp_path: Path) -> None:
    def again(*_: Any) -> None:
        tune(arranged, tiny, tmp_path / "run", FAST, overwrite=True)

    with pytest.raises(StoreError, match="must be free, but another process trains there"):
        tune(arranged, tiny, tmp_path / "run", FAST, say=again)
    assert tune(arranged, tiny, tmp_path / "run", FAST).start.attempt == 1, "the lock went with the first"


def test_rows_that_teach_nothing_keep_their_place(tiny: str, arranged: Path, tmp_path: Path) -> None:
    said: list[str] = []
    settings = dataclasses.replace(FAST, batch=1, accumulation=1, epochs=1, max_length=60)
    done = tune(arranged, tiny, tmp_path / "run", settings, say=said.append)
    unlearnt = done.manifest.counts.unlearnt_rows
    assert 0 < unlearnt < 37, "the test needs both kinds"
    assert f"{unlearnt} rows have no token to learn; they keep their place and teach nothing" in said[0]
    assert done.manifest.counts.consumed == 37
    assert all(bool(torch.isfinite(value).all()) for value in weights(tmp_path / "run").values())
    log = [json.loads(line) for line in (tmp_path / "run" / "train_log.jsonl").read_text().splitlines()]
    assert sum(entry["loss"] == 0 for entry in log) == unlearnt, "a step of one such row"


def test_the_papers_settings(tiny: str, arranged: Path, tmp_path: Path) -> None:
    settings = TuneSettings.preset("paper", batch=2, max_length=512)
    done = tune(arranged, tiny, tmp_path / "run", settings)
    log = [json.loads(line) for line in (tmp_path / "run" / "train_log.jsonl").read_text().splitlines()]
    rates = [entry["learning_rate"] for entry in log]
    assert rates[0] == 1e-6, "no warm-up"
    assert rates == sorted(rates, reverse=True)
    assert 1e-7 <= rates[-1] < 1.1e-7, "to a tenth"
    assert done.job.rows.form == "paper"


def test_the_order_then_a_shuffle(tiny: str, arranged: Path, tmp_path: Path) -> None:
    done = tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, shuffle_after=3))
    ids = [json.loads(line)["id"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    consumed = pq.read_table(tmp_path / "run" / "consumed.parquet")["id"].to_pylist()
    assert consumed[:12] == ids[:12]
    assert consumed[12:37] != ids[12:]
    assert sorted(consumed[:37]) == sorted(consumed[37:]) == sorted(ids)
    assert done.manifest.first_difference is None
    findings = verify(tmp_path / "run", arranged)
    assert all(finding.ok for finding in findings)
    assert "the order for 3 steps, then a shuffle" in {finding.detail for finding in findings}


def test_adapters_only(tiny: str, arranged: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(FAST, lora=Lora(rank=2, alpha=4))
    tune(arranged, tiny, tmp_path / "undisturbed", settings)
    with pytest.raises(RuntimeError):
        tune(arranged, tiny, tmp_path / "run", settings, callbacks=[StopAt(7)])
    tune(arranged, tiny, tmp_path / "run", settings)
    adapters = [load_file(tmp_path / name / "model" / "adapter_model.safetensors") for name in ("run", "undisturbed")]
    assert same(*adapters)
    assert all("lora" in name for name in adapters[0])
    assert any(bool(value.any()) for name, value in adapters[0].items() if "lora_B" in name), "they did learn"
    assert not (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))


def test_adapters_name_their_bases_folder_in_full(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(tiny).parent)
    model = load_model(Path(tiny).name, TuneSettings(lora=Lora(rank=2)))
    assert model.peft_config["default"].base_model_name_or_path == str(Path(tiny).resolve())


def test_verify_finds_what_was_tampered_with(undisturbed: Path, arranged: Path, tmp_path: Path) -> None:
    def failed(run: Path, arrangement: Path = arranged) -> list[str]:
        return [f"{finding.what}: {finding.detail}" for finding in verify(run, arrangement) if not finding.ok]

    assert failed(undisturbed) == []
    other = save_arrangement(tmp_path / "other", 37, seed=1)
    told = failed(undisturbed, other)
    assert told[0].startswith("the run was planned for this arrangement")
    assert "every row in its place: step 0, micro-batch 0, process 0, row 0 must be" in told[2]
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    records = next((run / "consumed").iterdir())
    lines = records.read_text().splitlines()
    records.write_text("\n".join([*lines[:3], lines[4], lines[3], *lines[5:]]) + "\n")
    assert any("sha256 is not the manifest's" in one for one in failed(run)), "the file has another hash"
    records.write_text("\n".join([*lines[:3], *lines[4:]]) + "\n")
    assert any("step 1, micro-batch 0, process 0 was not consumed" in one for one in failed(run))
    swapped = json.loads(lines[1])
    swapped["rows"].reverse()
    swapped["places"].reverse()
    records.write_text("\n".join([lines[0], json.dumps(swapped), *lines[2:]]) + "\n")
    assert any("step 0, micro-batch 0, process 0, row 0 must be" in one for one in failed(run))
    swapped = json.loads(lines[1])
    swapped["tokens"].reverse()
    records.write_text("\n".join([lines[0], json.dumps(swapped), *lines[2:]]) + "\n")
    assert any("the model was fed the tokens of those texts: step 0" in one for one in failed(run))
    records.write_text("\n".join(lines) + "\n")
    assert failed(run) == []
    began = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**began, "rows": {**began["rows"], "learnt_sha256": "0"}}))
    assert "the tokens that were learnt are the answers': " in failed(run)
    shutil.copy(undisturbed / "run.json", run)
    for name in ("model/adapter_config.json", "consumed/attempt-0002-process-0000.jsonl"):
        (run / name).touch()
        assert failed(run) == [f"{name} is as it was written: the run did not write it"]
        (run / name).unlink()
    (run / "consumed.parquet").unlink()
    assert failed(run) == ["consumed.parquet is as it was written: it is gone"]
    written = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(json.dumps({**json.loads(written), "files": None}))
    assert failed(run) == ["every file is as it was written: the manifest names none"]
    (run / "manifest.json").unlink()
    assert any("it has no manifest.json" in one for one in failed(run))


@pytest.mark.parametrize("began", ["", "[]", "{}", '{"plan": {"batch": "x"}, "settings": {}, "model": {}, "rows": {}}'])
def test_a_run_whose_beginning_is_damaged_is_named(
    undisturbed: Path, arranged: Path, tmp_path: Path, began: str
) -> None:
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    (run / "run.json").write_text(began)
    with pytest.raises(StoreError, match="run.json"):
        verify(run, arranged)


def test_a_changed_training_file_is_refused(tiny: str, arranged: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(arranged, tmp_path / "out"))
    lines = (changed / "train.jsonl").read_text().splitlines(keepends=True)
    (changed / "train.jsonl").write_text("".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(StoreError, match="must be what was written .* it was changed since"):
        tune(changed, tiny, tmp_path / "run", FAST)


def test_missing_models_and_too_long_rows_are_named(tiny: str, arranged: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'no/such' must be a folder with a causal language model"):
        tune(arranged, "no/such", tmp_path / "run", FAST)
    with pytest.raises(SettingsError, match="at most the 512 tokens that .* Hint: `max_length=512`"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, max_length=513))


def test_a_loss_that_is_no_number_stops(tiny: str, arranged: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the training loss must be a number, but up to step \d+ it is nan"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, learning_rate=1e30, clip=1e30))


def test_unknown_trackers_are_refused_before_any_work(tiny: str, arranged: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="trackers must be known to transformers and installed, but: nonsense"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, report_to=("nonsense",)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"recompute": True}], ids=["bf16", "recompute"])
def test_other_arithmetic_learns_much_the_same(
    tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, **changes))
    assert close(weights(tmp_path / "run"), weights(undisturbed), 5e-3 if "precision" in changes else 1e-6)
    assert same(weights(tmp_path / "run"), weights(undisturbed)) == ("recompute" in changes)


def test_the_commands(tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    words = [
        "tune",
        str(arranged),
        "--model",
        tiny,
        "--run",
        run,
        "--batch-size",
        "2",
        "--accumulation",
        "2",
        "--epochs",
        "2",
    ]
    assert main([*words, "--learning-rate", "1e-3"]) == 0
    said = capsys.readouterr().out
    assert "each consumes the next 1 × 2 × 2 (processes × batch × accumulation) = 4 rows, in order" in said
    assert "the last of an epoch 1" in said
    assert "consumed 74 rows in 20 steps: in the planned order, each row once in each epoch" in said
    assert "{'loss'" not in said, "the log goes elsewhere"
    assert main(["verify", run, str(arranged)]) == 0
    assert "FAILED" not in capsys.readouterr().out
    other = save_arrangement(tmp_path / "other", 37, seed=1)
    capsys.readouterr()
    assert main(["verify", run, str(other)]) == 1
    assert "row 0 must be" in capsys.readouterr().out
    assert main(words) == 1
    assert "holds a finished run already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("preset", "changes", "rate"),
    [
        ("constant", {}, 1e-5),
        ("constant", {"lora": Lora()}, 1e-4),
        ("paper", {}, 1e-6),
        ("paper", {"lora": Lora()}, 1e-4),
        ("paper", {"lora": Lora(), "learning_rate": 3e-6}, 3e-6),
    ],
)
def test_the_learning_rate_fits_what_is_trained(preset: str, changes: dict[str, Any], rate: float) -> None:
    settings = TuneSettings.preset(preset, **changes)
    assert settings.rate == settings.deciding()["learning_rate"] == rate


def test_adapters_have_a_rate_of_their_own(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more, rate in (("full", [], 1e-5), ("lora", ["--lora"], 1e-4)):
        run = tmp_path / name
        assert main(["tune", str(arranged), "--model", tiny, "--run", str(run), "--batch", "19", *more]) == 0
        assert json.loads((run / "manifest.json").read_text())["settings"]["learning_rate"] == rate
        assert json.loads((run / "run.json").read_text())["settings"]["learning_rate"] == rate
        log = [json.loads(line) for line in (run / "train_log.jsonl").open()]
        assert [entry["learning_rate"] for entry in log] == [rate, rate]
        trained = "all weights" if name == "full" else "adapters of rank 16"
        assert f"{trained} at a learning rate of {rate:g}\n" in capsys.readouterr().out
    assert main(["tune", "--help"]) == 0
    assert "1e-5; paper: 1e-6; with --lora 1e-4" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"min_rate": 2.0}, "min_rate must be between 0 and 1"),
        ({"warmup": -1}, "warmup must not be negative"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"answer_end": "tokens"}, "did you mean 'token'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TuneSettings(**changes)
    with pytest.raises(SettingsError, match="unknown preset 'papper'"):
        TuneSettings.preset("papper")


def test_the_target_is_measured_while_training(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = arranged.parent / "data", tmp_path / "run"
    words = ["tune", str(arranged), "--model", tiny, "--run", str(run), "--batch", "4", "--learning-rate", "1e-3"]
    measured = ["--target", str(data / "target.jsonl"), "--set", f"pool={data / 'pool.jsonl'}", "--evaluate-every", "4"]
    assert main([*words, *measured]) == 0
    log = [json.loads(line) for line in (run / "train_log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == list(range(1, 11)), "also those after which it was measured"
    values = pq.read_table(run / "evaluation" / "evaluation.parquet").to_pandas()
    assert sorted(set(zip(values["step"], values["set"], strict=True))) == [
        (step, name) for step in (0, 4, 8, 10) for name in ("pool", "target")
    ]
    means = values.groupby(["set", "step"])["value"].mean()
    assert means["target", 10] < means["target", 0]
    assert main(["verify", str(run), str(arranged)]) == 0
    capsys.readouterr()
    (run / "manifest.json").unlink()  # killed between the evaluation's end and the run's
    assert main([*words, *measured]) == 0
    assert main([*words, *measured, "--overwrite"]) == 0
    assert pq.read_table(run / "evaluation" / "evaluation.parquet").num_rows == len(values)
    named = pq.read_table(run / "evaluation" / "evaluation.parquet").to_pandas()
    swapped = ["--target-fields", "prompt=response,response=prompt,id=id"]
    assert main([*words, *measured, *swapped, "--overwrite"]) == 0
    values = pq.read_table(run / "evaluation" / "evaluation.parquet").to_pandas()
    tokens = [frame.groupby("set")["tokens"].sum() for frame in (named, values)]
    assert tokens[0]["pool"] == tokens[1]["pool"]
    assert tokens[0]["target"] != tokens[1]["target"], "only the target's answers are others"
    assert main([*words, "--overwrite", *swapped]) == 1
    assert "--target-format and --target-fields go with them; got only some" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--target", "t.jsonl"]) == 1
    assert "--target and --evaluate-every go together" in capsys.readouterr().err


def test_measuring_does_not_touch_the_weights(tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path) -> None:
    from righttime.evaluation.while_training import dense_evaluation

    target = arranged.parent / "data" / "target.jsonl"
    evaluation = dense_evaluation(tmp_path / "run", tiny, {"target": target}, every=3)
    tune(arranged, tiny, tmp_path / "run", FAST, callbacks=[evaluation])
    assert same(weights(tmp_path / "run"), weights(undisturbed))
    logs = [(run / "train_log.jsonl").read_text() for run in (tmp_path / "run", undisturbed)]
    assert logs[0] == logs[1], "each step's own loss"


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose template puts a line break behind the end of an answer."""
    return save_tiny_model(tmp_path_factory.mktemp("chatml"), template=CHATML, ends="<|im_end|>")


@pytest.mark.parametrize("answer_end", ["token", "template"])
def test_where_answers_end_is_recorded_and_verified(
    chatml: str, arranged: Path, tmp_path: Path, answer_end: AnswerEnd
) -> None:
    settings = dataclasses.replace(FAST, epochs=1, answer_end=answer_end)
    done = tune(arranged, chatml, tmp_path / "run", settings)
    assert done.manifest.rows.answer_end == answer_end
    more = 37 if answer_end == "template" else 0
    tokenizer = AutoTokenizer.from_pretrained(chatml)
    answers = [json.loads(line)["messages"][-1]["content"] for line in (arranged / "train.jsonl").open()]
    said = sum(len(tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]) for answer in answers)
    assert done.manifest.counts.learnt_tokens == said + more
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))


def made_old(run: Path) -> None:
    """Take from a run what older versions did not record."""
    for name in {"run.json", "manifest.json"} & {path.name for path in run.iterdir()}:
        facts = json.loads((run / name).read_text())
        del facts["rows"]["answer_end"]
        facts.pop("manifest_sha256", None)
        (run / name).write_text(json.dumps(facts))


def test_runs_of_older_versions_are_verified_and_go_on(
    tiny: str, chatml: str, arranged: Path, begun: Path, tmp_path: Path
) -> None:
    template = dataclasses.replace(FAST, epochs=1, answer_end="template")
    tune(arranged, chatml, tmp_path / "old", template)
    made_old(tmp_path / "old")
    failed = [finding.what for finding in verify(tmp_path / "old", arranged) if not finding.ok]
    assert failed == ["run.json is as it was written"], "which this test changed; its tokens are right"
    with pytest.raises(RuntimeError):
        tune(arranged, chatml, tmp_path / "begun", template, callbacks=[StopAt(2)])
    made_old(tmp_path / "begun")
    with pytest.raises(SettingsError, match=r"answer_end was 'template' and is 'token' now.*Hint: `answer_end='templ"):
        tune(arranged, chatml, tmp_path / "begun", dataclasses.replace(template, answer_end="token"))
    assert tune(arranged, chatml, tmp_path / "begun", template).start.attempt == 2
    run = Path(shutil.copytree(begun, tmp_path / "same"))
    made_old(run)
    assert tune(arranged, tiny, run, FAST).start.attempt == 2, "this template learns the same either way"


UNSAVED = dataclasses.replace(FAST, save_model=False)


def test_a_run_may_keep_its_records_alone(tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", list[str]()
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, UNSAVED, callbacks=[StopAt(13)])
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["checkpoint-10", "checkpoint-5"]
    done = tune(arranged, tiny, run, UNSAVED, say=said.append)
    assert done.start.step == 10
    assert "the tuned model is not saved" in said[0]
    assert not (run / "model").exists()
    assert not (run / "checkpoints").exists()
    logs = [(folder / "train_log.jsonl").read_text().splitlines() for folder in (run, undisturbed)]
    assert [json.loads(line) for line in logs[0]] == [json.loads(line) for line in logs[1]], "it learnt the same"
    manifest = open_run(run).manifest
    assert not manifest.settings.save_model
    assert manifest.notes == ("the tuned model was not saved: its records and its evaluation are all that is kept.",)
    assert open_run(undisturbed).manifest.notes == ()
    findings = verify(run, arranged)
    assert all(finding.ok for finding in findings)
    assert [finding.what for finding in findings][-1] == "the model was fed the tokens of those texts"
    assert "the model was not saved" in [finding.detail for finding in findings]
    with pytest.raises(ModelError, match="must be a run that kept a model or checkpoints, but it holds neither"):
        find_checkpoints(str(run))
    began = json.loads((run / "run.json").read_text())
    began["model"]["name"] = str(tmp_path / "gone")
    (run / "run.json").write_text(json.dumps(began))
    last = verify(run, arranged)[-1]
    assert (last.what, last.ok) == ("the rows' texts are those that were tokenized", None)
    assert "the run kept no tokenizer, and" in last.detail


def test_whether_the_model_is_saved_may_change_while_a_run_is_not_finished(
    tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(undisturbed, tmp_path / "without"))
    (run / "manifest.json").unlink()
    assert tune(arranged, tiny, run, UNSAVED).start.step == 20
    assert not (run / "model").exists()
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "with", UNSAVED, callbacks=[StopAt(7)])
    assert tune(arranged, tiny, tmp_path / "with", FAST).start.step == 5
    assert same(weights(tmp_path / "with"), weights(undisturbed))


@pytest.mark.parametrize(("precision", "told"), [("bf16", True), ("float32", False)])
def test_bfloat16_on_a_cpu_without_instructions_for_it_is_told(
    tiny: str,
    arranged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: Any,
    told: bool,
) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: Some CPU\nflags\t\t: fpu avx2\n")
    monkeypatch.setattr("righttime.processor._CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("righttime.processor._gpu", lambda: "")
    said: list[str] = []
    settings = TuneSettings(batch=32, precision=precision, save_model=False)
    done = tune(arranged, tiny, tmp_path / "run", settings, say=said.append)
    note = 'with `precision="bf16"` a step takes many times longer here than in float32: Some CPU (avx2) lacks'
    assert any(line.startswith(f"note: {note}") for line in said) == told
    assert any(line.startswith(note) for line in done.manifest.notes) == told
    for line in ("fpu avx512_bf16 avx2", "fpu amx_bf16 avx2", "fpu", ""):
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: {line}\n")
        assert bfloat16_note(settings) == ""
