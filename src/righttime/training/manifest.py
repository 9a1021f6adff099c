"""What decides a run (``run.json``) and what came of it (``manifest.json``), typed; earlier versions' are read too."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from righttime import strict_json
from righttime.errors import StoreError
from righttime.store import MANIFEST, as_written, ids_sha256, made, read_manifest, sealed, versions_in
from righttime.tokenization.masking import AnswerEnd, Form
from righttime.training.adapters import Lora
from righttime.training.plan import Orders, Plan
from righttime.training.records import Attempt
from righttime.training.settings import TuneSettings

__all__ = [
    "BEGUN",
    "Begun",
    "FedRows",
    "Model",
    "Planned",
    "RunCounts",
    "RunManifest",
    "read_begun",
    "read_run_manifest",
    "typed_begun",
    "with_defaults",
]

BEGUN = "run.json"
"""The file that says what decides a run."""

_DECIDING = ("plan", "settings", "model", "rows")


@dataclass(frozen=True)
class Planned:
    """The numbers of a run's plan, and the fingerprint of the order that it was made for.

    Attributes:
        rows: Rows of the arrangement.
        ids_sha256: The fingerprint of their ids in order.
        epochs: How often every row is consumed.
        world: How many processes train.
        batch: Rows of one micro-batch of one process.
        accumulation: Micro-batches of one step.
        shuffle_after: See `righttime.training.Plan`.
        seed: Decides the shuffles.
        batch_tokens: See `righttime.training.Plan`.
        lengths_sha256: With `batch_tokens` or `pack_tokens` the fingerprint of the rows' lengths; else empty.
        pack_tokens: See `righttime.training.Plan`.
        rearrange_every: See `righttime.training.Plan`.
        beyond: See `righttime.training.Plan`.
        beyond_sha256: The fingerprint of the ids of these rows; empty where there are none.
    """

    rows: int
    ids_sha256: str
    epochs: int
    world: int
    batch: int
    accumulation: int
    shuffle_after: int | None
    seed: int
    batch_tokens: int | None = None
    lengths_sha256: str = ""
    pack_tokens: int | None = None
    rearrange_every: int | None = None
    beyond: int = 0
    beyond_sha256: str = ""

    def of(self, ids: Sequence[str]) -> bool:
        """Whether it was made for these rows.

        Args:
            ids: Of an arrangement's rows in order, and behind them of those beyond it.
        """
        own = max(0, len(ids) - self.beyond)
        beyond = ids_sha256(ids[own:]) if self.beyond else ""
        return (self.rows, self.ids_sha256, self.beyond_sha256) == (own, ids_sha256(ids[:own]), beyond)

    @property
    def by_length(self) -> bool:
        """Whether the layout inside a step follows from the rows' lengths."""
        return self.batch_tokens is not None or self.pack_tokens is not None

    def plan(self, ids: tuple[str, ...], lengths: tuple[int, ...] = (), orders: Orders | None = None) -> Plan:
        """The plan of these numbers for an order.

        Args:
            ids: The rows' ids in order.
            lengths: With `batch_tokens` or `pack_tokens` their tokens.
            orders: With `rearrange_every` what was rearranged; see `righttime.training.Plan`.

        Raises:
            SettingsError: If a number is out of range, or an id stands twice.
        """
        numbers = (self.epochs, self.world, self.batch, self.accumulation, self.shuffle_after, self.seed)
        how = (self.batch_tokens, lengths, self.pack_tokens, self.rearrange_every, orders, self.beyond)
        return Plan(ids, *numbers, *how)


@dataclass(frozen=True)
class Model:
    """The model that was tuned.

    Attributes:
        name: Its folder or hub name.
        revision: The hash of its folder, or its commit on the hub.
        license: Of a packaged model's weights; else empty.
        note: What a person should know of a packaged model; else empty.
    """

    name: str
    revision: str
    license: str = ""
    note: str = ""


@dataclass(frozen=True)
class FedRows:
    """The rows as the model is fed them.

    Attributes:
        form: The form of text.
        max_length: The most tokens of a row.
        hashes_sha256: The fingerprint of the rows' tokens.
        learnt_sha256: A hash of which tokens are learnt.
        answer_end: Where an answer ends; runs that do not say it knew one way alone.
    """

    form: Form
    max_length: int
    hashes_sha256: str
    learnt_sha256: str
    answer_end: AnswerEnd = "template"


@dataclass(frozen=True)
class Begun:
    """What decides a run's weights, written before its first step.

    Attributes:
        plan: The plan's numbers.
        settings: How to tune; of what decides nothing the defaults.
        model: The model.
        rows: The rows as fed.
    """

    plan: Planned
    settings: TuneSettings
    model: Model
    rows: FedRows


