"""Orders spoiled on purpose, inside transformers' own Trainer, TRL's, and ours: the oracle stops each of them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader, RandomSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from righttime.errors import OrderError, SettingsError
from righttime.training import Oracle, Plan, TuneSettings, first_difference, read_records, tune, watch
from righttime.training import trainer as ours
from righttime.training.batches import collated
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows

BATCH = 2
KEPT = {"train_sampling_strategy": "sequential", "accelerator_config": {"even_batches": False}}


@pytest.fixture(scope="module")
def rows(tiny: str, arranged: Path) -> TokenRows:
    return token_rows(arranged_rows(arranged), AutoTokenizer.from_pretrained(tiny), "chat", 512)


def data(rows: TokenRows) -> Dataset:
    ids = [row.ids.tolist() for row in rows.tokens]
    labels = [[t if k else -100 for t, k in zip(row.ids.tolist(), row.learnt, strict=True)] for row in rows.tokens]
    return Dataset.from_dict({"input_ids": ids, "labels": labels})


def padded(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    longest = max(len(one["input_ids"]) for one in features)

    def full(values: list[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([row + [fill] * (longest - len(row)) for row in values])

    ids = [one["input_ids"] for one in features]
    mask = full([[1] * len(row) for row in ids], 0)
    return {
        "input_ids": full(ids, 2),
        "attention_mask": mask,
        "labels": full([one["labels"] for one in features], -100),
    }


def plain(tiny: str, rows: TokenRows, folder: Path, **settings: Any) -> Trainer:
    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=BATCH, use_cpu=True, report_to="none", disable_tqdm=True, **settings
    )
    model = AutoModelForCausalLM.from_pretrained(tiny)
    return Trainer(model, arguments, data_collator=padded, train_dataset=data(rows))


def trl(tiny: str, rows: TokenRows, folder: Path, **settings: Any) -> Trainer:
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        str(folder),
        per_device_train_batch_size=BATCH,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        **{"max_length": 512, **settings},
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    return SFTTrainer(tiny, arguments, train_dataset=data(rows), processing_class=tokenizer)


def oracle(rows: TokenRows, folder: Path, **settings: Any) -> Oracle:
    return Oracle(Plan(rows.ids, batch=BATCH), rows.hashes, folder / "consumed", **settings)


@pytest.mark.parametrize("make", [plain, pytest.param(trl, marks=pytest.mark.slow)])
def test_a_trainer_told_to_keep_the_order_does(tiny: str, rows: TokenRows, tmp_path: Path, make: Any) -> None:
    trainer = make(tiny, rows, tmp_path / "out", num_train_epochs=1, **KEPT)
    watch(trainer, oracle(rows, tmp_path))
    trainer.train()
    assert first_difference(Plan(rows.ids, batch=BATCH), read_records(tmp_path / "consumed")) is None


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        pytest.param(plain, {}, id="transformers as it is"),
        pytest.param(plain, {"train_sampling_strategy": "random"}, id="random sampler"),
        pytest.param(plain, {"train_sampling_strategy": "group_by_length"}, id="grouped by length"),
        pytest.param(trl, {}, id="TRL as it is", marks=pytest.mark.slow),
        pytest.param(
            trl,
            {**KEPT, "packing": True, "packing_strategy": "bfd"},
            id="TRL packs long rows first",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            trl, {**KEPT, "packing": True, "packing_strategy": "wrapped"}, id="TRL cuts rows", marks=pytest.mark.slow
        ),
        pytest.param(trl, {**KEPT, "shuffle_dataset": True}, id="TRL shuffles the data", marks=pytest.mark.slow),
        pytest.param(trl, {**KEPT, "max_length": 60}, id="TRL cuts and drops rows", marks=pytest.mark.slow),
    ],
)
def test_spoiled_orders_are_stopped(
    tiny: str, rows: TokenRows, tmp_path: Path, make: Any, settings: dict[str, Any]
) -> None:
    trainer = make(tiny, rows, tmp_path / "out", num_train_epochs=1, **settings)
    watch(trainer, oracle(rows, tmp_path))
    with pytest.raises(OrderError, match=r"in the planned order, but step \d+, micro-batch 0, process 0"):
        trainer.train()


def test_a_spoiled_order_may_be_recorded_only(tiny: str, rows: TokenRows, tmp_path: Path) -> None:
    trainer = plain(tiny, rows, tmp_path / "out", num_train_epochs=1)
    one = oracle(rows, tmp_path, allow_reorder=True)
    watch(trainer, one)
    trainer.train()
    assert one.differences > 10
    records = read_records(tmp_path / "consumed")
    seen = [name for record in records.effective() for name in record.rows]
    assert sorted(map(str, seen)) == sorted(rows.ids)
    assert seen != list(rows.ids), "it tells the order that it was"


def _random_batches(self: Any) -> DataLoader[Any]:
    sampler = RandomSampler(range(len(self._rows.ids)))
    return DataLoader(
        ours.PlannedRows(len(self._rows.ids)),
        batch_size=self.args.per_device_train_batch_size,
        sampler=sampler,
        collate_fn=lambda places: collated(places, self._rows, self._pad),
    )


def test_a_random_sampler_in_our_own_trainer_is_stopped(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours.OrderedTrainer, "get_train_dataloader", _random_batches)
    with pytest.raises(OrderError, match="must be"):
        tune(arranged, tiny, tmp_path / "run", TuneSettings(batch=BATCH))
    assert not (tmp_path / "run" / "manifest.json").exists()
    done = tune(arranged, tiny, tmp_path / "run", TuneSettings(batch=BATCH, allow_reorder=True))
    assert "must be" in (done.manifest.first_difference or "")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, arranged: Path, tiny: str, tmp_path: Path) -> None:
    monkeypatch.setattr("righttime.training.versions.find_spec", lambda name: None if name == "accelerate" else name)
    with pytest.raises(SettingsError, match=r"needs accelerate, .* pip install 'righttime\[train\]'"):
        tune(arranged, tiny, tmp_path / "run")


@pytest.mark.parametrize(
    ("package", "found", "message"),
    [
        (
            "transformers",
            "5.1.0",
            "must be at least 5.2, got 5.1.0, which samples at random without a word",
        ),
        ("transformers", "4.57.1", "got 4.57.1"),
        ("trl", "0.14.0", "trl must be at least 0.15, got 0.14.0, which packs rows through a buffer that it shuffles"),
    ],
)
def test_versions_that_shuffle_silently_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, arranged: Path, tiny: str, tmp_path: Path, package: str, found: str, message: str
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: found if name == package else real(name))
    with pytest.raises(SettingsError, match=message):
        tune(arranged, tiny, tmp_path / "run")
