"""``righttime pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import Out, Overwrite, Seed, app
from righttime.cli.output import Json, emit

__all__ = ["pretrain"]


@app.command(rich_help_panel="Train")
def pretrain(
    out: Out,
    text: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A text file to train on as well; may be repeated."),
    ] = None,
    tokens: Annotated[int, typer.Option(min=1000, help="Tokens to train on.")] = 1_000_000,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a tiny base model.

    With its tokenizer, in minutes on a CPU, to try tuning on: it knows words, but no tasks.
    """
    from righttime.training.pretrain import pretrain as made

    about = made(out, text or (), tokens=tokens, seed=seed, overwrite=overwrite, progress=True)
    emit(
        as_json,
        lambda: {"out": out, "model": about},
        lambda: (
            f"wrote a Llama of {about.parameters:,} parameters to {out}: {about.tokens:,} tokens took its loss per "
            f"token on text it had not seen from {about.first_loss:.2f} to {about.held_out_loss:.2f}"
        ),
    )
