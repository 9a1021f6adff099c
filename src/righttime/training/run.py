"""Tune a model on an arrangement, in exactly its order; go on after a kill; prove what was consumed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from righttime.errors import RighttimeError, SettingsError
from righttime.keywords import named_settings
from righttime.quiet import quietly
from righttime.results import open_result
from righttime.rows import Rows
from righttime.store import ordinary_permissions, write_parquet
from righttime.tokenization.loading import load_tokenizer
from righttime.tokenization.masking import resolve_form
from righttime.training.average import AVERAGE, MEASURED, average_steps, check_sharding, put_weights, write_average
from righttime.training.chance import drawn_by_chance, group_note, router_note, seed_note
from righttime.training.checkpoints import keep_newest, saving
from righttime.training.folder import Start, begin, end
from righttime.training.job import Job, announcement, bfloat16_note, finish
from righttime.training.liger import own_kernels_after, require_liger
from righttime.training.manifest import RunManifest
from righttime.training.models import load_model, model_identity, trainable_length
from righttime.training.oracle import Oracle
from righttime.training.plan import Plan
from righttime.training.quantised import check_quantised
from righttime.training.rearranger import Learning, Rearranger, check_rearranging, fed_sides, rearranged_sides
from righttime.training.settings import TuneSettings
from righttime.training.sharding import sharded_by
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows
from righttime.training.versions import check_versions
from righttime.training.ways import way_named

__all__ = ["Tuned", "tune"]

T = TypeVar("T")


@dataclass(frozen=True)
class Tuned:
    """A finished run.

    Attributes:
        job: What was settled before it started: folder, model, settings, plan, rows.
        start: How the last attempt started.
        manifest: What ``manifest.json`` says.
        main: Whether this process is the one that speaks and writes.
    """

    job: Job
    start: Start
    manifest: RunManifest
    main: bool


@named_settings
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
        progress: Show progress on stderr: bars on a terminal, else a line every few seconds.
        say: Is told, in the main process, what is about to happen.

    Returns:
        The finished run.

    Raises:
        OrderError: If the model is fed another row than planned; names the place.
        SettingsError: If a setting is out of range or differs from what the run was begun with, or an installed version
            of a trainer would shuffle silently.
        ModelError: If the model or its tokenizer is missing, or its loss is no number any more.
        RowError: If the form of text cannot hold a row; names it.
        StoreError: If `out` is no arrangement, or `run` holds something else or cannot be written.
    """
    settings, folder = _with_whole_name(settings or TuneSettings()), Path(run)
    check_versions("transformers", "accelerate", *(["peft"] if settings.lora else []))
    main, process, world = _processes()
    _check_groups(settings)
    check_sharding(settings)
    _check_weights(settings)
    check_quantised(settings)
    check_rearranging(settings, world)
    if settings.kernels == "liger":
        require_liger(model)
    if settings.compile:
        from righttime.training.compiled import require_compiler

        require_compiler()
    if settings.report_to:
        from righttime.training.trainer import check_trackers

        check_trackers(settings.report_to)
    arranged, sides = arranged_rows(Path(out)), None
    if settings.rearrange_every is not None:
        by = way_named(settings.rearrange_by)
        sides = rearranged_sides(Path(out), settings.rearrange_pool, by)
        arranged = sides.rows
    rows, identity = _rows_and_identity(arranged, model, settings, progress, main)
    if sides is not None:
        sides = fed_sides(sides, by, lambda target: _rows(target, model, settings, False).tokens, rows.tokens)
    rearranger = None if sides is None else Rearranger(folder, sides, settings, name=model, max_length=rows.max_length)
    plan = Plan(
        rows.ids,
        epochs=settings.epochs,
        world=world,
        batch=settings.batch,
        accumulation=settings.accumulation,
        shuffle_after=settings.shuffle_after,
        seed=settings.chance,
        batch_tokens=settings.batch_tokens,
        lengths=rows.lengths if settings.by_length else (),
        pack_tokens=settings.pack_tokens,
        rearrange_every=settings.rearrange_every,
        orders=rearranger,
        beyond=0 if sides is None else sides.beyond,
    )
    _check_often(plan, settings.window)
    method, woven = open_result(out).manifest.method, None if sides is None else sides.woven
    job = Job(folder, model, settings, plan, rows, identity, method, woven)
    averaged = _averaged(job, callbacks)
    notes = [note for note in (sides.note if sides else "", bfloat16_note(settings)) if note]
    notes += [note for one in callbacks if hasattr(one, "measure_average") for note in one.notes]  # of evaluations
    start = _from_main(lambda: begin(folder, job.deciding(), overwrite, averaged))
    try:
        if main:
            write_parquet(folder / "rows.parquet", rows.to_table())
            say(announcement(job, start))
            for note in notes:
                say(f"note: {note}")
        made = _train(job, start, process, callbacks, progress, say, rearranger)
        done = _from_main(lambda: finish(job, made.log, made.drawn, (*made.notes, *notes)))
        return Tuned(job, start, done.manifest, main)
    finally:
        if main:
            end(start)