@dataclass(frozen=True)
class RunCounts:
    """How much there was of what.

    Attributes:
        rows: Rows of the arrangement.
        tokens: Their tokens.
        learnt_tokens: Tokens that are learnt.
        cut_rows: Rows that lost tokens at their end.
        cut_tokens: How many tokens that is.
        unlearnt_rows: Rows with no token to learn.
        consumed: Rows that led to the weights, over all epochs.
        superseded: Rows whose update was lost with a process.
        steps: Optimizer steps.
    """

    rows: int
    tokens: int
    learnt_tokens: int
    cut_rows: int
    cut_tokens: int
    unlearnt_rows: int
    consumed: int
    superseded: int
    steps: int


@dataclass(frozen=True)
class RunManifest:
    """What ``manifest.json`` of a run says.

    Attributes:
        plan: The plan's numbers.
        settings: All settings, as they were used.
        model: The model that was tuned.
        rows: The rows as fed.
        plan_fingerprint: The plan's.
        counts: How much there was of what.
        attempts: The starts that the run took.
        first_difference: Where consumption left the plan, if that was allowed; None where it never did.
        unlearnt: Ids of the rows with no token to learn.
        drawn_by_chance: What the seed decided.
        averaged: Steps of the checkpoints whose mean was taken; none where that was not asked for.
        notes: Sentences that a person should read.
        files: The sha256 of each file, by its path in the folder.
        versions: Of righttime, Python and the libraries that take part.
        processor: What the run was finished on, as `righttime.processor` tells it; empty in earlier versions.
        method: The method of the arrangement; None where it is not named.
        intact: Whether its entries are those that were written, by its own hash; None where it has none.
    """

    plan: Planned
    settings: TuneSettings
    model: Model
    rows: FedRows
    plan_fingerprint: str
    counts: RunCounts
    attempts: tuple[Attempt, ...]
    first_difference: str | None
    unlearnt: tuple[str, ...]
    drawn_by_chance: tuple[str, ...]
    averaged: tuple[int, ...]
    notes: tuple[str, ...]
    files: Mapping[str, str]
    versions: Mapping[str, str]
    processor: Mapping[str, str]
    method: str | None = None
    intact: bool | None = None


def read_begun(run: Path) -> dict[str, Any]:
    """What decides a run, as JSON.

    Raises:
        StoreError: If there is no such run.
    """
    try:
        found = strict_json.loads((run / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{run} must be a folder of righttime tune, but its {BEGUN} cannot be read: {error}."
        ) from error
    if not (isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in _DECIDING)):
        raise StoreError(f"{run / BEGUN} must hold {', '.join(_DECIDING)}, which it does not: it was changed.")
    found["rows"].setdefault("answer_end", FedRows.answer_end)
    found["settings"] = with_defaults(found["settings"])
    return found


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Deciding settings as JSON: what an earlier version did not know it did as the defaults of today do."""
    whole: dict[str, Any] = {**json.loads(json.dumps(TuneSettings().deciding())), **settings}
    if isinstance(lora := whole["lora"], dict):
        whole["lora"] = {**json.loads(json.dumps(dataclasses.asdict(Lora()))), **lora}
    return whole


def typed_begun(run: Path) -> Begun:
    """The same, typed.

    Raises:
        StoreError: If there is no such run, or its file was changed.
    """
    found = read_begun(run)
    with as_written(run / BEGUN, "`righttime tune`"):
        return Begun(**_deciding(found))


def read_run_manifest(run: Path) -> RunManifest:
    """The manifest of a finished run.

    Raises:
        StoreError: If the folder does not hold one, or it was changed.
    """
    found = read_manifest(run)
    with as_written(run / MANIFEST, "`righttime tune`"):
        return _manifest(found)


def _manifest(found: Mapping[str, Any]) -> RunManifest:
    files = found.get("files")
    return RunManifest(
        **_deciding(found),
        plan_fingerprint=found["plan_fingerprint"],
        counts=made(RunCounts, found["counts"]),
        attempts=tuple(made(Attempt, one) for one in found["attempts"]),
        first_difference=found["first_difference"],
        unlearnt=tuple(found["unlearnt"]),
        drawn_by_chance=tuple(found.get("drawn_by_chance", ())),
        averaged=tuple(found.get("averaged", ())),
        notes=tuple(found.get("notes", ())),
        files=files if isinstance(files, dict) else {},
        versions=versions_in(found),
        processor=found.get("processor") or {},
        method=found.get("method"),
        intact=sealed(found),
    )


def _deciding(found: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(found["settings"])
    settings |= {name: tuple(settings[name]) for name in ("betas", "report_to") if name in settings}
    if settings.get("lora") is not None:
        settings["lora"] = Lora.read(dataclasses.asdict(made(Lora, settings["lora"])))
    kinds = {"plan": Planned, "model": Model, "rows": FedRows}
    return {"settings": made(TuneSettings, settings), **{name: made(kind, found[name]) for name, kind in kinds.items()}}
