"""``righttime export``."""

from __future__ import annotations

import enum
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
    to: Annotated[str, typer.Option(help="trl, axolotl, llamafactory, torchtune, or messages for the bare data.")],
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder to write data and config to.")],
    model: Annotated[str | None, typer.Option(help="The model to be trained, a folder or hub name.")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows that one process takes at once.")] = 16,
    accumulation: Annotated[int, typer.Option(help="Batches that one optimizer step sums up.")] = 1,
    processes: Annotated[int, typer.Option(help="Processes that train together.")] = 1,
    max_length: Annotated[int, typer.Option(help="Tokens of a row, after which it is cut.")] = 2048,
    learning_rate: Annotated[float, typer.Option(help="Constant over the run.")] = 1e-5,
    dtype: Annotated[Dtype, typer.Option(help="bf16 on a GPU that has it, else fp32.")] = Dtype.bf16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished export in DIR.")] = False,
) -> None:
    """Write the order for another trainer: its data format, and a config with every switch that keeps the order."""
    from righttime.exporters import ExportSettings
    from righttime.exporters import export as write

    settings = ExportSettings(model, batch_size, accumulation, processes, max_length, learning_rate, dtype.value)
    done = write(out, to, folder, settings, overwrite)
    for note in done.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"wrote {done.rows:,} rows in order for {done.trainer.title} to {folder}")
    if done.trainer.run:
        typer.echo(f"train: cd {folder} && {done.trainer.run}")
