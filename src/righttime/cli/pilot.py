"""``righttime pilot``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from righttime.cli.app import EMBEDDING, Fields, Out, Pools, RepeatedIds, Target, TargetFields, app, fields_in
from righttime.cli.evaluate import named_sets
from righttime.cli.experiment import run_and_tell
from righttime.cli.output import Json

if TYPE_CHECKING:
    from righttime.analysis import Analysis

__all__ = ["pilot"]

TRAINING, SAMPLE = "Training", "Replicates"


@app.command(rich_help_panel="Evaluate")
def pilot(
    pool: Pools,
    target: Target,
    budget: Annotated[int, typer.Option(min=1, metavar="ROWS", help="Rows of a run, such as 160.")],
    out: Out,
    order: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="An order to try; may be repeated.", show_default="random, tma, nearest"),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=FILE", help="Another set, where harm may show; may be repeated."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=1, help="How many.", rich_help_panel=SAMPLE)] = 3,
    subsample: Annotated[
        str, typer.Option(metavar="SHARE|N", help="The part of the pool that each draws.", rich_help_panel=SAMPLE)
    ] = "50%",
    judge_share: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="The share of target rows that judge and do not steer; 0 lets all do both.",
            rich_help_panel=SAMPLE,
        ),
    ] = "50%",
    guard: Annotated[
        Literal["remove", "report", "off"],
        typer.Option(
            help="Pool rows that repeat, hold or rephrase target rows: remove, report, or off (same prompts alone).",
            rich_help_panel=SAMPLE,
        ),
    ] = "remove",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Leave out rows of more tokens than this.", rich_help_panel=SAMPLE)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.", rich_help_panel=SAMPLE)] = 0,
    model: Annotated[str, typer.Option(help="The model to tune.", rich_help_panel=TRAINING)] = "smollm2-135m",
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The constant learning rate.", show_default="3e-5; with --lora 3e-4", rich_help_panel=TRAINING
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows of a step.", rich_help_panel=TRAINING)] = 16,
    lora: Annotated[
        bool, typer.Option("--lora", help="Train adapters, not all weights.", rich_help_panel=TRAINING)
    ] = False,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="auto: bfloat16 where the processor computes in it.", rich_help_panel=TRAINING),
    ] = "auto",
    embedder: Annotated[
        str | None, typer.Option(help="As for arrange.", show_default="all-MiniLM-L6-v2", rich_help_panel=EMBEDDING)
    ] = None,
    fields: Fields = None,
    target_fields: TargetFields = None,
    repeated_ids: RepeatedIds = "stop",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how long it takes, by a trial of two steps.")] = False,
    as_json: Json = False,
) -> None:
    """Say which order suits your data.

    A small experiment: some orders, three replicates, few steps, and one paragraph. The same command resumes.
    """
    from righttime.experiment import cells, pilot_experiment
    from righttime.experiment.estimate import estimate_by_runs
    from righttime.experiment.pilot import ORDERS, paragraph
    from righttime.experiment.reading import part_of, share_of

    tuning: dict[str, Any] = {"batch": batch_size, "precision": _precision(precision, out)}
    if learning_rate is not None:
        tuning["learning_rate"] = learning_rate
    if lora:
        tuning["lora"] = {"rank": 16, "alpha": 32, "dropout": 0.0}
    asked = pilot_experiment(
        pool,
        target,
        budget,
        orders=order or ORDERS,
        model=model,
        sets={name: [str(path)] for name, path in named_sets(sets).items()},
        replicates=replicates,
        subsample=part_of(subsample),
        judge_share=share_of(judge_share),
        guard=guard,
        max_tokens=max_tokens,
        seed=seed,
        fields=fields_in(fields),
        target_fields=fields_in(target_fields, "--target-fields"),
        repeated_ids=repeated_ids,
        arranging={"embedder": embedder} if embedder else {},
        tuning=tuning,
    )
    asked.check()
    if dry_run:
        from righttime.cli.dry_run import dry

        dry(asked, out, jobs, as_json)
        return

    def told(analysis: Analysis) -> str:
        took = estimate_by_runs(list(cells(asked, out)))
        return paragraph(analysis, budget, len(analysis.runs), took.seconds / 60 if took else None)

    if run_and_tell(asked, out, jobs, (), "local", as_json, told).count("failed"):
        raise typer.Exit(1)


def _precision(asked: str, out: Path) -> str:
    """How to compute; what was begun on another kind of processor goes on as it began."""
    from righttime.experiment import is_experiment, open_experiment
    from righttime.processor import computes_bfloat16

    if asked == "auto" and is_experiment(out):
        return str(open_experiment(out).tuning.get("precision", "float32"))
    return "bf16" if asked == "bfloat16" or (asked == "auto" and computes_bfloat16()) else "float32"
