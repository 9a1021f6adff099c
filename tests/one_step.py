"""The gradients of one step of tuning, and how far two sets of tensors are apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from righttime.training import Oracle, TuneSettings
from righttime.training.plan import Plan
from righttime.training.token_rows import TokenRows
from righttime.training.trainer import OrderedTrainer, training_arguments

__all__ = ["PLAIN", "distance", "step_gradients"]

PLAIN = TuneSettings(batch=4, accumulation=2, epochs=4, learning_rate=1e-3, eps=1e-5, save_every=5)
"""Steps neither grouped nor packed, for others to be compared with."""


def step_gradients(model: Any, rows: TokenRows, settings: TuneSettings, folder: Path) -> dict[str, torch.Tensor]:
    """The gradients of the first step, through the trainer's own way of making a step."""
    lengths = rows.lengths if settings.by_length else ()
    numbers = (settings.epochs, 1, settings.batch, settings.accumulation, None, 0)
    plan = Plan(rows.ids, *numbers, settings.batch_tokens, lengths, settings.pack_tokens)
    trainer = OrderedTrainer(
        plan=plan,
        rows=rows,
        oracle=Oracle(plan, rows.hashes, folder / "consumed"),
        keep=None,
        pad=0,
        compiled=settings.compile,
        model=model,
        args=training_arguments(settings, folder / "checkpoints"),
    )
    model.zero_grad()
    count = 1 if settings.by_length else settings.accumulation
    batches, learnt = trainer.get_batch_samples(iter(trainer.get_train_dataloader()), count, trainer.args.device)
    for batch in batches:
        trainer.training_step(model, batch, learnt)
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of a whole tensor, by norms."""
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).norm() / b[name].norm().clamp(min=1e-12)) for name in a)
