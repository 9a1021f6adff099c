"""Evaluation of a run of ``righttime tune`` while it trains; its values lie in RUN/evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.errors import SettingsError
from righttime.evaluation.generations import GenerationSettings
from righttime.evaluation.measurement import MeasureSettings
from righttime.evaluation.registry import METRICS, OWN_METRICS
from righttime.evaluation.sets import Files, read_set
from righttime.tokenization.loading import load_tokenizer
from righttime.tokenization.masking import AnswerEnd, resolve_form
from righttime.training.models import trainable_length
from righttime.training.sharding import fsdp2, sharded_by

if TYPE_CHECKING:
    from righttime.evaluation.callback import DenseEvaluation

__all__ = ["dense_evaluation"]

_MAX_LENGTH = 1024  # of the paper's evaluation


def dense_evaluation(
    run: Path,
    model: str,
    sets: Mapping[str, Files],
    *,
    every: int | None = None,
    at: Sequence[int] = (),
    form: str = "auto",
    metrics: Sequence[str] = ("loss",),
    generation: GenerationSettings | None = None,
    keep_answers: bool = False,
    answer_end: AnswerEnd = "token",
    target_format: str | None = None,
    target_fields: Mapping[str, str] | None = None,
    first: Path | None = None,
    progress: bool = False,
) -> DenseEvaluation:
    """The callback that measures a run while it trains.

    Rows are written in the form that is trained on and cut at 1,024 tokens, or what the model reads where that is less.

    Args:
        run: The run's folder.
        model: The model that is tuned.
        sets: Name to file or folder, in any known format; several files are one joint set.
        every: Measure at step 0, every so many steps, and after the last.
        at: Measure at these steps, and after the last; beside `every` or instead.
        form: ``chat``, ``paper`` or ``auto``; see `righttime.tokenization.masking`.
        metrics: Some of `righttime.evaluation.METRICS`, but ``reward``.
        generation: How answers are made, for metrics of answers; None takes the defaults.
        keep_answers: Keep the answer beside each value that is of one.
        answer_end: Where an answer ends, as it is trained on; see `righttime.tokenization.masking`.
        target_format: The format of the set named ``target``; None tells it from the keys.
        target_fields: Which field of the set named ``target`` is its prompt, response and so on; see `read_rows`.
        first: An evaluation of another run of the same model, finished or not, whose values at step 0 are taken where
            it has them of the same sets, metrics and form of text; else they are measured.
        progress: Show on stderr how far each measurement is.

    Raises:
        SettingsError: If a setting is out of range, a metric takes a second model, or FSDP1 shards the model.
        DataError: If a set cannot be read or written in that form, or has no row that can be measured.
        ModelError: If there is no such model.
    """
    _check_sharding()
    _check_metrics(metrics)
    from righttime.evaluation.callback import DenseEvaluation

    tokenizer = load_tokenizer(model)
    chosen, length = resolve_form(tokenizer, form), min(_MAX_LENGTH, trainable_length(model, None))
    reads: dict[str, dict[str, Any]] = {"target": {"format": target_format, "fields": target_fields}}
    data = [
        read_set(name, path, tokenizer, chosen, length, answer_end=answer_end, **reads.get(name, {}))
        for name, path in sets.items()
    ]
    how = {"form": chosen, "max_length": length, "answer_end": answer_end}
    settings = MeasureSettings(metrics, generation or GenerationSettings(), keep_answers=keep_answers)
    folder, name = run / "evaluation", run.resolve().name
    return DenseEvaluation(
        data,
        folder,
        run=name,
        every=every,
        at=at,
        tokenizer=tokenizer,
        settings=settings,
        deciding=how,
        first=first,
        reopen=True,  # `tune` leaves finished runs alone
        progress=progress,
    )


def _check_sharding() -> None:
    """FSDP1 gathers weights in the forward pass of what wraps the model, and an evaluation is given the model alone."""
    if sharded_by() == ["FSDP"] and not fsdp2():
        raise SettingsError(
            "evaluation while training must have a whole model, or one that FSDP2 or DeepSpeed shards, but FSDP1 does. "
            "Hint: fsdp_version 2 (configs/accelerate_fsdp.yaml), or keep checkpoints (`save_every`, `keep`) and run "
            "righttime evaluate on them.",
            setting="evaluation",
        )


def _check_metrics(metrics: Sequence[str]) -> None:
    for name in metrics:
        if name in METRICS and name not in OWN_METRICS:
            raise SettingsError(
                f"metrics while training must be of the model that is trained, but {name} takes a second one. "
                "Hint: keep checkpoints (`save_every`, `keep`) and run righttime evaluate on them.",
                setting="metrics",
            )
