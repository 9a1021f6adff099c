"""The manifest of a finished arrangement, typed. Files of earlier versions are read as far as they go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from righttime.arrangement.falloff import Alone, Falloff, Line
from righttime.errors import SettingsError, StoreError
from righttime.formats import InputFile
from righttime.results.request import Request
from righttime.results.widening import Neighbour, Widening
from righttime.store import MANIFEST, as_written, made, read_manifest, require, sealed, versions_in

__all__ = ["FILES", "Counts", "Given", "ResultManifest", "read_result_manifest", "typed_manifest"]

FILES = ("train.jsonl", "arrangement.parquet", "left_out.parquet")
"""The files of an arrangement besides its manifest."""

_ENTRIES: dict[str, type] = {
    **dict.fromkeys(("inputs", "settings", "embedding", "counts", "files"), dict),
    "notes": list,
    "ids_sha256": str,
}
_COUNTS: dict[str, type] = {
    **dict.fromkeys(("pool_read", "pool_rows", "target_rows", "target_bad_rows", "arranged", "left_out"), int),
    "left_out_by_reason": dict,
    "target_prompts_in_pool": int,
}
# Where and how fast the work was done is no part of a result, and what did it may not be there any more.
_NOT_THE_RESULT = {"engine", "memory", "workers"}


@dataclass(frozen=True)
class Counts:
    """How many rows there are of what.

    Attributes:
        pool_read: Rows of the pool, usable or not.
        pool_rows: Usable ones.
        target_rows: Usable rows of the target.
        target_bad_rows: Rows of the target that were skipped.
        arranged: Rows in the order.
        left_out: Rows of the pool that are not.
        left_out_by_reason: The same by reason.
        target_prompts_in_pool: Target rows whose prompt the pool contains.
        duplicates: Pool rows that repeat an earlier one.
        rounds: Rounds that the order holds rows of.
    """

    pool_read: int
    pool_rows: int
    target_rows: int
    target_bad_rows: int
    arranged: int
    left_out: int
    left_out_by_reason: Mapping[str, int]
    target_prompts_in_pool: int
    duplicates: int = 0
    rounds: int = 0


@dataclass(frozen=True)
class Given:
    """What pool and target were called when the result was made.

    Attributes:
        folder: The working directory then; None where it was not recorded.
        pool: Names of files and folders, relative to it; None where rows in memory were given.
        target: The same.
    """

    folder: str | None
    pool: tuple[str, ...] | None
    target: tuple[str, ...] | None


@dataclass(frozen=True)
class ResultManifest:
    """What ``manifest.json`` of an arrangement says.

    Attributes:
        pool: The pool's sources, with the sha256 of each.
        target: The target's.
        given: What they were called.
        settings: What was asked for, by the names of `Request`, and what it resolved to.
        embedding: Model, counts and the vectors' fingerprints; empty where no vectors were needed.
        counts: How many rows there are of what.
        falloff: Where quality falls; None without vectors and in results of earlier versions.
        guard: What the guard found, see `righttime.results.guarded`; empty where it was off.
        notes: Sentences that a person should read.
        ids_sha256: The fingerprint of the order.
        files: The sha256 of each file.
        versions: Of righttime, Python and the libraries that take part.
        widening: How the target was widened; None where it was not.
        intact: Whether its entries are those that were written, by its own hash; None where it has none.
    """

    pool: tuple[InputFile, ...]
    target: tuple[InputFile, ...]
    given: Given
    settings: Mapping[str, Any]
    embedding: Mapping[str, Any]
    counts: Counts
    falloff: Falloff | None
    notes: tuple[str, ...]
    ids_sha256: str
    files: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)
    guard: Mapping[str, Any] = field(default_factory=dict)
    widening: Widening | None = None
    intact: bool | None = None

    @property
    def method(self) -> str:
        """The method that ordered the rows."""
        return str(self.settings["method"])

    @property
    def form(self) -> Literal["messages", "original"]:
        """What ``train.jsonl`` holds: ``messages``, or each row's own JSON."""
        return "original" if self.settings.get("as") == "original" else "messages"

    @property
    def text(self) -> str:
        """Which text represents a row."""
        return str(self.settings["text"])

    @property
    def own_embedder(self) -> bool:
        """Whether an embedder object of the user's made the vectors, which no manifest can bring back."""
        return not isinstance(self.settings.get("embedder"), str)

    def request(self) -> Request:
        """The request that led to this result; where and how fast it ran is left at the defaults.

        Raises:
            SettingsError: If it was made with an embedder object of the user's.
        """
        if self.own_embedder:
            raise SettingsError(
                "this result was made with an embedder of the user's own: check it without pool and target."
            )
        asked = dict(self.settings)
        asked["text"] = asked.get("text_asked", "prompt+response")
        asked["budget"] = asked.get("budget_asked", asked.get("budget"))
        if asked.get("rounds") is not None:
            asked["rounds"] = tuple(asked["rounds"])
        known = {entry.name for entry in dataclasses.fields(Request)} - _NOT_THE_RESULT
        return Request(**{name: value for name, value in asked.items() if name in known})


