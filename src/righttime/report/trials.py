"""Sections about runs, experiments and comparisons: curves, differences, onset, harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from righttime import strict_json
from righttime.analysis import PRIMARY, verdict
from righttime.analysis.write import COMPARISON
from righttime.drawing import UNIT
from righttime.errors import StoreError
from righttime.evaluation import means_by, read_evaluation
from righttime.evaluation.folder import VALUES
from righttime.experiment import analyse_experiment, finished_runs, open_experiment
from righttime.experiment.layout import cells, is_finished
from righttime.report.blocks import Block, Chart, Column, Interval, Intervals, Mark, Section, Series, Table, Text
from righttime.report.experiment_rows import agreement_blocks
from righttime.report.trial_provenance import evaluation_facts, run_facts, sets_table
from righttime.store import MANIFEST
from righttime.training.manifest import BEGUN

__all__ = [
    "comparison_section",
    "experiment_section",
    "is_comparison",
    "is_evaluation",
    "is_run",
    "run_section",
]

_BAND = "Bands: 95% t intervals over replicates, at each step alone."

Json = Mapping[str, Any]


def is_run(folder: Path) -> bool:
    """Whether a folder is a run of ``righttime tune``, finished or not."""
    return (folder / BEGUN).is_file()


def is_evaluation(folder: Path) -> bool:
    """Whether a folder is what ``righttime evaluate`` wrote, or the evaluation of a run."""
    return (folder / VALUES).is_file()


def is_comparison(folder: Path) -> bool:
    """Whether a folder is what ``righttime compare`` wrote."""
    return (folder / COMPARISON).is_file()


def run_section(folder: Path, name: str, number: int, known: Mapping[str, Path] | None = None) -> Section:
    """What one run or evaluation is of, and the losses along it, or by its checkpoints.

    Args:
        folder: The run, or the evaluation.
        name: What it is called.
        number: Its number among the trials of a page.
        known: Folders of the arrangements on the page, by the sha256 of their ids in order.
    """
    is_tuned = is_run(folder)
    evaluation = folder / "evaluation" if is_tuned else folder
    blocks: list[Block] = []
    if is_tuned and not (folder / MANIFEST).is_file():
        blocks.append(Text("This run is not finished.", "warning"))
    if is_tuned:
        blocks.append(run_facts(folder, known or {}))
    else:
        blocks += [evaluation_facts(folder), sets_table(folder)]
    trained = _trained(folder) if is_tuned else {}
    by_metric = _means(evaluation) if evaluation.is_dir() else {}
    for metric in sorted(by_metric.keys() | ({PRIMARY} if trained else set()), key=lambda one: (one != PRIMARY, one)):
        series = [
            Series(f"{of_set}, mean over its rows", list(at), list(at.values()))
            for of_set, at in by_metric.get(metric, {}).items()
        ]
        if metric == PRIMARY and trained:
            series.append(Series("training, the rows of a step", list(trained), list(trained.values()), grey=True))
        blocks.append(Chart(metric, "optimizer steps", _y_label(metric), series, caption="One run: no bands."))
    if not by_metric and not trained:
        blocks.append(Text("Nothing was measured along this run.", "warning"))
    return Section(f"run-{number}", f"{'Run' if is_tuned else 'Evaluation'}: {name}", blocks)


def _means(evaluation: Path) -> dict[str, dict[str, dict[int, float]]]:
    """The mean over rows by metric, set and step."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for (of_set, metric, step), means in means_by(read_evaluation(evaluation), "set", "metric", "step").items():
        found.setdefault(metric, {}).setdefault(of_set, {})[step] = means.over_rows
    return found


def _y_label(metric: str) -> str:
    return UNIT if metric == PRIMARY else f"mean {metric}"


def _trained(folder: Path) -> dict[int, float]:
    """The training loss of each step, from the run's log."""
    log = folder / "train_log.jsonl"
    if not log.is_file():
        return {}
    try:
        entries = [strict_json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return {int(entry["step"]): float(entry["loss"]) for entry in entries if "loss" in entry}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{log} must be a log of `righttime tune`, got: {error!r}.") from error


def experiment_section(folder: Path, name: str, number: int) -> Section:
    """An experiment: its runs, and the analysis of those that are finished."""
    experiment = open_experiment(folder)
    every = list(cells(experiment, folder))
    states: dict[str, list[str | None]] = {}
    for cell in every:
        states.setdefault(cell.order, []).append("finished" if is_finished(cell) else "–")
    replicates = max(map(len, states.values()), default=0)
    columns = [Column("order"), *(Column(f"replicate {k + 1}") for k in range(replicates))]
    done = sum(is_finished(cell) for cell in every)
    blocks: list[Block] = []
    if experiment.question:
        blocks.append(Text(experiment.question))
    analysis = analyse_experiment(folder) if done else None
    if analysis is None:
        blocks.append(Text(f"{done} of {len(every)} runs are finished: too few to compare orders.", "warning"))
        blocks += _plain_curves(folder)
    else:
        blocks += _analysis({"verdict": verdict(analysis), **analysis.as_json()})
    blocks.append(Table("Runs", columns, [[order, *states[order]] for order in states]))
    blocks += agreement_blocks(folder)
    return Section(f"experiment-{number}", f"Experiment: {name}", blocks)


def comparison_section(folder: Path, name: str, number: int) -> Section:
    """What ``righttime compare`` wrote.

    Raises:
        StoreError: If it is not readable.
    """
    path = folder / COMPARISON
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
        blocks = list(_analysis(found))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} must be what `righttime compare` wrote, got: {error!r}.") from error
    return Section(f"comparison-{number}", f"Comparison: {name}", blocks)


