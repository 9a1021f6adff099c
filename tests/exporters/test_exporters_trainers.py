"""The real trainers consume an export in order: the ids are read inside `training_step`, where nothing comes after."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trl
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from own_environment import own_environment
from righttime.cli import main
from righttime.exporters import ExportSettings, export
from righttime.exporters.llamafactory_templates import candidates, written
from tiny_model import save_chatml_model

pytestmark = pytest.mark.slow

ROWS = 50  # not a multiple of the batch size, so that the last batch is an incomplete one
BATCH_SIZE = 4

# Runs a script, or the `module:function` behind a command, and writes down what each training step is given.
RECORD = """
import importlib, json, os, runpy, sys
from transformers import Trainer
kept = Trainer.training_step
def training_step(self, model, inputs, *more, **named):
    decode, rows = self.processing_class.batch_decode, zip(inputs["input_ids"].tolist(), inputs["labels"].tolist())
    learnt = [[token for token, label in zip(*row) if label != -100] for row in rows]
    with open(RECORD, "a") as file:
        file.write(json.dumps([decode(inputs["input_ids"]), decode(learnt)]) + "\\n")
    return kept(self, model, inputs, *more, **named)
if __name__ == "__main__":
    RECORD, *sys.argv = sys.argv[1:]
    RECORD += os.environ["RANK"] if "BY_RANK" in os.environ else ""
    Trainer.training_step = training_step
    module, _, name = sys.argv[0].partition(":")
    if name:
        getattr(importlib.import_module(module), name)()
    else:
        runpy.run_path(module, run_name="__main__")
"""

Arranged = Callable[[int], Path]


@pytest.fixture(scope="module")
def arranged(tmp_path_factory: pytest.TempPathFactory) -> Arranged:
    """Rows of very different lengths, whose text says which row it is, in the order of a seed."""
    folder = tmp_path_factory.mktemp("arranged")
    rows = [
        {"id": f"r{i}", "prompt": f"row [r{i}] " + "word " * (i * 7 % 40), "response": f"answer {i}"}
        for i in range(ROWS)
    ]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "target.jsonl").write_text(json.dumps({"prompt": "?", "response": "!"}) + "\n")

    def make(seed: int) -> Path:
        out = folder / f"out{seed}"
        words = ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--method", "random"]
        assert main([*words, "--seed", str(seed), "--out", str(out), "--overwrite"]) == 0
        return out

    return make


def planned(out: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (out / "train.jsonl").read_text().splitlines()]


def consumed(python: Path | str, folder: Path, record: Path, *command: str) -> list[str]:
    """Run a training command in an export's folder; the row ids that its steps were given, in order.

    What of each row is learnt must be its answers and what ends them.
    """
    script = record.with_suffix(".py")
    script.write_text(RECORD)
    record.unlink(missing_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "PYTEST"))}
    env |= {"HF_HUB_OFFLINE": "1", "AXOLOTL_DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    env |= {"PATH": f"{Path(python).parent}{os.pathsep}{env['PATH']}"}
    words = [str(python), str(script), str(record), *command]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = [json.loads(line) for line in record.read_text().splitlines()]
    assert [len(texts) for texts, _ in steps] == [BATCH_SIZE] * (ROWS // BATCH_SIZE) + [ROWS % BATCH_SIZE]
    fed = [(text, learnt) for step in steps for text, learnt in zip(*step, strict=True)]
    ids = [re.findall(r"\[(r\d+)\]", text)[0] for text, _ in fed]
    for name, (_, learnt) in zip(ids, fed, strict=True):
        assert re.findall(r"\w+ \w+", learnt)[0] == f"answer {name[1:]}"
        assert "row" not in learnt
        assert "word" not in learnt
    return ids


def settings(bare: Path) -> ExportSettings:
    return ExportSettings(str(bare), batch_size=BATCH_SIZE, max_length=256, dtype="fp32")


def test_trl_consumes_the_order(arranged: Arranged, bare: Path, tmp_path: Path) -> None:
    out, folder, record = arranged(1), tmp_path / "export", tmp_path / "record"
    export(out, "trl", folder, settings(bare))
    assert consumed(sys.executable, folder, record, "train_trl.py") == planned(out)
    script = (folder / "train_trl.py").read_text()
    (folder / "train_trl.py").write_text(script.replace('"sequential"', '"random"'))
    assert consumed(sys.executable, folder, record, "train_trl.py") != planned(out), "what this test would see"


def conversations(folder: Path) -> Path:
    """A random arrangement of rows of two answers each, whose first prompt says which row it is."""
    rows = []
    for i in range(ROWS):
        turns = [("user", f"row [r{i}]"), ("assistant", f"answer {i}"), ("user", "word"), ("assistant", "more")]
        rows.append({"id": f"r{i}", "messages": [{"role": role, "content": text} for role, text in turns]})
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "pool.jsonl"), "--method", "random"]
    assert main([*words, "--out", str(folder / "out")]) == 0
    return folder / "out"


def learnt_texts(record: Path) -> list[str]:
    """What of each row was learnt, without the number of the row."""
    texts = [text for line in record.read_text().splitlines() for text in json.loads(line)[1]]
    return [re.sub(r"\d+", "N", text) for text in texts]


def fed_texts(record: Path) -> list[str]:
    """Each row as the model was fed it."""
    texts = [text for line in record.read_text().splitlines() for text in json.loads(line)[0]]
    return [text.replace("<pad>", "") for text in texts]


def own_texts(model: Path, out: Path) -> list[str]:
    """Each row as the model's own chat template writes it."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line)["messages"] for line in (out / "train.jsonl").read_text().splitlines()]
    return [str(tokenizer.apply_chat_template(row, tokenize=False)) for row in rows]


