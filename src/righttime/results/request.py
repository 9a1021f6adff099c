"""Everything that decides a result besides the data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import METHODS, SelectionInput, check_settings, method_named
from righttime.arrangement.budget import rows_of
from righttime.arrangement.caps import read_caps
from righttime.arrangement.embeddings import check_weighing, weighs
from righttime.arrangement.shapes import read_shape
from righttime.arrangement.weaving import what_is_woven
from righttime.arrangement.weights import read_weights, weights_of_rows
from righttime.choices import BadRows, Duplicates, Engine, Guard, Precision, RepeatedIds, Text, WithinRound
from righttime.contamination.leaks import MODES
from righttime.embedding import DEFAULT_MODEL, FULL, Embedder, embedder_named
from righttime.embedding.given import kept_spec
from righttime.embedding.registry import check_embedder
from righttime.embedding.vectors import vectors_given
from righttime.errors import SettingsError, unknown_name
from righttime.examples import TEXTS
from righttime.formats import Reading
from righttime.formats.bounds import MAX_ROW_BYTES, check_max_row_bytes
from righttime.neighbours import MEMORY, search_named
from righttime.results.widening import Widen, Widening, read_widen
from righttime.rows import Rows
from righttime.sampling import check_subsample
from righttime.similarity import distance_names

__all__ = ["Data", "Request"]

Data = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Iterable[Mapping[str, Any]] | Reading


@dataclass(frozen=True)
class Request:
    """Everything that decides a result besides the data; recorded in the manifest. See `arrange` for each."""

    method: str = "tma"
    distance: str | None = None
    budget: int | str | None = None
    min_similarity: float | None = None
    rounds: tuple[int, int | None] | None = None
    within_round: WithinRound = "similarity"
    params: Mapping[str, Any] = field(default_factory=dict)
    shape: str | None = None
    seed: int | None = None
    weave: str | float | None = None
    anneal: str | None = None
    cap_task: str | float | None = None
    cap_source: str | float | None = None
    apart: float | None = None
    target_weight: Mapping[str, float | str] = field(default_factory=dict)
    widen: str | None = None
    subsample: str | float | None = None
    text: Text = "prompt+response"
    embedder: str | Embedder = DEFAULT_MODEL
    target_embedder: str | None = None
    max_length: int | None = None
    prefix: str = ""
    device: str | None = None
    precision: Precision = "float32"
    workers: int = 1
    duplicates: Duplicates = "keep"
    guard: Guard = "report"
    guard_chunks: bool = False
    bad_rows: BadRows = "stop"
    repeated_ids: RepeatedIds = "stop"
    format: str | None = None
    target_format: str | None = None
    positive_examples: int = 0
    task_field: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    target_fields: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str | None = None
    max_tokens: int | None = None
    engine: Engine = "auto"
    memory: int = MEMORY
    max_row_bytes: int = MAX_ROW_BYTES

    def __post_init__(self) -> None:
        object.__setattr__(self, "subsample", check_subsample(self.subsample))  # as a number, for the manifest
        for name in ("weave", "cap_task", "cap_source"):  # as they are written
            object.__setattr__(self, name, None if getattr(self, name) is None else str(getattr(self, name)))
        object.__setattr__(self, "target_weight", {name: str(value) for name, value in self.target_weight.items()})

    @property
    def woven_pool(self) -> str | None:
        """The file or folder whose rows are woven among the arranged ones; None where that is no other pool."""
        weave = what_is_woven(self.weave, self.anneal)
        return None if weave is None else weave.pool

    @property
    def widens(self) -> Widen | None:
        """The side pool that the target is widened from, and how many rows each takes; None where it is not."""
        return read_widen(self.widen)

    @property
    def side_pools(self) -> dict[str, str]:
        """The other pools that rows are taken of, by the setting that names each."""
        found = {"widen": self.widens.pool} if self.widens else {}
        if self.woven_pool is not None:
            found["anneal" if self.weave is None else "weave"] = self.woven_pool
        return found

    def with_side_pools(self, place: Callable[[str], str]) -> Request:
        """The same with other names of its side pools.

        Args:
            place: From what a pool is called to what it is to be called.
        """
        changes = {
            setting: f"{place(pool)}:{self.widens.each}"
            if setting == "widen" and self.widens
            else str(getattr(self, setting)).removesuffix(pool) + place(pool)
            for setting, pool in self.side_pools.items()
        }
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def target_weights(self, target: Rows, widening: Widening | None = None) -> tuple[Fraction, ...] | None:
        """What each target row weighs; None where all weigh the same, or weights would change nothing.

        Args:
            target: The target's rows.
            widening: How it was widened: what names weigh is said of its own rows.
        """
        weights = self.weights_in_rounds(target, widening)
        known = widening is None or weighs(self.method, self.distance or distance_names()[0])
        return weights if known else None

    def weights_in_rounds(self, target: Rows, widening: Widening | None = None) -> tuple[Fraction, ...] | None:
        """The same for rounds, whatever the method makes of weights."""
        own = len(target) if widening is None else widening.own
        weights = weights_of_rows(self.target_weight, target.sources[:own], target.tasks[:own])
        return weights if widening is None else widening.weights(weights)

    def selection_input(self, pool: NDArray[np.float32], target: NDArray[np.float32]) -> SelectionInput:
        """The part of the request that a method looks at, with the vectors; how to search is left at its default."""
        return SelectionInput(
            pool=pool,
            target=target,
            budget=rows_of(self.budget, len(pool) or None),
            min_similarity=self.min_similarity,
            rounds=self.rounds,
            within_round=self.within_round,
            distance=self.distance or distance_names()[0],
            seed=0 if self.seed is None else self.seed,
            params=self.params,
            weave=what_is_woven(self.weave, self.anneal),
            caps=read_caps(self.cap_task, self.cap_source),
            apart=self.apart,
        )

    def model(self) -> Embedder:
        """The embedder, found by its name and the settings that go with it, or as it was given."""
        if not isinstance(self.embedder, str):
            return self.embedder
        names = ("max_length", "prefix", "device", "precision")
        return embedder_named(self.embedder, **{name: getattr(self, name) for name in names})

    def check(self) -> None:
        """Refuse what can be refused before anything is read."""
        nothing = np.empty((0, 1), dtype=np.float32)
        check_settings(self.method, self.selection_input(nothing, nothing))
        read_shape(self.shape)
        if read_weights(self.target_weight):
            check_weighing(self.method, self.distance or distance_names()[0])
        if self.widens is not None and vectors_given(self.embedder):
            raise SettingsError(
                "`widen` must have a model, which embeds the side pool as well, got given vectors "
                f"({kept_spec(self.embedder)}). Hint: name the model that made them, or add rows to the target "
                "yourself.",
                setting="widen",
            )
        search_named(self.engine, memory=self.memory)
        if self.distance is not None and "distance" not in method_named(self.method).needs:
            having = ", ".join(name for name, entry in METHODS.items() if "distance" in entry.needs)
            raise SettingsError(
                f"`distance` is for methods that rank by it ({having}), got it with {self.method!r}.",
                setting="distance",
            )
        if not isinstance(self.embedder, str | Embedder):
            raise SettingsError(
                "the embedder must be a name, a folder, or an object with identity, lengths and embed, "
                f"got {type(self.embedder).__name__}.",
                setting="embedder",
            )
        if isinstance(self.embedder, str) and not vectors_given(self.embedder):
            check_embedder(self.embedder)
        if self.precision != FULL and (not isinstance(self.embedder, str) or vectors_given(self.embedder)):
            raise SettingsError(
                f"`precision` is for models that are named, got {self.precision} with another embedder.",
                setting="precision",
            )
        check_max_row_bytes(self.max_row_bytes)
        if self.workers < 1:
            raise SettingsError(f"`workers` must be at least 1, got {self.workers}.", setting="workers")
        if self.max_length is not None and self.max_length < 1:
            raise SettingsError(f"`max_length` must be at least 1 token, got {self.max_length}.", setting="max_length")
        if self.text not in TEXTS:
            raise unknown_name("text", self.text, TEXTS)
        if self.duplicates not in ("keep", "drop"):
            raise unknown_name("choice for duplicates", self.duplicates, ("keep", "drop"), setting="duplicates")
        if self.guard not in MODES:
            raise unknown_name("mode of the guard", self.guard, MODES, setting="guard")
        if self.guard_chunks:
            self._check_chunks()
        if (self.tokenizer is None) != (self.max_tokens is None):
            raise SettingsError("`tokenizer` and `max_tokens` go together, got only one of them.", setting="tokenizer")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise SettingsError(f"`max_tokens` must be at least 1, got {self.max_tokens}.", setting="max_tokens")

    def _check_chunks(self) -> None:
        """Chunks are embedded for the guard, so there must be a guard, and a model that embeds."""
        if self.guard == "off":
            wrong = "`guard='off'`, which looks at nothing"
        elif "vectors" not in method_named(self.method).needs:
            wrong = f"method {self.method}, which needs no vectors"
        elif vectors_given(self.embedder):
            wrong = "given vectors, which have no model to embed chunks with"
        else:
            return
        raise SettingsError(
            f"`guard_chunks` must have a model that embeds, got it with {wrong}.", setting="guard_chunks"
        )
