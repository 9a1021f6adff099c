"""torchtune: `train.jsonl` and `torchtune.yaml`, for Llama 2 7B in one process.

What the switches do was read in torchtune 0.6.1, the last release: `recipes/full_finetune_single_device.py` and
`recipes/lora_finetune_single_device.py` (sampler, last batch, last step), `torchtune/datasets` (packing),
`torchtune/data/_messages.py` (turns).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from righttime.errors import SettingsError
from righttime.exporters.data import ExportData
from righttime.exporters.quoting import commented, switched, yaml_lines
from righttime.exporters.settings import ExportSettings, Switch, Trainer, Written, check_trackers
from righttime.exporters.turns import check_alternating, check_plain, check_whole_steps, plain_row, write_rows
from righttime.store import write_lines
from righttime.version import __version__

__all__ = ["TORCHTUNE"]

_TITLE = "torchtune"

_TRACKERS: Mapping[str, Mapping[str, Any]] = {
    "comet_ml": {"_component_": "torchtune.training.metric_logging.CometLogger", "project": "righttime"},
    "mlflow": {"_component_": "torchtune.training.metric_logging.MLFlowLogger", "experiment_name": "righttime"},
    "tensorboard": {"_component_": "torchtune.training.metric_logging.TensorBoardLogger", "log_dir": "output/logs"},
    "wandb": {"_component_": "torchtune.training.metric_logging.WandBLogger", "project": "righttime"},
}
"""The logger for a tracker, by its name in transformers; without one, a text file."""

SWITCHES = (
    Switch("shuffle", False, "The sampler would draw the rows at random, anew in each epoch."),
    Switch("dataset.packed", False, "Packing would cut the rows into pieces of max_seq_len tokens."),
    Switch("max_steps_per_epoch", None, "A number would leave out the rows behind it."),
    Switch("epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


def _check(data: ExportData, settings: ExportSettings) -> None:
    check_trackers(settings, _TITLE, _TRACKERS)
    if len(settings.report_to) > 1:
        raise SettingsError(
            f"{_TITLE} reports to one tracker, got {', '.join(settings.report_to)}. Hint: name one with `report_to`.",
            setting="report_to",
        )
    if data.evaluation:
        raise SettingsError(
            f"{_TITLE}'s recipes for one process (0.6.1) take no loss on other rows while training, got `evaluation`. "
            "Hint: leave it out, and take the loss of the finished model with righttime evaluate.",
            setting="evaluation",
        )
    if data.kind == "messages":
        check_plain(data, _TITLE)
        check_alternating(data, _TITLE)
    if settings.processes > 1:
        raise SettingsError(
            f"the {_TITLE} config is for one process, got `processes={settings.processes}`. "
            f"Hint: raise `accumulation`.",
            setting="processes",
        )
    check_whole_steps(data, settings, _TITLE)


def _write(data: ExportData, settings: ExportSettings, folder: Path) -> Written:
    write_rows(data, folder, plain_row if data.kind == "messages" else dict)
    write_lines(folder / "torchtune.yaml", _config(data, settings))
    return Written(_run(settings))


def _run(settings: ExportSettings) -> str:
    recipe = "lora_finetune_single_device" if settings.lora else "full_finetune_single_device"
    return f"tune run {recipe} --config torchtune.yaml"


def _config(data: ExportData, settings: ExportSettings) -> list[str]:
    lines = commented(
        f"Tune on train.jsonl in exactly its order. Written by righttime {__version__} for {_TITLE} 0.6.1."
    )
    lines += commented(f"Run in this folder: {_run(settings)}")
    lines += commented(
        "The recipe drops an incomplete last step and cannot be told otherwise; that these rows fill whole steps was "
        "checked for batch_size and gradient_accumulation_steps as they stand below."
    )
    lines += ["", *commented("For Llama 2 7B; for another model change model, tokenizer and checkpointer.")]
    lines += yaml_lines(_model(settings))
    lines += ["", "# What keeps the order; every one of these is needed, dataset.packed too.", *switched(SWITCHES)]
    lines += yaml_lines({"dataset": _texts() if data.kind == "text" else _dataset()})
    for switch in SWITCHES:
        if switch.key.startswith("dataset."):
            lines += [*commented(switch.why, "  "), *yaml_lines({switch.key.partition(".")[2]: switch.value}, "  ")]
    return [*lines, "", *yaml_lines(_training(settings)), *_schedule(settings)]


def _schedule(settings: ExportSettings) -> list[str]:
    if not settings.lora:
        return commented("No lr_scheduler: a decaying rate would confound what a row does with when it comes.")
    lines = commented(
        "The recipe wants a schedule. Not one cycle of the cosine, which is 1 throughout, keeps the rate constant: a "
        "decaying rate would confound what a row does with when it comes."
    )
    schedule = {"_component_": "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup"}
    return [*lines, *yaml_lines({"lr_scheduler": {**schedule, "num_warmup_steps": 0, "num_cycles": 0}})]


def _model(settings: ExportSettings) -> dict[str, Any]:
    tokenizer = {"_component_": "torchtune.models.llama2.llama2_tokenizer", "path": f"{settings.model}/tokenizer.model"}
    files = [f"pytorch_model-{part:05}-of-00002.bin" for part in (1, 2)]
    checkpointer = {"_component_": "torchtune.training.FullModelHFCheckpointer", "checkpoint_dir": settings.model}
    return {
        "model": _adapted(settings) if settings.lora else {"_component_": "torchtune.models.llama2.llama2_7b"},
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


def _adapted(settings: ExportSettings) -> dict[str, Any]:
    """The model with adapters of all linear layers of every block."""
    return {
        "_component_": "torchtune.models.llama2.lora_llama2_7b",
        "lora_attn_modules": ["q_proj", "k_proj", "v_proj", "output_proj"],
        "apply_lora_to_mlp": True,
        "apply_lora_to_output": False,
        "lora_rank": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
    }


def _dataset() -> dict[str, Any]:
    about = {"_component_": "torchtune.datasets.chat_dataset", "source": "json", "data_files": "train.jsonl"}
    how = {"conversation_column": "messages", "conversation_style": "openai", "train_on_input": False}
    return {**about, "split": "train", **how}


def _texts() -> dict[str, Any]:
    about = {"_component_": "torchtune.datasets.text_completion_dataset", "source": "json", "data_files": "train.jsonl"}
    return {**about, "split": "train", "column": "text", "add_eos": True}


def _training(settings: ExportSettings) -> dict[str, Any]:
    to_a_file = {"_component_": "torchtune.training.metric_logging.DiskLogger", "log_dir": "output/logs"}
    own = {"save_adapter_weights_only": False} if settings.lora else {"optimizer_in_bwd": False}
    return {
        "batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "optimizer": {"_component_": "torch.optim.AdamW", "lr": settings.rate, "fused": True},
        **own,
        "loss": {"_component_": "torchtune.modules.loss.CEWithChunkedOutputLoss"},
        "clip_grad_norm": 1.0,
        "compile": False,
        "device": "cuda" if settings.dtype == "bf16" else "cpu",
        "dtype": settings.dtype,
        "enable_activation_checkpointing": True,
        "enable_activation_offloading": False,
        "seed": 0,
        "output_dir": "output",
        "metric_logger": _TRACKERS[settings.report_to[0]] if settings.report_to else to_a_file,
        "log_every_n_steps": settings.logging_steps,
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
    run="`tune run full_finetune_single_device --config torchtune.yaml`, with adapters `lora_finetune_single_device`",
    kinds=frozenset({"messages", "text"}),
)
