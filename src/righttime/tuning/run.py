"""Tune a model on an arrangement, in exactly its order; go on after a kill; prove what was consumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from righttime.errors import OrderError, RighttimeError, SettingsError
from righttime.store import MANIFEST, file_sha256, ids_sha256, write_json, write_lines, write_parquet
from righttime.tuning.folder import Start, begin
from righttime.tuning.masking import resolve_form
from righttime.tuning.models import load_model, load_tokenizer, model_identity, trainable_length
from righttime.tuning.oracle import Oracle, first_difference
from righttime.tuning.plan import Plan
from righttime.tuning.records import Records, read_records
from righttime.tuning.rows import TokenRows, arranged_rows, token_rows
from righttime.tuning.settings import TuneSettings
from righttime.tuning.versions import check_versions

__all__ = ["Tuned", "tune"]

T = TypeVar("T")
_LIBRARIES = ("accelerate", "peft", "torch", "transformers", "trl")


@dataclass(frozen=True)
class Tuned:
    """A finished run.

    Attributes:
        run: Its folder.
        plan: What was to be consumed.
        rows: The rows as they were fed.
        start: How the last attempt started.
        manifest: What ``manifest.json`` holds.
        main: Whether this process is the one that speaks and writes.
    """

    run: Path
    plan: Plan
    rows: TokenRows
    start: Start
    manifest: Mapping[str, Any]
    main: bool


def tune(
    out: str | os.PathLike[str],
    model: str,
    run: str | os.PathLike[str],
    settings: TuneSettings | None = None,
    *,
    callbacks: Sequence[Any] = (),
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Tuned:
    """Fine-tune a model on an arrangement, in exactly its order.

    A run that was stopped goes on from its last whole checkpoint when it is called again with the same words. On
    several processes (``torchrun``, ``accelerate launch``) every one of them calls this.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        model: A causal language model: a folder, or a name on the hub.
        run: The folder to write to; on several machines one that all of them see.
        settings: How to tune.
        callbacks: Callbacks of transformers' Trainer, such as an evaluation while training.
        overwrite: Take away what an earlier run left in `run` and begin anew.
        progress: Show progress bars on stderr.
        say: Is told, in the main process, what is about to happen.

    Returns:
        The finished run.

    Raises:
        OrderError: If the model is fed another row than planned; names the place.
        SettingsError: If a setting is out of range or differs from what the run was begun with, or an installed version
            of a trainer would shuffle silently.
        ModelError: If the model or its tokenizer is missing.
        RowError: If the form of text cannot hold a row; names it.
        StoreError: If `out` is no arrangement, or `run` holds something else or cannot be written.
    """
    settings, folder = settings or TuneSettings(), Path(run)
    check_versions("transformers", "accelerate", *(["peft"] if settings.lora else []))
    main, process, world = _processes()
    if settings.report_to:
        from righttime.tuning.trainer import check_trackers

        check_trackers(settings.report_to)
    rows = _rows(Path(out), model, settings, progress and main)
    plan = Plan(
        rows.ids,
        epochs=settings.epochs,
        world=world,
        batch=settings.batch,
        accumulation=settings.accumulation,
        shuffle_after=settings.shuffle_after,
        seed=settings.seed,
    )
    start = _from_main(lambda: begin(folder, _deciding(plan, rows, model, settings), overwrite))
    if main:
        write_parquet(folder / "rows.parquet", rows.to_table())
        say(_announcement(plan, rows, start))
    oracle = Oracle(
        plan,
        rows.hashes,
        folder / "consumed",
        attempt=start.attempt,
        resumed_from=start.step,
        process=process,
        allow_reorder=settings.allow_reorder,
    )
    log = _train(plan, rows, oracle, model, settings, folder, start, callbacks, progress)
    manifest = _from_main(lambda: _finish(folder, plan, rows, model, settings, log))
    return Tuned(folder, plan, rows, start, manifest, main)


def _processes() -> tuple[bool, int, int]:
    """Whether this is the main process, its number, and how many there are."""
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes == 1 and torch.cuda.device_count() > 1:
        raise SettingsError(
            f"one process must train on one GPU, but it sees {torch.cuda.device_count()}. Hint: accelerate launch with "
            "one process for each, or set CUDA_VISIBLE_DEVICES to one of them."
        )
    return state.is_main_process, state.process_index, state.num_processes


def _from_main(work: Callable[[], T]) -> T:
    """What the main process makes, or the error that it meets, in every process."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    box: list[Any] = [None, None]
    if PartialState().is_main_process:
        try:
            box[0] = work()
        except RighttimeError as error:
            box[1] = error
    if PartialState().num_processes > 1:
        broadcast_object_list(box, from_process=0)
    if box[1] is not None:
        raise box[1]
    made: T = box[0]
    return made


def _rows(out: Path, model: str, settings: TuneSettings, progress: bool) -> TokenRows:
    examples = arranged_rows(out)
    tokenizer = load_tokenizer(model)
    form = resolve_form(tokenizer, settings.form)
    return token_rows(examples, tokenizer, form, trainable_length(model, settings.max_length), progress)


