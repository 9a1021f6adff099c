"""Preferences inside TRL's DPOTrainer: the oracle knows each row by both of its sequences, and stops other orders."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer

from preferences import arranged_of, preferences
from processes import TORCHRUN, finish, start
from righttime.errors import OrderError, RowError
from righttime.exporters import ExportSettings, export
from righttime.formats import from_records
from righttime.training import read_records, watched_preferences
from righttime.training.preference import fed_pairs, pair_hashes

ROWS, BATCH = 9, 2
KEPT = {"train_sampling_strategy": "sequential", "accelerator_config": {"even_batches": False}}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arranged_of(tmp_path_factory.mktemp("pairs"), "preference", preferences(ROWS), "--method", "random")


def rows_in(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]


def trainer_of(tiny: str, rows: list[dict[str, Any]], folder: Path, **settings: Any) -> Any:
    from trl import DPOConfig, DPOTrainer

    config = DPOConfig(
        str(folder),
        per_device_train_batch_size=BATCH,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        num_train_epochs=1,
        **settings,
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    return DPOTrainer(tiny, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def test_a_batch_holds_chosen_sequences_and_behind_them_rejected_ones() -> None:
    ids = torch.tensor([[1, 2, 3], [4, 5, 0], [1, 2, 0], [4, 6, 7]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 1, 1]])
    fed = fed_pairs({"input_ids": ids, "attention_mask": mask})
    assert [row.tolist() for row in fed] == [[1, 2, 3, -1, 1, 2], [4, 5, -1, 4, 6, 7]]


@pytest.mark.slow
@pytest.mark.parametrize("length", [1024, 36])
def test_the_order_is_kept_and_proven(tiny: str, out: Path, tmp_path: Path, length: int) -> None:
    trainer = trainer_of(tiny, rows_in(out), tmp_path / "out", max_length=length, gradient_accumulation_steps=2, **KEPT)
    with watched_preferences(trainer, out, tmp_path / "consumed"):
        trainer.train()
    seen = [name for record in read_records(tmp_path / "consumed").effective() for name in record.rows]
    assert seen == [row["id"] for row in rows_in(out)]


def swapped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows[:4], rows[5], rows[4], *rows[6:]]


def turned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows[:3], {**rows[3], "chosen": rows[3]["rejected"], "rejected": rows[3]["chosen"]}, *rows[4:]]


def lacking(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[:-2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        (list, {}, r"in the planned order, but step \d, micro-batch 0, process 0"),  # TRL's default samples at random
        (
            swapped,
            KEPT,
            r"but step 2, micro-batch 0, process 0, row 0 must be '(p\d)' of place 4, got row '(?!\1)p\d' of",
        ),
        (turned, KEPT, "but step 1, micro-batch 0, process 0, row 1 must be .* got a row that is not in the plan"),
        (lacking, KEPT, "but step 3, micro-batch 0, process 0 must hold 2 rows, got 1"),
    ],
)
def test_a_planted_reordering_is_caught(
    tiny: str, out: Path, tmp_path: Path, spoil: Callable[[Any], Any], settings: dict[str, Any], message: str
) -> None:
    trainer = trainer_of(tiny, spoil(rows_in(out)), tmp_path / "out", **settings)
    with pytest.raises(OrderError, match=message), watched_preferences(trainer, out, tmp_path / "consumed"):
        trainer.train()


@pytest.mark.slow
def test_a_run_that_ends_early_proves_nothing(tiny: str, out: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tiny, rows_in(out)[:-1], tmp_path / "out", **KEPT)
    unfinished = pytest.raises(OrderError, match="step 4, micro-batch 0, process 0 was not consumed")
    with unfinished, watched_preferences(trainer, out, tmp_path / "consumed"):
        trainer.train()


@pytest.mark.slow
def test_a_resumed_run_is_proven_too(tiny: str, out: Path, tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 2, **KEPT}
    first = trainer_of(tiny, rows_in(out), tmp_path / "out", max_steps=2, **saving)
    unfinished = pytest.raises(OrderError, match="step 2, micro-batch 0, process 0 was not consumed")
    with unfinished, watched_preferences(first, out, tmp_path / "consumed"):
        first.train()
    second = trainer_of(tiny, rows_in(out), tmp_path / "out", **saving)
    with watched_preferences(second, out, tmp_path / "consumed", resumed=True):
        second.train(resume_from_checkpoint=True)
    assert [one.resumed_from for one in read_records(tmp_path / "consumed").attempts] == [0, 2]


def test_rows_that_are_no_preferences_are_named(tiny: str) -> None:
    rows = from_records([{"prompt": "x", "completion": "y", "id": "a"}], role="pool").rows
    with pytest.raises(RowError, match="memory:1: .* but not row a: it holds no chosen and rejected answer"):
        pair_hashes(rows, AutoTokenizer.from_pretrained(tiny), None)


@pytest.mark.slow
def test_the_exported_script_is_watched_where_that_is_asked_for(tiny: str, out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    export(out, "trl", folder, ExportSettings(model=tiny, batch_size=BATCH, dtype="fp32"))
    words = [sys.executable, "train_trl.py", "--watch", str(out)]
    how: dict[str, Any] = {
        "cwd": folder,
        "capture_output": True,
        "text": True,
        "env": {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    }
    done = subprocess.run(words, check=False, **how)
    assert done.returncode == 0, done.stderr
    seen = [name for record in read_records(folder / "consumed").effective() for name in record.rows]
    assert seen == [row["id"] for row in rows_in(out)]
    script = (folder / "train_trl.py").read_text()
    (folder / "train_trl.py").write_text(script.replace('"sequential"', '"random"'))
    done = subprocess.run(words, check=False, **how)
    assert done.returncode == 1
    assert "OrderError: training must consume the rows in the planned order" in done.stderr


TWO = """
import json, os, sys
out, folder, tiny, settings = sys.argv[1:]
settings = json.loads(settings)
rows = [json.loads(line) for line in open(out + "/train.jsonl", encoding="utf-8")]
one, other = settings.pop("swapped", (0, 0))
rows[one], rows[other] = rows[other], rows[one]
resumed, kill_at = settings.pop("resumed", False), settings.pop("kill_at", None)
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer
from righttime.training import watched_preferences
import torch

