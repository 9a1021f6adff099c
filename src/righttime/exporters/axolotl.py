"""Axolotl: `train.jsonl` and `axolotl.yaml`.

What the switches do was read in axolotl 0.19.0: `core/trainers/base.py` (sampler, last batch), `utils/data/shared.py`
(shuffling, the name of the prepared copy), `utils/data/utils.py` (rows too long or too short), `utils/trainer.py` (rows
without an answer).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from righttime.exporters.finished import Finished
from righttime.exporters.quoting import commented, switched, yaml_lines
from righttime.exporters.settings import ExportSettings, Switch, Trainer
from righttime.exporters.turns import check_answered, check_even_rounds, check_plain, plain_row
from righttime.store import write_lines
from righttime.version import __version__

__all__ = ["AXOLOTL"]

_TITLE = "Axolotl"

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
    Switch(
        "accelerator_config", {"even_batches": False}, "True would fill the last round up with the first rows again."
    ),
    Switch("auto_find_batch_size", False, "True would start at the front again with a smaller batch."),
    Switch("num_epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


def _check(finished: Finished, settings: ExportSettings) -> None:
    check_plain(finished, _TITLE)
    check_answered(finished, _TITLE)
    check_even_rounds(finished, settings)


def _write(finished: Finished, settings: ExportSettings, folder: Path) -> None:
    rows = (json.dumps(plain_row(row), ensure_ascii=False) for row in finished.rows)
    write_lines(folder / "train.jsonl", rows)
    write_lines(folder / "axolotl.yaml", _config(finished, settings))


def _config(finished: Finished, settings: ExportSettings) -> list[str]:
    lines = commented(
        f"Tune on train.jsonl in exactly its order. Written by righttime {__version__} for {_TITLE} 0.19.0."
    )
    lines += commented("Run in this folder: axolotl train axolotl.yaml")
    lines += ["", *yaml_lines({"base_model": settings.model}), "datasets:", *_dataset()]
    lines += commented(
        "The tokenizer's own chat template, or ChatML where it has none. Where its turns do not end with the "
        "tokenizer's eos_token, name that end in eot_tokens, or the model does not learn to stop."
    )
    lines += yaml_lines({"chat_template": "tokenizer_default_fallback_chatml", "train_on_inputs": False})
    lines += yaml_lines({"sequence_len": settings.max_length})
    lines += ["", "# What keeps the order; every one of these is needed.", *switched(SWITCHES)]
    lines += commented(
        "Axolotl keeps a prepared copy whose name tells nothing of what train.jsonl holds. A folder for this order "
        "alone: else a copy of another order, once prepared here, would be trained on."
    )
    lines += yaml_lines({"dataset_prepared_path": f"prepared-{finished.ids_sha256[:16]}"})
    lines += ["", *yaml_lines({"micro_batch_size": settings.batch_size})]
    lines += yaml_lines({"gradient_accumulation_steps": settings.accumulation, "optimizer": "adamw_torch"})
    lines += commented("A decaying rate would confound what a row does with when it comes.")
    lines += yaml_lines({"learning_rate": settings.learning_rate, "lr_scheduler": "constant"})
    lines += yaml_lines({"bf16": settings.dtype == "bf16", "tf32": False, "logging_steps": 10})
    return [*lines, *yaml_lines({"saves_per_epoch": 1, "output_dir": "./output"})]


def _dataset() -> Sequence[str]:
    about = {"path": "train.jsonl", "ds_type": "json", "type": "chat_template", "field_messages": "messages"}
    more = {"message_property_mappings": {"role": "role", "content": "content"}, "roles_to_train": ["assistant"]}
    first, *rest = yaml_lines({**about, **more, "train_on_eos": "turn"}, "    ")
    return [f"  - {first.strip()}", *rest]


AXOLOTL = Trainer(
    title=_TITLE,
    written_for={"axolotl": "0.19.0"},
    oldest={},
    switches=SWITCHES,
    files=("train.jsonl", "axolotl.yaml"),
    check=_check,
    write=_write,
    run="axolotl train axolotl.yaml",
)
