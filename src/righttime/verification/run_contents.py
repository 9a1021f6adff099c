"""What a finished run says of itself, entry by entry, against its plan, its records and the rows as they are fed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from righttime.errors import StoreError
from righttime.evaluation import METRICS, EvaluationManifest, open_evaluation
from righttime.evaluation.manifest import typed_settings
from righttime.store import MANIFEST, ids_sha256
from righttime.training import FinishedRun, Plan, Records, Run, first_difference
from righttime.training.job import consumption
from righttime.training.token_rows import TokenRows
from righttime.verification.finding import Finding, as_sealed, equal

__all__ = ["checkpoints_hold", "evaluation_holds", "run_contents_hold"]


def run_contents_hold(run: FinishedRun, plan: Plan, rows: TokenRows | None, method: str) -> Iterator[Finding]:
    """Compare what a run's manifest and tables say with its plan, its records and its rows.

    Args:
        run: The run.
        plan: The plan, made again.
        rows: The rows, tokenized again; None where that was not possible, and what they would tell is left out.
        method: The method of the arrangement.
    """
    said, begun, records = run.manifest, run.begun, run.records
    yield as_sealed(said.intact)
    then = (said.plan, said.settings.deciding(), said.model, said.rows)
    now = (begun.plan, begun.settings.deciding(), begun.model, begun.rows)
    yield Finding("run.json and manifest.json name the same plan, settings, model and rows", then == now)
    yield equal("the plan has the fingerprint that the manifest names", said.plan_fingerprint, plan.fingerprint)
    yield equal("the arrangement's method is named", said.method, method)
    yield equal("the manifest names all attempts", said.attempts, records.attempts)
    yield equal("the manifest names the first difference", said.first_difference, first_difference(plan, records))
    epochs = all(one.epoch == one.step // plan.steps_per_epoch for one in records.consumed)
    yield Finding("every record names its epoch", epochs)
    yield _counts(dataclasses.asdict(said.counts), plan, records, rows)
    yield _table(run, "consumed.parquet", records.to_table())
    if rows is not None:
        yield equal("the rows with nothing to learn are named", list(said.unlearnt), rows.unlearnt)
        yield _table(run, "rows.parquet", rows.to_table())


def _counts(said: dict[str, int], plan: Plan, records: Records, rows: TokenRows | None) -> Finding:
    want = {**(rows.counts() if rows else {}), **consumption(records), "steps": plan.n_steps}
    wrong = [f"{name} is {said[name]}, expected {value}" for name, value in want.items() if said[name] != value]
    return Finding("all counts are those of rows and records", not wrong, "; ".join(wrong))


def _table(run: Run, name: str, want: pa.Table) -> Finding:
    """Whether a table holds what it was made from; earlier versions wrote fewer columns."""
    what = f"{name} holds what it was made from"
    try:
        found = pq.read_table(run.folder / name)
    except (OSError, ValueError) as error:
        return Finding(what, False, f"it cannot be read: {error}")
    differing = [one for one in found.column_names if one not in want.column_names or found[one] != want[one]]
    if differing:
        return Finding(what, False, f"`{differing[0]}` differs")
    lacking = [one for one in want.column_names if one not in found.column_names]
    return Finding(what, None if lacking else True, f"it lacks `{lacking[0]}`" if lacking else "")


def checkpoints_hold(run: Run) -> Iterator[Finding]:
    """Whether every checkpoint is as it was marked; those that a killed run was writing are told, and no failure."""
    whole = {checkpoint.path for checkpoint in run.checkpoints}
    there = sorted((run.folder / "checkpoints").glob("checkpoint-*"))
    if broken := [path.name for path in there if path not in whole]:
        ok = False if isinstance(run, FinishedRun) else None
        yield Finding("every checkpoint is as it was written", ok, f"{broken[0]} is incomplete or was changed")
    elif there:
        yield Finding("every checkpoint is as it was written", True)


def evaluation_holds(run: Run) -> Iterator[Finding]:
    """Whether the evaluation in a run's folder is as it was written, by its own manifest."""
    if not (run.evaluation / MANIFEST).exists():
        return
    what = "the evaluation is as it was written"
    try:
        finished = open_evaluation(run.evaluation)
        settings, files = typed_settings(run.evaluation), list(finished.files())
        values = finished.table
    except StoreError as error:
        yield Finding(what, False, str(error))
        return
    wrong = [f"{file.name} has another sha256" for file in files if not file.unchanged]
    wrong += [] if files else ["its manifest names no file"]
    wrong += [] if finished.manifest.intact is not False else ["its manifest does not have the sha256 that it holds"]
    wrong += [] if settings == finished.manifest.settings else ["its settings are not those of its manifest"]
    wrong += _values_wrong(values, finished.manifest)
    yield Finding(what, not wrong, "; ".join(wrong))


def _values_wrong(values: pa.Table, said: EvaluationManifest) -> list[str]:
    """What is wrong with a table of values, but for the values: each step has one of each row, of one run."""
    import pyarrow.compute as pc

    runs, last = pc.unique(values["run"]).to_pylist(), pc.max(values["step"]).as_py()
    wrong = [f"it holds values of {runs}"] if runs != [said.settings.run] else []
    wrong += [f"the last step is {last}, not {said.steps}"] if last != said.steps else []
    steps = values.group_by(["set", "metric"]).aggregate([("step", "count_distinct")]).to_pylist()
    n_steps = {(one["set"], one["metric"]): one["step_count_distinct"] for one in steps}
    counts = [("step", "count"), ("step", "count_distinct")]
    rows = values.group_by(["set", "metric", "row", "id", "task", "category"]).aggregate(counts).to_pylist()
    rows.sort(key=lambda one: one["row"])
    needs = {value: metric.needs for metric in METRICS.values() for value in metric.values}
    for (name, metric), n in n_steps.items():
        facts, mine = (
            said.settings.sets.get(name),
            [one for one in rows if (one["set"], one["metric"]) == (name, metric)],
        )
        if facts is None or any(one["step_count"] != n or one["step_count_distinct"] != n for one in mine):
            wrong.append(f"{metric} of {name} is not there once for each step and row")
            continue
        unlearnt = len(said.settings.without_loss.get(name, ()))
        whole = {"nothing": facts.rows, "learnt tokens": facts.rows - unlearnt}.get(needs.get(metric, ""), len(mine))
        if len(mine) != whole or len(mine) > facts.rows:
            wrong.append(f"{metric} of {name} is there for {len(mine):,} rows")
        elif len(mine) == facts.rows and ids_sha256(one["id"] for one in mine) != facts.ids_sha256:
            wrong.append(f"{name} has other rows")
    return wrong
