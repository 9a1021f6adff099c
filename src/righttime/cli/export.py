"""``righttime export``."""

from __future__ import annotations

import enum
import shlex
from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import app

__all__ = ["export"]


class Dtype(str, enum.Enum):
    """In which numbers to train."""

    bf16 = "bf16"
    fp32 = "fp32"


@app.command()
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `righttime arrange` wrote.")],
    to: Annotated[str, typer.Option(help="{trainers}; messages is the bare data.")],
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder to write data and config to.")],
    model: Annotated[str | None, typer.Option(help="The model to be trained, a folder or hub name.")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows that one process takes at once.")] = 16,
    accumulation: Annotated[int, typer.Option(help="Batches that one optimizer step sums up.")] = 1,
    processes: Annotated[int, typer.Option(help="Processes that train together.")] = 1,
    max_length: Annotated[int, typer.Option(help="Tokens of a row, after which it is cut.")] = 2048,
    learning_rate: Annotated[float | None, typer.Option(help="Constant over the run. [1e-5, with --lora 1e-4]")] = None,
    dtype: Annotated[Dtype, typer.Option(help="bf16 on a GPU that has it, else fp32.")] = Dtype.bf16,
    lora: Annotated[bool, typer.Option("--lora", help="Train adapters of all linear layers, not all weights.")] = False,
    lora_rank: Annotated[int | None, typer.Option(help="With --lora: the adapters' rank. [16]")] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="With --lora: the adapters' scale, before division by the rank. [twice it]")
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Option("--eval", metavar="FILE", help="Rows to take the loss on while training, in any format."),
    ] = None,
    eval_every: Annotated[
        int | None, typer.Option(metavar="STEPS", help="With --eval: every so many steps. [ten times in the run]")
    ] = None,
    logging_steps: Annotated[int, typer.Option(help="Log the training loss every so many steps.")] = 1,
    report_to: Annotated[
        list[str] | None, typer.Option(help="A tracker: tensorboard, trackio, wandb, mlflow, ...; may be repeated.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished export in DIR.")] = False,
) -> None:
    """Write the order for another trainer: its data format, and a config with every switch that keeps the order."""
    from righttime.cli.flags import in_flags
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
        dtype=dtype.value,
        lora=lora,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        evaluation=evaluation,
        eval_every=eval_every,
        logging_steps=logging_steps,
        report_to=tuple(name for name in report_to or () if name != "none"),
    )
    done = write(out, to, folder, settings, overwrite)
    for note in done.notes:
        typer.echo(f"note: {printable(in_flags(note))}")
    typer.echo(f"wrote {done.rows:,} rows in order for {done.trainer.title} to {folder}")
    if done.evaluation:
        typer.echo(f"wrote {done.evaluation:,} rows to evaluate on, {folder / 'eval.jsonl'}")
    if done.run:
        typer.echo(f"train: cd {shlex.quote(str(folder))} && {done.run}")
