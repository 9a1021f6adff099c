"""Optimizers with states in 8 bits, and a base in 4 bits under adapters, by bitsandbytes on a CPU."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from righttime.cli import main
from righttime.errors import SettingsError
from righttime.evaluation import evaluate, open_evaluation, read_evaluation
from righttime.evaluation.while_training import dense_evaluation
from righttime.training import Lora, TuneSettings, open_run, quantised, tune
from righttime.training.adapters import Base
from righttime.training.bases import BASES, base_bytes
from righttime.training.masters import MASTERS
from righttime.training.models import load_model
from righttime.training.optimizers import OPTIMIZERS, state_bytes
from righttime.training.settings import Optimizer
from righttime.verification.run import verify
from stopped_runs import StopAt
from tiers import quick
from tiny_model import save_tiny_model

EIGHT = TuneSettings(batch=1, accumulation=4, learning_rate=1e-3, optimizer="adamw-8bit", save_every=4)
FOUR = Lora(rank=64, alpha=128, base="nf4-double")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Llama whose layers are large enough for states in 8 bits: 64 × 64 weights and more."""
    return save_tiny_model(tmp_path_factory.mktemp("wide"), width=64)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "1", "--target-rows", "1"]) == 0
    return folder / "target.jsonl"


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("*model.safetensors")
    return dict(load_file(path))


def states(run: Path, step: int) -> list[dict[str, Any]]:
    """The optimizer's states in a checkpoint, by the places of the tensors."""
    found = torch.load(run / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt", weights_only=True)["state"]
    return [found[place].get("__bnb_optimizer_quant_state__", found[place]) for place in sorted(found)]


def by_hand(name: str, arranged: Path, settings: TuneSettings) -> dict[str, Any]:
    """The definition: bitsandbytes' optimizer over the rows in file order, embeddings' states in 32 bits."""
    from bitsandbytes.optim import AdamW8bit, GlobalOptimManager

    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name, dtype="float32")
    GlobalOptimManager.get_instance().initialize()
    optimizer = AdamW8bit(model.parameters(), settings.rate, settings.betas, settings.eps, 0.0)
    GlobalOptimManager.get_instance().override_config(model.model.embed_tokens.weight, "optim_bits", 32)
    rows = [json.loads(line)["messages"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    made = [tokenizer.apply_chat_template(row, return_dict=True, return_assistant_tokens_mask=True) for row in rows]
    for start in range(0, len(made), settings.accumulation):
        step = made[start : start + settings.accumulation]
        count = sum(sum(row["assistant_masks"][1:]) for row in step)
        for row in step:
            ids, learnt = torch.tensor([row["input_ids"]]), torch.tensor(row["assistant_masks"][1:], dtype=torch.bool)
            logits = model.lm_head(model.model(ids)[0][0, :-1][learnt])
            loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:][learnt], reduction="sum")
            (loss / count).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
    return {key: weight.detach() for key, weight in model.named_parameters()}


def test_the_weights_are_those_of_a_plain_loop_bit_for_bit(wide: str, arranged: Path, tmp_path: Path) -> None:
    tune(arranged, wide, tmp_path / "run", EIGHT)
    assert same(tensors(tmp_path / "run" / "model"), by_hand(wide, arranged, EIGHT))
    found = states(tmp_path / "run", 10)
    names = [name for name, _ in load_model(wide, EIGHT).named_parameters()]
    eight = {tuple(one["state1"].shape): one["state1"].dtype for one in found}
    assert len(found) == len(names)
    assert eight[(64, 64)] == eight[(128, 64)] == torch.uint8
    assert eight[(64,)] == torch.float32, "of norms"
    (embedding,) = [shape for shape in eight if shape[0] > 300]
    assert eight[embedding] == torch.float32, "an embedding's"


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": FOUR},
        *(
            pytest.param(changes, marks=pytest.mark.slow)
            for changes in (
                {},
                {"precision": "bf16", "weights": "bf16"},
                {"lora": dataclasses.replace(FOUR, base="nf4", dora=True), "optimizer": "adamw", "precision": "bf16"},
                {"lora": FOUR, "precision": "bf16", "recompute": True, "pack_tokens": 200},
            )
        ),
    ],
    ids=str,
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    wide: str, arranged: Path, target: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """With evaluations on the way, of which the stopped run makes one more."""
    settings = dataclasses.replace(EIGHT, batch=4, accumulation=1, **changes)

    def measuring(run: str) -> Any:
        return dense_evaluation(tmp_path / run, wide, {"target": str(target)}, every=3)

    tune(arranged, wide, tmp_path / "undisturbed", settings, callbacks=[measuring("undisturbed")])
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, wide, tmp_path / "run", settings, callbacks=[measuring("run"), StopAt(7)])
    done = tune(arranged, wide, tmp_path / "run", settings, callbacks=[measuring("run")])
    assert done.start.step == 4
    last = [tmp_path / run / "checkpoints" / "checkpoint-10" for run in ("run", "undisturbed")]
    assert same(*(tensors(tmp_path / run / "model") for run in ("run", "undisturbed")))
    if settings.weights == "bf16":
        assert same(*(dict(load_file(one / MASTERS)) for one in last))
    kinds = {one["state1"].dtype for one in states(tmp_path / "run", 10) if "state1" in one}
    assert kinds == ({torch.uint8, torch.float32} if settings.lora is None else {torch.uint8} if kinds else set())
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))
    manifest = open_run(tmp_path / "run").manifest
    assert (manifest.settings.optimizer, manifest.settings.lora) == (settings.optimizer, settings.lora)
    assert manifest.versions["bitsandbytes"]