def read_result_manifest(folder: Path) -> ResultManifest:
    """The manifest of a finished arrangement.

    Raises:
        StoreError: If the folder does not hold one, or it has not the form of one.
    """
    return typed_manifest(read_manifest(folder), folder)


def typed_manifest(found: Mapping[str, Any], folder: Path) -> ResultManifest:
    """What a manifest's JSON says.

    Args:
        found: The JSON.
        folder: Where it lies, for errors.

    Raises:
        StoreError: If it has not the form of an arrangement's.
    """
    if "held_out" in found:
        raise StoreError(
            f"{folder} holds a split, not an arrangement. Hint: righttime arrange {folder / 'pool.jsonl'} ..."
        )
    require(found, _ENTRIES, folder)
    require(found["counts"], _COUNTS, folder)
    with as_written(folder / MANIFEST, "`righttime arrange`"):
        inputs, given = found["inputs"], found.get("given") or {}
        return ResultManifest(
            pool=_inputs(inputs["pool"]),
            target=_inputs(inputs["target"]),
            given=Given(given.get("folder"), *(_names(given, inputs, side) for side in ("pool", "target"))),
            settings=found["settings"],
            embedding=found["embedding"],
            counts=made(Counts, found["counts"]),
            falloff=_falloff(found.get("falloff")),
            notes=tuple(map(str, found["notes"])),
            ids_sha256=found["ids_sha256"],
            files=found["files"],
            versions=versions_in(found),
            guard=found["guard"] if isinstance(found.get("guard"), dict) else {},
            widening=_widening(found.get("widening")),
            intact=sealed(found),
        )


def _inputs(entries: Sequence[Mapping[str, Any]]) -> tuple[InputFile, ...]:
    return tuple(made(InputFile, entry) for entry in entries)


def _names(given: Mapping[str, Any], inputs: Mapping[str, Any], side: str) -> tuple[str, ...] | None:
    # Results of earlier versions name the files alone.
    names = given[side] if side in given else [file["path"] for file in inputs[side]]
    return None if names is None else tuple(names)


def _widening(entry: Mapping[str, Any] | None) -> Widening | None:
    if entry is None:
        return None
    rows = tuple(made(Neighbour, one) for one in entry["rows"])
    return made(Widening, {**entry, "pool": _inputs(entry["pool"]), "rows": rows})


def _falloff(entry: Mapping[str, Any] | None) -> Falloff | None:
    if entry is None:
        return None
    lines = tuple(made(Line, one) for one in entry["lines"])
    alone = tuple(made(Alone, one) for one in entry["alone"])
    return made(Falloff, {**entry, "lines": lines, "alone": alone})
