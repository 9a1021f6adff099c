"""What may be asked of adapters, of the optimizer and of attention."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from righttime.cli import main
from righttime.errors import RighttimeError, SettingsError
from righttime.training import Lora, TuneSettings, open_run, tune
from righttime.training.models import load_model
from righttime.verification.run import verify

FAST = TuneSettings(batch=4, epochs=1, learning_rate=1e-3)


def adapters(run: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(run / "model" / "adapter_model.safetensors"))


@pytest.mark.parametrize(("base", "kind"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_base_is_held_as_asked_and_its_adapters_in_float32(tiny: str, base: Any, kind: torch.dtype) -> None:
    model = load_model(tiny, TuneSettings(lora=Lora(rank=2, base=base)))
    kinds = {weight.requires_grad: weight.dtype for weight in model.parameters()}
    assert kinds == {False: kind, True: torch.float32}


def test_a_base_may_be_held_as_it_is_stored(tiny: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path)
    stored = load_model(str(tmp_path), TuneSettings(lora=Lora(base="stored")))
    assert {weight.dtype for weight in stored.parameters() if not weight.requires_grad} == {torch.bfloat16}
    alone = load_model(str(tmp_path), TuneSettings())
    assert {weight.dtype for weight in alone.parameters()} == {torch.float32}, "weights that are trained"


def test_all_of_it_trains_resumes_and_is_recorded(tiny: str, arranged: Path, tmp_path: Path) -> None:
    lora = Lora(rank=2, target_modules=("q_proj", "v_proj"), dora=True, rank_stabilised=True, base="bf16")
    settings = dataclasses.replace(FAST, lora=lora, save_every=3, attention="eager")
    run = tmp_path / "run"
    tune(arranged, tiny, run, settings)
    found = adapters(run)
    assert {name.split(".")[-3] for name in found if "lora_A" in name} == {"q_proj", "v_proj"}
    assert any("magnitude" in name for name in found), "of DoRA"
    config = json.loads((run / "model" / "adapter_config.json").read_text())
    assert config["use_dora"]
    assert config["use_rslora"]
    assert open_run(run).manifest.settings.lora == lora
    assert open_run(run).manifest.settings.attention == "eager"
    assert all(finding.ok for finding in verify(run, arranged))
    again = Path(shutil.copytree(run, tmp_path / "again"))
    (again / "manifest.json").unlink()
    shutil.rmtree(again / "model")
    shutil.rmtree(max((again / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1])))
    done = tune(arranged, tiny, again, settings)
    assert done.start.step == 9
    assert all(torch.equal(value, found[name]) for name, value in adapters(again).items())


def test_a_run_of_adapters_begun_by_an_earlier_version_goes_on(tiny: str, arranged: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(FAST, lora=Lora(rank=2))
    tune(arranged, tiny, tmp_path / "run", settings)
    (tmp_path / "run" / "manifest.json").unlink()
    begun = json.loads((tmp_path / "run" / "run.json").read_text())
    for name in ("batch_tokens", "optimizer", "attention"):
        del begun["settings"][name]
    begun["settings"]["lora"] = {name: begun["settings"]["lora"][name] for name in ("rank", "alpha", "dropout")}
    (tmp_path / "run" / "run.json").write_text(json.dumps(begun))
    assert tune(arranged, tiny, tmp_path / "run", settings).start.attempt == 2


def test_adafactor_trains_with_a_smaller_state(tiny: str, arranged: Path, tmp_path: Path) -> None:
    sizes = {}
    for optimizer in ("adamw", "adafactor"):
        run = tmp_path / optimizer
        tune(arranged, tiny, run, dataclasses.replace(FAST, optimizer=optimizer))
        sizes[optimizer] = next((run / "checkpoints").glob("*/optimizer.pt")).stat().st_size
        assert open_run(run).manifest.settings.optimizer == optimizer
        before, after = load_file(Path(tiny) / "model.safetensors"), load_file(run / "model" / "model.safetensors")
        assert any(not torch.equal(before[name], after[name]) for name in before), "it did learn"
    assert sizes["adafactor"] < sizes["adamw"] / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adafactr"}, "did you mean 'adafactor'"),
        ({"optimizer": "adafactor", "eps": 1e-8}, "eps must not be given with adafactor"),
        ({"optimizer": "adafactor", "betas": (0.9, 0.99)}, "betas must not be given with adafactor"),
        ({"attention": "flash"}, "must compute in bfloat16, got precision 'float32'"),
        ({"attention": "spda"}, "did you mean 'sdpa'"),
        ({"batch_tokens": 0}, "batch_tokens must be at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TuneSettings(**changes)  # type: ignore[arg-type]


def test_layers_and_bases_that_do_not_exist_are_named(tiny: str) -> None:
    with pytest.raises(RighttimeError, match="unknown layer 'q_prj'.*did you mean 'q_proj'"):
        load_model(tiny, TuneSettings(lora=Lora(target_modules=("v_proj", "q_prj"))))
    with pytest.raises(SettingsError, match="unknown base 'fp8'"):
        Lora(base="fp8")  # type: ignore[arg-type]


def test_options_of_adapters_go_with_adapters(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run")]
    for option in (["--dora"], ["--rank-stabilised"], ["--lora-base", "bfloat16"], ["--target-modules", "q_proj"]):
        assert main([*words, *option]) == 1
        assert f"{option[0]} must go with --lora" in capsys.readouterr().err
    more = ["--lora", "--lora-rank", "2", "--dora", "--lora-base", "bfloat16", "--target-modules", "q_proj"]
    assert main([*words, *more]) == 0
    lora = open_run(tmp_path / "run").manifest.settings.lora
    assert lora == Lora(2, 4, target_modules=("q_proj",), dora=True, base="bf16")
