"""LLaMA-Factory: `train.jsonl`, `dataset_info.json` and `llamafactory.yaml`.

What the switches do was read in llamafactory 0.9.5: `train/sft/trainer.py`, `train/pt/trainer.py` and
`train/dpo/trainer.py` (sampler), `data/loader.py` (sampling, cache), `data/data_utils.py` (merging, validation,
streaming), `data/converter.py`, and `supervised.py`, `pretrain.py` and `pairwise.py` of `data/processor` (rows skipped,
packing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from righttime.examples import Kind
from righttime.exporters.data import ExportData
from righttime.exporters.llamafactory_templates import Template, chosen_template
from righttime.exporters.quoting import commented, switched, yaml_lines
from righttime.exporters.settings import EVEN_BATCHES, ExportSettings, Switch, Trainer, Written
from righttime.exporters.turns import (
    check_alternating,
    check_even_rounds,
    check_plain,
    conversations,
    plain_row,
    write_rows,
)
from righttime.store import write_json, write_lines
from righttime.version import __version__

__all__ = ["LLAMA_FACTORY"]

_TITLE = "LLaMA-Factory"
_DATASET, _EVALUATION = "righttime", "righttime_eval"
_RUN = "llamafactory-cli train llamafactory.yaml"

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
    EVEN_BATCHES,
    Switch("ignore_data_skip", False, "True would start a resumed run at the front again."),
    Switch("num_train_epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


_STAGES: Mapping[Kind, str] = {"messages": "sft", "text": "pt", "preference": "dpo"}


def _check(data: ExportData, settings: ExportSettings) -> None:
    for said in _conversations(data):
        check_plain(said, _TITLE)
        check_alternating(said, _TITLE)
    check_even_rounds(data, settings)


def _conversations(data: ExportData) -> list[ExportData]:
    """What of the rows goes through a chat template."""
    if data.kind == "preference":
        return [conversations(data, "chosen"), conversations(data, "rejected")]
    return [data] if data.kind == "messages" else []


def _write(data: ExportData, settings: ExportSettings, folder: Path) -> Written:
    said = [row for some in _conversations(data)[:1] for _, row in some.placed_rows]
    template = chosen_template(str(settings.model), said) if said else None
    write_rows(data, folder, _ROWS[data.kind])
    sets = {_DATASET: "train.jsonl", **({_EVALUATION: "eval.jsonl"} if data.evaluation else {})}
    write_json(folder / "dataset_info.json", {name: _dataset(file, data.kind) for name, file in sets.items()})
    write_lines(folder / "llamafactory.yaml", _config(data, settings, template))
    return Written(_RUN, [] if template is None or template.sure else [template.why])


def _plain_preference(row: Mapping[str, Any]) -> dict[str, Any]:
    turns = {key: [{"role": turn["role"], "content": turn["content"]} for turn in row[key]] for key in _ANSWERED}
    return {
        "id": row["id"],
        "messages": turns["prompt"],
        "chosen": turns["chosen"][0],
        "rejected": turns["rejected"][0],
    }


_ANSWERED = ("prompt", "chosen", "rejected")
_ROWS: Mapping[Kind, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "messages": plain_row,
    "text": dict,
    "preference": _plain_preference,
}


def _dataset(file: str, kind: Kind) -> dict[str, object]:
    if kind == "text":
        return {"file_name": file, "formatting": "alpaca", "columns": {"prompt": "text"}}
    # Every tag is named: one that is missing becomes none at all, not its default. No num_samples: it draws at random.
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    tags |= {"system_tag": "system", "observation_tag": "tool", "function_tag": "function_call"}
    answers = {key: key for key in ("chosen", "rejected")} if kind == "preference" else {}
    ranked = {"ranking": True} if answers else {}
    columns = {"messages": "messages", **answers}
    return {"file_name": file, "formatting": "sharegpt", **ranked, "columns": columns, "tags": tags}


def _config(data: ExportData, settings: ExportSettings, template: Template | None) -> list[str]:
    lines = commented(
        f"Tune on train.jsonl in exactly its order. Written by righttime {__version__} for {_TITLE} 0.9.5."
    )
    lines += commented(f"Run in this folder: {_RUN}")
    lines += ["", *yaml_lines({"model_name_or_path": settings.model, "stage": _STAGES[data.kind], "do_train": True})]
    lines += [*_weights(settings), *yaml_lines({"dataset": _DATASET, "dataset_dir": "."})]
    if template is not None:
        lines += [*commented(template.why), *yaml_lines({"template": template.name})]
    lines += [*yaml_lines({"cutoff_len": settings.max_length}), *_loss(data.kind)]
    lines += ["", "# What keeps the order; every one of these is needed.", *switched(SWITCHES)]
    return [*lines, *_evaluation(data, settings), *_training(settings)]


def _loss(kind: Kind) -> list[str]:
    if kind == "text":
        return commented(
            "The loss is on every token of the texts; where the padding token is the end-of-text token, on that not."
        )
    if kind == "preference":
        why = "The loss of the paper of DPO, and how closely the model is held to where it began: the defaults."
        return [*commented(why), *yaml_lines({"pref_loss": "sigmoid", "pref_beta": 0.1})]
    why = "The loss is on all answers and on nothing else."
    return [*commented(why), *yaml_lines({"train_on_prompt": False, "mask_history": False})]


def _weights(settings: ExportSettings) -> list[str]:
    if not settings.lora:
        return yaml_lines({"finetuning_type": "full"})
    lines = commented("Adapters of all linear layers; the base model stays as it is.")
    lines += yaml_lines({"finetuning_type": "lora", "lora_rank": settings.rank, "lora_alpha": settings.alpha})
    return [*lines, *yaml_lines({"lora_dropout": 0.0, "lora_target": "all"})]


def _training(settings: ExportSettings) -> list[str]:
    lines = ["", *yaml_lines({"per_device_train_batch_size": settings.batch_size})]
    lines += yaml_lines({"gradient_accumulation_steps": settings.accumulation})
    lines += commented("A decaying rate would confound what a row does with when it comes.")
    lines += yaml_lines({"learning_rate": settings.rate, "lr_scheduler_type": "constant"})
    lines += yaml_lines({"bf16": settings.dtype == "bf16", "logging_steps": settings.logging_steps})
    lines += [*yaml_lines({"save_strategy": "epoch", "report_to": list(settings.report_to) or "none"})]
    if "trackio" in settings.report_to:
        lines += yaml_lines({"project": "righttime"})
    lines += commented("A checkpoint that lies there already is resumed from: empty the folder for a new run.")
    return [*lines, *yaml_lines({"output_dir": "output"})]


def _evaluation(data: ExportData, settings: ExportSettings) -> list[str]:
    if not data.evaluation:
        return []
    lines = ["", *commented("The loss on these rows is taken at the start and every eval_steps steps.")]
    lines += yaml_lines({"eval_dataset": _EVALUATION, "eval_strategy": "steps", "eval_on_start": True})
    lines += yaml_lines({"eval_steps": settings.steps_between_evaluations(len(data.rows))})
    return [*lines, *yaml_lines({"per_device_eval_batch_size": settings.batch_size})]


LLAMA_FACTORY = Trainer(
    title=_TITLE,
    written_for={"llamafactory": "0.9.5"},
    oldest={},
    switches=SWITCHES,
    files=("train.jsonl", "eval.jsonl", "dataset_info.json", "llamafactory.yaml"),
    check=_check,
    write=_write,
    run="`llamafactory-cli train llamafactory.yaml`",
    kinds=frozenset({"messages", "text", "preference"}),
)
