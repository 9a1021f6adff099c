"""``righttime export``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from righttime.cli.app import OLD_PRECISIONS, Out, Overwrite, app
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit

if TYPE_CHECKING:
    from righttime.exporters import Exported

__all__ = ["export"]


TRAINING = "Training"
_ATLAS = "embedding-atlas"
_DTYPES: Mapping[str, Literal["bf16", "fp32"]] = {"bfloat16": "bf16", "float32": "fp32"}
"""As configs and manifests of exports have them."""


@app.command(
    rich_help_panel="Train",
    old_options={"--dir": "--out", "--dtype": "--precision"},
    old_values={"--precision": OLD_PRECISIONS},
)
def export(
    arrangement: Annotated[
        Path, typer.Argument(metavar="ARRANGEMENT", help="A folder that `righttime arrange` wrote.")
    ],
    to: Annotated[str, typer.Option(help="{trainers}; messages is the data alone. embedding-atlas: rows to look at.")],
    out: Out,
    model: Annotated[str | None, typer.Option(help="The model to be trained, a folder or hub name.")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows of one batch of one process.", rich_help_panel=TRAINING)] = 16,
    accumulation: Annotated[int, typer.Option(help="Batches of one optimizer step.", rich_help_panel=TRAINING)] = 1,
    processes: Annotated[int, typer.Option(help="Processes that train together.", rich_help_panel=TRAINING)] = 1,
    max_length: Annotated[
        int, typer.Option(help="Most tokens of a row; longer ones are cut.", rich_help_panel=TRAINING)
    ] = 2048,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Constant over the run.", show_default="1e-5, with --lora 1e-4", rich_help_panel=TRAINING),
    ] = None,
    precision: Annotated[
        Literal["bfloat16", "float32"],
        typer.Option(help="bfloat16 for GPUs that have it, otherwise float32.", rich_help_panel=TRAINING),
    ] = "bfloat16",
    lora: Annotated[
        bool,
        typer.Option("--lora", help="Train adapters of all linear layers, not all weights.", rich_help_panel=TRAINING),
    ] = False,
    lora_rank: Annotated[
        int | None, typer.Option(help="With --lora: the adapters' rank.", show_default="16", rich_help_panel=TRAINING)
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(
            help="With --lora: the adapters' scale, before division by the rank.",
            show_default="twice the rank",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Option(
            "--eval",
            metavar="FILE",
            help="Rows to evaluate the loss on while training.",
            rich_help_panel="Evaluation and logging",
        ),
    ] = None,
    eval_every: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS",
            help="With --eval: evaluate every STEPS steps.",
            show_default="ten times in the run",
            rich_help_panel="Evaluation and logging",
        ),
    ] = None,
    logging_steps: Annotated[
        int,
        typer.Option(
            metavar="STEPS", help="Log the training loss every STEPS steps.", rich_help_panel="Evaluation and logging"
        ),
    ] = 1,
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            help="A tracker: tensorboard, trackio, wandb, mlflow, ...; may be repeated.",
            rich_help_panel="Evaluation and logging",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write the order for another trainer.

    The data in the trainer's format, and a config with every setting that keeps the order.
    """
    if to == _ATLAS:
        _atlas(arrangement, out, overwrite, as_json)
        return
    from righttime.cli.text import printable
    from righttime.exporters import ExportSettings
    from righttime.exporters import export as write

    settings = ExportSettings(
        model=model,
        batch_size=batch_size,
        accumulation=accumulation,
        processes=processes,
        max_length=max_length,
        learning_rate=learning_rate,
        dtype=_DTYPES[precision],
        lora=lora,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        evaluation=evaluation,
        eval_every=eval_every,
        logging_steps=logging_steps,
        report_to=tuple(name for name in report_to or () if name != "none"),
    )
    done = write(arrangement, to, out, settings, overwrite)
    emit(as_json, lambda: _facts(done), lambda: printable("\n".join(_lines(done))))


def _atlas(arrangement: Path, out: Path, overwrite: bool, as_json: bool) -> None:
    from righttime.cli.text import printable
    from righttime.report.atlas import export_atlas

    done = export_atlas(arrangement, out, overwrite=overwrite)
    facts = {"out": done.folder, "trainer": None, "rows": done.rows, "run": done.run, "notes": done.notes}
    lines = [
        *(f"note: {note}" for note in done.notes),
        f"wrote {done.rows:,} rows for Embedding Atlas to {done.folder}",
    ]
    lines.append(f"look: cd {shlex.quote(str(done.folder))} && {done.run}")
    emit(as_json, lambda: {**facts, "evaluation_rows": 0}, lambda: printable("\n".join(lines)))


def _facts(done: Exported) -> dict[str, Any]:
    return {
        "out": done.folder,
        "trainer": done.trainer.title,
        "rows": done.rows,
        "evaluation_rows": done.evaluation,
        "run": done.run or None,
        "notes": done.notes,
    }


def _lines(done: Exported) -> Iterator[str]:
    yield from (f"note: {in_flags(note)}" for note in done.notes)
    yield f"wrote {done.rows:,} rows in order for {done.trainer.title} to {done.folder}"
    if done.evaluation:
        yield f"wrote {done.evaluation:,} rows to evaluate on, {done.folder / 'eval.jsonl'}"
    if done.run:
        yield f"train: cd {shlex.quote(str(done.folder))} && {done.run}"
