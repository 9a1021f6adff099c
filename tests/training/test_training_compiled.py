"""Compiled layers: the weights of plain steps up to rounding, and a run that goes on as if nothing had happened.

Most of it is tried with layers that are traced but not made into machine code, which takes seconds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from one_step import PLAIN, distance, step_gradients
from righttime.errors import SettingsError
from righttime.evaluation import read_evaluation
from righttime.evaluation.while_training import dense_evaluation
from righttime.tokenization.loading import load_tokenizer
from righttime.training import Lora, Plan, open_run, tune
from righttime.training.compiled import CompiledLayers, sample_batches
from righttime.training.models import load_model
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiers import quick

COMPILED = dataclasses.replace(PLAIN, compile=True)
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped": {"batch_tokens": 160},
    "packed": {"pack_tokens": 200},
    "recomputed": {"recompute": True},
    "eager": {"attention": "eager"},
}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are traced, and run as they are."""
    monkeypatch.setattr("righttime.training.compiled._BACKEND", "eager")


@pytest.fixture(scope="module")
def rows(tiny: str, arranged: Path) -> TokenRows:
    return token_rows(arranged_rows(arranged), load_tokenizer(tiny), "chat", 512)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("changes", quick(LAYOUTS.values(), 0, 1), ids=LAYOUTS)
def test_the_gradients_are_those_of_a_plain_step(
    tiny: str, rows: TokenRows, tmp_path: Path, changes: dict[str, Any]
) -> None:
    plain = dataclasses.replace(PLAIN, **changes)
    wanted = step_gradients(load_model(tiny, plain), rows, plain, tmp_path / "plain")
    both = dataclasses.replace(plain, compile=True)
    before = torch.get_rng_state()
    found = step_gradients(load_model(tiny, both), rows, both, tmp_path / "compiled")
    assert distance(found, wanted) < 1e-5
    assert torch.equal(torch.get_rng_state(), before), "compiling draws nothing"
    compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert compiled > 0, "something was compiled"


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tiny: str, arranged: Path, tmp_path: Path) -> None:
    """Evaluation, checkpoints and the saved model know nothing of compilation."""
    target = {"target": (str(arranged / "train.jsonl"),)}
    watching = dense_evaluation(tmp_path / "run", tiny, target, every=10)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", COMPILED, callbacks=[watching, StopAt(7)])
    with pytest.raises(SettingsError, match=r"settings\.compile was True and is False now"):
        tune(arranged, tiny, tmp_path / "run", PLAIN)
    watching = dense_evaluation(tmp_path / "run", tiny, target, every=10)
    done = tune(arranged, tiny, tmp_path / "run", COMPILED, callbacks=[watching])
    assert done.start.step == 5
    tune(arranged, tiny, tmp_path / "whole", COMPILED)
    found, wanted = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    tune(
        arranged,
        tiny,
        tmp_path / "plain",
        PLAIN,
        callbacks=[dense_evaluation(tmp_path / "plain", tiny, target, at=[0])],
    )
    assert distance(found, weights(tmp_path / "plain")) < 1e-5
    assert [*found] == [*weights(tmp_path / "plain")], "the names are those of the plain model"
    AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    assert {
        name.partition(".")[0] for name in load_file(tmp_path / "run/checkpoints/checkpoint-20/model.safetensors")
    } == {"model"}
    assert open_run(tmp_path / "run").manifest.settings.compile
    assert all(finding.ok for finding in verify(tmp_path / "run", arranged))
    begun = [read_evaluation(tmp_path / name / "evaluation").to_pylist() for name in ("run", "plain")]
    losses = [[line["value"] for line in lines if line["step"] == 0] for lines in begun]
    assert losses[0] == losses[1], "evaluations are not compiled"


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"lora": Lora(4, 8)}, id="lora"),
        pytest.param({"precision": "bf16", "weights": "bf16"}, id="bf16"),
    ],
)
def test_adapters_and_masters_go_with_it(tiny: str, rows: TokenRows, tmp_path: Path, changes: dict[str, Any]) -> None:
    plain = dataclasses.replace(PLAIN, **changes)
    torch.manual_seed(0)
    wanted = step_gradients(load_model(tiny, plain), rows, plain, tmp_path / "plain")
    torch.manual_seed(0)
    both = dataclasses.replace(plain, compile=True)
    found = step_gradients(load_model(tiny, both), rows, both, tmp_path / "compiled")
    assert distance(found, wanted) < 1e-5