def _with_whole_name(settings: TuneSettings) -> TuneSettings:
    """The same with the name of the other pool as it holds from every folder, so that a run is verified from any."""
    pool = settings.rearrange_pool
    if pool is None or not Path(pool).exists():
        return settings
    return dataclasses.replace(settings, rearrange_pool=str(Path(pool).absolute()))


def _processes() -> tuple[bool, int, int]:
    """Whether this is the main process, its number, and how many there are."""
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.accelerator.is_available())
    if state.num_processes == 1 and torch.cuda.device_count() > 1:
        raise SettingsError(
            f"one process must train on one GPU, but it sees {torch.cuda.device_count()}. Hint: accelerate launch with "
            "one process for each, or set CUDA_VISIBLE_DEVICES to one of them."
        )
    return state.is_main_process, state.process_index, state.num_processes


def _check_groups(settings: TuneSettings) -> None:
    """Make sure, before any work, that steps of changing numbers of micro-batches can be trained."""
    given = settings.budgeted
    if given is not None and "DeepSpeed" in sharded_by():
        raise SettingsError(
            f"`{given}` must train without DeepSpeed, whose engine counts on equally many micro-batches a step. "
            "Hint: FSDP2 (configs/accelerate_fsdp.yaml), or `batch` and `accumulation` alone.",
            setting=given,
        )


def _check_weights(settings: TuneSettings) -> None:
    """Make sure, before any work, that the masters are whole where they are trained, and clipped in float32."""
    if settings.weights != "bf16":
        return
    if sharding := sharded_by():
        raise SettingsError(
            f'`weights="bf16"` must train without {sharding[0]}, which keeps float32 masters of its own. '
            'Hint: `precision="bf16"` alone.',
            setting="weights",
        )
    from transformers import Trainer, __version__

    if not hasattr(Trainer, "_clip_grad_norm"):
        raise SettingsError(
            '`weights="bf16"` must have a transformers whose Trainer lets the gradient be clipped in float32, got '
            f"{__version__}. Hint: install a newer transformers.",
            setting="weights",
        )


def _check_often(plan: Plan, window: int | None) -> None:
    """Refuse to rearrange later than the run ends, or fewer rows than are consumed until the next time."""
    if plan.rearrange_every is None:
        return
    if not plan.rearranged_at:
        raise SettingsError(
            f"`rearrange_every` must be less than the run's {plan.n_steps:,} steps, got {plan.rearrange_every:,}. "
            "Hint: fewer, or leave it out.",
            setting="rearrange_every",
        )
    consumed = plan.rearrange_every * plan.rows_per_step
    if window is not None and window < consumed:
        raise SettingsError(
            f"`window` must hold the {consumed:,} rows that {plan.rearrange_every:,} steps consume, got {window:,}. "
            f"Hint: `window={4 * consumed}`.",
            setting="window",
        )


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


def _rows_and_identity(
    arranged: Rows, model: str, settings: TuneSettings, progress: bool, main: bool
) -> tuple[TokenRows, dict[str, str]]:
    """The rows as tokens, and what tells the model from others, whose files are hashed meanwhile."""
    hashing = ThreadPoolExecutor(1)
    try:
        identity = hashing.submit(model_identity, model) if main else None
        rows = _rows(arranged, model, settings, progress and main)
        return rows, _from_main(lambda: identity.result() if identity else {})
    finally:
        hashing.shutdown(wait=False)


def _rows(arranged: Rows, model: str, settings: TuneSettings, progress: bool) -> TokenRows:
    tokenizer = load_tokenizer(model)
    form = resolve_form(tokenizer, settings.form)
    length = trainable_length(model, settings.max_length)
    return token_rows(arranged, tokenizer, form, length, progress, settings.answer_end)


@dataclass(frozen=True)
class _Trained:
    """What training left behind, beside the weights.

    Attributes:
        log: What was logged.
        drawn: What was drawn by chance.
        notes: What a person should know of the seed, of groups and of a router's loss.
    """

    log: list[dict[str, Any]]
    drawn: list[str]
    notes: tuple[str, ...]


