"""What an export writes, and what it refuses."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from righttime.cli import main
from righttime.errors import FormatError, RighttimeError, SettingsError, StoreError
from righttime.exporters import TRAINERS, ExportSettings, export, keep_order_advice
from righttime.exporters.versions import version_notes
from righttime.store import file_sha256, ids_sha256

ROOT = Path(__file__).resolve().parents[2]
MODEL = ExportSettings(model="some/model", batch_size=4, dtype="fp32")

Arranged = Callable[..., Path]


def turns(*said: str) -> list[dict[str, str]]:
    """User and assistant by turns."""
    return [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(said)]


@pytest.fixture
def arranged(tmp_path: Path) -> Arranged:
    """Makes a finished arrangement of given rows, in another order than theirs."""

    def make(rows: Sequence[dict[str, Any]], *more: str) -> Path:
        pool, target, out = tmp_path / "pool.jsonl", tmp_path / "target.jsonl", tmp_path / "out"
        pool.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        target.write_text(json.dumps({"prompt": "?", "response": "!"}) + "\n", encoding="utf-8")
        words = ["arrange", str(pool), "--target", str(target), "--out", str(out), "--method", "random", "--seed", "1"]
        assert main([*words, *more]) == 0
        return out

    return make


def plain(n: int) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "messages": turns(f"question {i}", f"answer {i} ü\u2028")} for i in range(n)]


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.mark.parametrize("to", list(TRAINERS))
def test_every_export_holds_the_rows_in_order_and_a_manifest(arranged: Arranged, tmp_path: Path, to: str) -> None:
    out, folder = arranged(plain(12)), tmp_path / "export"
    done = export(out, to, folder, MODEL)
    planned = ids(out / "train.jsonl")
    assert planned != sorted(planned), "the order is not that of the pool"
    assert ids(folder / "train.jsonl") == planned
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*TRAINERS[to].files, "manifest.json"}
    assert manifest["ids_sha256"] == ids_sha256(planned)
    assert manifest["files"] == {name: file_sha256(folder / name) for name in TRAINERS[to].files}
    assert manifest["written_for"] == dict(TRAINERS[to].written_for)
    assert done.rows == manifest["rows"] == 12
    with pytest.raises(StoreError, match="finished result already"):
        export(out, to, folder, MODEL)
    export(out, to, folder, MODEL, overwrite=True)


@pytest.mark.parametrize("to", ["axolotl", "llamafactory", "torchtune"])
def test_a_config_holds_every_switch_and_says_why(arranged: Arranged, tmp_path: Path, to: str) -> None:
    export(arranged(plain(12)), to, tmp_path / "export", MODEL)
    trainer = TRAINERS[to]
    text = (tmp_path / "export" / trainer.files[-1]).read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert len(trainer.switches) >= 4
    unwrapped = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for switch in trainer.switches:
        found = config
        for part in switch.key.split("."):
            found = found[part]
        assert found == switch.value, switch.key
        assert switch.why in unwrapped
    for number in trainer.written_for.values():
        assert number in text
    assert "learning_rate: 0.00001" in text or "lr: 0.00001" in text, "a number to every YAML reader"


def test_the_trl_script_holds_every_switch_and_says_why(arranged: Arranged, tmp_path: Path) -> None:
    export(arranged(plain(12)), "trl", tmp_path / "export", MODEL)
    text = (tmp_path / "export" / "train_trl.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    config = next(call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "SFTConfig")
    given = {word.arg: word.value for word in config.keywords}
    unwrapped = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for switch in TRAINERS["trl"].switches:
        assert ast.literal_eval(given[switch.key]) == switch.value
        assert switch.why in unwrapped
    assert ast.literal_eval(given["completion_only_loss"]) is True, "one answer a row: prompt and completion"
    for name, number in TRAINERS["trl"].written_for.items():
        assert f"{name} {number}" in text
    assert "--num_processes N train_trl.py" in text
    row = json.loads((tmp_path / "export" / "train.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert [turn["role"] for turn in row["prompt"] + row["completion"]] == ["user", "assistant"]


@pytest.mark.parametrize("to", [name for name, trainer in TRAINERS.items() if trainer.written_for])
def test_a_models_folder_is_named_in_full_since_the_config_is_used_elsewhere(
    arranged: Arranged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    export(arranged(plain(12)), to, tmp_path / "export", dataclasses.replace(MODEL, model="base"))
    config = (tmp_path / "export" / TRAINERS[to].files[-1]).read_text(encoding="utf-8")
    assert json.dumps(str(tmp_path / "base"), ensure_ascii=False) in config
    export(tmp_path / "out", to, tmp_path / "export", MODEL, overwrite=True)
    assert '"some/model"' in (tmp_path / "export" / TRAINERS[to].files[-1]).read_text(encoding="utf-8")


def test_rows_of_several_answers_stay_messages_for_trl(arranged: Arranged, tmp_path: Path) -> None:
    rows = [*plain(3), {"id": "two", "messages": turns("a", "b", "c", "d")}]
    export(arranged(rows), "trl", tmp_path / "export", MODEL)
    assert "assistant_only_loss=True" in (tmp_path / "export" / "train_trl.py").read_text(encoding="utf-8")
    out = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in out if line] == [
        json.loads(line)
        for line in (tmp_path / "export" / "train.jsonl").read_text(encoding="utf-8").split("\n")
        if line
    ]


def test_llamafactory_is_told_every_tag(arranged: Arranged, tmp_path: Path) -> None:
    export(arranged(plain(4)), "llamafactory", tmp_path / "export", MODEL)
    about = json.loads((tmp_path / "export" / "dataset_info.json").read_text())["righttime"]
    assert about["file_name"] == "train.jsonl"
    assert about["tags"]["user_tag"] == "user"
    assert len(about["tags"]) == 7
    assert "num_samples" not in about, "it would draw the rows at random"


def test_axolotl_never_takes_a_prepared_copy_of_another_order(arranged: Arranged, tmp_path: Path) -> None:
    rows = plain(6)
    export(arranged(rows), "axolotl", tmp_path / "export", MODEL)
    first = yaml.safe_load((tmp_path / "export" / "axolotl.yaml").read_text())["dataset_prepared_path"]
    export(arranged(rows, "--overwrite", "--seed", "2"), "axolotl", tmp_path / "export", MODEL, overwrite=True)
    second = yaml.safe_load((tmp_path / "export" / "axolotl.yaml").read_text())["dataset_prepared_path"]
    assert first != second


CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
TOOL_ROW = {
    "id": "tool",
    "messages": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "1"},
    ],
    "tools": "[]",
}


@pytest.mark.parametrize("to", ["axolotl", "llamafactory", "torchtune"])
def test_rows_with_tools_are_refused_where_they_would_be_changed(arranged: Arranged, tmp_path: Path, to: str) -> None:
    out = arranged([*plain(3), TOOL_ROW])
    with pytest.raises(FormatError, match=r"train.jsonl:\d: for .* must hold only roles and texts, got tool"):
        export(out, to, tmp_path / "export", MODEL)
    assert not (tmp_path / "export").exists()
    export(out, "trl", tmp_path / "export", MODEL)


@pytest.mark.parametrize("to", ["llamafactory", "torchtune"])
def test_turns_out_of_turn_are_refused_where_they_would_be_skipped(arranged: Arranged, tmp_path: Path, to: str) -> None:
    row = {"id": "odd", "messages": [{"role": "user", "content": "a"}, *turns("b", "c")]}
    with pytest.raises(FormatError, match=r"go user, assistant.*got user, user, assistant \(id odd\)"):
        export(arranged([*plain(3), row]), to, tmp_path / "export", MODEL)


def test_torchtune_would_drop_an_incomplete_step_so_it_is_refused(arranged: Arranged, tmp_path: Path) -> None:
    out = arranged(plain(12))
    with pytest.raises(SettingsError, match=r"= 8, got 12: 4 rows would be lost. Hint: arrange with --budget 8"):
        export(out, "torchtune", tmp_path / "export", ExportSettings("m", batch_size=4, accumulation=2))
    with pytest.raises(SettingsError, match=r"12 rows would be lost. Hint: arrange 16 rows or more, or choose another"):
        export(out, "torchtune", tmp_path / "export", ExportSettings("m", batch_size=4, accumulation=4))
    export(out, "torchtune", tmp_path / "export", ExportSettings("m", batch_size=4, accumulation=3))


@pytest.mark.parametrize("to", ["trl", "axolotl", "llamafactory"])
def test_several_processes_need_even_rounds(arranged: Arranged, tmp_path: Path, to: str) -> None:
    out = arranged(plain(12))
    with pytest.raises(SettingsError, match=r"= 10, got 12: 2 rows would be left.* Hint: arrange with --budget 10"):
        export(out, to, tmp_path / "export", ExportSettings("m", batch_size=5, processes=2))
    with pytest.raises(SettingsError, match=r"12 rows would be left.* Hint: arrange 16 rows or more"):
        export(out, to, tmp_path / "export", ExportSettings("m", batch_size=8, processes=2))
    export(out, to, tmp_path / "export", ExportSettings("m", batch_size=3, processes=2))


def test_only_a_finished_unchanged_result_is_exported(arranged: Arranged, tmp_path: Path) -> None:
    out = arranged(plain(4))
    lines = (out / "train.jsonl").read_text(encoding="utf-8").split("\n")
    (out / "train.jsonl").write_text("\n".join([lines[1], lines[0], *lines[2:]]), encoding="utf-8")
    with pytest.raises(StoreError, match="must be what was written"):
        export(out, "messages", tmp_path / "export")
    (out / "manifest.json").unlink()
    with pytest.raises(StoreError, match="not a finished one"):
        export(out, "messages", tmp_path / "export")
    with pytest.raises(SettingsError, match="--as original"):
        export(arranged(plain(4), "--overwrite", "--as", "original"), "messages", tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("to", "settings", "said"),
    [
        ("trll", MODEL, "unknown trainer 'trll': did you mean 'trl'"),
        ("trl", ExportSettings(), "must name a model"),
        ("trl", ExportSettings("m", batch_size=0), "--batch-size must be at least 1"),
        ("trl", ExportSettings("m", learning_rate=float("nan")), "--learning-rate must be more than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    arranged: Arranged, tmp_path: Path, to: str, settings: ExportSettings, said: str
) -> None:
    with pytest.raises(RighttimeError, match=said):
        export(arranged(plain(4)), to, tmp_path / "export", settings)


def test_versions_that_shuffle_are_refused_and_others_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"trl": "1.16.0", "transformers": "5.23.0", "datasets": "5.2.0", "accelerate": "1.15.0"}
    monkeypatch.setattr("righttime.exporters.versions.metadata.version", lambda name: installed[name])
    assert version_notes(TRAINERS["trl"]) == []
    installed["trl"] = "1.17.0"
    assert "trl 1.17.0 is installed, the switches were read in 1.16.0" in version_notes(TRAINERS["trl"])[0]
    installed["transformers"] = "5.1.3"
    with pytest.raises(SettingsError, match=r"transformers must be 5\.2\.0 or newer.*5\.1\.3 is installed"):
        version_notes(TRAINERS["trl"])


def test_the_command(arranged: Arranged, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = str(arranged(plain(8))), tmp_path / "export"
    words = ["export", out, "--to", "llamafactory", "--dir", str(folder), "--model", "m", "--learning-rate", "2e-6"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"wrote 8 rows in order for LLaMA-Factory to {folder}" in said
    assert f"cd {folder} && llamafactory-cli train llamafactory.yaml" in said
    assert yaml.safe_load((folder / "llamafactory.yaml").read_text())["learning_rate"] == 2e-6
    assert main(["export", out, "--to", "torchtune", "--dir", str(tmp_path / "more"), "--model", "m"]) == 1
    assert "8 rows would be lost" in capsys.readouterr().err


def test_advice_and_documents_name_every_switch() -> None:
    advice, documents = keep_order_advice(), (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    for trainer in TRAINERS.values():
        for switch in trainer.switches:
            assert switch.key in advice
            assert f"`{switch.key}" in documents, (trainer.title, switch.key)
        for name, number in trainer.written_for.items():
            assert f"{name} {number}" in documents
