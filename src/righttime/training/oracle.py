"""The order oracle: what the model is fed is recorded at the moment it is fed, and held against the plan.

A row is known by the tokens that reach the model, not by what some sampler says of itself: each row of a batch is
stripped of its padding, hashed, and looked up among the rows of the plan. So the oracle works inside any trainer of
transformers. Where the batch also carries its rows' places, as ours do, even rows of the same tokens are told apart,
and a place whose tokens are not those of its row is a difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import OrderError, SettingsError
from righttime.training.plan import Batch, Plan
from righttime.training.records import Attempt, Consumed, Recorder, Records

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Oracle", "first_difference", "tokens_hash", "watch"]


def tokens_hash(ids: Sequence[int] | NDArray[np.int32]) -> str:
    """What a row is known by: a hash of its token numbers, 16 hex digits.

    Example:
        >>> tokens_hash([1, 2, 3])
        'd69c56745f6a3d9e'
    """
    return hashlib.blake2b(np.asarray(ids, dtype="<i4").tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class _Seen:
    """Where training is."""

    step: int = -1
    micro: int = 0


class Oracle:
    """Records what one process consumes and compares it with the plan."""

    def __init__(
        self,
        plan: Plan,
        tokens: Sequence[str],
        folder: Path,
        *,
        attempt: int = 1,
        resumed_from: int = 0,
        process: int = 0,
        allow_reorder: bool = False,
        fed: Callable[[Mapping[str, Any]], list[NDArray[np.int32]]] | None = None,
    ) -> None:
        """Begin to record.

        Args:
            plan: What should be consumed.
            tokens: `tokens_hash` of each place's row, as the model is to be fed it.
            folder: Where the records are written.
            attempt: Which start of the run this is, from 1.
            resumed_from: The step that it goes on from.
            process: This process, from 0.
            allow_reorder: Record differences and go on, instead of stopping.
            fed: What of a batch stands for its rows; None takes each sequence for a row, as `fed_rows` does.

        Raises:
            SettingsError: If there are not as many hashes as rows, or the plan has no such process.
            StoreError: If the records cannot be written.
        """
        if len(tokens) != len(plan.ids):
            raise SettingsError(f"the oracle needs one hash for each of {len(plan.ids)} rows, got {len(tokens)}.")
        if not 0 <= process < plan.world:
            raise SettingsError(
                f"process must be one of the plan's {plan.world}, counted from 0, got {process}. "
                "Hint: train with as many processes as were planned."
            )
        self._plan, self._tokens, self._process = plan, tokens, process
        self._attempt, self._allow_reorder, self._fed = attempt, allow_reorder, fed or fed_rows
        self._coming: Iterator[list[Batch]] = iter(())
        self._epoch, self._step, self._micros = -1, -1, list[Batch]()
        self._seen = _Seen()
        self._places: dict[str, int] = {}
        for place, name in enumerate(tokens):
            self._places.setdefault(name, place)
        head = Attempt(attempt, resumed_from, plan.world, plan.fingerprint)
        self.recorder = Recorder(folder, head, process)
        self.differences = 0

    def consume(self, step: int, batch: Mapping[str, Any]) -> Consumed:
        """Record a micro-batch that the model is about to be fed, and compare it with the plan.

        Args:
            step: The optimizer step that it belongs to, from 0.
            batch: What the trainer feeds the model: ``input_ids`` and what goes with them.

        Returns:
            The record, which is on disk by now.

        Raises:
            OrderError: If it is not what was planned; names the place. Not with `allow_reorder`.
            StoreError: If it cannot be written.
        """
        micro = self._seen.micro + 1 if step == self._seen.step else 0
        self._seen = _Seen(step, micro)
        planned = self._planned(step, micro)
        hashes = tuple(tokens_hash(row) for row in self._fed(batch))
        places = self._places_of(hashes, planned.places if planned else (), batch.get("places"))
        ids = tuple(None if place is None else self._plan.ids[place] for place in places)
        epoch = planned.epoch if planned else step // self._plan.steps_per_epoch
        record = Consumed(self._attempt, self._process, step, micro, epoch, ids, places, hashes)
        self.recorder.write(record)
        if planned is None or places != planned.places:
            self.differences += 1
            if not self._allow_reorder:
                where = _place_of(self._plan, planned, record)
                raise OrderError(
                    f"training must consume the rows in the planned order, but {where}. "
                    "Hint: something shuffles, packs, drops or repeats rows; "
                    "`allow_reorder=True` records it and goes on."
                )
        return record

    def _planned(self, step: int, micro: int) -> Batch | None:
        if step != self._step:
            self._micros, self._step = self._of_step(step), step
        return self._micros[micro] if micro < len(self._micros) else None

    def _of_step(self, step: int) -> list[Batch]:
        """The micro-batches of a step: the plan is walked along as far as that, since it may not be known further."""
        epoch = step // self._plan.steps_per_epoch
        if epoch != self._epoch or step < self._step:
            inside = epoch < self._plan.epochs
            self._epoch, self._coming = epoch, self._plan.steps(self._process, epoch) if inside else iter(())
        return next((together for together in self._coming if together[0].step == step), [])

    def _places_of(
        self, hashes: Sequence[str], expected: Sequence[int], carried: Tensor | None
    ) -> tuple[int | None, ...]:
        """The places of rows: as carried, if the tokens agree; else by the tokens, of equal rows the planned one."""
        if carried is not None:
            places = [*carried.tolist(), *[None] * len(hashes)]  # rows that nobody announced have no place
            pairs = zip(places, hashes, strict=False)
            return tuple(place if place is not None and self._tokens[place] == name else None for place, name in pairs)
        planned = [*expected, *[None] * len(hashes)]
        return tuple(
            want if want is not None and self._tokens[want] == name else self._places.get(name)
            for want, name in zip(planned, hashes, strict=False)
        )


def fed_rows(batch: Mapping[str, Any]) -> list[NDArray[np.int32]]:
    """The rows inside a batch, without padding; packed sequences are taken apart where positions begin anew.

    Args:
        batch: ``input_ids``, int64, shape (n, length), with ``attention_mask`` and ``position_ids`` of the same shape
            where the trainer feeds them. Where ``places`` is there and empty, it holds a filler and no row.

    Returns:
        int32, shape (tokens,), for each row.
    """
    carried, mask, positions = batch.get("places"), batch.get("attention_mask"), batch.get("position_ids")
    if carried is not None and not len(carried):
        return []
    ids: Tensor = batch["input_ids"]
    rows: list[NDArray[np.int32]] = []
    for number in range(ids.shape[0]):
        keep = mask[number].bool() if mask is not None else slice(None)
        row = ids[number][keep].to("cpu").numpy().astype(np.int32)
        if positions is None:
            rows.append(row)
            continue
        starts = np.flatnonzero(positions[number][keep].to("cpu").numpy() == 0)
        rows += [part for part in np.split(row, starts) if len(part)]
    return rows


def _place_of(plan: Plan, planned: Batch | None, record: Consumed) -> str:
    """Where and how a micro-batch differs from the plan."""
    where = f"step {record.step}, micro-batch {record.micro}, process {record.process}"
    if planned is None:
        return f"{where} is not in the plan, which has {plan.n_steps} steps of {plan.rows_per_step} rows"
    for at, (want, got, name) in enumerate(zip(planned.places, record.places, record.rows, strict=False)):
        if (want, plan.ids[want]) != (got, name):
            seen = "a row that is not in the plan" if got is None else f"row {name!r} of place {got}"
            return f"{where}, row {at} must be {plan.ids[want]!r} of place {want}, got {seen}"
    return f"{where} must hold {len(planned.places)} rows, got {len(record.places)}"


def first_difference(plan: Plan, records: Records) -> str | None:
    """Where what led to the weights first differs from the plan, or None where it does not.

    Args:
        plan: What should have been consumed.
        records: What was.

    Returns:
        One clause naming step, micro-batch, process and rows.
    """
    coming = plan.all_batches()
    for record in records.effective():
        planned = next(coming, None)
        if planned is None:
            return _place_of(plan, None, record)
        at = (planned.step, planned.micro, planned.process)
        if at != (record.step, record.micro, record.process):
            if (record.step, record.micro, record.process) < at:
                return f"step {record.step}, micro-batch {record.micro}, process {record.process} was consumed twice"
            return f"step {at[0]}, micro-batch {at[1]}, process {at[2]} was not consumed"
        # Ids as well as places: the records may be held against another arrangement.
        if planned.places != record.places or tuple(plan.ids[place] for place in planned.places) != record.rows:
            return _place_of(plan, planned, record)
    if (missing := next(coming, None)) is not None:
        return f"step {missing.step}, micro-batch {missing.micro}, process {missing.process} was not consumed"
    return None


def watch(trainer: Any, oracle: Oracle) -> None:
    """Put the oracle into a trainer: transformers' Trainer, TRL's SFTTrainer, or a relative of theirs.

    Every call of the trainer's ``training_step`` is shown to the oracle first.

    Args:
        trainer: The trainer, before it trains.
        oracle: One made for this process.

    Raises:
        SettingsError: If this version of transformers would shuffle without a word.
    """
    from righttime.training.versions import check_versions

    check_versions()
    step = trainer.training_step

    def watched(model: Any, inputs: dict[str, Any], *args: Any, **settings: Any) -> Any:
        oracle.consume(trainer.state.global_step, inputs)
        return step(model, inputs, *args, **settings)

    trainer.training_step = watched
