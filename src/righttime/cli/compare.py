"""``righttime compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from righttime.cli.app import Out, Overwrite, app
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit
from righttime.cli.text import printable, table

if TYPE_CHECKING:
    from righttime.analysis import Analysis

__all__ = ["compare"]


@app.command(rich_help_panel="Evaluate")
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN|EVAL...",
            help="Runs of `righttime tune --target`, or folders of `righttime evaluate`; the k-th of each name is its "
            "replicate k. Without a name: the method of the run's arrangement, or the folder's name.",
        ),
    ],
    out: Out,
    baseline: Annotated[str, typer.Option(metavar="NAME", help="What the others are compared with.")] = "random",
    judge: Annotated[str, typer.Option(metavar="SET", help="The set whose loss decides.")] = "target",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Say which order lowers the loss.

    Runs that exist are compared, paired by replicate; each difference has its interval.
    """
    from righttime.analysis import analyse, read_runs, write_comparison
    from righttime.analysis.write import prepare_comparison

    prepare_comparison(out, overwrite)
    analysis = analyse(read_runs(runs), baseline, judge)
    found = write_comparison(analysis, out, overwrite)
    emit(as_json, lambda: {"out": out, **found}, lambda: _text(analysis, found["verdict"], out))
    for note in analysis.notes:
        typer.echo("note: " + printable(in_flags(note)), err=True)
    if not (out / "curves.svg").exists():
        typer.echo("no figures: they take matplotlib (pip install righttime[report])", err=True)


def _text(analysis: Analysis, verdict: str, out: Path) -> str:
    """A table, the paragraph, and where the rest lies."""
    return f"{_table(analysis)}\n\n{printable(verdict)}\n\nwrote {out / 'compare.json'}, tables and figures"


def _table(analysis: Analysis) -> str:
    """Each order in one line."""
    lines = []
    for order in dict.fromkeys(run.order for run in analysis.runs):
        here = [run for run in analysis.runs if run.order == order]
        onsets = sorted(one.step for one in analysis.onsets if one.order == order and one.step is not None)
        onset = "-" if not onsets else f"{onsets[0]:,}" + (f" to {onsets[-1]:,}" if onsets[-1] > onsets[0] else "")
        means = [sum(getattr(run, name) for run in here) / len(here) for name in ("first", "last", "area")]
        lines.append([order, str(len(here)), *(f"{mean:.4f}" for mean in means), onset])
    first, last = analysis.steps[0], analysis.steps[-1]
    return table(["order", "replicates", f"step {first:,}", f"step {last:,}", "area", "onset"], lines)