def _deciding(plan: Plan, rows: TokenRows, model: str, settings: TuneSettings) -> dict[str, Any]:
    fed = {
        "form": rows.form,
        "max_length": rows.max_length,
        "hashes_sha256": ids_sha256(rows.hashes),
        "learnt_sha256": _learnt_sha256(rows),
    }
    return {"plan": plan.facts(), "settings": settings.deciding(), "model": model_identity(model), "rows": fed}


def _learnt_sha256(rows: TokenRows) -> str:
    digest = hashlib.sha256()
    for row in rows.tokens:
        digest.update(row.learnt.tobytes() + b"\n")
    return digest.hexdigest()


def _announcement(plan: Plan, rows: TokenRows, start: Start) -> str:
    sizes = f"{plan.world} × {plan.batch} × {plan.accumulation}"
    last = len(plan.ids) - (plan.steps_per_epoch - 1) * plan.rows_per_step
    lines = [
        f"{len(plan.ids):,} rows, {plan.epochs} × {plan.steps_per_epoch:,} steps; each consumes the next "
        f"{sizes} (processes × batch × accumulation) = {plan.rows_per_step} rows, in order"
        + (f"; the last of an epoch {last}" if last < plan.rows_per_step else "")
    ]
    if plan.shuffle_after is not None:
        lines.append(f"the order is followed for {plan.shuffle_after:,} steps, then rows are shuffled")
    if rows.n_cut:
        lines.append(f"{rows.n_cut:,} rows are longer than {rows.max_length:,} tokens and are cut at the end")
    if rows.unlearnt:
        lines.append(f"{len(rows.unlearnt):,} rows have no token to learn; they keep their place and teach nothing")
    lines += [f"{name} was not whole and is gone" for name in start.broken]
    if start.attempt > 1:
        lines.append(f"attempt {start.attempt}, going on from step {start.step:,} of {plan.n_steps:,}")
    return "\n".join(lines)


def _train(
    plan: Plan,
    rows: TokenRows,
    oracle: Oracle,
    model: str,
    settings: TuneSettings,
    folder: Path,
    start: Start,
    callbacks: Sequence[Any],
    progress: bool,
) -> list[dict[str, Any]]:
    """Train from where the attempt starts to the end and save the model; returns what was logged."""
    from transformers import set_seed
    from transformers.utils import logging

    from righttime.tuning.trainer import OrderedTrainer, keep_stdout_clean, training_arguments

    logging.disable_progress_bar()  # of loading and writing; the trainer's own is another
    set_seed(settings.seed)
    tokenizer = load_tokenizer(model)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    trainer = OrderedTrainer(
        plan=plan,
        rows=rows,
        oracle=oracle,
        keep=settings.keep,
        pad=pad if pad is not None else 0,
        model=load_model(model, settings),
        args=training_arguments(settings, folder / "checkpoints", progress),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    keep_stdout_clean(trainer)
    for callback in callbacks:
        if hasattr(callback, "attach"):  # an evaluation, whose means are for the trackers too
            callback.attach(trainer)
    trainer.train(resume_from_checkpoint=start.checkpoint)
    oracle.recorder.sync()
    oracle.recorder.close()
    if trainer.args.should_save:
        shutil.rmtree(folder / "model", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(folder / "model"))
    trainer.accelerator.wait_for_everyone()
    log: list[dict[str, Any]] = trainer.state.log_history
    return log


def _finish(
    folder: Path, plan: Plan, rows: TokenRows, model: str, settings: TuneSettings, log: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compare all that led to the weights with the plan, and write what makes the run a result, the manifest last."""
    from righttime.results import circumstances

    records = read_records(folder / "consumed")
    difference = first_difference(plan, records)
    if difference and not settings.allow_reorder:
        raise OrderError(f"what led to the weights must be the plan, but {difference}.")
    (folder / "model" / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
    write_parquet(folder / "consumed.parquet", records.to_table())
    write_lines(folder / "train_log.jsonl", (json.dumps(entry) for entry in log if "loss" in entry))
    about = circumstances()
    about["versions"] |= {name: metadata.version(name) for name in _LIBRARIES if _installed(name)}
    manifest = {
        **about,
        **_deciding(plan, rows, model, settings),
        "settings": dataclasses.asdict(settings),
        "plan_fingerprint": plan.fingerprint,
        "counts": {**rows.counts(), **_consumption(records), "steps": plan.n_steps},
        "first_difference": difference,
        "attempts": [dataclasses.asdict(attempt) for attempt in records.attempts],
        "unlearnt": rows.unlearnt,
        "files": _files(folder),
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def _consumption(records: Records) -> dict[str, int]:
    lost = [len(record.rows) for record in records.consumed if records.superseded(record)]
    return {"consumed": sum(len(record.rows) for record in records.effective()), "superseded": sum(lost)}


def _files(folder: Path) -> dict[str, str]:
    """The sha256 of every file of the result, checkpoints apart."""
    roots = ("run.json", "rows.parquet", "consumed.parquet", "train_log.jsonl", "consumed", "model")
    paths = [path for root in roots for path in sorted([folder / root, *(folder / root).rglob("*")]) if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}


def _installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False
