"""Exports of plain texts and of preferences: what each trainer reads, and who takes none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from preferences import arranged_of, preferences, texts, written
from righttime.errors import FormatError
from righttime.exporters import TRAINERS, ExportSettings, export
from righttime.formats import from_records

ROWS = 6


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arranged_of(tmp_path_factory.mktemp("texts"), "text", texts(ROWS), "--method", "random")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arranged_of(tmp_path_factory.mktemp("pairs"), "preference", preferences(ROWS), "--method", "random")


def rows_in(folder: Path, name: str = "train.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def exported(out: Path, to: str, tiny: str, folder: Path, **more: Any) -> Path:
    export(out, to, folder, ExportSettings(model=tiny, batch_size=2, **more))
    return folder


@pytest.mark.parametrize("to", [name for name, one in TRAINERS.items() if "text" in one.kinds])
def test_texts_are_written_in_order_as_they_are(plain: Path, tiny: str, tmp_path: Path, to: str) -> None:
    assert rows_in(exported(plain, to, tiny, tmp_path / "export")) == rows_in(plain)


def test_the_settings_for_texts(plain: Path, tiny: str, tmp_path: Path) -> None:
    held = written(tmp_path / "held.jsonl", texts(2))
    script = (exported(plain, "trl", tiny, tmp_path / "a", evaluation=str(held)) / "train_trl.py").read_text()
    assert 'dataset_text_field="text",\n    completion_only_loss=False,' in script
    assert "SFTTrainer(" in script
    assert "--watch" not in script
    assert rows_in(tmp_path / "a", "eval.jsonl") == texts(2)
    folder = exported(plain, "llamafactory", tiny, tmp_path / "b")
    config = yaml.safe_load((folder / "llamafactory.yaml").read_text())
    assert (config["stage"], config["disable_shuffling"], config["cutoff_len"]) == ("pt", True, 2048)
    assert not {"template", "train_on_prompt"} & config.keys()
    info = json.loads((folder / "dataset_info.json").read_text())
    assert info["righttime"]["columns"] == {"prompt": "text"}
    config = yaml.safe_load((exported(plain, "torchtune", tiny, tmp_path / "c") / "torchtune.yaml").read_text())
    assert config["dataset"]["_component_"] == "torchtune.datasets.text_completion_dataset"
    assert (config["dataset"]["column"], config["dataset"]["packed"], config["shuffle"]) == ("text", False, False)


def test_preferences_for_trl(pairs: Path, tiny: str, tmp_path: Path) -> None:
    folder = exported(pairs, "trl", tiny, tmp_path / "export")
    assert rows_in(folder) == rows_in(pairs)
    script = (folder / "train_trl.py").read_text()
    compile(script, "train_trl.py", "exec")
    for line in ("trainer = DPOTrainer(", 'train_sampling_strategy="sequential",', "learning_rate=1e-06,"):
        assert line in script
    assert "packing" not in script
    assert "# nothing" not in script
    assert json.loads((folder / "manifest.json").read_text())["settings"]["learning_rate"] == 1e-6
    with_adapters = exported(pairs, "trl", tiny, tmp_path / "lora", lora=True) / "train_trl.py"
    assert "learning_rate=1e-05," in with_adapters.read_text()


def test_preferences_for_llamafactory(pairs: Path, tiny: str, tmp_path: Path) -> None:
    held = written(tmp_path / "held.jsonl", preferences(2))
    folder = exported(pairs, "llamafactory", tiny, tmp_path / "export", evaluation=str(held))
    for row, given in zip(rows_in(folder), rows_in(pairs), strict=True):
        assert row["messages"] == given["prompt"]
        assert ([row["chosen"]], [row["rejected"]]) == (given["chosen"], given["rejected"])
    assert len(rows_in(folder, "eval.jsonl")) == 2
    config = yaml.safe_load((folder / "llamafactory.yaml").read_text())
    assert (config["stage"], config["pref_loss"], config["disable_shuffling"]) == ("dpo", "sigmoid", True)
    info = json.loads((folder / "dataset_info.json").read_text())["righttime"]
    assert info["ranking"] is True
    assert info["columns"] == {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}


def test_preferences_that_llamafactory_would_skip_are_refused(tiny: str, tmp_path: Path) -> None:
    two = [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]
    out = arranged_of(tmp_path, "preference", [{"prompt": two, "chosen": "a", "rejected": "b"}] * 2)
    with pytest.raises(FormatError, match=r"train.jsonl:1: for LLaMA-Factory a row must go user, assistant, user"):
        exported(out, "llamafactory", tiny, tmp_path / "export")


@pytest.mark.parametrize(
    ("to", "kind", "message"),
    [
        ("axolotl", "text", "for Axolotl rows must be conversations, got plain texts. Hint: `to='trl'` and"),
        ("axolotl", "preference", "for Axolotl rows must be conversations, got preferences. Hint: `to='trl'` and"),
        ("torchtune", "preference", "for torchtune rows must be conversations or plain texts, got preferences."),
    ],
)
def test_who_takes_no_such_rows_says_so(
    plain: Path, pairs: Path, tiny: str, tmp_path: Path, to: str, kind: str, message: str
) -> None:
    with pytest.raises(FormatError) as caught:
        exported(plain if kind == "text" else pairs, to, tiny, tmp_path / "export")
    assert message in str(caught.value)
    assert not (tmp_path / "export" / "manifest.json").exists()


def test_rows_of_evaluation_are_of_the_same_kind(plain: Path, tiny: str, tmp_path: Path) -> None:
    held = written(tmp_path / "held.jsonl", [{"prompt": "x", "completion": "y"}])
    with pytest.raises(Exception, match="`text` is missing, the file being read as text"):
        exported(plain, "trl", tiny, tmp_path / "export", evaluation=str(held))
    assert from_records(texts(1), role="pool", format="text").examples[0].kind == "text"
