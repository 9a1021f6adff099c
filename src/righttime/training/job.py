"""One run as a whole: what decides it, and what makes its folder a result."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import OrderError
from righttime.processor import computes_bfloat16, processor, processor_text
from righttime.store import MANIFEST, ids_sha256, write_bytes, write_json, write_lines, write_parquet
from righttime.training.average import average_steps
from righttime.training.bases import BASES
from righttime.training.finished import FinishedRun, open_run, result_files
from righttime.training.folder import Start
from righttime.training.optimizers import OPTIMIZERS
from righttime.training.oracle import first_difference
from righttime.training.picture import draw_losses
from righttime.training.plan import Plan
from righttime.training.rearranger import told_cost
from righttime.training.records import Records, read_records
from righttime.training.settings import TuneSettings
from righttime.training.token_rows import TokenRows
from righttime.training.ways import way_named

__all__ = ["Job", "announcement", "bfloat16_note", "consumption", "finish"]

_NO_MODEL = "the tuned model was not saved: its records and its evaluation are all that is kept."

_LIBRARIES = ("accelerate", "bitsandbytes", "deepspeed", "peft", "trl")


@dataclass(frozen=True)
class Job:
    """Everything that is settled before training starts.

    Attributes:
        folder: The run's folder.
        model: The model's folder or hub name.
        settings: How to tune.
        plan: What is to be consumed.
        rows: The rows as they are fed.
        identity: What tells the model from others; see `righttime.training.models`.
        method: The method that arranged them, for the record.
        woven: int64: with `rearrange_every` the places of woven rows, which keep them; else None.
    """

    folder: Path
    model: str
    settings: TuneSettings
    plan: Plan
    rows: TokenRows
    identity: Mapping[str, str]
    method: str | None = None
    woven: NDArray[np.int64] | None = None

    def deciding(self) -> dict[str, Any]:
        """What decides the weights, as JSON: a run goes on only with the same."""
        fed = {
            "form": self.rows.form,
            "max_length": self.rows.max_length,
            "answer_end": self.rows.answer_end,
            "hashes_sha256": ids_sha256(self.rows.hashes),
            "learnt_sha256": self.rows.learnt_sha256,
        }
        decided = {"plan": self.plan.facts(), "settings": self.settings.deciding()}
        return {**decided, "model": dict(self.identity), "rows": fed}


def announcement(job: Job, start: Start) -> str:
    """What is about to happen, in lines for a person."""
    plan, rows = job.plan, job.rows
    last = plan.n_rows - (plan.steps_per_epoch - 1) * plan.rows_per_step
    lines = [
        f"{plan.n_rows:,} rows, {plan.epochs} × {plan.steps_per_epoch:,} steps; each consumes the next "
        f"{plan.world} × {plan.batch} × {plan.accumulation} (processes × batch × accumulation) = {plan.rows_per_step} "
        f"rows, in order" + (f"; the last of an epoch {last}" if last < plan.rows_per_step else "")
    ]
    settings = job.settings
    # Of rows that are rearranged nobody knows yet which share a step.
    mean = "" if plan.rearrange_every else f": {plan.n_batches / plan.world / plan.n_steps:.1f} a step and process"
    if plan.batch_tokens is not None:
        lines.append(
            f"inside a step rows are grouped by length into micro-batches of at most {plan.batch_tokens:,} tokens with "
            f"padding{mean}"
        )
    if plan.pack_tokens is not None:
        lines.append(
            f"inside a step rows are packed in order into sequences of at most {plan.pack_tokens:,} tokens{mean}"
        )
    if plan.rearrange_every is not None and job.woven is not None:
        often = "step" if plan.rearrange_every == 1 else f"{plan.rearrange_every:,} steps"
        lines.append(
            f"every {often} rows that are left are arranged anew by {way_named(settings.rearrange_by).told}: "
            f"{told_cost(len(plan.ids), settings, plan.rearranged_at, job.woven)}"
        )
    tuned = "all weights" if settings.lora is None else f"adapters of rank {settings.lora.rank}"
    tuned += ", bfloat16 with float32 masters," if settings.weights == "bf16" else ""
    if settings.lora is not None and settings.lora.base in BASES:
        tuned += f" over a base in {settings.lora.base}"
    tuned += f" by {settings.optimizer}" if OPTIMIZERS[settings.optimizer].of_bitsandbytes else ""
    falls = " at most" if settings.schedule == "cosine" else ""
    lines.append(f"{tuned} at a learning rate of {settings.rate:g}{falls}")
    if plan.shuffle_after is not None:
        lines.append(f"the order is followed for {plan.shuffle_after:,} steps, then rows are shuffled")
    if rows.n_cut:
        lines.append(f"{rows.n_cut:,} rows are longer than {rows.max_length:,} tokens and are cut at the end")
    if rows.unlearnt:
        lines.append(f"{len(rows.unlearnt):,} rows have no token to learn; they keep their place and teach nothing")
    if not settings.save_model:
        lines.append("the tuned model is not saved")
    if averaged := average_steps(settings, plan.n_steps):
        decay = settings.average_decay
        weighing = "" if decay is None else f", each weighing {decay:g} times the next,"
        steps = ", ".join(map(str, averaged))
        lines.append(f"the mean of the checkpoints of steps {steps}{weighing} is taken at the end")
    lines += [f"{name} was incomplete or damaged and is gone" for name in start.broken]
    lines += [f"{name} is trained again: an earlier one, which is to be averaged, is missing" for name in start.dropped]
    if start.attempt > 1:
        lines.append(f"attempt {start.attempt}, going on from step {start.step:,} of {plan.n_steps:,}")
    return "\n".join(lines)


def finish(
    job: Job, log: Sequence[Mapping[str, Any]], drawn: Sequence[str] = (), notes: Sequence[str] = ()
) -> FinishedRun:
    """Compare all that led to the weights with the plan, and write what makes the run a result, the manifest last.

    Args:
        job: The run, whose model is written by now if it is saved.
        log: What the trainer logged.
        drawn: What was drawn by chance, by the seed.
        notes: What a person should know.

    Returns:
        The finished run.

    Raises:
        OrderError: If it is not the plan and reordering was not allowed.
        StoreError: If a file cannot be written.
    """
    from righttime.results import circumstances

    folder, records = job.folder, read_records(job.folder / "consumed")
    difference = first_difference(job.plan, records)
    if difference and not job.settings.allow_reorder:
        raise OrderError(f"what led to the weights must be the plan, but {difference}.")
    (folder / "model" / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
    write_parquet(folder / "consumed.parquet", records.to_table())
    # Sorted: entries that were read from a checkpoint have another order of keys than those of this process.
    write_lines(folder / "train_log.jsonl", (json.dumps(entry, sort_keys=True) for entry in log if "loss" in entry))
    if (picture := draw_losses(log)) is not None:
        write_bytes(folder / "loss.png", picture)
    manifest = {
        **circumstances(*_LIBRARIES),
        **job.deciding(),
        "processor": processor(),
        "method": job.method,
        "settings": job.settings.facts(),
        "plan_fingerprint": job.plan.fingerprint,
        "counts": {**job.rows.counts(), **consumption(records), "steps": job.plan.n_steps},
        "first_difference": difference,
        "attempts": [dataclasses.asdict(attempt) for attempt in records.attempts],
        "unlearnt": job.rows.unlearnt,
        "drawn_by_chance": list(drawn),
        "averaged": list(average_steps(job.settings, job.plan.n_steps)),
        "notes": [*notes, *([] if job.settings.save_model else [_NO_MODEL])],
        "files": result_files(folder),
    }
    write_json(folder / MANIFEST, manifest)
    if not job.settings.save_model:  # only now: until there is a manifest a killed run resumes from them
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return open_run(folder)


def bfloat16_note(settings: TuneSettings) -> str:
    """What to say, before hours of it, where steps in bfloat16 are slow; nothing where they are not, or none knows."""
    found = processor()
    # What a processor without any of these sets of instructions has is not known.
    if settings.precision != "bf16" or computes_bfloat16() or not found["instructions"]:
        return ""
    return (
        f'with `precision="bf16"` a step takes many times longer here than in float32: {processor_text(found)} lacks '
        "instructions for bfloat16 (avx512_bf16 or amx_bf16)"
    )


def consumption(records: Records) -> dict[str, int]:
    """How many rows led to the weights, and of how many the update was lost, as a run's manifest holds them."""
    lost = [len(record.rows) for record in records.consumed if records.superseded(record)]
    return {"consumed": sum(len(record.rows) for record in records.effective()), "superseded": sum(lost)}