def _plain_curves(folder: Path) -> Iterator[Chart]:
    by_set: dict[str, list[Series]] = {}
    for run in finished_runs(folder):
        for of_set, losses in _means(run.folder / "evaluation").get(PRIMARY, {}).items():
            name = f"{run.name}, replicate {run.replicate}"
            by_set.setdefault(of_set, []).append(Series(name, list(losses), list(losses.values())))
    for of_set, series in by_set.items():
        yield Chart(f"Loss: {of_set}", "optimizer steps", UNIT, series, caption="Single runs: no bands.")


def _analysis(found: Json) -> Iterator[Block]:
    yield Text(found["verdict"])
    judge = found["judge"]
    yield from _differences(found)
    shown = sorted(
        {(one["set"], one["metric"]) for one in found["curves"]},
        key=lambda key: (key[0] != judge, key[1] != PRIMARY, key),
    )
    for of_set, metric in shown:
        yield _curves(found, of_set, metric)
    yield from _onsets(found["onsets"])
    yield from _harm(found)
    for note in found["notes"]:
        yield Text(note)


def _curves(found: Json, of_set: str, metric: str) -> Chart:
    points = [one for one in found["curves"] if (one["set"], one["metric"]) == (of_set, metric)]
    series = []
    for order in dict.fromkeys(one["order"] for one in points):
        here = [one for one in points if one["order"] == order]
        banded = any(one["band"] for one in here)
        edges = [one["band"] or (one["mean"], one["mean"]) for one in here]
        series.append(
            Series(
                order,
                [one["step"] for one in here],
                [one["mean"] for one in here],
                [edge[0] for edge in edges] if banded else None,
                [edge[1] for edge in edges] if banded else None,
            )
        )
    names = [one.name for one in series]
    first = (
        [
            Mark(one["step"], f"onset of {one['order']}", names.index(one["order"]))
            for one in found["onsets"]
            if one["replicate"] is None and one["step"] is not None and one["order"] in names
        ]
        if (of_set, metric) == (found["judge"], PRIMARY)
        else []
    )
    replicates = max((len(one["each"]) for one in points), default=0)
    told = f"Mean over {replicates} replicates. " + (
        _BAND if any(one.low for one in series) else "No bands: fewer than three replicates, or nothing varies."
    )
    title = f"{'Loss' if metric == PRIMARY else metric}: {of_set} rows"
    return Chart(title, "optimizer steps", _y_label(metric), series, first, told)


def _differences(found: Json) -> Iterator[Block]:
    if not found["differences"]:
        return
    rows = []
    for one in found["differences"]:
        low, high = one["simultaneous"] or (None, None)
        needed = (
            f"; about {one['needed']} replicates would show it"
            if one["needed"] and one["verdict"] == "not told apart"
            else ""
        )
        rows.append(
            Interval(one["order"], one["mean"], low, high, f"{_VERDICTS.get(one['verdict'], one['verdict'])}{needed}")
        )
    yield Intervals(
        f"Difference from {found['baseline']}",
        f"difference in area under the loss curve, {UNIT}; below 0 is better",
        rows,
        "Paired by replicate; the intervals hold for all orders at once with 95%.",
    )


_VERDICTS = {"not told apart": "cannot be distinguished"}


def _onsets(onsets: Sequence[Json]) -> Iterator[Table]:
    found = [one for one in onsets if one["replicate"] is None]
    if found:
        rows = [[one["order"], one["step"]] for one in found]
        told = "The first evaluation from which the loss stays below step 0 beyond its noise, over replicates."
        yield Table("Onset", [Column("order"), Column("step", "right")], rows, told)


def _harm(found: Json) -> Iterator[Table]:
    if found["harm"]:
        columns = [
            Column("order"),
            Column("set"),
            Column("against"),
            *(Column(name, "right") for name in ("mean increase", "at most")),
        ]
        rows = [[one["order"], one["set"], one["against"], one["mean"], one["bound"]] for one in found["harm"]]
        told = "Increase of the final loss on other sets; at most: a 95% upper bound for all orders and sets at once."
        yield Table("Harm on other sets", columns, rows, told)
