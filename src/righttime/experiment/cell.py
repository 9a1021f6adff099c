"""One run of an experiment: arrange, tune, measure. Run as a process of its own, so that no run can take others down.

python -m righttime.experiment.cell EXP REPLICATE ORDER
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
from pathlib import Path

from righttime.errors import RighttimeError, SettingsError
from righttime.experiment.draws import JUDGE
from righttime.experiment.layout import VECTORS, Cell, cells, is_finished
from righttime.experiment.prepare import embedding_of, read_draw, source_files
from righttime.experiment.settings import Experiment
from righttime.experiment.store import open_experiment
from righttime.locks import alone
from righttime.results import Request
from righttime.store import MANIFEST, clear_partial, write_json, write_parquet
from righttime.training.settings import TuneSettings

__all__ = ["main", "run_cell"]


def run_cell(root: Path, replicate: int, order: str) -> None:
    """Do all of one run that is not done yet.

    Args:
        root: The experiment's folder.
        replicate: The replicate, whose draw is there.
        order: The order.

    Raises:
        RighttimeError: If any of it cannot be done.
    """
    experiment = open_experiment(root)
    here = [cell for cell in cells(experiment, root) if (cell.order, cell.replicate) == (order, replicate)]
    if not here:
        raise SettingsError(f"{root} must hold an experiment with {order}, replicate {replicate}, but it does not.")
    (cell,) = here
    cell.folder.mkdir(parents=True, exist_ok=True)
    clear_partial(cell.folder)  # of a run that was killed
    _arrange(experiment, cell)
    if not is_finished(cell):
        _tune(experiment, cell)
    _measure(experiment, cell)


def _arrange(experiment: Experiment, cell: Cell) -> None:
    from righttime.pipeline import arrange_into

    cell.arrangement.parent.mkdir(parents=True, exist_ok=True)
    with alone(cell.arrangement.with_name(cell.arrangement.name + ".lock")):
        if (cell.arrangement / MANIFEST).exists():
            return
        request = _request(experiment, cell)
        pool = [cell.draw / "pool.jsonl"] if request.cap_source is None else source_files(cell.draw)
        arrange_into(
            cell.arrangement, [str(path) for path in pool], [str(cell.draw / "steer.jsonl")], request, progress=True
        )


def _request(experiment: Experiment, cell: Cell) -> Request:
    """The order's request; vectors of the common embedder are those that the replicate has already.

    Orders that take rows of a side pool embed for themselves, from the cache: their vectors are of more rows.
    """
    asked = experiment.request(cell.order, cell.replicate)
    if asked.side_pools:
        return asked.with_side_pools(lambda name: str(cell.draw / f"{name}.jsonl"))
    if embedding_of(experiment.orders[cell.order].arranging) != read_draw(cell.draw).get("embedding"):
        return asked
    plain = {entry.name: entry.default for entry in dataclasses.fields(Request)}
    changes = {name: plain[name] for name in ("max_length", "prefix", "device", "precision", "workers")}
    given = {"embedder": f"vectors:{cell.draw / VECTORS}", "target_embedder": None}
    return dataclasses.replace(asked, **changes, **given)  # type: ignore[arg-type]


def _tune(experiment: Experiment, cell: Cell) -> None:
    from righttime.evaluation import GenerationSettings
    from righttime.evaluation.while_training import dense_evaluation
    from righttime.training import tune

    sets = {name: str(cell.draw / f"{name}.jsonl") for name in (JUDGE, *experiment.sets)}
    asked, settings = experiment.evaluation, experiment.tune_settings(cell.order, cell.replicate)
    callback = dense_evaluation(
        cell.run,
        experiment.model,
        sets,
        every=asked.every,
        at=asked.at,
        form=settings.form,
        metrics=asked.metrics,
        generation=GenerationSettings(asked.max_new_tokens),
        answer_end=settings.answer_end,
        progress=True,
        first=_first(experiment, cell),
    )
    tune(cell.arrangement, experiment.model, cell.run, settings, callbacks=[callback], progress=True, say=print)


def _first(experiment: Experiment, cell: Cell) -> Path | None:
    """The evaluation of another order of this replicate, made by the same kind of processor: step 0 is the same."""
    from righttime.processor import processor
    from righttime.training import open_run

    for other in cells(experiment, cell.root):
        if other.replicate != cell.replicate or other.order == cell.order or not is_finished(other):
            continue
        one, another = (_before(experiment.tune_settings(name, 1)) for name in (other.order, cell.order))
        if one == another and dict(open_run(other.run).manifest.processor) == processor():
            return other.run / "evaluation"
    return None


def _before(settings: TuneSettings) -> tuple[str, ...]:
    """What a model's values before its first step depend on, of the settings that tune it."""
    base = settings.lora.base if settings.lora else ""
    return settings.precision, settings.weights, base, settings.attention, settings.kernels


