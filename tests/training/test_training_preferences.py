"""Preferences inside TRL's DPOTrainer: the oracle knows each row by both of its sequences, and stops other orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from preferences import arranged_of, preferences
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
