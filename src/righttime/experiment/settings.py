"""What an experiment is: everything that decides its numbers, typed."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from righttime.analysis.comparable import PRIMARY
from righttime.arrangement.budget import rows_of
from righttime.choices import Guard
from righttime.embedding.given import kept_spec
from righttime.embedding.vectors import vectors_given
from righttime.errors import SettingsError, unknown_name
from righttime.formats.remote import without_secrets
from righttime.results import Request
from righttime.training.adapters import Lora
from righttime.training.average import average_steps
from righttime.training.settings import TuneSettings

__all__ = ["ALL", "Evaluation", "Experiment", "HoldOut", "Order", "Priority", "Source"]

ALL = "all"
_TAKEN = ("pool", "steer", "judge", "target")
HoldOut = Literal["none", "task", "group"]
Priority = Literal["replicates", "orders"]


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        path: A file, a folder or ``hf:OWNER/NAME``.
        rows: How many to draw in each replicate: a number, a share such as 0.5, or ``all``; None leaves it to the
            experiment (`subsample` for a pool, all rows for anything else).
        tasks: Keep only rows whose task matches one of these patterns (``*`` and ``?``); empty keeps all.
        max_tokens: Rows of more tokens take no part; None takes the experiment's.
        format: The format; None recognises it.
        task_field: The field that holds a row's task.
        fields: For files of no known format: which field holds what.
        positive_examples: Natural Instructions: positive examples in each prompt.
        bad_rows: ``stop`` at a row that cannot be used, or ``skip`` and count it.
        repeated_ids: ``stop`` where one file gives one id twice, or ``number`` such ids.
    """

    path: str
    rows: int | str | float | None = None
    tasks: tuple[str, ...] = ()
    max_tokens: int | None = None
    format: str | None = None
    task_field: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    positive_examples: int = 0
    bad_rows: Literal["stop", "skip"] = "stop"
    repeated_ids: Literal["stop", "number"] = "stop"


@dataclass(frozen=True)
class Order:
    """One order to be tried.

    Attributes:
        name: What it is called.
        arranging: Settings of `righttime.arrange` by their names, the common ones included.
        tuning: Settings of tuning that differ from the experiment's.
    """

    name: str
    arranging: Mapping[str, Any]
    tuning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """When and what to evaluate.

    Attributes:
        at: Steps; the last step always is.
        every: Step 0 and every so many steps.
        metrics: Some of `righttime.evaluation.METRICS`, but ``reward``.
        max_new_tokens: The most tokens of an answer, for metrics of answers.
    """

    at: tuple[int, ...] = ()
    every: int | None = None
    metrics: tuple[str, ...] = (PRIMARY,)
    max_new_tokens: int = 128


