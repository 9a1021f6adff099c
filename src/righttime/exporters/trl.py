"""TRL: `train.jsonl`, `train_trl.py` and a chat template for tokenizers without one.

What the switches do was read in trl 1.16.0 (`trainer/sft_trainer.py`, `trainer/dpo_trainer.py`) and transformers 5.23.0
(`trainer.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from righttime.errors import FormatError
from righttime.exporters.answers import answers_source, learnt
from righttime.exporters.data import ExportData
from righttime.exporters.quoting import commented, python_literal
from righttime.exporters.settings import EVEN_BATCHES, ExportSettings, Switch, Trainer, Written
from righttime.exporters.tokenizers import tokenizer_on_disk
from righttime.exporters.trl_script import (
    READ_CONVERSATIONS,
    READ_PAIRS,
    READ_ROWS,
    SCRIPT,
    TEMPLATE,
    TRAIN,
    TRAIN_WATCHED,
)
from righttime.exporters.turns import check_answered, check_even_rounds, single_answers, write_rows
from righttime.store import write_lines
from righttime.version import __version__

__all__ = ["TRL"]

_WRITTEN_FOR = {"trl": "1.16.0", "transformers": "5.23.0", "datasets": "5.2.0", "accelerate": "1.15.0"}
_ADAPTERS_WRITTEN_FOR = {"peft": "0.21.2"}
_OLDEST = {"transformers": "5.2.0"}
_TRIED = 1000
_NOTHING = "# nothing"  # a line that is taken out again

SWITCHES = (
    Switch(
        "train_sampling_strategy",
        "sequential",
        "Without it the rows are drawn at random, whatever shuffle_dataset says; group_by_length would sort them by "
        "length. Before transformers 5.2 there was no such switch.",
    ),
    Switch("shuffle_dataset", False, "True would shuffle the rows before the sampler sees them."),
    Switch("packing", False, "Packing puts the longest rows first (bfd) or cuts rows in two (wrapped)."),
    EVEN_BATCHES,
    Switch("dataloader_drop_last", False, "True would drop the rows of an incomplete last batch."),
    Switch("ignore_data_skip", False, "True would start a resumed run at the front again."),
    Switch("auto_find_batch_size", False, "True would start at the front again with a smaller batch."),
    Switch("num_train_epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


_NOT_OF_DPO = {"shuffle_dataset", "packing"}
"""Switches of `SFTConfig` that `DPOConfig` has not, since its trainer does neither."""


def _check(data: ExportData, settings: ExportSettings) -> None:
    check_even_rounds(data, settings)
    if data.kind != "messages":
        return
    check_answered(data, "TRL")
    if not single_answers(data) and (tokenizer := tokenizer_on_disk(str(settings.model))):
        _check_answers(data, tokenizer)


def _check_answers(data: ExportData, tokenizer: Any) -> None:
    """Refuse rows whose answers the script would not find; up to a thousand are tried, evenly spread."""
    if tokenizer.chat_template is None:
        tokenizer.chat_template = TEMPLATE
    rows = list(data.placed_rows)
    for place, row in rows[:: -(-len(rows) // _TRIED)]:
        try:
            learnt(list(row["messages"]), row.get("tools"), tokenizer)
        except Exception as error:  # a template may refuse anything, in any way
            raise FormatError(
                f"{place}: the answers of row {row['id']} must be found in the text of {tokenizer.name_or_path}: "
                f"{error}. Hint: leave that row out, or give the tokenizer a chat template with {{% generation %}}."
            ) from error


def _write(data: ExportData, settings: ExportSettings, folder: Path) -> Written:
    pairs = data.kind != "messages" or single_answers(data)
    write_rows(data, folder, _split if pairs and data.kind == "messages" else dict)
    write_lines(folder / "template.jinja", [TEMPLATE])
    write_lines(folder / "train_trl.py", [_script(data, settings, pairs)])
    return Written("python train_trl.py")


def _split(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as prompt and completion, which TRL masks with any chat template."""
    turns = row["messages"]
    more = {"tools": row["tools"]} if "tools" in row else {}
    return {"id": row["id"], "prompt": turns[:-1], "completion": turns[-1:], **more}


