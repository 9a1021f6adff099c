"""torchtune: `train.jsonl` and `torchtune.yaml`, for Llama 2 7B in one process.

What the switches do was read in torchtune 0.6.1, the last release: `recipes/full_finetune_single_device.py` (sampler,
last batch, last step), `torchtune/datasets` (packing), `torchtune/data/_messages.py` (turns).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from righttime.errors import SettingsError
from righttime.exporters.finished import Finished
from righttime.exporters.quoting import commented, switched, yaml_lines
from righttime.exporters.settings import ExportSettings, Switch, Trainer
from righttime.exporters.turns import check_alternating, check_plain, check_whole_steps, plain_row
from righttime.store import write_lines
from righttime.version import __version__

__all__ = ["TORCHTUNE"]

_TITLE = "torchtune"
_RECIPE = "full_finetune_single_device"

SWITCHES = (
    Switch("shuffle", False, "The sampler would draw the rows at random, anew in each epoch."),
    Switch("dataset.packed", False, "Packing would cut the rows into pieces of max_seq_len tokens."),
    Switch("max_steps_per_epoch", None, "A number would leave out the rows behind it."),
    Switch("epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


def _check(finished: Finished, settings: ExportSettings) -> None:
    check_plain(finished, _TITLE)
    check_alternating(finished, _TITLE)
    if settings.processes > 1:
        raise SettingsError(
            f"the {_TITLE} config is for one process, got --processes {settings.processes}. Hint: raise --accumulation."
        )
    check_whole_steps(finished, settings, _TITLE)


def _write(finished: Finished, settings: ExportSettings, folder: Path) -> None:
    rows = (json.dumps(plain_row(row), ensure_ascii=False) for row in finished.rows)
    write_lines(folder / "train.jsonl", rows)
    write_lines(folder / "torchtune.yaml", _config(settings))


def _config(settings: ExportSettings) -> list[str]:
    lines = commented(
        f"Tune on train.jsonl in exactly its order. Written by righttime {__version__} for {_TITLE} 0.6.1."
    )
    lines += commented(f"Run in this folder: tune run {_RECIPE} --config torchtune.yaml")
    lines += commented(
        "The recipe drops an incomplete last step and cannot be told otherwise; that these rows fill whole steps was "
        "checked for batch_size and gradient_accumulation_steps as they stand below."
    )
    lines += ["", *commented("For Llama 2 7B; for another model change model, tokenizer and checkpointer.")]
    lines += yaml_lines(_model(settings))
    lines += ["", "# What keeps the order; every one of these is needed, dataset.packed too.", *switched(SWITCHES)]
    lines += yaml_lines({"dataset": _dataset()})
    for switch in SWITCHES:
        if switch.key.startswith("dataset."):
            lines += [*commented(switch.why, "  "), *yaml_lines({switch.key.partition(".")[2]: switch.value}, "  ")]
    lines += ["", *yaml_lines(_training(settings))]
    lines += commented("No lr_scheduler: a decaying rate would confound what a row does with when it comes.")
    return lines


def _model(settings: ExportSettings) -> dict[str, Any]:
    tokenizer = {"_component_": "torchtune.models.llama2.llama2_tokenizer", "path": f"{settings.model}/tokenizer.model"}
    files = [f"pytorch_model-{part:05}-of-00002.bin" for part in (1, 2)]
    checkpointer = {"_component_": "torchtune.training.FullModelHFCheckpointer", "checkpoint_dir": settings.model}
    return {
        "model": {"_component_": "torchtune.models.llama2.llama2_7b"},
        "tokenizer": {**tokenizer, "max_seq_len": settings.max_length},
        "checkpointer": {
            **checkpointer,
            "checkpoint_files": files,
            "recipe_checkpoint": None,
            "output_dir": "output",
            "model_type": "LLAMA2",
        },
        "resume_from_checkpoint": False,
    }


def _dataset() -> dict[str, Any]:
    about = {"_component_": "torchtune.datasets.chat_dataset", "source": "json", "data_files": "train.jsonl"}
    how = {"conversation_column": "messages", "conversation_style": "openai", "train_on_input": False}
    return {**about, "split": "train", **how}


def _training(settings: ExportSettings) -> dict[str, Any]:
    return {
        "batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "optimizer": {"_component_": "torch.optim.AdamW", "lr": settings.learning_rate, "fused": True},
        "optimizer_in_bwd": False,
        "loss": {"_component_": "torchtune.modules.loss.CEWithChunkedOutputLoss"},
        "clip_grad_norm": 1.0,
        "compile": False,
        "device": "cuda" if settings.dtype == "bf16" else "cpu",
        "dtype": settings.dtype,
        "enable_activation_checkpointing": True,
        "enable_activation_offloading": False,
        "seed": 0,
        "output_dir": "output",
        "metric_logger": {"_component_": "torchtune.training.metric_logging.DiskLogger", "log_dir": "output/logs"},
        "log_every_n_steps": 1,
        "log_peak_memory_stats": settings.dtype == "bf16",
    }


TORCHTUNE = Trainer(
    title=_TITLE,
    written_for={"torchtune": "0.6.1"},
    oldest={},
    switches=SWITCHES,
    files=("train.jsonl", "torchtune.yaml"),
    check=_check,
    write=_write,
    run=f"tune run {_RECIPE} --config torchtune.yaml",
)
