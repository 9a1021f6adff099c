"""``righttime experiment``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from righttime.cli.analysis_text import analysis_lines, matrix_table
from righttime.cli.app import Out, app
from righttime.cli.output import Json, emit, say
from righttime.cli.text import printable

if TYPE_CHECKING:
    from righttime.analysis import Analysis
    from righttime.experiment import Experiment, Outcome

__all__ = ["experiment", "run_and_tell"]


@app.command(rich_help_panel="Evaluate")
def experiment(
    file: Annotated[Path, typer.Argument(metavar="EXPERIMENT.yaml", help="What to try; see docs/experiments.md.")],
    out: Out,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, such as tuning.batch_size=8; repeatable."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Runs at a time; they share the machine's cores, or take one GPU each.")
    ] = 1,
    replicate: Annotated[
        list[int] | None, typer.Option(metavar="K", help="Make runs of this replicate only; may be repeated.")
    ] = None,
    on: Annotated[
        str, typer.Option(metavar="local|ray", help="Where runs are made: here, or on the cluster of RAY_ADDRESS.")
    ] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and how long it takes, by a trial of two steps.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare orders over replicates.

    Each order is arranged, tuned and evaluated in each replicate, then all are compared. The same command resumes
    an experiment that was stopped.
    """
    from righttime.experiment import read_experiment

    asked = read_experiment(file, changes or ())
    if dry_run:
        from righttime.cli.dry_run import dry

        dry(asked, out, jobs, as_json, replicate or ())
        return
    found = run_and_tell(asked, out, jobs, replicate or (), on, as_json)
    if found.count("failed"):
        raise typer.Exit(1)


def run_and_tell(
    asked: Experiment, out: Path, jobs: int, replicates: Sequence[int], on: str, as_json: bool, paragraph: Any = None
) -> Outcome:
    """Make the runs, write the analysis, print it."""
    from righttime.experiment import analyse_experiment, run_experiment, write_analysis
    from righttime.experiment.places import place_named

    found = run_experiment(
        asked,
        out,
        jobs=jobs,
        replicates=replicates,
        place=place_named(on),
        progress=True,
        say=lambda line: say(line, err=True),
    )
    analysis = analyse_experiment(out)
    written = write_analysis(out, analysis) if analysis else None
    told = paragraph(analysis) if paragraph and analysis else None
    facts = {"runs": _states(found), "seconds": found.seconds, "paragraph": told, "analysis": written}
    emit(as_json, lambda: facts, lambda: "\n".join(_lines(found, analysis, out, told)))
    return found


def _states(found: Outcome) -> list[dict[str, Any]]:
    return [{"order": cell.order, "replicate": cell.replicate, "state": state} for cell, state in found.states]


def _lines(found: Outcome, analysis: Analysis | None, out: Path, told: str | None) -> list[str]:
    lines = [matrix_table(found)]
    lines += [f"{cell.told} failed: {printable(why)}" for cell, why in found.failures]
    if analysis is None:
        return [*lines, "", "nothing to compare yet: it takes the baseline and another order in one replicate"]
    lines += ["", *analysis_lines(analysis)]
    if told:
        lines += ["", printable(told)]
    return [*lines, "", f"wrote {out / 'analysis'}: numbers, tables and figures"]
