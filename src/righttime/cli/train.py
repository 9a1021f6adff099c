"""Commands that train: tune, verify, pretrain."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from righttime.cli.app import app
from righttime.cli.evaluate import AnswerEnd, AnswerEnding, named_sets
from righttime.errors import SettingsError

__all__ = ["pretrain", "tune", "verify"]


class Preset(str, enum.Enum):
    """Named settings."""

    constant = "constant"
    paper = "paper"


class Schedule(str, enum.Enum):
    """How the learning rate goes."""

    constant = "constant"
    cosine = "cosine"


class FormOfText(str, enum.Enum):
    """How a row is written for the model."""

    auto = "auto"
    chat = "chat"
    paper = "paper"


class Precision(str, enum.Enum):
    """Arithmetic of the model."""

    float32 = "float32"
    bf16 = "bf16"


@app.command()
def tune(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `righttime arrange` wrote.")],
    model: Annotated[str, typer.Option(help="The model to tune: a folder or hub name, with safetensors weights.")],
    run: Annotated[Path, typer.Option(metavar="RUN", help="The folder to write to; a stopped run there goes on.")],
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="Rows to measure the loss on while training; several are one target."),
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="With --target: at step 0, every K steps, and at the end.")
    ] = None,
    evaluate_at: Annotated[
        str | None,
        typer.Option(metavar="STEPS", help="With --target: at these steps, such as 0,1,2,4,8,16, and at the end."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=FILE", help="With --target: another set, where harm may show; repeatable."),
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="constant: the defaults, to compare orders; paper: the settings of the paper's code.")
    ] = Preset.constant,
    batch: Annotated[
        int | None, typer.Option("--batch", "--batch-size", min=1, help="Rows at once, of each process. [16]")
    ] = None,
    accumulation: Annotated[int | None, typer.Option(min=1, help="Batches of one optimizer step. [1]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often every row is consumed. [1]")] = None,
    curriculum_then_shuffle: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Follow the order for N steps only, then shuffle.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The (highest) learning rate. [1e-5, paper: 1e-6, with --lora 1e-4]")
    ] = None,
    schedule: Annotated[
        Schedule | None, typer.Option(help="constant, or cosine to a tenth. [constant, paper: cosine]")
    ] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Steps in which the rate rises from 0. [0]")] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a row; longer ones are cut, and counted. [2048 or the model's]")
    ] = None,
    form: Annotated[
        FormOfText | None,
        typer.Option(help="The tokenizer's chat template, or the paper's User: ... Assistant: [chat if it has one]"),
    ] = None,
    answer_end: AnswerEnding = AnswerEnd.token,
    lora: Annotated[bool, typer.Option("--lora", help="Train adapters of all linear layers, not all weights.")] = False,
    lora_rank: Annotated[
        int, typer.Option(min=1, help="With --lora: the adapters' rank; their alpha is twice it.")
    ] = 16,
    precision: Annotated[
        Precision | None, typer.Option(help="bf16: bfloat16 arithmetic on float32 weights. [float32]")
    ] = None,
    recompute: Annotated[bool, typer.Option("--recompute", help="Recompute activations, for less memory.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Decides what is drawn by chance: shuffles, adapters, dropout. [0]")
    ] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="A checkpoint every so many steps. [500]")] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="Checkpoints to keep; 0 keeps all. [2]")] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="A tracker: tensorboard, trackio, wandb, mlflow, ...; may be repeated.")
    ] = None,
    allow_reorder: Annotated[
        bool, typer.Option("--allow-reorder", help="Record rows that are out of order, and go on.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take away what is in RUN, and begin anew.")] = False,
) -> None:
    """Fine-tune a model in exactly the order of an arrangement, and record every row as the model is fed it."""
    from righttime.cli.evaluation_tables import evaluation_tables
    from righttime.evaluation import read_evaluation
    from righttime.evaluation.while_training import dense_evaluation
    from righttime.training import Lora, TuneSettings
    from righttime.training import tune as tuned
    from righttime.training.picture import NO_PICTURE

    given: dict[str, Any] = {
        "batch": batch,
        "accumulation": accumulation,
        "epochs": epochs,
        "shuffle_after": curriculum_then_shuffle,
        "learning_rate": learning_rate,
        "schedule": schedule and schedule.value,
        "warmup": warmup,
        "max_length": max_length,
        "form": form and form.value,
        "answer_end": answer_end.value,
        "precision": precision and precision.value,
        "seed": seed,
        "save_every": save_every,
        "keep": keep,
        "report_to": tuple(report_to) if report_to else None,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if keep == 0:
        changes["keep"] = None
    flags = {"lora": Lora(lora_rank, 2 * lora_rank) if lora else None, "recompute": recompute}
    settings = TuneSettings.preset(preset.value, **changes, **flags, allow_reorder=allow_reorder)
    callbacks: Sequence[Any] = ()
    steps = _steps_in(evaluate_at)
    if target and (evaluate_every is not None or steps):
        measured = {"target": tuple(target), **named_sets(sets)}
        ends = settings.answer_end
        when: dict[str, Any] = {"every": evaluate_every, "at": steps}
        callbacks = [dense_evaluation(run, model, measured, **when, form=settings.form, answer_end=ends)]
    elif target or evaluate_every is not None or steps or sets:
        raise SettingsError(
            "--target and --evaluate-every go together (or --evaluate-at), and --set goes with them; got only some. "
            "Hint: --target FILE --evaluate-every 10."
        )
    done = tuned(out, model, run, settings, callbacks=callbacks, overwrite=overwrite, progress=True, say=typer.echo)
    if done.main:
        counts = done.manifest["counts"]
        proven = done.manifest["first_difference"] or "in the planned order, each row once in each epoch"
        typer.echo(f"consumed {counts['consumed']:,} rows in {counts['steps']:,} steps: {proven}")
        if callbacks:
            typer.echo(f"\n{evaluation_tables(read_evaluation(run / 'evaluation'))}\n")
            typer.echo(f"every row's values are in {run / 'evaluation' / 'evaluation.parquet'}")
        picture = run / "loss.png"
        typer.echo(f"the losses along the run are in {picture}" if picture.exists() else NO_PICTURE)
        typer.echo(f"the model is in {run / 'model'}; verify it: righttime verify {run} {out}")


def _steps_in(given: str | None) -> tuple[int, ...]:
    """`0,1,2,4` as numbers; nothing as none.

    Raises:
        SettingsError: If it is not in that form.
    """
    words = [] if given is None else [word.strip() for word in given.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise SettingsError(f"--evaluate-at must be steps with commas between, such as 0,1,2,4,8, got {given!r}.")
    return tuple(map(int, words))


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `righttime tune` wrote.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that `righttime arrange` wrote.")],
) -> None:
    """Compare the rows that a model was fed with the order of an arrangement; exit code 1 where they differ."""
    from righttime.verification.run import verify as verified

    findings = verified(run, out)
    for finding in findings:
        mark = "ok     " if finding.ok else "FAILED "
        typer.echo(mark + finding.what + (f": {finding.detail}" if finding.detail else ""))
    failed = sum(not finding.ok for finding in findings)
    if failed:
        typer.echo(
            f"{failed} of {len(findings)} checks failed: it is not proven that {run} trained in {out}'s order.",
            err=True,
        )
        raise typer.Exit(1)


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(metavar="MODEL", help="The folder to write the model to.")],
    text: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A text file to read as well; may be repeated.")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1000, help="Tokens to train on.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn by chance.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished model in MODEL.")] = False,
) -> None:
    """Make a tiny base model and its tokenizer, in minutes on a CPU, to try tuning on: it knows words, and no tasks."""
    from righttime.training.pretrain import pretrain as made

    about = made(out, text or (), tokens=tokens, seed=seed, overwrite=overwrite, progress=True)
    typer.echo(
        f"wrote a Llama of {about.parameters:,} parameters to {out}: {about.tokens:,} tokens took its loss per token "
        f"on text it had not seen from {about.first_loss:.2f} to {about.held_out_loss:.2f}"
    )