def test_what_one_run_keeps_whole_does_not_hold_for_the_next(wide: str, arranged: Path, tmp_path: Path) -> None:
    """bitsandbytes remembers the place of an embedding among the tensors of an earlier optimizer of this process."""
    tune(arranged, wide, tmp_path / "first", dataclasses.replace(EIGHT, batch=16))
    tune(arranged, wide, tmp_path / "next", dataclasses.replace(EIGHT, batch=16, lora=Lora(rank=64)))
    assert {one["state1"].dtype for one in states(tmp_path / "next", 1)} == {torch.uint8}


@pytest.mark.parametrize("base", ["nf4", "nf4-double"])
def test_linear_layers_are_in_4_bits_and_all_else_in_bfloat16(wide: str, base: Any) -> None:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    model = load_model(wide, TuneSettings(lora=Lora(rank=2, base=base)))
    kinds = {name: weight.dtype for name, weight in model.named_parameters() if not weight.requires_grad}
    assert {kind for name, kind in kinds.items() if "_proj" in name} == {torch.uint8}
    assert {kind for name, kind in kinds.items() if "_proj" not in name} == {torch.bfloat16}
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    layer = model.base_model.model.model.layers[1].mlp.down_proj.base_layer
    whole = load_file(Path(wide) / "model.safetensors")["model.layers.1.mlp.down_proj.weight"].bfloat16()
    wanted = quantize_4bit(whole, blocksize=64, quant_type="nf4", compress_statistics=base == "nf4-double")
    state = layer.weight.quant_state
    assert state.nested == (base == "nf4-double")
    assert torch.equal(dequantize_4bit(layer.weight.data, state), dequantize_4bit(*wanted))
    held = [layer.weight.data, state.absmax, *([state.state2.absmax] if state.nested else [])]
    assert sum(one.numel() * one.itemsize for one in held) == base_bytes(base, whole.numel())


