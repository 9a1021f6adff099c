"""How runs, evaluations, experiments, comparisons, measures and the guard's findings came to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from righttime import strict_json
from righttime.analysis.write import COMPARISON
from righttime.evaluation import FinishedEvaluation, open_evaluation
from righttime.experiment import Experiment, cells, open_experiment
from righttime.experiment.layout import ASKED, DRAW, is_finished
from righttime.experiment.prepare import read_draw
from righttime.guard.finished import open_guarded
from righttime.measures.finished import open_measures
from righttime.report.blocks import Block, Cell, Column, Facts, Heading, Table, Text
from righttime.report.commands import compare_again, measure_again, tune_again
from righttime.report.provenance import command_blocks, files_table, inputs_table, versions, written
from righttime.store import MANIFEST, as_written, file_sha256
from righttime.training import FinishedRun, begun_run, open_run
from righttime.training.manifest import BEGUN
from righttime.training.settings import TuneSettings

__all__ = [
    "comparison_provenance",
    "evaluation_facts",
    "evaluation_provenance",
    "experiment_provenance",
    "guard_provenance",
    "measures_provenance",
    "run_facts",
    "run_provenance",
    "sets_table",
]

Known = Mapping[str, Path]
"""Folders of the arrangements on the page, by the sha256 of their ids in order."""


def run_facts(folder: Path, known: Known) -> Facts:
    """What a run is of: model, order, seed, rate."""
    run = begun_run(folder)
    begun, settings = run.begun, run.begun.settings
    order = known.get(begun.plan.ids_sha256)
    whole = "all weights" if settings.lora is None else f"adapters of rank {settings.lora.rank}"
    facts = [
        ("model", begun.model.name),
        ("revision", begun.model.revision),
        ("order", f"{begun.plan.rows:,} rows" + (f" of {order}" if order is not None else "")),
        ("sha256 of its ids in order", begun.plan.ids_sha256),
        ("tuned", f"{whole}, {settings.optimizer}, {settings.precision}{_held(settings)}"),
        ("learning rate", f"{settings.rate:g}, {settings.schedule}"),
        ("rows of a step", _step(begun.plan.world, begun.plan.batch, begun.plan.accumulation)),
        ("epochs", f"{begun.plan.epochs:,}"),
        ("seed", str(settings.chance)),
    ]
    return Facts(facts)


def _held(settings: TuneSettings) -> str:
    """How weights are held, where not in float32."""
    if settings.lora is not None:
        return "" if settings.lora.base == "float32" else f", base {settings.lora.base}"
    return "" if settings.weights == "float32" else f", weights {settings.weights} with float32 masters"


def _step(world: int, batch: int, accumulation: int) -> str:
    told = f"{world * batch * accumulation:,}"
    return told if world * accumulation == 1 else f"{told} ({world} × {batch} × {accumulation})"


def run_provenance(folder: Path, name: str, known: Known) -> Iterator[Block]:
    """Files, versions, manifests and the command of a run, and what was measured as it trained."""
    yield Heading(f"Run: {name}")
    run = begun_run(folder)
    evaluation = open_evaluation(run.evaluation) if (run.evaluation / MANIFEST).is_file() else None
    if isinstance(run, FinishedRun):
        yield files_table({**run.manifest.files, "the plan": run.manifest.plan_fingerprint})
        yield versions({**run.manifest.versions, **{key: one for key, one in run.manifest.processor.items() if one}})
        yield from _tuned(run, evaluation, known)
        yield written(folder / MANIFEST)
    else:
        yield written(folder / BEGUN)
    if evaluation is not None:
        yield from _measured(evaluation)


def _tuned(run: FinishedRun, evaluation: FinishedEvaluation | None, known: Known) -> Iterator[Block]:
    manifest = run.manifest
    order = known.get(manifest.plan.ids_sha256)
    arrangement = "ARRANGEMENT" if order is None else str(order)
    measured = None if evaluation is None else evaluation.manifest
    command = tune_again(
        manifest.settings, manifest.model.name, arrangement, run.folder.name, measured, manifest.plan.world
    )
    yield from command_blocks(command)
    if command and order is None:
        yield Text(f"ARRANGEMENT is the folder whose ids in order have the sha256 {manifest.plan.ids_sha256}.")
    elif not command:
        yield Text("The command line has no options for all of its settings; the manifest has them.")


def evaluation_facts(folder: Path) -> Facts:
    """What an evaluation is of: run, models, metrics, how rows were read and answers made."""
    manifest = open_evaluation(folder).manifest
    settings = manifest.settings
    facts = [("run", settings.run)]
    if settings.models:
        facts.append(("models", "\n".join(f"step {step:,}: {name}" for step, name in settings.models)))
    if settings.every is not None or settings.at:
        every = [] if settings.every is None else [f"every {settings.every:,} steps"]
        at = [f"at steps {', '.join(map(str, settings.at))}"] if settings.at else []
        facts.append(("measured", f"while it was trained, {' and '.join([*every, *at])}"))
    facts.append(("metrics", ", ".join(settings.metrics)))
    if settings.form is not None:
        facts.append(("form of rows", f"{settings.form}, at most {settings.max_length or 0:,} tokens"))
    if settings.generation is not None:
        facts.append(("answers", ", ".join(f"{key} {value}" for key, value in vars(settings.generation).items())))
    if settings.reward_model:
        facts.append(("reward model", settings.reward_model))
    if manifest.first_from:
        facts.append(("step 0 is that of", manifest.first_from))
    return Facts(facts)


def sets_table(folder: Path) -> Table:
    """The sets of an evaluation: their rows, the tokens that count, and the fingerprint of their ids."""
    rows: list[list[Cell]] = [
        [name, one.rows, one.learnt, one.cut, one.ids_sha256]
        for name, one in open_evaluation(folder).manifest.settings.sets.items()
    ]
    columns = [Column("set"), Column("rows", "right"), Column("tokens", "right"), Column("cut rows", "right")]
    return Table("Sets", [*columns, Column("sha256 of ids")], rows, "Tokens that the loss is taken on.")


def evaluation_provenance(folder: Path, name: str) -> Iterator[Block]:
    """Files, versions and the manifest of an evaluation on its own."""
    yield Heading(f"Evaluation: {name}")
    yield from _measured(open_evaluation(folder))


def _measured(evaluation: FinishedEvaluation) -> Iterator[Block]:
    manifest = evaluation.manifest
    if manifest.inputs:
        yield inputs_table(manifest.inputs)
    yield files_table(manifest.files)
    yield versions(manifest.versions)
    yield written(evaluation.folder / MANIFEST)


def experiment_provenance(folder: Path, name: str) -> Iterator[Block]:
    """What an experiment asked, what its replicates drew, and what each run is."""
    experiment = open_experiment(folder)
    yield Heading(f"Experiment: {name}")
    yield Facts([("model", experiment.model), ("baseline", experiment.baseline), ("seed", str(experiment.seed))])
    yield from _draws(folder, experiment)
    yield from _runs(folder, experiment)
    yield Text("Made by `righttime experiment` of what stands in its file:")
    yield written(folder / ASKED)


def _draws(folder: Path, experiment: Experiment) -> Iterator[Block]:
    rows: list[list[Cell]] = []
    inputs: dict[str, str] = {}
    for number in range(1, experiment.replicates + 1):
        replicate = folder / f"replicate-{number}"
        if (replicate / DRAW).is_file():
            drew = read_draw(replicate)
            inputs |= drew.get("inputs") or {}
            for side, about in (drew.get("rows") or {}).items():
                rows.append([number, drew.get("seed"), side, about["rows"], about["ids_sha256"]])
    if rows:
        columns = [Column("replicate", "right"), Column("seed", "right"), Column("side"), Column("rows", "right")]
        yield Table("Inputs", [Column("file"), Column("sha256")], [[file, sha256] for file, sha256 in inputs.items()])
        yield Table("What replicates drew", [*columns, Column("sha256 of ids")], rows)


def _runs(folder: Path, experiment: Experiment) -> Iterator[Block]:
    rows: list[list[Cell]] = []
    found: dict[str, str] = {}
    for cell in cells(experiment, folder):
        if is_finished(cell):
            one = open_run(cell.run).manifest
            found = found or dict(one.versions)
            settings = one.settings.chance, f"{one.settings.rate:g}"
            hashes = one.plan.ids_sha256, one.model.revision, file_sha256(cell.run / MANIFEST)
            rows.append([cell.order, cell.replicate, *settings, *hashes])
    if rows:
        columns = [Column("order"), Column("replicate", "right"), Column("seed", "right"), Column("rate", "right")]
        columns += [Column("sha256 of ids in order"), Column("model's revision"), Column("sha256 of its manifest")]
        yield Table("Runs and their orders", columns, rows)
        yield versions(found)


def comparison_provenance(folder: Path, name: str) -> Iterator[Block]:
    """The runs of a comparison, its manifest and its command."""
    yield Heading(f"Comparison: {name}")
    with as_written(folder / COMPARISON, "`righttime compare`"):
        found: Mapping[str, Any] = strict_json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
        runs = sorted(found["runs"], key=lambda run: int(run["replicate"]))
        rows: list[list[Cell]] = [[run["order"], run["replicate"], run["folder"]] for run in runs]
        pairs = [(str(run["order"]), str(run["folder"])) for run in runs]
        command = compare_again(folder, found["baseline"], found["judge"], pairs)
    yield Table("Runs compared", [Column("order"), Column("replicate", "right"), Column("folder")], rows)
    yield from command_blocks(command)
    if (folder / MANIFEST).is_file():
        yield written(folder / MANIFEST)


def measures_provenance(folder: Path, name: str) -> Iterator[Block]:
    """What was measured, with what, and the command."""
    found = open_measures(folder)
    yield Heading(f"Measures: {name}")
    columns = [Column("name"), Column("folder"), Column("method"), Column("rows", "right"), Column("sha256 of ids")]
    rows: list[list[Cell]] = [[one.name, one.path, one.method, one.rows, one.ids_sha256] for one in found.arrangements]
    yield Table("Arrangements", columns, rows)
    yield inputs_table({"target": found.target})
    yield files_table(found.files)
    yield versions(found.versions)
    yield from command_blocks(measure_again(found))
    yield written(folder / MANIFEST)


def guard_provenance(folder: Path, name: str) -> Iterator[Block]:
    """What the guard looked at."""
    found = open_guarded(folder)
    yield Heading(f"Guard: {name}")
    yield inputs_table({"pool": found.pool, "target": found.target})
    yield files_table(found.files)
    yield versions(found.versions)
    yield written(folder / MANIFEST)
