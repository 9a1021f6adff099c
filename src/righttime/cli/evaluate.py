"""``righttime evaluate``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.app import Out, Overwrite, PositiveExamples, Target, TargetFields, app, fields_in
from righttime.cli.flags import in_flags
from righttime.errors import SettingsError

__all__ = ["AnswerEnd", "AnswerEnding", "evaluate", "named_sets"]


class AnswerEnd(str, enum.Enum):
    """Where an answer ends."""

    token = "token"
    template = "template"


AnswerEnding = Annotated[
    AnswerEnd,
    typer.Option(
        "--answer-end",
        help="Where an answer ends in a chat template: with its end token, or with what the template adds behind it "
        "(a line break, often), as TRL does.",
    ),
]


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINTS_OR_MODEL",
            help="A model's folder or hub name, a folder of checkpoint-N folders, or a RUN.",
        ),
    ],
    target: Target,
    out: Out,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=FILE", help="Another set to judge on; may be repeated.")
    ] = None,
    metrics: Annotated[str, typer.Option(help="Some of {metrics}, with commas between.")] = "loss",
    reward_model: Annotated[
        str | None, typer.Option(help="For reward: a sequence-classification model, a folder or hub name.")
    ] = None,
    form: Annotated[
        str, typer.Option(help="chat (the tokenizer's template), paper (User: … Assistant: …) or auto.")
    ] = "auto",
    answer_end: AnswerEnding = AnswerEnd.token,
    max_length: Annotated[int, typer.Option(help="Tokens of a row; what is longer is cut at its end.")] = 1024,
    max_new_tokens: Annotated[int, typer.Option(help="The most tokens of an answer.")] = 128,
    sample: Annotated[bool, typer.Option("--sample", help="Draw answers, not the likeliest words.")] = False,
    temperature: Annotated[float, typer.Option(help="With --sample.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="With --sample.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="With --sample: decides what is drawn. [0]")] = None,
    batch_tokens: Annotated[int, typer.Option(help="The most tokens of a batch.")] = 4096,
    positive_examples: PositiveExamples = 0,
    target_fields: TargetFields = None,
    run: Annotated[str | None, typer.Option(help="What to call the run; default: the folder's name.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps, ...; default: the best there is.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure a model, or every checkpoint of a run, row by row: loss, ROUGE, Exact-Match, reward."""
    from righttime.cli.evaluation_tables import evaluation_tables
    from righttime.evaluation import METRICS, GenerationSettings, MeasureSettings, RewardModel
    from righttime.evaluation import evaluate as measure

    asked = [name.strip() for name in metrics.split(",") if name.strip()]
    answers = any(METRICS[name].answers for name in asked if name in METRICS)
    if seed is not None and not (sample and answers):
        how = "answers are drawn by chance only with --sample" if answers else "the metrics ask for no answers"
        typer.echo(f"note: --seed {seed} changes nothing: {how}.", err=True)
    settings = MeasureSettings(
        metrics=asked,
        generation=GenerationSettings(max_new_tokens, sample, temperature, top_p, seed or 0),
        reward=RewardModel(reward_model, device=device) if reward_model else None,
        batch_tokens=batch_tokens,
    )
    values = measure(
        model,
        {"target": tuple(target), **named_sets(sets)},
        out,
        settings,
        form=form,
        answer_end=answer_end.value,
        max_length=max_length,
        positive_examples=positive_examples,
        target_fields=fields_in(target_fields, "--target-fields"),
        run=run,
        device=device,
        overwrite=overwrite,
        say=lambda line: typer.echo(in_flags(line), err=True),
        progress=True,
    )
    typer.echo(evaluation_tables(values))
    typer.echo(f"\nwrote {Path(out) / 'evaluation.parquet'}: every row's values")


def named_sets(sets: list[str] | None) -> dict[str, str]:
    """`NAME=FILE` as a mapping."""
    found: dict[str, str] = {}
    for entry in sets or []:
        name, equals, file = entry.partition("=")
        if not (name and equals and file) or name == "target" or name in found:
            raise SettingsError(f"--set must be NAME=FILE, each name once and none of them target, got {entry!r}.")
        found[name] = file
    return found
