"""bfloat16 weights that are the rounding of float32 masters."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from righttime.cli import main
from righttime.errors import SettingsError
from righttime.evaluation.while_training import dense_evaluation
from righttime.experiment.cell import _before
from righttime.experiment.reading import tuning_in
from righttime.training import Lora, TuneSettings, open_run, tune
from righttime.training.masters import MASTERS, Masters
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiers import quick

HALF = TuneSettings(batch=1, accumulation=4, learning_rate=1e-3, precision="bf16", weights="bf16", save_every=4)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def masters(run: Path, step: int) -> dict[str, torch.Tensor]:
    return dict(load_file(run / "checkpoints" / f"checkpoint-{step}" / MASTERS))


@pytest.fixture(scope="module")
def run(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masters") / "run"
    tune(arranged, tiny, folder, HALF)
    return folder


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "1", "--target-rows", "1"]) == 0
    return folder / "target.jsonl"


def by_hand(name: str, arranged: Path, settings: TuneSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """The definition: the weights are the rounding of masters, which take the step; both at the end."""
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name, dtype="bfloat16")
    found = AutoModelForCausalLM.from_pretrained(name, dtype="float32")
    exact, half = dict(found.named_parameters()), dict(model.named_parameters())
    optimizer = torch.optim.AdamW(exact.values(), settings.rate, settings.betas, settings.eps, 0.0, fused=True)
    rows = [json.loads(line)["messages"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    made = [tokenizer.apply_chat_template(row, return_dict=True, return_assistant_tokens_mask=True) for row in rows]
    for start in range(0, len(made), settings.accumulation):
        step = made[start : start + settings.accumulation]
        count = sum(sum(row["assistant_masks"][1:]) for row in step)
        for row in step:
            ids, learnt = torch.tensor([row["input_ids"]]), torch.tensor(row["assistant_masks"][1:], dtype=torch.bool)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model.lm_head(model.model(ids)[0][0, :-1][learnt])
            loss = torch.nn.functional.cross_entropy(logits.float(), ids[0, 1:][learnt], reduction="sum")
            (loss / count).backward()  # type: ignore[no-untyped-call]
        for key, weight in half.items():
            exact[key].grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(exact.values(), settings.clip)
        optimizer.step()
        for key, weight in half.items():
            weight.data.copy_(exact[key].data)
    return {key: one.data for key, one in half.items()}, {key: one.data for key, one in exact.items()}


def test_weights_and_masters_are_those_of_a_plain_loop_bit_for_bit(tiny: str, arranged: Path, run: Path) -> None:
    half, exact = by_hand(tiny, arranged, HALF)
    assert {one.dtype for one in weights(run).values()} == {torch.bfloat16}, "the model is saved as it is trained"
    assert {one.dtype for one in masters(run, 10).values()} == {torch.float32}
    assert same(weights(run), half)
    assert same(masters(run, 10), exact)
    before = load_file(Path(tiny) / "model.safetensors")
    assert all(not torch.equal(exact[name], before[name]) for name in exact), "it did learn"


def test_masters_begin_as_the_weights_in_the_files_not_as_their_rounding(tiny: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype="float32")
    whole = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    buffers = {name: (buffer, buffer.dtype) for name, buffer in model.named_buffers()}
    held = Masters(model)
    assert same({name: master.detach() for name, _, master in held._each}, whole)
    assert same(
        {name: weight.detach() for name, weight in model.named_parameters()},
        {name: weight.bfloat16() for name, weight in whole.items()},
    )
    assert all(
        buffer is buffers[name][0] and buffer.dtype == buffers[name][1] for name, buffer in model.named_buffers()
    )


@pytest.mark.slow
def test_updates_that_bfloat16_alone_would_lose_add_up(tiny: str, arranged: Path, tmp_path: Path) -> None:
    """Updates of 1e-6 are far below the spacing of weights of 0.02; alone each rounds back to where it was."""
    settings = dataclasses.replace(HALF, accumulation=1, learning_rate=2e-6, epochs=3, save_every=1, keep=None)
    tune(arranged, tiny, tmp_path / "run", settings)
    name = "model.layers.0.mlp.up_proj.weight"
    seen = [masters(tmp_path / "run", step)[name] for step in (1, 2, 111)]
    large = seen[0].abs() > 0.01
    lost = (seen[0].bfloat16() + (seen[1] - seen[0]).bfloat16()) == seen[0].bfloat16()
    assert lost[large].all(), "in bfloat16 alone the step changes nothing"
    changed = seen[2].bfloat16() != seen[0].bfloat16()
    assert changed[large].float().mean() > 0.2, "but many of them do"
    assert torch.equal(weights(tmp_path / "run")[name], seen[2].bfloat16())


class Rounded(TrainerCallback):  # type: ignore[misc]
    """Compares the weights with the masters after every step."""

    def __init__(self) -> None:
        self.steps = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        exact = [one for group in more["optimizer"].param_groups for one in group["params"]]
        half: dict[tuple[int, ...], list[Any]] = {tuple(one.shape): [] for one in exact}
        for one in more["model"].parameters():
            half[tuple(one.shape)].append(one)
        assert all(any(torch.equal(one.bfloat16(), other) for other in half[tuple(one.shape)]) for one in exact)
        assert all(one.dtype == torch.bfloat16 and one.grad is None for one in more["model"].parameters())
        self.steps += 1


def test_after_every_step_the_weights_are_the_rounding_of_the_masters(
    tiny: str, arranged: Path, tmp_path: Path
) -> None:
    compared = Rounded()
    tune(arranged, tiny, tmp_path / "run", HALF, callbacks=[compared])
    assert compared.steps == 10


@pytest.mark.parametrize("optimizer", quick(["adamw", "adafactor"], 0))
def test_a_stopped_run_goes_on_to_the_same_bits(tiny: str, arranged: Path, tmp_path: Path, optimizer: Any) -> None:
    settings = dataclasses.replace(HALF, optimizer=optimizer, batch=2, accumulation=2, schedule="cosine", warmup=2)
    tune(arranged, tiny, tmp_path / "undisturbed", settings)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", settings, callbacks=[StopAt(6)])
    done = tune(arranged, tiny, tmp_path / "run", settings)
    assert done.start.step == 4
    assert same(weights(tmp_path / "run"), weights(tmp_path / "undisturbed"))
    assert same(masters(tmp_path / "run", 10), masters(tmp_path / "undisturbed", 10))
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))


def test_damaged_masters_are_found(tiny: str, arranged: Path, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    path = copy / "checkpoints" / "checkpoint-10" / MASTERS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert any("checkpoint-10" in finding.detail for finding in verify(copy, arranged) if finding.ok is False)
    (copy / "manifest.json").unlink()
    done = tune(arranged, tiny, copy, HALF)
    assert done.start.broken == ("checkpoint-10",)
    assert same(weights(copy), weights(run))


@pytest.mark.parametrize("more", quick([{"pack_tokens": 120}, {"batch_tokens": 120}, {"recompute": True}], 0))
def test_packs_groups_and_averages_go_with_it(
    tiny: str, arranged: Path, target: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    settings = dataclasses.replace(HALF, batch=4, accumulation=1, average_last=2, **more)
    measuring = dense_evaluation(tmp_path / "run", tiny, {"target": str(target)}, every=5)
    tune(arranged, tiny, tmp_path / "run", settings, callbacks=[measuring])
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))
    average = load_file(tmp_path / "run" / "average" / "model.safetensors")
    assert {one.dtype for one in average.values()} == {torch.bfloat16}


def test_the_command_records_it(tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run"), "--weights", "bfloat16"]
    assert main(words) == 1
    assert "--precision bfloat16" in capsys.readouterr().err
    assert main([*words, "--precision", "bfloat16"]) == 0
    assert "all weights, bfloat16 with float32 masters, at a learning rate of 1e-05" in capsys.readouterr().out
    assert open_run(tmp_path / "run").manifest.settings.weights == "bf16"
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["dtype"] == "bfloat16"
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0


def test_a_run_that_an_earlier_version_began_goes_on(tiny: str, arranged: Path, tmp_path: Path) -> None:
    settings = TuneSettings(batch=4)
    tune(arranged, tiny, tmp_path / "run", settings)
    (tmp_path / "run" / "manifest.json").unlink()
    begun = json.loads((tmp_path / "run" / "run.json").read_text())
    del begun["settings"]["weights"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(begun))
    assert tune(arranged, tiny, tmp_path / "run", settings).start.attempt == 2


def test_experiments_and_plans_name_it_as_the_command_does() -> None:
    settings = tuning_in(["weights=bfloat16", "precision=bfloat16"])
    assert (settings.weights, settings.precision) == ("bf16", "bf16")
    adapters = tuning_in(["lora.base=bfloat16"]).lora
    assert adapters is not None
    assert adapters.base == "bf16"
    plain = dataclasses.replace(HALF, weights="float32")
    assert _before(plain) != _before(HALF), "values at step 0 are others"
    assert _before(plain) == _before(dataclasses.replace(plain, learning_rate=1e-4))


def test_where_it_makes_no_sense_it_is_refused(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r'`weights="bf16"` must compute in bfloat16, got precision \'float32\''):
        TuneSettings(weights="bf16")
    with pytest.raises(SettingsError, match="must train all weights, but with `lora` only adapters are trained"):
        TuneSettings(weights="bf16", precision="bf16", lora=Lora())
    with pytest.raises(SettingsError, match="unknown weights 'fp8'"):
        TuneSettings(weights="fp8")  # type: ignore[arg-type]
    with monkeypatch.context() as older:
        older.delattr("transformers.Trainer._clip_grad_norm")
        with pytest.raises(SettingsError, match="whose Trainer lets the gradient be clipped in float32, got 5"):
            tune(arranged, tiny, tmp_path / "run", HALF)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(SettingsError, match="must train without FSDP, which keeps float32 masters of its own"):
        tune(arranged, tiny, tmp_path / "run", HALF)