@dataclass(frozen=True)
class Experiment:
    """Orders × replicates on one pool and target.

    Attributes:
        pool: Where rows are chosen from.
        target: What the model will be judged on.
        orders: The orders, by name.
        model: The model to tune.
        budget: Rows of each arrangement: a number, or a share of what a replicate drew.
        sets: Other sets to evaluate, where harm may show.
        side_pools: Other pools, by the names that orders weave, anneal or widen with; drawn as the pool is.
        baseline: The order that others are compared with.
        replicates: How many.
        subsample: The part of each pool source that a replicate draws; None takes all.
        judge_share: The share of target rows that judge and do not steer; None lets all do both.
        guard: Pool rows that give a target row, or a row of another set, away: ``remove`` takes them out before the
            draw, ``report`` only records them, ``off`` does not look. Rows with the same prompt leave in any case.
        hold_out: Pool rows that leave because of the target's tasks: ``none``, those of the same ``task``, or of the
            same ``group`` (see `righttime.splits.group_of`).
        max_tokens: Rows of more tokens, of the model's tokenizer, take no part; None keeps all.
        seed: Replicate k draws with seed + k.
        tuning: Settings of tuning, by the names of `TuneSettings`.
        evaluation: When and what to evaluate.
        priority: ``replicates`` runs all orders of replicate 1 first; ``orders`` all replicates of the first order.
        keep_models: Keep the tuned models.
        question: What it asks, for people.
    """

    pool: tuple[Source, ...]
    target: tuple[Source, ...]
    orders: Mapping[str, Order]
    model: str
    budget: int | str
    sets: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    side_pools: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    baseline: str = "random"
    replicates: int = 3
    subsample: int | float | str | None = "50%"
    judge_share: float | None = 0.5
    guard: Guard = "remove"
    hold_out: HoldOut = "none"
    max_tokens: int | None = None
    seed: int = 0
    tuning: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation = field(default_factory=Evaluation)
    priority: Priority = "replicates"
    keep_models: bool = False
    question: str = ""

    def __post_init__(self) -> None:
        for name in self.sets:
            if name in _TAKEN or not name.replace("-", "").replace("_", "").isalnum():
                raise SettingsError(
                    f"a set must have a name of letters, digits, - and _, none of {', '.join(_TAKEN)}, got {name!r}.",
                    setting="sets",
                )
        for name in self.side_pools:
            if name in {*_TAKEN, *self.sets} or not name.replace("-", "").replace("_", "").isalnum():
                raise SettingsError(
                    "a side pool must have a name of letters, digits, - and _, none of "
                    f"{', '.join([*_TAKEN, *self.sets])}, got {name!r}.",
                    setting="side_pools",
                )

    def check(self) -> None:
        """Refuse settings that a run would end in, before anything is read.

        Raises:
            SettingsError: If one of an order, or of tuning, is wrong.
        """
        if self.baseline not in self.orders:
            raise unknown_name("baseline", self.baseline, self.orders)
        if len(self.orders) < 2:
            raise SettingsError("at least two orders must be compared, got one.", setting="orders")
        for name in self.orders:
            self.check_order(name)
        self.check_side_pools()

    def check_side_pools(self) -> None:
        """Refuse side pools that no order takes rows of.

        Raises:
            SettingsError: If there is one.
        """
        named = {name for order in self.orders for name in self.request(order, 1).side_pools.values()}
        for name in self.side_pools:
            if name not in named:
                raise SettingsError(
                    f"a side pool must be named by an order's 'weave', 'anneal' or 'widen', but {name!r} is by none. "
                    "Hint: leave it out.",
                    setting="side_pools",
                )

    def check_order(self, name: str) -> None:
        """The same for one order."""
        request, last = self.request(name, 1), self.steps(name)
        request.check()
        for setting, side_pool in request.side_pools.items():
            self._check_side_pool(setting, side_pool, request)
        if last is not None and self.evaluation.at and (beyond := max(self.evaluation.at)) > last:
            raise SettingsError(
                f"steps to evaluate at must be at most the last, which is {last:,}, got {beyond:,}.",
                setting="evaluate",
            )
        if last is not None:
            average_steps(self.tune_settings(name, 1), last)
        if (pool := self.tune_settings(name, 1).rearrange_pool) is not None:
            raise SettingsError(
                "'rearrange_pool' must be left out of an experiment, whose rows are those that a replicate draws, got "
                f"{without_secrets(pool)!r}. Hint: name it under 'pool'.",
                setting="rearrange_pool",
            )
        given = {order.arranging.get("embedder") for order in self.orders.values()}
        if vectors_given(request.embedder) and len(given) > 1:
            raise SettingsError(
                "given vectors must be the same for all orders, since each replicate takes its rows of them. "
                "Hint: name them under 'arrange'.",
                setting="embedder",
            )

    def _check_side_pool(self, setting: str, pool: str, request: Request) -> None:
        """A pool that an order names must be one of those that replicates draw from, with a model that embeds it."""
        if pool not in self.side_pools:
            near = difflib.get_close_matches(pool, self.side_pools, n=2)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "write its file there."
            raise SettingsError(
                f"'{setting}' must name a pool under 'side_pools' in an experiment, whose rows are those that a "
                f"replicate draws, got {without_secrets(pool)!r}. Hint: {hint}",
                setting=setting,
            )
        if vectors_given(request.embedder):
            raise SettingsError(
                f"'{setting}' with a side pool must have a model, which embeds that pool as well: given vectors are "
                f"those of pool and target, got {kept_spec(request.embedder)}. Hint: name the model that made them.",
                setting="embedder",
            )

    def steps(self, order: str, pool_rows: int | None = None) -> int | None:
        """The optimizer steps of an order's runs; None where the budget is a share of unknown rows."""
        settings, rows = self.tune_settings(order, 1), rows_of(self.budget, pool_rows)
        return None if rows is None else settings.epochs * -(-rows // (settings.batch * settings.accumulation))

    def request(self, order: str, replicate: int) -> Request:
        """What arranges one order in one replicate; vectors and rows are the replicate's."""
        return Request(**{"seed": self.seed + replicate, "budget": self.budget, **self.orders[order].arranging})

    def tune_settings(self, order: str, replicate: int) -> TuneSettings:
        """What tunes one order in one replicate."""
        return settings_of({**self.tuning, **self.orders[order].tuning}, self.seed + replicate, self.keep_models)

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON; addresses of sources without user, password and query."""
        made = dataclasses.asdict(self)
        lists = [made["pool"], made["target"], *made["sets"].values(), *made["side_pools"].values()]
        for source in (source for sources in lists for source in sources):
            source["path"] = without_secrets(source["path"])
        return made


def settings_of(tuning: Mapping[str, Any], seed: int, keep_models: bool) -> TuneSettings:
    """Tuning settings by their names.

    Args:
        tuning: By the names of `TuneSettings`, and ``preset``; ``lora`` may be a mapping.
        seed: The seed, where `tuning` has none.
        keep_models: Save the tuned model.

    Raises:
        SettingsError: If one is unknown or out of range.
    """
    given = {"seed": seed, **tuning}
    preset = given.pop("preset", "constant")
    if isinstance(given.get("lora"), Mapping):
        given["lora"] = Lora.read(given["lora"])
    if isinstance(given.get("betas"), list):
        given["betas"] = tuple(given["betas"])
    return TuneSettings.preset(preset, **given, save_model=keep_models)
