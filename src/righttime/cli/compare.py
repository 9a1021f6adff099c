"""``righttime compare``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from righttime.cli.analysis_text import orders_table
from righttime.cli.app import Out, Overwrite, app
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit, say
from righttime.cli.text import printable
from righttime.errors import SettingsError

if TYPE_CHECKING:
    from righttime.analysis import Analysis, GivenRun

__all__ = ["compare"]


@app.command(rich_help_panel="Evaluate")
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN|EVAL|EXP...",
            help="Runs of `righttime tune --target`, or folders of `righttime evaluate`; the k-th of each name is its "
            "replicate k. Without a name: the method of the run's arrangement, or the folder's name. Or experiments: "
            "all of their finished runs.",
        ),
    ],
    out: Out,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What the others are compared with.", show_default="random; of an experiment its own"
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="SET", help="The set whose loss decides.", show_default="target; of experiments judge"),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Say which order lowers the loss.

    Runs that exist are compared, paired by replicate; each difference has its interval.
    """
    from righttime.analysis import analyse, read_given, write_comparison
    from righttime.analysis.write import prepare_comparison

    prepare_comparison(out, overwrite)
    given, stated, usual = _given(runs)
    analysis = analyse(read_given(given), baseline or stated, judge or usual)
    found = write_comparison(analysis, out, overwrite)
    emit(as_json, lambda: {"out": out, **found}, lambda: _text(analysis, found["verdict"], out))
    for note in analysis.notes:
        say(f"note: {in_flags(note)}", err=True)
    if not (out / "curves.svg").exists():
        say("no figures: they take matplotlib (pip install righttime[report])", err=True)


def _given(words: list[str]) -> tuple[list[GivenRun], str, str]:
    """Runs, those of experiments among them; and baseline and judge: as stated, where all are of one experiment."""
    from righttime.analysis import given_runs
    from righttime.experiment import finished_runs, is_experiment, open_experiment

    found, plain, stated = [], [], set()
    for word in words:
        name, equals, path = word.partition("=")
        folder = Path(path if equals and not Path(word).is_dir() else word)
        if not is_experiment(folder):
            plain.append(word)
            continue
        prefix = f"{name}/" if folder != Path(word) else ""
        stated.add(prefix + open_experiment(folder).baseline)
        found += [dataclasses.replace(run, name=prefix + run.name) for run in finished_runs(folder)]
    pairs = {(run.name, run.replicate) for run in found}
    if len(pairs) < len(found):
        raise SettingsError(
            "runs of several experiments must have different names, but some have one order and replicate. "
            "Hint: name experiments, such as a=EXP1 b=EXP2."
        )
    baseline = stated.pop() if len(stated) == 1 and not plain else "random"
    return [*found, *given_runs(plain)], baseline, "target" if plain else "judge"


def _text(analysis: Analysis, verdict: str, out: Path) -> str:
    """A table, the paragraph, and where the rest lies."""
    return f"{orders_table(analysis)}\n\n{printable(verdict)}\n\nwrote {out / 'compare.json'}, tables and figures"