class Killed(TrainerCallback):
    def on_step_begin(self, args, state, control, **more):
        if state.global_step == kill_at and args.process_index == 1:
            os.kill(os.getpid(), 9)

given = {"use_cpu": True, "per_device_train_batch_size": 2, **settings}
config = DPOConfig(folder + "/out", bf16=False, report_to="none", disable_tqdm=True, num_train_epochs=1, **given)
trainer = DPOTrainer(
    tiny, args=config, train_dataset=Dataset.from_list(rows), processing_class=AutoTokenizer.from_pretrained(tiny),
    callbacks=[Killed()],
)
with watched_preferences(trainer, out, folder + "/consumed", resumed=resumed):
    trainer.train(resume_from_checkpoint=resumed)
trainer.save_model(folder + "/model")
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
"""


def on_processes(n: int, out: Path, folder: Path, tiny: str, **settings: Any) -> tuple[int, str]:
    """Train on `n` processes, with the settings that keep the order and these."""
    folder.mkdir(exist_ok=True)
    (folder / "two.py").write_text(TWO)
    words = [str(folder / "two.py"), str(out), str(folder), tiny, json.dumps({**KEPT, **settings})]
    return finish(start(words, *TORCHRUN[:-1], str(n)))


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows: three whole batches of two processes."""
    return arranged_of(tmp_path_factory.mktemp("even"), "preference", preferences(12), "--method", "random")


def seen_in(folder: Path) -> list[tuple[int, int, int, tuple[str | None, ...]]]:
    return [(one.step, one.micro, one.process, one.rows) for one in read_records(folder / "consumed").effective()]


def dealt(out: Path) -> list[tuple[int, int, int, tuple[str | None, ...]]]:
    """By the definition: two rows for each process in turn, two of these a step; the last step has one."""
    ids = [row["id"] for row in rows_in(out)]
    return [(at // 8, at % 8 // 4, at % 4 // 2, (ids[at], ids[at + 1])) for at in range(0, 12, 2)]


@pytest.mark.slow
@pytest.mark.linux
def test_two_processes_keep_the_order_and_train_the_weights_of_one(tiny: str, even: Path, tmp_path: Path) -> None:
    code, said = on_processes(2, even, tmp_path / "two", tiny, gradient_accumulation_steps=2, learning_rate=1e-3)
    assert code == 0, said
    assert seen_in(tmp_path / "two") == dealt(even)
    one = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "learning_rate": 1e-3}
    code, said = on_processes(1, even, tmp_path / "one", tiny, **one)
    assert code == 0, said
    alone, together = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    begun = load_file(Path(tiny) / "model.safetensors")
    assert all(torch.allclose(value, together[name], atol=2e-5, rtol=0) for name, value in alone.items())
    assert max(float((value - begun[name]).abs().max()) for name, value in alone.items()) > 1e-3, "it was trained"


@pytest.mark.slow
@pytest.mark.linux
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"swapped": (4, 6)}, r"OrderError: .* but step 1, micro-batch 0, process 0, row 0 must be 'p\d+' of place 4"),
        ({"swapped": (7, 10)}, r"OrderError: .* but step 1, micro-batch 0, process 1, row 1 must be 'p\d+' of place 7"),
        ({"train_sampling_strategy": "random"}, r"OrderError: .* in the planned order, but step \d, micro-batch 0"),
        ({"use_cpu": False}, "2 processes must train one model together, but the trainer knows of 1"),
        ({"per_device_train_batch_size": 4}, r"a multiple of 2 × 4, got 12: .* an arrangement of 8 rows"),
    ],
)
def test_another_order_on_two_processes_is_caught(
    tiny: str, even: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    if "use_cpu" in settings and torch.accelerator.is_available():
        pytest.skip("on GPUs, processes know of one another")
    code, said = on_processes(2, even, tmp_path / "two", tiny, **settings)
    assert code != 0
    assert re.search(message, said), said
    assert not (tmp_path / "two" / "model").exists()


@pytest.mark.slow
@pytest.mark.linux
def test_two_processes_are_killed_and_resumed(tiny: str, even: Path, tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 1}
    code, said = on_processes(2, even, tmp_path / "two", tiny, kill_at=2, **saving)
    assert code != 0, said
    assert not (tmp_path / "two" / "model").exists()
    code, said = on_processes(2, even, tmp_path / "two", tiny, resumed=True, **saving)
    assert code == 0, said
    assert [one.resumed_from for one in read_records(tmp_path / "two" / "consumed").attempts] == [0, 2]
    ids = [name for *_, rows in seen_in(tmp_path / "two") for name in rows]
    assert ids == [row["id"] for row in rows_in(even)]


@pytest.mark.slow
@pytest.mark.linux
def test_the_exported_script_is_watched_on_two_processes(tiny: str, even: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    export(even, "trl", folder, ExportSettings(model=tiny, batch_size=BATCH, processes=2, dtype="fp32"))
    words = ["train_trl.py", "--watch", str(even)]
    code, said = finish(start(words, *TORCHRUN, here=folder))
    assert code == 0, said
    ids = [name for *_, rows in seen_in(folder) for name in rows]
    assert ids == [row["id"] for row in rows_in(even)]
    assert {process for _, _, process, _ in seen_in(folder)} == {0, 1}