def _script(data: ExportData, settings: ExportSettings, pairs: bool) -> str:
    versions = {**_WRITTEN_FOR, **(_ADAPTERS_WRITTEN_FOR if settings.lora else {})}
    switches = []
    preference = data.kind == "preference"
    for switch in (switch for switch in SWITCHES if not (preference and switch.key in _NOT_OF_DPO)):
        switches += [*commented(switch.why, "    "), f"    {switch.key}={python_literal(switch.value)},"]
    whole = READ_PAIRS if data.kind == "messages" else READ_ROWS
    read = whole if pairs else Template(READ_CONVERSATIONS).substitute(answers=answers_source())
    filled = Template(SCRIPT).substitute(
        version=__version__,
        written_for=python_literal(versions),
        named=", ".join(f"{name} {number}" for name, number in versions.items()),
        model=python_literal(settings.model),
        processes=settings.processes if settings.processes > 1 else "N",
        rows=len(data.rows),
        evaluation_rows=len(data.evaluation),
        trainer="DPO" if preference else "SFT",
        contextlib_import="import contextlib" if preference else _NOTHING,
        watching=_WATCHING if preference else _NOTHING,
        train=TRAIN_WATCHED if preference else TRAIN,
        json_import=_NOTHING if pairs else "import json",
        re_import=_NOTHING if pairs else "import re",
        read=f"{read}\n",
        switches="\n".join(switches),
        loss="\n".join(_loss(data, pairs)),
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        max_length=settings.max_length,
        learning_rate=settings.rate,
        bf16=settings.dtype == "bf16",
        evaluation="\n".join(_evaluation(data, settings)) or _NOTHING,
        logging_steps=settings.logging_steps,
        report_to=python_literal(list(settings.report_to) or "none"),
        peft_import="from peft import LoraConfig  # noqa: E402" if settings.lora else _NOTHING,
        peft="\n".join(_adapters(settings)) or _NOTHING,
    )
    return "\n".join(line for line in filled.split("\n") if line != _NOTHING).rstrip("\n")


_WATCHING = "Under righttime's oracle:  python train_trl.py --watch OUT   (the arrangement that this was exported from)"


def _loss(data: ExportData, pairs: bool) -> Iterator[str]:
    if data.kind == "preference":
        yield "    # The loss of the paper of DPO, and how closely the model is held to where it began: TRL's defaults."
        yield '    loss_type="sigmoid",\n    beta=0.1,'
    elif data.kind == "text":
        yield "    # The loss is on every token of the texts."
        yield '    dataset_text_field="text",\n    completion_only_loss=False,'
    elif pairs:
        yield "    # The loss is on the assistant's words alone."
        yield "    completion_only_loss=True,"
    else:
        yield "    # The loss is on the assistant's words alone: the labels say so."


def _evaluation(data: ExportData, settings: ExportSettings) -> Iterator[str]:
    if data.evaluation:
        every = settings.steps_between_evaluations(len(data.rows))
        yield "    # The loss on eval.jsonl is taken at the start and every eval_steps steps."
        yield f'    eval_strategy="steps",\n    eval_steps={every},\n    eval_on_start=True,'
        yield "    per_device_eval_batch_size=BATCH_SIZE,"


def _adapters(settings: ExportSettings) -> Iterator[str]:
    if settings.lora:
        yield "    # Adapters of all linear layers; output holds them alone, the base model stays as it is."
        yield "    peft_config=LoraConfig("
        yield f'        task_type="CAUSAL_LM", r={settings.rank}, lora_alpha={settings.alpha}, lora_dropout=0.0,'
        yield '        target_modules="all-linear",'
        yield "    ),"


TRL = Trainer(
    title="transformers >= 5.2, TRL",
    written_for=_WRITTEN_FOR,
    oldest=_OLDEST,
    switches=SWITCHES,
    files=("train.jsonl", "eval.jsonl", "template.jinja", "train_trl.py"),
    check=_check,
    write=_write,
    run="`python train_trl.py`, or `accelerate launch --num_processes N train_trl.py`",
    kinds=frozenset({"messages", "text", "preference"}),
)
