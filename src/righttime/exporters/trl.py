"""TRL: `train.jsonl`, `train_trl.py` and a chat template for tokenizers without one.

What the switches do was read in trl 1.16.0 (`trainer/sft_trainer.py`) and transformers 5.23.0 (`trainer.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from righttime.exporters.finished import Finished
from righttime.exporters.quoting import commented, python_literal
from righttime.exporters.settings import ExportSettings, Switch, Trainer
from righttime.exporters.trl_script import SCRIPT, TEMPLATE
from righttime.exporters.turns import check_answered, check_even_rounds, single_answers
from righttime.store import write_lines
from righttime.version import __version__

__all__ = ["TRL"]

_WRITTEN_FOR = {"trl": "1.16.0", "transformers": "5.23.0", "datasets": "5.2.0", "accelerate": "1.15.0"}
_OLDEST = {"transformers": "5.2.0"}

SWITCHES = (
    Switch(
        "train_sampling_strategy",
        "sequential",
        "Without it the rows are drawn at random, whatever shuffle_dataset says; group_by_length would sort them by "
        "length. Before transformers 5.2 there was no such switch.",
    ),
    Switch("shuffle_dataset", False, "True would shuffle the rows before the sampler sees them."),
    Switch("packing", False, "Packing puts the longest rows first (bfd) or cuts rows in two (wrapped)."),
    Switch(
        "accelerator_config", {"even_batches": False}, "True would fill the last round up with the first rows again."
    ),
    Switch("dataloader_drop_last", False, "True would drop the rows of an incomplete last batch."),
    Switch("ignore_data_skip", False, "True would start a resumed run at the front again."),
    Switch("auto_find_batch_size", False, "True would start at the front again with a smaller batch."),
    Switch("num_train_epochs", 1, "Every row once. In a second epoch the same order is played again."),
)


def _check(finished: Finished, settings: ExportSettings) -> None:
    check_answered(finished, "TRL")
    check_even_rounds(finished, settings)


def _write(finished: Finished, settings: ExportSettings, folder: Path) -> None:
    prompts = single_answers(finished.rows)
    rows = (json.dumps(_split(row) if prompts else row, ensure_ascii=False) for row in finished.rows)
    write_lines(folder / "train.jsonl", rows)
    write_lines(folder / "template.jinja", [TEMPLATE])
    write_lines(folder / "train_trl.py", [_script(settings, len(finished.rows), prompts)])


def _split(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as prompt and completion, which TRL masks with any chat template."""
    turns = row["messages"]
    more = {"tools": row["tools"]} if "tools" in row else {}
    return {"id": row["id"], "prompt": turns[:-1], "completion": turns[-1:], **more}


def _script(settings: ExportSettings, rows: int, prompts: bool) -> str:
    switches = []
    for switch in SWITCHES:
        switches += [*commented(switch.why, "    "), f"    {switch.key}={python_literal(switch.value)},"]
    return (
        Template(SCRIPT)
        .substitute(
            version=__version__,
            written_for=python_literal(_WRITTEN_FOR),
            named=", ".join(f"{name} {number}" for name, number in _WRITTEN_FOR.items()),
            model=python_literal(settings.model),
            processes=settings.processes if settings.processes > 1 else "N",
            rows=rows,
            switches="\n".join(switches),
            loss="completion_only_loss" if prompts else "assistant_only_loss",
            batch_size=settings.batch_size,
            accumulation=settings.accumulation,
            max_length=settings.max_length,
            learning_rate=settings.learning_rate,
            bf16=settings.dtype == "bf16",
        )
        .rstrip("\n")
    )


TRL = Trainer(
    title="transformers >= 5.2, TRL",
    written_for=_WRITTEN_FOR,
    oldest=_OLDEST,
    switches=SWITCHES,
    files=("train.jsonl", "template.jinja", "train_trl.py"),
    check=_check,
    write=_write,
    run="python train_trl.py",
)
