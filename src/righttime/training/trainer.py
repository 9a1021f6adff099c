"""Transformers' Trainer, fed by the plan and watched by the oracle. Importing this imports torch and transformers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks

from righttime.errors import ModelError, SettingsError
from righttime.progress import Lines, redrawn
from righttime.training.batches import collated, packed
from righttime.training.checkpoints import keep_newest, mark_complete, saving
from righttime.training.compiled import CompiledLayers, sample_batches
from righttime.training.liger import LIGER
from righttime.training.loss import bare_logits, learnt_logits, summed_loss
from righttime.training.masters import Masters
from righttime.training.moments import write_moments
from righttime.training.optimizers import OPTIMIZERS
from righttime.training.oracle import Oracle
from righttime.training.plan import Plan
from righttime.training.quantised import eight_bit_states
from righttime.training.row_attention import inside_rows
from righttime.training.settings import TuneSettings
from righttime.training.sharding import runs_unwrapped
from righttime.training.token_rows import TokenRows

__all__ = [
    "OrderedTrainer",
    "PlannedBatches",
    "PlannedRows",
    "PlannedSteps",
    "check_trackers",
    "show_progress",
    "training_arguments",
]

_EVERY = 5.0  # seconds from one line on training to the next


class PlannedRows(Dataset[int]):
    """As many items as the plan has rows, each of them its own place."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, place: int) -> int:
        return place


class PlannedBatches:
    """What one process consumes in the epoch that training is in: a batch sampler of a DataLoader.

    An empty micro-batch is given as [-1], since a loader has no empty ones.
    """

    def __init__(self, plan: Plan, process: int, step: Callable[[], int]) -> None:
        """Take the plan.

        Args:
            plan: The plan.
            process: This process, from 0.
            step: Tells the optimizer step that training is at.
        """
        self._plan, self._process, self._step = plan, process, step

    def __len__(self) -> int:
        return self._plan.micros_in(self._step() // self._plan.steps_per_epoch)

    def __iter__(self) -> Iterator[list[int]]:
        # The step, and not a count of calls, tells the epoch: it is right after a resume too.
        epoch = self._step() // self._plan.steps_per_epoch
        for batch in self._plan.batches(self._process, epoch):
            yield list(batch.places) or [-1]


class PlannedSteps(PlannedBatches):
    """The same, a whole optimizer step at a time: with groups or packs one step has more micro-batches than another."""

    def __len__(self) -> int:
        return self._plan.steps_per_epoch

    def __iter__(self) -> Iterator[list[list[int]]]:  # type: ignore[override]
        epoch = self._step() // self._plan.steps_per_epoch
        for together in self._plan.steps(self._process, epoch):
            yield [list(batch.places) or [-1] for batch in together]


def training_arguments(settings: TuneSettings, folder: Path) -> TrainingArguments:
    """The settings as the Trainer takes them.

    Args:
        settings: The settings.
        folder: Where checkpoints are written.
    """
    constant = "constant_with_warmup" if settings.warmup else "constant"
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch,
        # With groups or packs a step is one item of the loader, which holds all its micro-batches.
        gradient_accumulation_steps=1 if settings.by_length else settings.accumulation,
        num_train_epochs=settings.epochs,
        learning_rate=settings.rate,
        lr_scheduler_type="cosine_with_min_lr" if settings.schedule == "cosine" else constant,
        lr_scheduler_kwargs={"min_lr_rate": settings.min_rate} if settings.schedule == "cosine" else {},
        warmup_steps=settings.warmup,
        optim=OPTIMIZERS[settings.optimizer].trainer,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        adam_epsilon=settings.eps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        seed=settings.chance,
        data_seed=settings.chance,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.accelerator.is_available(),
        activation_checkpointing=settings.recompute,
        use_liger_kernel=settings.kernels == "liger",
        liger_kernel_config=LIGER if settings.kernels == "liger" else None,
        train_sampling_strategy="sequential",
        accelerator_config={"even_batches": False},
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=None,  # ours is kept after the mark is written: theirs would delete before that
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        report_to=list(settings.report_to) or "none",
        disable_tqdm=True,  # see `show_progress`
    )


