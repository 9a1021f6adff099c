from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from righttime.cli import main
from righttime.demo import HELD_OUT, builtin_rows
from righttime.errors import DataError, StoreError
from righttime.store import file_sha256
from righttime.training import pretrain as module
from righttime.training.pretrain import Pretrained, pretrain


@pytest.fixture(scope="module", autouse=True)
def little_text() -> Iterator[None]:
    """A fifth of the text, to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS_PER_FAMILY", 60)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, little_text: None) -> tuple[Path, Pretrained]:
    folder = tmp_path_factory.mktemp("base") / "model"
    extra = folder.parent / "extra.txt"
    extra.write_text("Zwölf Boxkämpfer jagen Viktor.\n\nquer über den großen Sylter Deich.\n", encoding="utf-8")
    return folder, pretrain(folder, [extra], tokens=20_000)


@pytest.mark.slow
def test_it_is_a_small_llama_that_learnt_something(base: tuple[Path, Pretrained]) -> None:
    folder, about = base
    assert 1_000_000 < about.parameters < 2_000_000
    assert about.tokens == 4 * 16 * 256
    assert about.held_out_loss < about.first_loss - 0.3
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.num_parameters() == about.parameters
    assert not list(folder.glob("*.bin"))


@pytest.mark.slow
def test_its_tokenizer_loses_nothing_and_marks_answers(base: tuple[Path, Pretrained]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base[0])
    text = "Zwölf  Boxkämpfer\n日本 🙂 {x}"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    talk = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "four"}]
    made = tokenizer.apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True)
    learnt = [token for token, mask in zip(made["input_ids"], made["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(learnt) == "four</s>"


@pytest.mark.slow
def test_the_card_and_the_manifest_say_what_it_is(base: tuple[Path, Pretrained]) -> None:
    folder, about = base
    card = (folder / "README.md").read_text()
    assert "It is no good for anything else" in card
    assert f"{about.tokens:,} tokens" in card
    assert "1 text files given by its maker" in card
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"]["model.safetensors"] == file_sha256(folder / "model.safetensors")
    assert manifest["texts"][0]["path"].endswith("extra.txt")


def test_held_out_families_are_never_read_and_answers_stand_apart() -> None:
    documents = module._documents((), seed=0)
    rows = builtin_rows("pool", rows_per_family=60, seed=1_000_003)
    assert sorted(documents) == sorted(row[part] for row in rows for part in ("prompt", "response"))
    assert not {row["task"] for row in rows} & set(HELD_OUT)
    place = {text: number for number, text in enumerate(documents)}
    beside = sum(abs(place[row["prompt"]] - place[row["response"]]) == 1 for row in rows)
    assert beside < len(rows) / 20, "no prompt is followed by its answer, but by chance"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(base: tuple[Path, Pretrained], tmp_path: Path) -> None:
    again = tmp_path / "model"
    pretrain(again, [base[0].parent / "extra.txt"], tokens=20_000)
    for name in ("model.safetensors", "tokenizer.json", "README.md"):
        assert (again / name).read_bytes() == (base[0] / name).read_bytes(), name


@pytest.mark.slow
def test_what_cannot_be_read_or_written_is_named(base: tuple[Path, Pretrained], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt must be a readable UTF-8 text file"):
        pretrain(tmp_path / "model", [tmp_path / "none.txt"], tokens=5000)
    with pytest.raises(StoreError, match="holds a finished result already"):
        pretrain(base[0], tokens=5000)


@pytest.mark.slow
def test_the_command_makes_a_base_to_tune(arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, run = str(tmp_path / "model"), str(tmp_path / "run")
    assert main(["pretrain", "--out", model, "--tokens", "5000"]) == 0
    assert "took its loss per token on text it had not seen from" in capsys.readouterr().out
    assert main(["tune", str(arranged), "--model", model, "--run", run, "--batch", "8"]) == 0
    assert main(["verify", run, str(arranged)]) == 0
