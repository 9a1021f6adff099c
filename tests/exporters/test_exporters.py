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
from righttime.errors import DataError, FormatError, RighttimeError, SettingsError, StoreError
from righttime.exporters import TRAINERS, ExportSettings, export
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
        words = ["arrange", str(pool), "--target", str(target), "--out", str(out), "--method", "random"]
        seed = [] if "--seed" in more else ["--seed", "1"]
        assert main([*words, *seed, *more]) == 0
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
    names = {*TRAINERS[to].files} - {"eval.jsonl"}
    assert {path.name for path in folder.iterdir()} == {*names, "manifest.json"}
    assert manifest["ids_sha256"] == ids_sha256(planned)
    assert manifest["files"] == {name: file_sha256(folder / name) for name in names}
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
    assert f'"{tmp_path / "base"}"' in config
    export(tmp_path / "out", to, tmp_path / "export", MODEL, overwrite=True)
    assert '"some/model"' in (tmp_path / "export" / TRAINERS[to].files[-1]).read_text(encoding="utf-8")


def test_rows_of_several_answers_stay_messages_for_trl(arranged: Arranged, tmp_path: Path) -> None:
    rows = [*plain(3), {"id": "two", "messages": turns("a", "b", "c", "d")}]
    export(arranged(rows), "trl", tmp_path / "export", MODEL)
    script = (tmp_path / "export" / "train_trl.py").read_text(encoding="utf-8")
    assert "def learnt(" in script
    assert "_only_loss" not in script, "the script makes the labels"
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
    with pytest.raises(SettingsError, match=r"= 8, got 12: 4 rows would be lost. Hint: arrange with `budget=8`"):
        export(out, "torchtune", tmp_path / "export", ExportSettings("m", batch_size=4, accumulation=2))
    with pytest.raises(SettingsError, match=r"12 rows would be lost. Hint: arrange 16 rows or more, or choose another"):
        export(out, "torchtune", tmp_path / "export", ExportSettings("m", batch_size=4, accumulation=4))
    export(out, "torchtune", tmp_path / "export", ExportSettings("m", batch_size=4, accumulation=3))