def _train(
    job: Job,
    start: Start,
    process: int,
    callbacks: Sequence[Any],
    progress: bool,
    say: Callable[[str], None],
    rearranger: Rearranger | None = None,
) -> _Trained:
    """Train from where the attempt starts to the end, and save the model if that is wanted."""
    from transformers import set_seed

    from righttime.training.apart import require_rows_apart
    from righttime.training.live import check_way
    from righttime.training.trainer import OrderedTrainer, show_progress, training_arguments

    settings, model_folder = job.settings, job.folder / "model"
    oracle = Oracle(
        job.plan,
        job.rows.hashes,
        job.folder / "consumed",
        attempt=start.attempt,
        resumed_from=start.step,
        process=process,
        allow_reorder=settings.allow_reorder,
    )
    set_seed(settings.chance)
    tokenizer = load_tokenizer(job.model)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    plan, total = job.plan, f"{job.plan.epochs * job.plan.n_rows:,}"
    with quietly():
        model, drawn = _model(job)
        told = seed_note(settings, drawn), group_note(settings, drawn), router_note(model)
        notes = tuple(note for note in told if note)
        for note in notes if process == 0 else ():
            say(f"note: {note}")
        trainer = OrderedTrainer(
            plan=job.plan,
            rows=job.rows,
            oracle=oracle,
            keep=settings.kept,
            pad=pad if pad is not None else 0,
            save_last=settings.save_model or settings.average_last is not None,
            masters=settings.weights == "bf16",
            compiled=settings.compile,
            model=model,
            args=training_arguments(settings, job.folder / "checkpoints"),
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
        if plan.pack_tokens is not None:
            with trainer.accelerator.autocast():
                require_rows_apart(trainer.model)
        if rearranger is not None:
            check_way(model, settings)
            rearranger.learning = Learning(
                model, tokenizer, lambda: int(trainer.state.global_step), trainer.write_moments, say, progress
            )
        show_progress(trainer, progress, lambda steps: f"{plan.consumed(steps):,} of {total} rows")
        for callback in callbacks:
            if hasattr(callback, "attach"):  # an evaluation, whose means are for the trackers too
                callback.attach(trainer)
        with own_kernels_after(model) if settings.kernels == "liger" else contextlib.nullcontext():
            trainer.train(resume_from_checkpoint=start.checkpoint)
        oracle.recorder.sync()
        oracle.recorder.close()
        if trainer.args.should_save:
            # Once more: a kill after the last checkpoint was marked leaves one too many, and none is written then.
            keep_newest(job.folder / "checkpoints", settings.kept)
            shutil.rmtree(model_folder, ignore_errors=True)
        trainer.accelerator.wait_for_everyone()
        if settings.save_model:
            with saving(model_folder):
                trainer.save_model(str(model_folder))
            if trainer.args.should_save:
                ordinary_permissions(model_folder)
            trainer.accelerator.wait_for_everyone()
        if settings.average_last is not None:
            _average(job, trainer, callbacks)
    return _Trained(trainer.state.log_history, drawn, notes)


def _averaged(job: Job, callbacks: Sequence[Any]) -> tuple[int, ...]:
    """Steps whose checkpoints are averaged, after making sure that somebody will see what came of it."""
    steps = average_steps(job.settings, job.plan.n_steps)
    if steps and not job.settings.save_model and not any(hasattr(one, "measure_average") for one in callbacks):
        raise SettingsError(
            "`average_last` must have its model saved or evaluated, but the run does neither. "
            "Hint: an evaluation while training, or `save_model=True`.",
            setting="average_last",
        )
    return steps


def _average(job: Job, trainer: Any, callbacks: Sequence[Any]) -> None:
    """Write the mean of the last checkpoints and measure it; the trained model holds it afterwards."""
    folder, main = job.folder / AVERAGE, trainer.args.should_save
    steps = average_steps(job.settings, job.plan.n_steps)

    def written() -> None:
        checkpoints = [job.folder / "checkpoints" / f"checkpoint-{step}" for step in steps]
        write_average(checkpoints, folder, job.settings.average_decay)
        ordinary_permissions(folder)

    _from_main(written)
    measuring = [one for one in callbacks if hasattr(one, "measure_average")]
    if measuring:
        put_weights(trainer.model, folder)
    for callback in measuring:
        callback.measure_average(job.folder / MEASURED, steps, trainer)
    trainer.accelerator.wait_for_everyone()
    if main and not job.settings.save_model:
        shutil.rmtree(folder)
    trainer.accelerator.wait_for_everyone()


def _model(job: Job) -> tuple[Any, list[str]]:
    """The model, and what of the run is drawn by chance."""
    import torch

    before = torch.get_rng_state()
    model = load_model(job.model, job.settings)
    # Reading weights draws nothing; so what was drawn are adapters, or weights that the files lack.
    missing = job.settings.lora is None and not torch.equal(before, torch.get_rng_state())
    return model, drawn_by_chance(job.plan, job.settings, model, missing)
