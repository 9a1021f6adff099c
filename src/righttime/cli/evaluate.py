"""``righttime evaluate``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import typer

from righttime.cli.app import (
    ARITHMETIC,
    BaseName,
    Device,
    Out,
    Overwrite,
    PositiveExamples,
    Target,
    TargetFields,
    TargetFormat,
    app,
    fields_in,
)
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit, say
from righttime.errors import SettingsError

__all__ = ["AnswerEnding", "evaluate", "named_metrics", "named_sets"]


AnswerEnding = Annotated[
    Literal["token", "template"],
    typer.Option(
        "--answer-end",
        help="Where an answer ends in a chat template: with its end token, or with what the template adds after it, "
        "as in TRL.",
    ),
]


@app.command(rich_help_panel="Evaluate")
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model's folder or hub name, a folder of checkpoint-N folders, or a run.",
        ),
    ],
    target: Target,
    out: Out,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=FILE", help="Another set to evaluate on; may be repeated."),
    ] = None,
    metrics: Annotated[str, typer.Option(help="Any of {metrics}, separated by commas.")] = "loss",
    reward_model: Annotated[
        str | None, typer.Option(help="For reward: a sequence-classification model, a folder or hub name.")
    ] = None,
    form: Annotated[
        Literal["auto", "chat", "paper"],
        typer.Option(help="The tokenizer's chat template, or the paper's User: … Assistant: …"),
    ] = "auto",
    answer_end: AnswerEnding = "token",
    max_length: Annotated[int, typer.Option(help="Most tokens of a row; longer ones are cut.")] = 1024,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.")] = 128,
    keep_answers: Annotated[bool, typer.Option("--keep-answers", help="Keep the answers beside their scores.")] = False,
    sample: Annotated[bool, typer.Option("--sample", help="Sample answers; otherwise greedy.")] = False,
    temperature: Annotated[float, typer.Option(help="With --sample: temperature.")] = 1.0,
    top_p: Annotated[float, typer.Option(help="With --sample: nucleus.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="With --sample: the seed.", show_default="0")] = None,
    batch_tokens: Annotated[int, typer.Option(help="Most tokens of a batch.")] = 4096,
    positive_examples: PositiveExamples = 0,
    target_format: TargetFormat = None,
    target_fields: TargetFields = None,
    run: Annotated[
        str | None, typer.Option(help="The run's name in the result.", show_default="the folder's name")
    ] = None,
    device: Device = None,
    lora_base: Annotated[
        BaseName | None,
        typer.Option(
            help="Of adapters: how their base is held; see tune.",
            show_default="as the run held it that trained them",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure a model row by row.

    Loss, ROUGE, exact match and reward of a model, or of every checkpoint of a run.
    """
    from righttime.cli.evaluation_tables import evaluation_facts, evaluation_tables
    from righttime.evaluation import METRICS, GenerationSettings, MeasureSettings, RewardModel
    from righttime.evaluation import evaluate as measure

    asked = named_metrics(metrics)
    answers = any(METRICS[name].answers for name in asked if name in METRICS)
    if seed is not None and not (sample and answers):
        how = "answers are drawn by chance only with --sample" if answers else "the metrics ask for no answers"
        say(f"note: --seed {seed} changes nothing: {how}.", err=True)
    settings = MeasureSettings(
        metrics=asked,
        generation=GenerationSettings(max_new_tokens, sample, temperature, top_p, seed or 0),
        reward=RewardModel(reward_model, device=device) if reward_model else None,
        batch_tokens=batch_tokens,
        keep_answers=keep_answers,
    )
    values = measure(
        model,
        {"target": tuple(target), **named_sets(sets)},
        out,
        settings,
        form=form,
        answer_end=answer_end,
        max_length=max_length,
        positive_examples=positive_examples,
        target_format=target_format,
        target_fields=fields_in(target_fields, "--target-fields"),
        run=run,
        device=device,
        lora_base=cast(Any, ARITHMETIC.get(lora_base or "", lora_base)),
        overwrite=overwrite,
        say=lambda line: say(in_flags(line), err=True),
        progress=True,
    )
    table = out / "evaluation.parquet"
    emit(
        as_json,
        lambda: {"out": out, "table": table, "means": evaluation_facts(values)},
        lambda: f"{evaluation_tables(values)}\n\nwrote {table}: every row's values",
    )


def named_metrics(metrics: str) -> list[str]:
    """`loss,rouge` as a list."""
    return [name.strip() for name in metrics.split(",") if name.strip()]


def named_sets(sets: list[str] | None) -> dict[str, str]:
    """`NAME=FILE` as a mapping."""
    found: dict[str, str] = {}
    for entry in sets or []:
        name, equals, file = entry.partition("=")
        if not (name and equals and file) or name == "target" or name in found:
            raise SettingsError(f"--set must be NAME=FILE, each name once and none of them target, got {entry!r}.")
        found[name] = file
    return found
