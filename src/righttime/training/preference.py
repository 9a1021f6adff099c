"""The order oracle inside TRL's DPOTrainer, which is fed two sequences for each row: the prompt with either answer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import OrderError, RowError, SettingsError
from righttime.examples import Example, answered_both_ways
from righttime.rows import Rows
from righttime.tokenization.counts import tools_of
from righttime.training.oracle import Oracle, fed_rows, first_difference, tokens_hash, watch
from righttime.training.plan import Plan
from righttime.training.records import last_attempt, read_records
from righttime.training.token_rows import arranged_rows

__all__ = ["fed_pairs", "pair_hashes", "watched_preferences"]


def fed_pairs(batch: Mapping[str, Any]) -> list[NDArray[np.int32]]:
    """The rows inside a batch of TRL's preference collator: the chosen sequences, and behind them the rejected ones.

    Args:
        batch: ``input_ids`` and ``attention_mask``, int64, shape (2 n, length).

    Returns:
        int32, shape (tokens,), for each of n rows: both sequences with -1 between them.
    """
    rows = fed_rows(batch)
    half = len(rows) // 2
    return [_joined(chosen, rejected) for chosen, rejected in zip(rows[:half], rows[half:], strict=True)]


def pair_hashes(rows: Rows, tokenizer: Any, max_length: int | None) -> tuple[str, ...]:
    """What each row is known by to the oracle.

    Args:
        rows: Preferences.
        tokenizer: The model's, with a chat template.
        max_length: The most tokens of a sequence, cut at its end; None cuts nothing.

    Raises:
        RowError: If a row is no preference, or the chat template refuses it; names it.
    """
    return tuple(tokens_hash(_joined(*_sequences(row, tokenizer, max_length))) for row in rows.examples())


@contextmanager
def watched_preferences(
    trainer: Any, out: str | os.PathLike[str], folder: str | os.PathLike[str], *, resumed: bool = False
) -> Iterator[Oracle]:
    """Train under the oracle: each step must be fed the next rows of an arrangement, each with both of its answers.

    Of several processes (``torchrun``, ``accelerate launch``) every one calls this.

    Args:
        trainer: TRL's DPOTrainer, before it trains. Batch size, accumulation, processes, epochs and the most tokens of
            a sequence are taken from its settings.
        out: The arrangement, a folder that ``righttime arrange`` wrote.
        folder: Where the records are written.
        resumed: Whether it goes on from its last checkpoint.

    Raises:
        OrderError: If it is fed something else, at the step that is; or at the end, if it was not fed all.
        RowError: If a row is no preference.
        StoreError: If `out` is no arrangement or was changed, or the records cannot be written.
        SettingsError: If this version of transformers would shuffle without a word, or of several processes each would
            train alone, or some would have a batch more than others.
    """
    from transformers.trainer_utils import get_last_checkpoint

    args, rows, records = trainer.args, arranged_rows(Path(out)), Path(folder)
    plan = Plan(
        tuple(rows.ids),
        epochs=int(args.num_train_epochs),
        world=trainer.accelerator.num_processes,
        batch=args.per_device_train_batch_size,
        accumulation=args.gradient_accumulation_steps,
    )
    _check_processes(plan)
    checkpoint = get_last_checkpoint(args.output_dir) if resumed else None
    attempt = last_attempt(records) + 1
    trainer.accelerator.wait_for_everyone()
    oracle = Oracle(
        plan,
        pair_hashes(rows, trainer.processing_class, args.max_length),
        records,
        attempt=attempt,
        resumed_from=0 if checkpoint is None else int(checkpoint.rpartition("-")[2]),
        process=trainer.accelerator.process_index,
        fed=fed_pairs,
    )
    watch(trainer, oracle)
    try:
        yield oracle
    finally:
        oracle.recorder.sync()
        oracle.recorder.close()
    trainer.accelerator.wait_for_everyone()
    if difference := first_difference(plan, read_records(records)):
        raise OrderError(f"what led to the weights must be the plan, but {difference}.")


def _check_processes(plan: Plan) -> None:
    """On several processes TRL keeps the order where they have equally many batches, and know of one another."""
    if (started := int(os.environ.get("WORLD_SIZE", "1"))) != plan.world:
        raise SettingsError(
            f"{started} processes must train one model together, but the trainer knows of {plan.world}. "
            "Hint: `use_cpu=True` in its settings where there is no GPU.",
        )
    together = plan.world * plan.batch
    if plan.world > 1 and plan.n_rows % together:
        raise SettingsError(
            f"the rows must fill whole batches of all processes, a multiple of {plan.world} × {plan.batch}, got "
            f"{plan.n_rows:,}: TRL would wait for a process that has none. "
            f"Hint: an arrangement of {plan.n_rows - plan.n_rows % together:,} rows (`budget`), or another batch size."
        )


def _sequences(row: Example, tokenizer: Any, max_length: int | None) -> tuple[list[int], list[int]]:
    """The tokens of the prompt with the chosen answer, and with the rejected one."""
    if row.kind != "preference":
        raise _refused(row, "it holds no chosen and rejected answer")
    made = []
    for one in answered_both_ways(row):
        turns = [message.as_dict() for message in one.messages]
        try:
            text = tokenizer.apply_chat_template(turns, tools=tools_of(row), tokenize=True, return_dict=True)
        except Exception as error:  # a template may refuse anything, in any way
            raise _refused(row, f"the chat template refuses it: {error}") from error
        made.append(list(text["input_ids"])[:max_length])
    return made[0], made[1]


def _joined(chosen: Any, rejected: Any) -> NDArray[np.int32]:
    return np.concatenate([np.asarray(chosen), [-1], np.asarray(rejected)]).astype(np.int32)


def _refused(row: Example, why: str) -> RowError:
    return RowError(
        f"{row.file}:{row.line}: every row must be a preference that the tokenizer can write, but not row {row.id}: "
        f"{why}.",
        **row.where,
    )
