"""Liger's kernels: refused where they cannot run; called as transformers calls them, on a package that is a stub."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers.integrations.liger as support
from transformers.models.llama import modeling_llama

from one_step import PLAIN, distance
from righttime.cli import main
from righttime.errors import SettingsError
from righttime.training import Lora, TuneSettings, open_run, tune
from righttime.training.liger import require_liger
from stopped_runs import weights

LIGER = dataclasses.replace(PLAIN, epochs=1, kernels="liger")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """A package that puts a function of its own into the module of a model, as Liger does."""
    found = []

    def apply(model: Any, **kernels: Any) -> None:
        found.append((type(model).__name__, kernels))
        modeling_llama.apply_rotary_pos_emb = rotated

    own = modeling_llama.apply_rotary_pos_emb

    def rotated(*states: Any, **more: Any) -> Any:
        rotations.append(1)
        return own(*states, **more)

    rotations = list[int]()
    names = ("liger_kernel", "liger_kernel.transformers", "liger_kernel.transformers.monkey_patch")
    package, kernels, patches = (ModuleType(name) for name in names)
    kernels._apply_liger_kernel_to_instance = apply  # type: ignore[attr-defined]
    patches.MODEL_TYPE_TO_APPLY_LIGER_FN = {"llama": apply}  # type: ignore[attr-defined]
    for name, module in zip(names, (package, kernels, patches), strict=True):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(support, "is_liger_kernel_available", lambda: True)
    monkeypatch.setattr("transformers.utils.is_liger_kernel_available", lambda: True)
    yield found
    assert modeling_llama.apply_rotary_pos_emb is own
    assert bool(rotations) == bool(found), "it was used"


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["whole", "adapters"])
def test_the_kernels_are_asked_for_and_recorded(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: Any, lora: Lora | None
) -> None:
    monkeypatch.setattr("righttime.training.run.require_liger", lambda model: None)
    settings = dataclasses.replace(LIGER, lora=lora)
    tune(arranged, tiny, tmp_path / "run", settings)
    assert called == [("LlamaForCausalLM", {"cross_entropy": False, "fused_linear_cross_entropy": False})]
    assert open_run(tmp_path / "run").manifest.settings.kernels == "liger"
    tune(arranged, tiny, tmp_path / "plain", dataclasses.replace(settings, kernels="torch"))
    assert len(called) == 1
    assert distance(weights(tmp_path / "run"), weights(tmp_path / "plain")) == 0, "the stub computes what it replaces"


def test_it_is_refused_without_cuda(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run"), "--kernels", "liger"]
    assert main(words) == 1
    assert "--kernels liger must have CUDA, but the device is" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_it_is_refused_without_the_package(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("transformers.utils.is_liger_kernel_available", lambda: False)
    with pytest.raises(SettingsError, match="must have the package liger-kernel, which is not installed. Hint: pip"):
        require_liger(tiny)


def test_it_is_refused_for_a_model_that_it_would_leave_as_it_is(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: Any
) -> None:
    from transformers import GPT2Config

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    require_liger(tiny)
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match="must have a model that Liger has kernels for, and it has none for gpt2"):
        require_liger(str(tmp_path))


def test_what_it_was_not_tried_with_is_refused() -> None:
    with pytest.raises(SettingsError, match='`kernels="liger"` must go without `compile`'):
        TuneSettings(kernels="liger", compile=True)
    with pytest.raises(SettingsError, match='`kernels="liger"` must go without `rearrange_every`'):
        TuneSettings(kernels="liger", rearrange_every=5)
    with pytest.raises(SettingsError, match="kernels"):
        TuneSettings(kernels="ligers")  # type: ignore[arg-type]