def _measure(experiment: Experiment, cell: Cell) -> None:
    """The nine data-set measures of what the run had consumed at each evaluation, against the judge rows."""
    import numpy as np
    from safetensors.numpy import load_file

    from righttime.analysis import PRIMARY, consumed_rows, read_runs
    from righttime.formats import read_rows
    from righttime.measures import step_measures
    from righttime.similarity import unit_rows

    if cell.measures.exists() or not (cell.draw / VECTORS).exists():
        return
    names = ["pool", *experiment.side_pools]
    pool = read_rows([str(cell.draw / f"{name}.jsonl") for name in names], role="target").rows
    judge = read_rows([str(cell.draw / f"{JUDGE}.jsonl")], role="target").rows
    (run,) = next(iter(read_runs([str(cell.run)]).values()))
    rows, steps = consumed_rows(run), run.values[JUDGE, PRIMARY].steps.tolist()
    number = {name: row for row, name in enumerate(pool.ids)}
    seen = rows.between(0, steps[-1]) if rows else ()
    order = list(dict.fromkeys(number[name] for name in seen))  # each row once, as it is first met
    sizes = {step: len(dict.fromkeys(rows.between(0, step))) for step in steps if step and rows}
    vectors = load_file(cell.draw / VECTORS)
    pools = np.concatenate([vectors["pool"], *(vectors[f"side.{name}"] for name in experiment.side_pools)])
    found = step_measures(
        unit_rows(np.asarray(pools, np.float32)[order], "pool vectors"),
        list(pool.texts("prompt+response", order)),
        unit_rows(np.asarray(vectors[JUDGE], np.float32), "judge vectors"),
        list(judge.texts("prompt+response")),
        list(judge.tasks),
        sizes,
    )
    write_parquet(cell.measures, found)


def main(argv: list[str]) -> int:
    """Run one cell; what goes wrong is written beside the run.

    Returns:
        0, or 1 where it failed.
    """
    root, replicate, order = Path(argv[0]), int(argv[1]), argv[2]
    failed = root / f"replicate-{replicate}" / "runs" / order / "failed.json"
    try:
        run_cell(root, replicate, order)
    except Exception as error:
        told = str(error) if isinstance(error, RighttimeError) else f"{type(error).__name__}: {error}"
        write_json(failed, {"error": told})
        if isinstance(error, RighttimeError):
            print(f"righttime: error: {told}", file=sys.stderr)
            return 1
        raise
    with contextlib.suppress(OSError):
        failed.unlink()
    return 0


def _alone() -> None:
    """Settings of a process that makes one run and nothing else."""
    from righttime.quiet import quiet_process

    quiet_process()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _limit_threads()


def _die_with_parent() -> None:
    """Stop when the process that began this one is gone: its end of standard input closes."""
    while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(137)


def _limit_threads() -> None:
    import torch

    if threads := os.environ.get("RIGHTTIME_THREADS"):
        torch.set_num_threads(int(threads))


if __name__ == "__main__":
    _alone()
    sys.exit(main(sys.argv[1:]))