def check_trackers(names: Sequence[str]) -> None:
    """Make sure, before any work, that trackers are known and installed.

    Args:
        names: Their names, as transformers knows them.

    Raises:
        SettingsError: If one is not.
    """
    try:
        for tracker in get_reporting_integration_callbacks(list(names)):
            tracker()
    except (ImportError, RuntimeError, ValueError) as error:
        raise SettingsError(f"trackers must be known to transformers and installed, but: {error}") from error


class _Bar(ProgressCallback):  # type: ignore[misc]
    """A progress bar that does not print what is logged."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **settings: Any) -> None:
        pass


class _Lines(TrainerCallback):  # type: ignore[misc]
    """A line every few seconds, and one at the end."""

    def __init__(self, consumed: Callable[[int], str] | None) -> None:
        self._consumed, self._loss, self._from = consumed, "", 0
        self._lines = Lines(_EVERY)

    def on_train_begin(self, args: Any, state: Any, control: Any, **settings: Any) -> None:
        self._from, self._lines = state.global_step, Lines(_EVERY)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **settings: Any) -> None:
        if "loss" in (logs or {}):
            self._loss = f", loss {float(logs['loss']):.4f}"

    def on_step_begin(self, args: Any, state: Any, control: Any, **settings: Any) -> None:
        if state.is_world_process_zero and self._lines.due():  # the last step's loss is logged by now
            self._tell(state, f", {self._left(state)}")

    def on_train_end(self, args: Any, state: Any, control: Any, **settings: Any) -> None:
        if state.is_world_process_zero:
            self._tell(state, "")

    def _tell(self, state: Any, more: str) -> None:
        done = state.global_step
        rows = f", {self._consumed(done)}" if self._consumed else ""
        self._lines.write(f"step {done:,} of {state.max_steps:,}{rows}{self._loss}{more}")

    def _left(self, state: Any) -> str:
        return self._lines.left(state.global_step - self._from, state.max_steps - self._from)


def show_progress(trainer: Trainer, progress: bool, consumed: Callable[[int], str] | None = None) -> None:
    """Show how far training is on stderr, a bar on a terminal and else lines; stdout is for results.

    Args:
        trainer: The trainer.
        progress: Show it at all.
        consumed: What so many steps have consumed, in words, for the lines.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if progress:
        trainer.add_callback(_Bar() if redrawn(sys.stderr) else _Lines(consumed))


class OrderedTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that consumes the rows of a plan, shows each micro-batch to the oracle and writes whole checkpoints."""

    def __init__(
        self,
        *,
        plan: Plan,
        rows: TokenRows,
        oracle: Oracle,
        keep: int | None,
        pad: int,
        save_last: bool = True,
        masters: bool = False,
        compiled: bool = False,
        **settings: Any,
    ) -> None:
        """Take the plan beside what a Trainer takes.

        Args:
            plan: What each process consumes.
            rows: The rows.
            oracle: This process's oracle.
            keep: How many checkpoints are kept; None keeps all.
            pad: The token to pad with.
            save_last: Write a checkpoint after the last step too.
            masters: Train float32 masters; the model, which is given in float32, holds their rounding to bfloat16.
            compiled: Compile the model's layers for training steps.
            settings: What `transformers.Trainer` takes: model, args, processing_class, callbacks.
        """
        self._plan, self._rows, self._oracle, self._keep, self._pad = plan, rows, oracle, keep, pad
        self._save_last = save_last
        self.masters = Masters(settings["model"]) if masters else None
        self._compiled = CompiledLayers(settings["model"]) if compiled else None
        self._bare: bool | None = None  # see `bare_logits`; not known before the first micro-batch
        super().__init__(compute_loss_func=summed_loss, train_dataset=PlannedRows(len(rows.ids)), **settings)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The optimizer, of the masters where there are some."""
        anew = self.optimizer is None
        made: torch.optim.Optimizer = super().create_optimizer(model)
        if anew and self.masters is not None:
            self.masters.put_into(made)
        if anew and hasattr(made, "mng"):  # bitsandbytes'
            masters = self.masters.by_weight if self.masters is not None else {}
            eight_bit_states(made, self.model, lambda weight: masters.get(weight, weight))
        return made

    def _clip_grad_norm(self, model: Any) -> Any:
        """Scale gradients down, those of the masters in float32."""
        if self.masters is None:
            return super()._clip_grad_norm(model)
        self.masters.take_gradients()
        return self.accelerator.clip_grad_norm_(self.masters.all, self.args.max_grad_norm)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The plan's micro-batches of this process. Not prepared by accelerate, which would share them out again."""
        rows, pad, plan = self._rows, self._pad, self._plan
        made = collated if plan.pack_tokens is None else packed
        kind = PlannedSteps if plan.by_length else PlannedBatches
        return DataLoader(
            PlannedRows(len(rows.ids)),
            batch_sampler=kind(plan, self.args.process_index, lambda: int(self.state.global_step)),
            collate_fn=(lambda step: [made(places, rows, pad) for places in step])
            if plan.by_length
            else (lambda places: made(places, rows, pad)),
        )

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """What a step is made of, and its learnt tokens; with groups or packs all its micro-batches as one item."""
        if not self._plan.by_length:
            return super().get_batch_samples(epoch_iterator, num_batches, device)  # type: ignore[no-any-return]
        micros = next(epoch_iterator)
        _, count = super().get_batch_samples(iter(micros), len(micros), device)
        return [{"micros": micros}], count

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **settings: Any) -> Tensor:
        """One micro-batch, or with groups or packs a whole step: each is shown to the oracle, then trained on."""
        if "micros" not in inputs:
            return self._micro_step(model, inputs, *args, **settings)
        *others, last = inputs["micros"]
        total = torch.zeros((), device=self.args.device)
        for micro in others:
            with self.accelerator.no_sync(model):
                total += self._micro_step(model, micro, *args, **settings)
        return total + self._micro_step(model, last, *args, **settings)

    def _micro_step(self, model: Any, inputs: dict[str, Any], *args: Any, **settings: Any) -> Tensor:
        if self._compiled is not None and not self._compiled.ready:
            self._compile(model, self._compiled)
        self._oracle.consume(int(self.state.global_step), inputs)
        inputs.pop("places", None)
        with self._compiled.running() if self._compiled is not None else inside_rows(inputs.get("position_ids")):
            loss: Tensor = super().training_step(model, inputs, *args, **settings)
        return loss

    def _compile(self, model: Any, layers: CompiledLayers) -> None:
        """Compile the layers, before anything is consumed, as they are trained; no gradient or drawn number is left."""
        with layers.running(), torch.random.fork_rng():
            for batch in sample_batches(self._plan, self._rows.lengths):
                super().training_step(model, batch, torch.ones(()))
        model.zero_grad(set_to_none=True)
        layers.ready = True

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Operations of a step, for the Trainer's records."""
        return sum(int(super(OrderedTrainer, self).floating_point_ops(one)) for one in inputs.get("micros", [inputs]))

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **settings: Any) -> Any:
        """The loss of a micro-batch, with logits only where a token is learnt, and few of them at once."""
        inner = self.accelerator.unwrap_model(model)
        if self._bare is None:
            self._bare = runs_unwrapped() and not self.is_deepspeed_enabled and bare_logits(inner)
        with learnt_logits(inner, inputs["labels"], summed=self._bare):
            return super().compute_loss(model, inputs, *args, **settings)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, unless training has come to nothing."""
        if not math.isfinite(logs.get("loss", 0.0)):
            raise ModelError(
                f"the training loss must be a number, but up to step {self.state.global_step} it is {logs['loss']}. "
                "Hint: a lower learning rate, or some steps of warm-up."
            )
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, wait for every process, mark it whole; only then take old ones away."""
        if not self._save_last and self.state.global_step >= self.state.max_steps:
            return
        self._oracle.recorder.sync()
        with saving(Path(self.args.output_dir)):
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = Path(self.args.output_dir)
            checkpoint = folder / f"checkpoint-{self.state.global_step}"
            (checkpoint / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
            if not (self.is_fsdp_enabled or self.is_deepspeed_enabled):  # there a process has a part of them alone
                self.write_moments(checkpoint)
            if self.masters is not None:
                with saving(checkpoint):
                    self.masters.write(checkpoint)
            mark_complete(checkpoint, int(self.state.global_step))
            keep_newest(folder, self._keep)
        self.accelerator.wait_for_everyone()

    def write_moments(self, folder: Path) -> None:
        """Write Adam's moments of the adapters, as they are now, into a folder; see `moments.write_moments`."""
        rate = float(self.lr_scheduler.get_last_lr()[0])
        write_moments(folder, self.accelerator.unwrap_model(self.model), self.optimizer, rate)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Go on with a checkpoint's optimizer, and with its masters."""
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self.masters is not None:
            self.masters.read(Path(checkpoint))