@pytest.mark.usefixtures("traced")
def test_layers_are_compiled_on_small_batches_and_the_largest_alone(tiny: str, rows: TokenRows) -> None:
    """What is compiled must not depend on where a run is resumed."""
    longest = max(rows.lengths)
    plan = Plan(rows.ids, batch=4)
    shapes = [
        (tuple(batch["input_ids"].shape), bool(batch["attention_mask"].all()))
        for batch in sample_batches(plan, rows.lengths)
    ]
    alone = [((1, 16), True), ((1, longest), True)]
    assert shapes == [*alone, *((shape, whole) for shape in ((2, 16), (4, longest)) for whole in (True, False))]
    assert len(sample_batches(Plan(rows.ids, batch=1), rows.lengths)) == 2
    grouped = Plan(rows.ids, batch=4, batch_tokens=160, lengths=rows.lengths)
    sizes = [batch["input_ids"].numel() for batch in sample_batches(grouped, rows.lengths)]
    assert max(sizes) <= 160
    packs = sample_batches(Plan(rows.ids, batch=4, pack_tokens=200, lengths=rows.lengths), rows.lengths)
    assert [int((pack["position_ids"] == 0).sum()) for pack in packs[:3]] == [1, 2, 1]
    assert packs[3]["input_ids"].shape == (1, min(200, 4 * longest))


def test_what_cannot_be_compiled_is_refused(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned() -> None:
        tune(arranged, tiny, tmp_path / "run", COMPILED)

    with pytest.raises(SettingsError, match='`compile` must have a base that is not in 4 bits, got `base="nf4"`'):
        dataclasses.replace(COMPILED, lora=Lora(base="nf4"))
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_USE_FSDP", "true")
        with pytest.raises(SettingsError, match="`compile` must train without FSDP"):
            tuned()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no g++\nmore")))
        with pytest.raises(SettingsError, match=r"a compiler that torch can use, but: no g\+\+\. Hint: install g\+\+"):
            tuned()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "compile", lambda made, **_: made)
        with pytest.raises(SettingsError, match="which the environment switches off"):
            tuned()
    assert not (tmp_path / "run").exists()
    bare = torch.nn.Linear(2, 2)
    bare.config = SimpleNamespace(num_hidden_layers=3)  # type: ignore[assignment]
    with pytest.raises(SettingsError, match="`compile` must have a model that is a list of layers"):
        CompiledLayers(bare)


@pytest.mark.slow
def test_a_machine_without_a_compiler_is_told_of(tiny: str, arranged: Path, tmp_path: Path) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run"), "--compile"]
    where = {**os.environ, "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-m", "righttime.cli", *words], env=where, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--compile must have a compiler that torch can use, but: " in done.stderr
    assert "Hint: install g++" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_compiled_to_machine_code(tiny: str, arranged: Path, tmp_path: Path, name: str) -> None:
    """Twenty steps near plain ones, and a killed run to the same bits."""
    settings = dataclasses.replace(COMPILED, **LAYOUTS[name])
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", settings, callbacks=[StopAt(7)])
    tune(arranged, tiny, tmp_path / "run", settings)
    tune(arranged, tiny, tmp_path / "whole", settings)
    tune(arranged, tiny, tmp_path / "plain", dataclasses.replace(settings, compile=False))
    found, whole, plain = (weights(tmp_path / run) for run in ("run", "whole", "plain"))
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    assert distance(found, plain) < 1e-5
    assert any(not torch.equal(found[name], plain[name]) for name in plain), "other arithmetic"
    log = [json.loads(line) for line in (tmp_path / "run" / "train_log.jsonl").read_text().splitlines()]
    bare = [json.loads(line) for line in (tmp_path / "plain" / "train_log.jsonl").read_text().splitlines()]
    assert [one["loss"] for one in log] == pytest.approx([one["loss"] for one in bare], rel=1e-5)