def test_an_evaluation_leaves_a_base_in_4_bits_as_it_is(wide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On CPUs with avx512_bf16 bitsandbytes would pack it anew and round its scales."""
    import bitsandbytes.nn.modules

    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)
    model = load_model(wide, TuneSettings(lora=Lora(rank=2, base="nf4"))).eval()
    layer = model.base_model.model.model.layers[0].mlp.up_proj.base_layer
    before = layer.weight.data.clone(), layer.weight.quant_state.absmax.clone()
    with torch.no_grad():
        model(input_ids=torch.arange(8)[None])
    assert torch.equal(layer.weight.data, before[0])
    assert torch.equal(layer.weight.quant_state.absmax, before[1])


def test_adapters_over_4_bits_are_read_and_merged_over_the_whole_base(
    wide: str, arranged: Path, target: Path, tmp_path: Path
) -> None:
    from peft import AutoPeftModelForCausalLM

    run = tmp_path / "run"
    tune(arranged, wide, run, dataclasses.replace(EIGHT, batch=4, lora=FOUR))
    model = AutoPeftModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32).eval()
    row = torch.arange(20)[None]
    with torch.no_grad():
        apart = model(input_ids=row).logits
        merged = model.merge_and_unload()(input_ids=row).logits
        alone = AutoModelForCausalLM.from_pretrained(wide)(input_ids=row).logits
    torch.testing.assert_close(apart, merged, atol=1e-5, rtol=1e-4)
    assert (apart - alone).abs().max() > 1e-2, "they did learn"


@pytest.mark.parametrize("base", quick(["nf4", "nf4-double", "bf16", "stored"], 1, 3))
def test_evaluate_measures_adapters_over_the_base_that_they_were_trained_over(
    wide: str, arranged: Path, target: Path, tmp_path: Path, base: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run, sets = tmp_path / "run", {"target": str(target)}
    stored = Path(shutil.copytree(wide, tmp_path / "stored"))
    whole = {name: weight.bfloat16() for name, weight in load_file(stored / "model.safetensors").items()}
    save_file(whole, stored / "model.safetensors", {"format": "pt"})
    config = json.loads((stored / "config.json").read_text())
    (stored / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    settings = dataclasses.replace(EIGHT, lora=dataclasses.replace(FOUR, base=base), average_last=2)
    measuring = dense_evaluation(run, str(stored), sets, at=(4, 8))
    tune(arranged, str(stored), run, settings, callbacks=[measuring])
    while_training = {
        name: read_evaluation(run / folder).to_pylist()
        for name, folder in (("model", "evaluation"), ("average", "average_evaluation"))
    }
    last = max(line["step"] for line in while_training["model"])

    def later(name: str, *more: str) -> list[Any]:
        words = ["evaluate", str(run / name), "--target", str(target), "--out", str(tmp_path / f"{name}{len(more)}")]
        assert main([*words, "--device", "cpu", *more]) == 0
        return [line["value"] for line in read_evaluation(tmp_path / f"{name}{len(more)}").to_pylist()]

    for name, values in while_training.items():
        assert later(name) == [line["value"] for line in values if line["step"] == last], "to the bit"
        assert "as they were trained" in capsys.readouterr().err
    assert open_evaluation(tmp_path / "model0").manifest.settings.lora_base == base
    in_turn = evaluate(str(run), sets, tmp_path / "checkpoints", device="cpu").to_pylist()
    assert {line["step"] for line in in_turn} == {8, last}
    wanted = [line["value"] for line in while_training["model"] if line["step"] == 8]
    assert [line["value"] for line in in_turn if line["step"] == 8] == wanted
    assert later("model", "--lora-base", "float32") != [
        line["value"] for line in while_training["model"] if line["step"] == last
    ]
    assert open_evaluation(tmp_path / "model2").manifest.settings.lora_base == "float32"


def test_of_a_model_without_adapters_no_base_can_be_asked_for(
    wide: str, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", wide, "--target", str(target), "--out", str(tmp_path / "out"), "--lora-base", "nf4"]
    assert main(words) == 1
    assert f"--lora-base must go with adapters, but {wide} is a whole model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_adapters_over_4_bits_are_not_measured_without_bitsandbytes(
    wide: str, arranged: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sets = tmp_path / "run", {"target": str(target)}
    tune(arranged, wide, run, dataclasses.replace(EIGHT, batch=16, lora=FOUR))
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match='`base="nf4-double"` must have bitsandbytes, which is not installed'):
        evaluate(str(run / "model"), sets, tmp_path / "out", device="cpu")
    evaluate(str(run / "model"), sets, tmp_path / "whole", device="cpu", lora_base="float32")


@pytest.mark.parametrize(
    ("settings", "sharded", "message"),
    [
        (EIGHT, "FSDP", r'`optimizer="adamw-8bit"` must have the whole model on one device, but FSDP shards it'),
        (TuneSettings(lora=FOUR), "FSDP", r'`base="nf4-double"` must have the whole model on one device'),
        (
            TuneSettings(optimizer="paged-adamw-8bit"),
            None,
            r'must have CUDA.*but the device is cpu. Hint: `optimizer="adamw-8bit"`',
        ),
        (TuneSettings(optimizer="paged-adamw"), None, r'but the device is cpu. Hint: `optimizer="adamw"`'),
    ],
)
def test_where_it_cannot_be_done_it_is_refused(
    wide: str,
    arranged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: TuneSettings,
    sharded: str | None,
    message: str,
) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
    if sharded:
        monkeypatch.setenv(f"ACCELERATE_USE_{sharded}", "true")
    with pytest.raises(SettingsError, match=message):
        tune(arranged, wide, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_without_bitsandbytes_the_extra_is_named(
    wide: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    for settings in (EIGHT, TuneSettings(lora=FOUR)):
        with pytest.raises(
            SettingsError, match=r"must have bitsandbytes, which is not installed.*righttime\[quantized"
        ):
            tune(arranged, wide, tmp_path / "run", settings)
    words = ["tune", str(arranged), "--model", wide, "--out", str(tmp_path / "run"), "--lora", "--lora-base", "nf4"]
    assert main(words) == 1
    assert "--lora-base nf4 must have bitsandbytes" in capsys.readouterr().err
    quantised.check_quantised(TuneSettings())


def test_no_code_of_the_hub_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes asks the package `kernels` for some as it is imported, on some CPUs."""
    asked: list[str] = []

    class Finder:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "kernels":
                asked.append(name)
            if name == "bitsandbytes":
                with pytest.raises(ImportError):
                    __import__("kernels")
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "bitsandbytes")
    monkeypatch.delitem(sys.modules, "kernels", raising=False)
    with pytest.raises(KeyboardInterrupt):
        quantised._imported()
    assert not asked
    assert "kernels" not in sys.modules


def test_every_name_is_in_the_registries() -> None:
    from typing import get_args

    assert tuple(OPTIMIZERS) == get_args(Optimizer)
    assert set(BASES) < set(get_args(Base))
    assert state_bytes("adamw-8bit", (64, 63)) == 8 * 64 * 63, "small tensors are not quantised"
    with pytest.raises(SettingsError, match="`rearrange_every` must have a base that is not in 4 bits"):
        TuneSettings(rearrange_every=2, lora=FOUR)


def test_the_command_records_it(wide: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", str(arranged), "--model", wide, "--out", str(tmp_path / "run"), "--lora", "--lora-base", "nf4"]
    assert main([*words, "--optimizer", "adamw-8bit"]) == 0
    said = capsys.readouterr()
    assert "adapters of rank 16 over a base in nf4 by adamw-8bit at a learning rate of 0.0001" in said.out
    assert "bitsandbytes" not in said.err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["settings"]["optimizer"], manifest["settings"]["lora"]["base"]) == ("adamw-8bit", "nf4")
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0