@pytest.mark.parametrize("to", ["trl", "axolotl", "llamafactory"])
def test_several_processes_need_even_rounds(arranged: Arranged, tmp_path: Path, to: str) -> None:
    out = arranged(plain(12))
    with pytest.raises(SettingsError, match=r"= 10, got 12: 2 rows would be left.* Hint: arrange with `budget=10`"):
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
    with pytest.raises(SettingsError, match="`as='original'`"):
        export(arranged(plain(4), "--overwrite", "--as", "original"), "messages", tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("to", "settings", "said"),
    [
        ("trll", MODEL, "unknown trainer 'trll': did you mean 'trl'"),
        ("trl", ExportSettings(), "must name a model"),
        ("trl", ExportSettings("m", batch_size=0), "`batch_size` must be at least 1"),
        ("trl", ExportSettings("m", learning_rate=float("nan")), "`learning_rate` must be more than 0"),
        ("trl", ExportSettings("m", learning_rate=float("inf")), "`learning_rate` must be .* at most 1, got inf"),
        ("trl", ExportSettings("m", learning_rate=0.0), "`learning_rate` must be more than 0"),
        ("trl", ExportSettings("m", batch_size=10**9), "`batch_size` must be at least 1 and at most 65,536"),
        ("trl", ExportSettings("m", lora=True, lora_rank=0), "`lora_rank` must be at least 1"),
        ("trl", ExportSettings("m", lora_rank=8), "`lora_rank` and `lora_alpha` are of adapters, got no `lora`"),
        ("trl", ExportSettings("m", lora_alpha=float("inf")), "`lora_alpha` must be .* got inf"),
        ("trl", ExportSettings("m", logging_steps=0), "`logging_steps` must be at least 1"),
        ("trl", ExportSettings("m", eval_every=5), "`eval_every` needs rows to evaluate on"),
        ("trl", ExportSettings("m", report_to=("wandbb",)), "unknown tracker in `report_to` 'wandbb': .*'wandb'"),
        ("axolotl", ExportSettings("m", report_to=("neptune",)), "unknown tracker of Axolotl 'neptune'"),
        ("torchtune", ExportSettings("m", report_to=("wandb", "mlflow")), "reports to one tracker, got wandb, mlflow"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    arranged: Arranged, tmp_path: Path, to: str, settings: ExportSettings, said: str
) -> None:
    with pytest.raises(RighttimeError, match=said):
        export(arranged(plain(4)), to, tmp_path / "export", settings)


CONFIGS = [name for name, trainer in TRAINERS.items() if trainer.written_for]
TRACKED = {"axolotl": "use_wandb", "llamafactory": "report_to", "torchtune": "metric_logger"}


def config_of(to: str, folder: Path) -> str:
    return (folder / TRAINERS[to].files[-1]).read_text(encoding="utf-8")


def given_to(name: str, script: str) -> dict[str, Any]:
    """The arguments with which a script calls a name."""
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    call = next(call for call in calls if isinstance(call.func, ast.Name) and call.func.id == name)
    return {str(word.arg): word.value for word in call.keywords}


@pytest.mark.parametrize("to", CONFIGS)
def test_a_rate_that_was_not_given_fits_what_is_trained(arranged: Arranged, tmp_path: Path, to: str) -> None:
    out = arranged(plain(8))
    for lora, given, written in ((False, None, 1e-5), (True, None, 1e-4), (True, 3e-3, 3e-3), (False, 4e-6, 4e-6)):
        settings = dataclasses.replace(MODEL, lora=lora, learning_rate=given)
        export(out, to, tmp_path / "export", settings, overwrite=True)
        text = config_of(to, tmp_path / "export")
        if to == "trl":
            rate = ast.literal_eval(given_to("SFTConfig", text)["learning_rate"])
        else:
            config = yaml.safe_load(text)
            rate = config["optimizer"]["lr"] if to == "torchtune" else config["learning_rate"]
        assert rate == written
        manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
        assert manifest["settings"]["learning_rate"] == written


def test_adapters_for_every_trainer(arranged: Arranged, tmp_path: Path) -> None:
    out = arranged(plain(8))
    lora = dataclasses.replace(MODEL, lora=True, lora_rank=8)
    made = {to: export(out, to, tmp_path / to, lora) for to in CONFIGS}
    text = {to: config_of(to, tmp_path / to) for to in CONFIGS}
    peft = given_to("LoraConfig", text["trl"])
    assert {name: ast.literal_eval(value) for name, value in peft.items()} == {
        "task_type": "CAUSAL_LM",
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "target_modules": "all-linear",
    }
    assert '"peft": "0.21.2"' in text["trl"]
    axolotl = yaml.safe_load(text["axolotl"])
    assert [axolotl[key] for key in ("adapter", "lora_r", "lora_alpha", "lora_target_linear")] == ["lora", 8, 16, True]
    assert axolotl["lora_mlp_kernel"] is False, "it needs a GPU, which fp32 stands against"
    factory = yaml.safe_load(text["llamafactory"])
    assert [factory[key] for key in ("finetuning_type", "lora_rank", "lora_alpha", "lora_target")] == [
        *("lora", 8, 16, "all"),
    ]
    tune = yaml.safe_load(text["torchtune"])
    assert tune["model"]["_component_"] == "torchtune.models.llama2.lora_llama2_7b"
    assert (tune["model"]["lora_rank"], tune["model"]["lora_alpha"]) == (8, 16)
    assert tune["lr_scheduler"]["num_cycles"] == 0, "the cosine of nothing is 1: a constant rate"
    assert made["torchtune"].run == "tune run lora_finetune_single_device --config torchtune.yaml"
    assert made["torchtune"].run in text["torchtune"]
    export(out, "trl", tmp_path / "whole", MODEL)
    assert "peft" not in config_of("trl", tmp_path / "whole")
    half = dataclasses.replace(lora, lora_alpha=0.5)
    export(out, "llamafactory", tmp_path / "half", half)
    assert yaml.safe_load(config_of("llamafactory", tmp_path / "half"))["lora_alpha"] == 0.5


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Six rows to evaluate on, in another format than the pool's."""
    file = tmp_path / "others.csv"
    file.write_text("instruction,input,output\n" + "".join(f"do {i},with,done {i}\n" for i in range(6)))
    return file


@pytest.mark.parametrize("to", ["trl", "axolotl", "llamafactory", "messages"])
def test_rows_to_evaluate_on_lie_beside_in_the_trainers_form(
    arranged: Arranged, tmp_path: Path, others: Path, to: str
) -> None:
    out, folder = arranged(plain(100)), tmp_path / "export"
    done = export(out, to, folder, dataclasses.replace(MODEL, batch_size=2, evaluation=str(others)))
    lines = (folder / "eval.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row.get("messages") or row["prompt"] + row["completion"] for row in map(json.loads, lines)]
    assert rows == [turns(f"do {i}\nwith", f"done {i}") for i in range(6)]
    assert done.evaluation == 6
    text = config_of(to, folder)
    if to == "trl":
        given = given_to("SFTConfig", text)
        assert ast.literal_eval(given["eval_steps"]) == 5, "50 steps, ten evaluations"
        assert ast.literal_eval(given["eval_strategy"]) == "steps"
    elif to == "axolotl":
        config = yaml.safe_load(text)
        assert config["test_datasets"] == [{**config["datasets"][0], "path": "eval.jsonl"}]
        assert (config["eval_steps"], config["val_set_size"]) == (5, 0)
    elif to == "llamafactory":
        config, about = yaml.safe_load(text), json.loads((folder / "dataset_info.json").read_text())
        assert about[config["eval_dataset"]] == {**about[config["dataset"]], "file_name": "eval.jsonl"}
        assert [config[key] for key in ("eval_strategy", "eval_steps")] == ["steps", 5]
    export(out, to, folder, MODEL, overwrite=True)
    assert not (folder / "eval.jsonl").exists(), "the rows of the former export are not left beside this one"
    assert to == "messages" or "eval_steps" not in config_of(to, folder)


def test_rows_that_cannot_be_evaluated_on_are_refused(arranged: Arranged, tmp_path: Path, others: Path) -> None:
    out, folder = arranged(plain(12)), tmp_path / "export"
    with pytest.raises(SettingsError, match="take no loss on other rows .* righttime evaluate"):
        export(out, "torchtune", folder, dataclasses.replace(MODEL, evaluation=str(others)))
    with pytest.raises(SettingsError, match=r"rows of `evaluation` must be .* = 4, got 6: .* leave 2 of them out"):
        export(out, "trl", folder, dataclasses.replace(MODEL, batch_size=2, processes=2, evaluation=str(others)))
    unanswered = tmp_path / "prompts.jsonl"
    unanswered.write_text('{"prompt": "what?"}\n')
    with pytest.raises(DataError, match=r"prompts\.jsonl"):
        export(out, "trl", folder, dataclasses.replace(MODEL, evaluation=str(unanswered)))
    unanswered.write_text(json.dumps({"id": "odd", "messages": [*turns("a"), *turns("b", "c")]}) + "\n")
    with pytest.raises(FormatError, match=r"prompts\.jsonl:1: for LLaMA-Factory a row must go user, assistant"):
        export(out, "llamafactory", folder, dataclasses.replace(MODEL, evaluation=str(unanswered)))
    assert not folder.exists()


def test_axolotl_never_takes_a_prepared_copy_of_other_rows_to_evaluate_on(
    arranged: Arranged, tmp_path: Path, others: Path
) -> None:
    out, paths = arranged(plain(6)), []
    for text in ("", "do 6,with,done 6\n"):
        others.write_text(others.read_text() + text)
        export(out, "axolotl", tmp_path / "export", dataclasses.replace(MODEL, evaluation=str(others)), overwrite=True)
        paths.append(yaml.safe_load(config_of("axolotl", tmp_path / "export"))["dataset_prepared_path"])
    assert paths[0] != paths[1]


@pytest.mark.parametrize("to", CONFIGS)
def test_logging_and_trackers_as_asked_for(arranged: Arranged, tmp_path: Path, to: str) -> None:
    out = arranged(plain(8))
    export(out, to, tmp_path / "export", dataclasses.replace(MODEL, logging_steps=7, report_to=("wandb",)))
    text = config_of(to, tmp_path / "export")
    if to == "trl":
        given = given_to("SFTConfig", text)
        assert ast.literal_eval(given["logging_steps"]) == 7
        assert ast.literal_eval(given["report_to"]) == ["wandb"]
    else:
        config = yaml.safe_load(text)
        assert config["log_every_n_steps" if to == "torchtune" else "logging_steps"] == 7
        told = {"axolotl": True, "llamafactory": ["wandb"]}.get(to) or {
            "_component_": "torchtune.training.metric_logging.WandBLogger",
            "project": "righttime",
        }
        assert config[TRACKED[to]] == told
    export(out, to, tmp_path / "export", MODEL, overwrite=True)
    assert "wandb" not in config_of(to, tmp_path / "export")


@pytest.mark.parametrize(
    "name", ["a\u2028b", "say \"hi\" 'there'", "back\\slash: # no", "ü \u0085 $model", "{{x}}", "\ufffe\x7f\x1b"]
)
@pytest.mark.parametrize("to", CONFIGS)
def test_any_name_of_a_model_comes_back_as_it_was(arranged: Arranged, tmp_path: Path, to: str, name: str) -> None:
    export(arranged(plain(4)), to, tmp_path / "export", dataclasses.replace(MODEL, model=name))
    text = config_of(to, tmp_path / "export")
    if to == "trl":
        assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
        values = {node.targets[0].id: node.value for node in assigned if isinstance(node.targets[0], ast.Name)}
        assert ast.literal_eval(values["MODEL"]) == name
    elif to == "torchtune":
        assert yaml.safe_load(text)["checkpointer"]["checkpoint_dir"] == name
    else:
        assert yaml.safe_load(text)["base_model" if to == "axolotl" else "model_name_or_path"] == name


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
    assert "note: The tokenizer of m is not on this disk" in said
    (tmp_path / "few.txt.jsonl").write_text(json.dumps({"prompt": "a", "response": "b"}) + "\n")
    words = [
        "export",
        out,
        "--to",
        "trl",
        "--dir",
        str(tmp_path / "a dir"),
        "--model",
        "m",
        "--lora",
        "--lora-rank",
        "4",
    ]
    words += ["--eval", str(tmp_path / "few.txt.jsonl"), "--eval-every", "3", "--report-to", "mlflow", "--report-to"]
    assert main([*words, "tensorboard", "--logging-steps", "2", "--lora-alpha", "12"]) == 0
    said = capsys.readouterr().out
    assert "wrote 1 rows to evaluate on" in said
    assert f"cd '{tmp_path / 'a dir'}' && python train_trl.py" in said
    settings = json.loads((tmp_path / "a dir" / "manifest.json").read_text())["settings"]
    assert settings["report_to"] == ["mlflow", "tensorboard"]
    assert (settings["lora_alpha"], settings["eval_every"], settings["learning_rate"]) == (12, 3, 1e-4)
    assert main(["export", out, "--to", "trl", "--dir", str(tmp_path / "x"), "--model", "m", "--learning-rate", "inf"])
    assert "--learning-rate must be more than 0 and at most 1, got inf" in capsys.readouterr().err
    assert main(["export", out, "--to", "torchtune", "--dir", str(tmp_path / "more"), "--model", "m"]) == 1
    assert "8 rows would be lost" in capsys.readouterr().err


def test_advice_and_documents_name_every_switch() -> None:
    documents = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    for trainer in TRAINERS.values():
        for switch in trainer.switches:
            assert f"`{switch.key}" in documents, (trainer.title, switch.key)
        for name, number in trainer.written_for.items():
            assert f"{name} {number}" in documents


def test_tune_and_exports_take_the_same_rates() -> None:
    from righttime.training import Lora, TuneSettings

    assert ExportSettings(model="m").rate == TuneSettings().rate
    assert ExportSettings(model="m", lora=True).rate == TuneSettings(lora=Lora()).rate


def test_the_bare_data_names_the_settings_that_it_cannot_hold(arranged: Arranged, tmp_path: Path) -> None:
    out = arranged([{"id": "a", "messages": turns("?", "!")}])
    assert list(export(out, "messages", tmp_path / "bare").notes) == []
    done = export(out, "messages", tmp_path / "more", ExportSettings(lora=True, learning_rate=1e-3))
    assert list(done.notes) == ["the bare data comes without a config, so nothing comes of learning_rate, lora"]
