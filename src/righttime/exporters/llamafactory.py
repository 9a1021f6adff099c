"""LLaMA-Factory: `train.jsonl`, `dataset_info.json` and `llamafactory.yaml`.

What the switches do was read in llamafactory 0.9.5: `train/sft/trainer.py` (sampler), `data/loader.py` (sampling,
cache), `data/data_utils.py` (merging, validation split, streaming), `data/converter.py` and
`data/processor/supervised.py` (rows skipped, packing).
"""

from __future__ import annotations

import json
from pathlib import Path

from righttime.exporters.finished import Finished
from righttime.exporters.quoting import commented, switched, yaml_lines
from righttime.exporters.settings import ExportSettings, Switch, Trainer
from righttime.exporters.turns import check_alternating, check_even_rounds, check_plain, plain_row
from righttime.store import write_json, write_lines
from righttime.version import __version__

__all__ = ["LLAMA_FACTORY"]

_TITLE = "LLaMA-Factory"
_DATASET = "righttime"

SWITCHES = (
    Switch("disable_shuffling", True, "Without it the sampler draws the rows at random."),
    Switch("packing", False, "Packing fills sequences by a knapsack over lengths, 1,000 rows at a time."),
    Switch("neat_packing", False, "The same with separate attention; it turns packing on."),
    Switch("streaming", False, "A streamed data set is shuffled through a buffer, whatever disable_shuffling says."),
    Switch("val_size", 0, "A validation split is drawn from the rows at random, and shuffles what is left."),
    Switch("mix_strategy", "concat", "Interleaving draws from several data sets at random; name this one alone."),
    Switch("max_samples", None, "A number would leave out the rows behind it."),
    Switch("overwrite_cache", True, "Rows tokenized before, in another order, are not taken for these."),
    Switch("dataloader_drop_last", False, "True would drop the rows of an incomplete last batch."),
    Switch(
        "accelerator_config", {"even_batches": False}, "True would fill the last round up with the first rows again."
    ),
    Switch("ignore_data_skip", False, "True would start a resumed run at the front again."),
    Switch("num_train_epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


def _check(finished: Finished, settings: ExportSettings) -> None:
    check_plain(finished, _TITLE)
    check_alternating(finished, _TITLE)
    check_even_rounds(finished, settings)


def _write(finished: Finished, settings: ExportSettings, folder: Path) -> None:
    rows = (json.dumps(plain_row(row), ensure_ascii=False) for row in finished.rows)
    write_lines(folder / "train.jsonl", rows)
    write_json(folder / "dataset_info.json", {_DATASET: _dataset()})
    write_lines(folder / "llamafactory.yaml", _config(settings))


def _dataset() -> dict[str, object]:
    # Every tag is named: one that is missing becomes none at all, not its default. No num_samples: it draws at random.
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    tags |= {"system_tag": "system", "observation_tag": "tool", "function_tag": "function_call"}
    return {"file_name": "train.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}


def _config(settings: ExportSettings) -> list[str]:
    lines = commented(
        f"Tune on train.jsonl in exactly its order. Written by righttime {__version__} for {_TITLE} 0.9.5."
    )
    lines += commented("Run in this folder: llamafactory-cli train llamafactory.yaml")
    lines += ["", *yaml_lines({"model_name_or_path": settings.model, "stage": "sft", "do_train": True})]
    lines += yaml_lines({"finetuning_type": "full", "dataset": _DATASET, "dataset_dir": "."})
    lines += commented("Take the template of your model; default is 'Human: …', 'Assistant: …'.")
    lines += yaml_lines({"template": "default", "cutoff_len": settings.max_length})
    lines += commented("The loss is on all answers and on nothing else.")
    lines += yaml_lines({"train_on_prompt": False, "mask_history": False})
    lines += ["", "# What keeps the order; every one of these is needed.", *switched(SWITCHES)]
    lines += ["", *yaml_lines({"per_device_train_batch_size": settings.batch_size})]
    lines += yaml_lines({"gradient_accumulation_steps": settings.accumulation})
    lines += commented("A decaying rate would confound what a row does with when it comes.")
    lines += yaml_lines({"learning_rate": settings.learning_rate, "lr_scheduler_type": "constant"})
    lines += yaml_lines({"bf16": settings.dtype == "bf16", "logging_steps": 10, "save_strategy": "epoch"})
    lines += commented("A checkpoint that lies there already is resumed from: empty the folder for a new run.")
    return [*lines, *yaml_lines({"output_dir": "output", "report_to": "none"})]


LLAMA_FACTORY = Trainer(
    title=_TITLE,
    written_for={"llamafactory": "0.9.5"},
    oldest={},
    switches=SWITCHES,
    files=("train.jsonl", "dataset_info.json", "llamafactory.yaml"),
    check=_check,
    write=_write,
    run="llamafactory-cli train llamafactory.yaml",
)