def evaluation_rows(folder: Path) -> Path:
    """Three rows in another format than the pool's."""
    (folder / "eval.csv").write_text("prompt,response\nwhat?,that\nwho?,them\nwhere?,there\n")
    return folder / "eval.csv"


def test_trl_learns_every_answer_of_a_conversation(bare: Path, tmp_path: Path) -> None:
    out, record = conversations(tmp_path), tmp_path / "record"
    export(out, "trl", tmp_path / "export", settings(bare))
    assert consumed(sys.executable, tmp_path / "export", record, "train_trl.py") == planned(out)
    # The blank before an answer is a part of its first token.
    assert learnt_texts(record) == [" answer N</s> more</s>"] * ROWS


def test_trl_learns_every_answer_under_a_template_that_does_not_mark_them(tmp_path: Path) -> None:
    model, out, record = save_chatml_model(tmp_path / "model"), conversations(tmp_path), tmp_path / "record"
    export(out, "trl", tmp_path / "export", settings(model))
    assert consumed(sys.executable, tmp_path / "export", record, "train_trl.py") == planned(out)
    assert learnt_texts(record) == ["answer N<|im_end|>more<|im_end|>"] * ROWS
    assert fed_texts(record) == own_texts(model, out)


@pytest.mark.parametrize("several", [False, True])
def test_trl_trains_adapters_and_takes_the_loss_on_other_rows(
    arranged: Arranged, tmp_path: Path, several: bool
) -> None:
    model, record = save_chatml_model(tmp_path / "model"), tmp_path / "record"
    out = conversations(tmp_path) if several else arranged(1)
    changes = dataclasses.replace(settings(model), lora=True, lora_rank=4, logging_steps=2)
    changes = dataclasses.replace(changes, evaluation=str(evaluation_rows(tmp_path)), eval_every=5)
    export(out, "trl", tmp_path / "export", changes)
    assert consumed(sys.executable, tmp_path / "export", record, "train_trl.py") == planned(out)
    output = tmp_path / "export" / "output"
    adapter = json.loads((output / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)
    assert not (output / "model.safetensors").exists()
    log = json.loads(next(output.glob("checkpoint-*/trainer_state.json")).read_text())["log_history"]
    assert [entry["step"] for entry in log if "eval_loss" in entry] == [0, 5, 10, 13]
    assert [entry["step"] for entry in log if "loss" in entry] == [2, 4, 6, 8, 10, 12]
    assert {entry["learning_rate"] for entry in log if "loss" in entry} == {1e-4}


def test_trl_consumes_the_order_in_two_processes(arranged: Arranged, bare: Path, tmp_path: Path) -> None:
    out, folder, record = arranged(1), tmp_path / "export", tmp_path / "record"
    export(out, "trl", folder, ExportSettings(str(bare), 5, processes=2, max_length=256, dtype="fp32"))
    (tmp_path / "record.py").write_text(RECORD)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    words = [*launch, str(tmp_path / "record.py"), str(record), "train_trl.py"]
    env = {**os.environ, "BY_RANK": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True)
    steps = [[json.loads(line)[0] for line in Path(f"{record}{rank}").read_text().splitlines()] for rank in (0, 1)]
    texts = [text for both in zip(*steps, strict=True) for batch in both for text in batch]
    assert [re.findall(r"\[(r\d+)\]", text)[0] for text in texts] == planned(out)
    script = (folder / "train_trl.py").read_text()
    (folder / "train_trl.py").write_text(script.replace("BATCH_SIZE = 5", "BATCH_SIZE = 4"))
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode
    assert "50 rows must be a multiple of 2 processes x batch size 4: some would be left" in done.stderr


def test_the_trl_script_refuses_to_train_where_a_row_would_be_dropped(
    arranged: Arranged, bare: Path, tmp_path: Path
) -> None:
    export(arranged(1), "trl", tmp_path / "export", ExportSettings(str(bare), 4, max_length=40, dtype="fp32"))
    done = subprocess.run(
        [sys.executable, "train_trl.py"], cwd=tmp_path / "export", capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 1
    assert re.search(r"\d+ rows would be dropped, first \['r\d+'\]: their answers begin behind 40 tokens", done.stderr)
    assert not any((tmp_path / "export" / "output").iterdir()), "nothing was trained"


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with LLaMA-Factory."""
    return own_environment(tmp_path_factory.mktemp("factory"), ["torch==2.13.0"], ["llamafactory==0.9.5"])


FACTORY = ("llamafactory.cli:main", "train", "llamafactory.yaml")


def test_llamafactory_consumes_the_order(arranged: Arranged, bare: Path, tmp_path: Path, factory: Path) -> None:
    out, folder, record = arranged(1), tmp_path / "export", tmp_path / "record"
    export(out, "llamafactory", folder, settings(bare))
    assert consumed(factory, folder, record, *FACTORY) == planned(out)
    config = (folder / "llamafactory.yaml").read_text()
    changed = config.replace("disable_shuffling: true", "disable_shuffling: false").replace('"output"', '"output2"')
    (folder / "llamafactory.yaml").write_text(changed)
    assert consumed(factory, folder, record, *FACTORY) != planned(out), "what this test would see"


@pytest.mark.parametrize(("lora", "rate"), [(False, 1e-5), (True, 1e-4)])
def test_llamafactory_writes_the_models_own_text_and_takes_the_loss_on_other_rows(
    tmp_path: Path, factory: Path, lora: bool, rate: float
) -> None:
    model, out, record = save_chatml_model(tmp_path / "model"), conversations(tmp_path), tmp_path / "record"
    folder, rows = tmp_path / "export", str(evaluation_rows(tmp_path))
    changes = dataclasses.replace(settings(model), evaluation=rows, eval_every=5, lora=lora)
    export(out, "llamafactory", folder, changes)
    assert consumed(factory, folder, record, *FACTORY) == planned(out)
    assert fed_texts(record) == own_texts(model, out)
    assert learnt_texts(record) == ["answer N<|im_end|>\nmore<|im_end|>\n"] * ROWS
    log = json.loads(next((folder / "output").glob("checkpoint-*/trainer_state.json")).read_text())["log_history"]
    assert [entry["step"] for entry in log if "eval_loss" in entry] == [0, 5, 10, 13]
    assert {entry["learning_rate"] for entry in log if "loss" in entry} == {rate}
    assert (folder / "output" / "adapter_config.json").exists() == lora


# What LLaMA-Factory makes of rows, under a template of its own or what it reads off a tokenizer.
WRITE = """
import json, sys
from llamafactory.data.template import TEMPLATES, parse_template
from transformers import AutoTokenizer
asked, made = json.load(open(sys.argv[1])), []
for folder, name, rows in asked:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    try:
        template = TEMPLATES[name] if name else parse_template(tokenizer)
    except Exception:
        made.append(None)
        continue
    made.append([])
    for turns in rows:
        system = turns.pop(0)["content"] if turns[0]["role"] == "system" else None
        pairs = template.encode_multiturn(tokenizer, turns, system, None, False)
        made[-1].append(tokenizer.decode([token for pair in pairs for part in pair for token in part]))
json.dump(made, open(sys.argv[2], "w"))
"""


@pytest.mark.parametrize("begins", [False, True])
def test_what_llamafactory_writes_is_known(tmp_path: Path, factory: Path, begins: bool) -> None:
    said = ["one?", "first", "two?", "<think>\nhm\n</think>\n\nsecond"]
    talk = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    rows = [talk[:2], talk, [{"role": "system", "content": "Be."}, *talk]]
    save_chatml_model(tmp_path / "model")
    asked: list[tuple[str, str | None, list[list[dict[str, str]]]]] = []
    expected: list[list[str] | None] = []
    for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja")):
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
        if begins:  # an empty text begins with this token, as with Llama's
            first = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)])
            tokenizer.backend_tokenizer.post_processor = first
        tokenizer.chat_template = path.read_text(encoding="utf-8")
        tokenizer.save_pretrained(tmp_path / path.stem)
        pieces = candidates(tokenizer)
        for name in (None, *pieces):
            asked.append((str(tmp_path / path.stem), name, rows))
            expected.append([written(pieces[name], row) for row in rows] if name in pieces else None)
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    words = [str(factory), "-c", WRITE, str(tmp_path / "asked.json"), str(tmp_path / "made.json")]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": ""}, check=True, capture_output=True)
    assert json.loads((tmp_path / "made.json").read_text()) == expected
    assert None in expected, "some cannot be read"
    assert len(expected) > 100


@pytest.fixture(scope="module")
def axolotl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with Axolotl."""
    packages = ["torch==2.13.0", "axolotl==0.19.0"]
    return own_environment(tmp_path_factory.mktemp("axolotl"), ["torch==2.13.0"], packages)


AXOLOTL = ("axolotl.cli.main:main", "train", "axolotl.yaml", "--launcher", "python")


@pytest.mark.parametrize(("lora", "rate"), [(False, 1e-5), (True, 1e-4)])
def test_axolotl_writes_the_models_own_text_and_takes_the_loss_on_other_rows(
    tmp_path: Path, axolotl: Path, lora: bool, rate: float
) -> None:
    model, out, record = save_chatml_model(tmp_path / "model"), conversations(tmp_path), tmp_path / "record"
    folder, rows = tmp_path / "export", str(evaluation_rows(tmp_path))
    changes = dataclasses.replace(settings(model), evaluation=rows, eval_every=5, lora=lora)
    export(out, "axolotl", folder, changes)
    assert consumed(axolotl, folder, record, *AXOLOTL) == planned(out)
    assert fed_texts(record) == own_texts(model, out)
    log = json.loads(next((folder / "output").glob("checkpoint-*/trainer_state.json")).read_text())["log_history"]
    assert [entry["step"] for entry in log if "eval_loss" in entry] == [0, 5, 10, 13]
    assert {entry["learning_rate"] for entry in log if "loss" in entry} == {rate}
    assert (folder / "output" / "adapter_config.json").exists() == lora


def test_axolotl_consumes_the_order_and_then_another_one(
    arranged: Arranged, bare: Path, tmp_path: Path, axolotl: Path
) -> None:
    first, second, folder, record = arranged(1), arranged(2), tmp_path / "export", tmp_path / "record"
    export(first, "axolotl", folder, settings(bare))
    assert consumed(axolotl, folder, record, *AXOLOTL) == planned(first)
    export(second, "axolotl", tmp_path / "next", settings(bare))
    prepared = re.compile(r'dataset_prepared_path: ".*"')
    kept = prepared.search((folder / "axolotl.yaml").read_text())
    assert kept is not None
    for name in ("train.jsonl", "axolotl.yaml"):
        (folder / name).write_bytes((tmp_path / "next" / name).read_bytes())
    assert consumed(axolotl, folder, record, *AXOLOTL) == planned(second)
    config = (folder / "axolotl.yaml").read_text()
    (folder / "axolotl.yaml").write_text(prepared.sub(kept[0], config))
    assert consumed(axolotl, folder, record, *AXOLOTL) == planned(first), "the copy of the first order is trained on"


# The recipe's own loading, with a tokenizer that shows the text: batches are what its training loop would take.
TORCHTUNE = """
import importlib.util, json, sys, sysconfig
from pathlib import Path
from omegaconf import OmegaConf

class Letters:
    max_seq_len, pad_id = 10_000, 0
    def __call__(self, sample, inference=False):
        turns = [(turn.masked, list(turn.text_content.encode())) for turn in sample["messages"]]
        tokens = [token for _, text in turns for token in text]
        return {"tokens": tokens, "mask": [masked for masked, text in turns for _ in text]}

path = Path(sysconfig.get_path("purelib"), "recipes", "full_finetune_single_device.py")
spec = importlib.util.spec_from_file_location("recipe", path)
recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipe)
config = OmegaConf.load("torchtune.yaml")
holder = type("Holder", (), {"_tokenizer": Letters(), "_loss_fn": type("Loss", (), {"ignore_index": -100})})()
setup = recipe.FullFinetuneRecipeSingleDevice._setup_data
loader = setup(holder, config.dataset, config.shuffle, config.batch_size, "torchtune.data.padded_collate_sft")
texts = [bytes(token for token in row.tolist() if token).decode() for batch in loader for row in batch["tokens"]]
Path("texts.json").write_text(json.dumps(texts))
"""


def test_torchtune_loads_the_order(arranged: Arranged, bare: Path, tmp_path: Path) -> None:
    python = own_environment(tmp_path / "env", ["torch==2.13.0"], ["torchtune==0.6.1", "torchao==0.10.0"])
    out, folder = arranged(1), tmp_path / "export"
    export(out, "torchtune", folder, ExportSettings(str(bare), batch_size=5, dtype="fp32"))

    def loaded() -> list[str]:
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        subprocess.run([python, "-c", TORCHTUNE], cwd=folder, env=env, check=True, capture_output=True)
        return [re.findall(r"\[(r\d+)\]", text)[0] for text in json.loads((folder / "texts.json").read_text())]

    assert loaded() == planned(out)
    config = (folder / "torchtune.yaml").read_text()
    (folder / "torchtune.yaml").write_text(config.replace("shuffle: false", "shuffle: true"))
    assert loaded() != planned(out), "what this test would see"
    # What the export refuses: the recipe drops the rows of an incomplete last batch.
    (folder / "torchtune.yaml").write_text(config.replace("batch_size: 5", "batch_size: 4"))
    assert loaded() == planned(out)[: ROWS // 4 * 4]
