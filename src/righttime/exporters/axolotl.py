"""Axolotl: `train.jsonl` and `axolotl.yaml`.

What the switches do was read in axolotl 0.19.0: `core/trainers/base.py` (sampler, last batch), `utils/data/shared.py`
(shuffling, the name of the prepared copy), `utils/data/utils.py` (rows too long or too short), `utils/trainer.py` (rows
without an answer), `core/builders` (evaluation, trackers), `loaders/adapter.py` (adapters).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from righttime.exporters.answers import turn_ending
from righttime.exporters.data import ExportData
from righttime.exporters.quoting import commented, switched, yaml_lines
from righttime.exporters.settings import EVEN_BATCHES, ExportSettings, Switch, Trainer, Written, check_trackers
from righttime.exporters.tokenizers import tokenizer_on_disk
from righttime.exporters.turns import check_answered, check_even_rounds, check_plain, plain_row, write_rows
from righttime.store import write_lines
from righttime.version import __version__

__all__ = ["AXOLOTL"]

_TITLE = "Axolotl"
_RUN = "axolotl train axolotl.yaml"

SWITCHES = (
    Switch("curriculum_sampling", True, "Without it the sampler draws the rows at random."),
    Switch("shuffle_merged_datasets", False, "The default, true, shuffles the rows when they are loaded."),
    Switch("shuffle_before_merging_datasets", False, "The same for each of several data sets; name this one alone."),
    Switch("sample_packing", False, "Packing fills sequences by length, and drops rows whose answer was cut away."),
    Switch("group_by_length", False, "True would put rows of like length together, the longest first."),
    Switch("dataset_exact_deduplication", False, "True would drop rows that repeat an earlier one."),
    Switch(
        "excess_length_strategy",
        "truncate",
        "The default, drop, leaves out rows of more than sequence_len tokens.",
    ),
    Switch("min_sample_len", 1, "The default leaves out rows of fewer than 2 tokens."),
    Switch("val_set_size", 0, "A share would be cut off the end."),
    Switch("streaming", False, "A streamed data set is shuffled through a buffer."),
    Switch("dataloader_drop_last", False, "The rows of an incomplete last batch are not dropped."),
    EVEN_BATCHES,
    Switch("auto_find_batch_size", False, "True would start at the front again with a smaller batch."),
    Switch("num_epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


_TRACKERS: Mapping[str, Mapping[str, object]] = {
    "comet_ml": {"use_comet": True, "comet_project_name": "righttime"},
    "mlflow": {"use_mlflow": True, "mlflow_experiment_name": "righttime"},
    "tensorboard": {"use_tensorboard": True},
    "trackio": {"use_trackio": True, "trackio_project_name": "righttime"},
    "wandb": {"use_wandb": True, "wandb_project": "righttime"},
}
"""What turns a tracker on, by its name in transformers."""


def _check(data: ExportData, settings: ExportSettings) -> None:
    check_trackers(settings, _TITLE, _TRACKERS)
    check_plain(data, _TITLE)
    check_answered(data, _TITLE)
    check_even_rounds(data, settings)


def _write(data: ExportData, settings: ExportSettings, folder: Path) -> Written:
    write_rows(data, folder, plain_row)
    write_lines(folder / "axolotl.yaml", _config(data, settings))
    return Written(_RUN)


def _config(data: ExportData, settings: ExportSettings) -> list[str]:
    lines = commented(
        f"Tune on train.jsonl in exactly its order. Written by righttime {__version__} for {_TITLE} 0.19.0."
    )
    lines += commented(f"Run in this folder: {_RUN}")
    lines += ["", *yaml_lines({"base_model": settings.model}), "datasets:", *_dataset("train.jsonl")]
    lines += commented(
        "The tokenizer's own chat template, or ChatML where it has none. Where its turns do not end with the "
        "tokenizer's eos_token, eot_tokens must name that end, or the model does not learn to stop."
    )
    if ending := _ending(str(settings.model)):
        lines += yaml_lines({"eot_tokens": [ending]})
    lines += yaml_lines({"chat_template": "tokenizer_default_fallback_chatml", "train_on_inputs": False})
    lines += yaml_lines({"sequence_len": settings.max_length})
    lines += ["", "# What keeps the order; every one of these is needed.", *switched(SWITCHES)]
    lines += commented(
        "Axolotl keeps prepared copies whose names tell nothing of what the files hold. A folder for these rows in "
        "this order alone: else a copy of others, once prepared here, would be trained on."
    )
    lines += yaml_lines({"dataset_prepared_path": f"prepared-{_fingerprint(data)}"})
    return [*lines, *_evaluation(data, settings), *_training(settings)]


def _ending(model: str) -> str | None:
    """The token that ends an answer, where the tokenizer is on disk and it is another than its end-of-text token."""
    tokenizer = tokenizer_on_disk(model)
    if tokenizer is None or not tokenizer.chat_template:
        return None
    with contextlib.suppress(Exception):  # a template may refuse anything, in any way
        ending = turn_ending(lambda some: str(tokenizer.apply_chat_template(some, tokenize=False)), tokenizer)
        if ending in tokenizer.get_vocab() and ending != tokenizer.eos_token:
            return ending
    return None


def _training(settings: ExportSettings) -> list[str]:
    lines = [""]
    if settings.lora:
        lines += commented("Adapters of all linear layers; the base model stays as it is.")
        lines += yaml_lines({"adapter": "lora", "lora_r": settings.rank, "lora_alpha": settings.alpha})
        lines += yaml_lines({"lora_dropout": 0, "lora_target_linear": True})
        if settings.dtype == "fp32":
            lines += commented("Axolotl turns on its own kernels for adapters, which need a GPU.")
            lines += yaml_lines({f"lora_{part}_kernel": False for part in ("mlp", "qkv", "o")})
    lines += yaml_lines({"micro_batch_size": settings.batch_size})
    lines += yaml_lines({"gradient_accumulation_steps": settings.accumulation, "optimizer": "adamw_torch"})
    lines += commented("A decaying rate would confound what a row does with when it comes.")
    lines += yaml_lines({"learning_rate": settings.rate, "lr_scheduler": "constant"})
    lines += yaml_lines({"bf16": settings.dtype == "bf16", "tf32": False, "logging_steps": settings.logging_steps})
    for tracker in settings.report_to:
        lines += yaml_lines(_TRACKERS[tracker])
    return [*lines, *yaml_lines({"saves_per_epoch": 1, "output_dir": "./output"})]


def _evaluation(data: ExportData, settings: ExportSettings) -> list[str]:
    if not data.evaluation:
        return []
    lines = ["", *commented("The loss on these rows is taken at the start and every eval_steps steps.")]
    lines += ["test_datasets:", *_dataset("eval.jsonl")]
    lines += yaml_lines({"eval_steps": settings.steps_between_evaluations(len(data.rows))})
    return [*lines, *yaml_lines({"eval_batch_size": settings.batch_size})]


def _fingerprint(data: ExportData) -> str:
    if not data.evaluation:
        return data.ids_sha256[:16]
    told = json.dumps([data.ids_sha256, [plain_row(row) for row in data.evaluation]])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _dataset(file: str) -> Sequence[str]:
    about = {"path": file, "ds_type": "json", "split": "train", "type": "chat_template", "field_messages": "messages"}
    more = {"message_property_mappings": {"role": "role", "content": "content"}, "roles_to_train": ["assistant"]}
    first, *rest = yaml_lines({**about, **more, "train_on_eos": "turn"}, "    ")
    return [f"  - {first.strip()}", *rest]


AXOLOTL = Trainer(
    title=_TITLE,
    written_for={"axolotl": "0.19.0"},
    oldest={},
    switches=SWITCHES,
    files=("train.jsonl", "eval.jsonl", "axolotl.yaml"),
    check=_check,
    write=_write,
    run="`axolotl train axolotl.yaml`",
)
