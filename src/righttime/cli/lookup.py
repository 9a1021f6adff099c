"""One row, or one target row, of a result: where it stands, what picked it or what it picked, and what it says."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import method_named
from righttime.cli.description import scored_by
from righttime.embedding import given_sides
from righttime.embedding.represent import lacking, represent
from righttime.embedding.texts import texts_for
from righttime.embedding.vectors import vectors_given
from righttime.errors import RighttimeError, SettingsError
from righttime.formats import Reading
from righttime.neighbours import MEMORY
from righttime.results import FinishedResult, Neighbour, ResultManifest, open_result
from righttime.results.sources import find_sources_of, inside
from righttime.rows import Rows
from righttime.similarity import pair_similarity, unit_rows
from righttime.store import cache_folder

__all__ = ["FoundRow", "FoundTargetRow", "LeftOutRow", "Near", "Position", "find_row", "find_target_row"]

_NEAREST = 5  # target rows that are named


Json = Mapping[str, Any]


@dataclass(frozen=True)
class Position:
    """Where a row stands, and why; without rounds, `picked_by` is its most similar target row."""

    id: str
    position: int
    arranged: int
    round: int | None
    similarity: float | None
    picked_by: str | None
    row: Json
    woven: bool = False
    score: float | None = None
    scored_by: str | None = None


@dataclass(frozen=True)
class FoundTargetRow:
    """A target row and what it picked.

    Attributes:
        id: Its id.
        method: The method that arranged.
        row: What it says; None where the target cannot be read.
        unread: Why not.
        picks: Whether the method looks at target rows at all.
        rounds: Whether there are rounds; without, "picked" means that this is the row's most similar target row.
        arranged: Rows in the order.
        n_picked: How many it picked.
        picked: The first of these.
        brought: What brought it into the target; None where it is one of the target's own.
        brought_by: The id of the row that did; None as well where the target cannot be read.
    """

    id: str
    method: str
    row: Json | None
    unread: str | None
    picks: bool
    rounds: bool
    arranged: int
    n_picked: int
    picked: tuple[Position, ...]
    brought: Neighbour | None = None
    brought_by: str | None = None


@dataclass(frozen=True)
class LeftOutRow:
    """Why a row is not in the order, and where it stands in the pool's files."""

    reason: str
    detail: str
    file: str
    line: int | None


@dataclass(frozen=True)
class Near:
    """A target row near a row."""

    id: str
    similarity: float
    prompt: str


@dataclass(frozen=True)
class FoundRow:
    """A pool row: its position or why it has none, what it says, and its nearest target rows.

    Attributes:
        id: Its id.
        position: Where it stands; None where it was left out.
        left_out: Why it was left out; None where it was not.
        row: What it says; None where the pool cannot be read.
        unread: Why not.
        nearest: Its nearest target rows; None where they are not known.
        unknown: Why not.
    """

    id: str
    position: Position | None
    left_out: LeftOutRow | None
    row: Json | None
    unread: str | None
    nearest: tuple[Near, ...] | None
    unknown: str | None


def find_target_row(out: Path, name: str, first: int | None = None) -> FoundTargetRow:
    """A target row and, in order, the rows that it picked.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        name: The target row's id.
        first: How many of the rows it picked to give; None: all.

    Raises:
        SettingsError: If there is no such target row; names the near ones.
        StoreError: If the folder is not a finished result.
    """
    finished = open_result(out)
    manifest, arrangement = finished.manifest, finished.arrangement
    read, why = finished.read_again("target")
    pickers = arrangement.labels.picked_by if arrangement.labels else ()
    known = [one for one in pickers if one is not None] if read is None else read.rows.ids
    if name not in known:
        unsure = "" if read is not None else f" Only those that picked a row are known, since {why}."
        raise _unknown("target row", name, known, unsure)
    positions = [position for position, picker in enumerate(pickers) if picker == name]
    widening = manifest.widening
    brought = next((one for one in widening.rows if one.id == name), None) if widening else None
    rows = [] if read is None else [_said(read.rows, read.rows.ids.index(name))]
    return FoundTargetRow(
        id=name,
        method=manifest.method,
        row=rows[0] if rows else None,
        unread=why if read is None else None,
        picks=bool(method_named(manifest.method).needs & {"vectors"}),
        rounds=arrangement.round is not None,
        arranged=len(arrangement),
        n_picked=len(positions),
        picked=tuple(_positions(finished, positions if first is None else positions[:first])),
        brought=brought,
        brought_by=None if brought is None or read is None else read.rows.ids[brought.brought_by],
    )


def find_row(out: Path, name: str, cache: Path | None = None, memory: int = MEMORY) -> FoundRow:
    """A pool row's position and what picked it, or why it was left out; what it says, and its nearest target rows.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        name: The row's id.
        cache: The folder of cached vectors; None takes the user's. Nothing is embedded.
        memory: Bytes that a compressed file of vectors may take when it is inflated.

    Raises:
        SettingsError: If there is no such row; names the near ones.
        StoreError: If the folder is not a finished result.
    """
    finished = open_result(out)
    arrangement = finished.arrangement
    ids = list(arrangement.labels.id) if arrangement.labels else []
    position, left_out, said, unread = None, None, None, None
    if name in ids:
        position = next(iter(_positions(finished, [ids.index(name)])))
        row, said = int(arrangement.order[position.position]), position.row
    else:
        left = _left_out(finished, name, ids)
        row, left_out = left["row"], LeftOutRow(left["reason"], left["detail"], left["file"], left["line"])
        pool, unread = finished.read_again("pool")
        said = _said(pool.rows, row) if pool is not None else None
    try:
        nearest, unknown = _nearest(finished, row, cache, memory)
    except (RighttimeError, OSError) as error:
        nearest, unknown = None, str(error)
    return FoundRow(name, position, left_out, said, unread if said is None else None, nearest, unknown)


def _said(rows: Rows, number: int) -> Json:
    return next(rows.examples([number])).as_dict()


def _left_out(finished: FinishedResult, name: str, ids: Sequence[str]) -> Mapping[str, Any]:
    rows = finished.left_out.to_pylist()
    for row in rows:
        if row["id"] == name and row["row"] is not None:
            found: Mapping[str, Any] = row
            return found
    raise _unknown("row", name, [*ids, *(row["id"] for row in rows if row["id"] is not None)], "")


def _unknown(what: str, name: str, known: Iterable[str], unsure: str) -> SettingsError:
    """As `righttime.errors.unknown_name`, for thousands of names: only the near ones are named."""
    names = list(dict.fromkeys(known))
    inside_of = [one for one in names if name in one][:3]
    near = inside_of or difflib.get_close_matches(name, names, n=3)
    quoted = ", ".join(repr(one) for one in near or names[:3])
    hint = f"did you mean {quoted}?" if near else f"known are {quoted}, …"
    return SettingsError(f"unknown {what} {name!r}: {hint}{unsure}")


def _positions(finished: FinishedResult, positions: Sequence[int]) -> Iterator[Position]:
    """Rows of the order by their positions, with what ``train.jsonl`` holds of them."""
    arrangement, wanted, by = finished.arrangement, set(positions), scored_by(finished)
    lines = enumerate(finished.lines(max(wanted, default=-1) + 1))
    found = {position: line for position, line in lines if position in wanted}
    for at in positions:
        yield Position(
            id=arrangement.labels.id[at] if arrangement.labels else "",
            position=at,
            arranged=len(arrangement),
            round=arrangement.at("round", at),
            similarity=arrangement.at("similarity", at),
            picked_by=arrangement.labels.picked_by[at] if arrangement.labels else None,
            row=found[at],
            woven=arrangement.woven is not None and bool(arrangement.woven[at]),
            score=arrangement.at("score", at),
            scored_by=by,
        )


def _nearest(
    finished: FinishedResult, row: int, cache: Path | None, memory: int
) -> tuple[tuple[Near, ...] | None, str | None]:
    """A row's nearest target rows, without embedding anything; or why they are not known."""
    manifest = finished.manifest
    target, why = finished.read_again("target")
    pool, why_not = finished.read_again("pool")
    if "vectors" not in method_named(manifest.method).needs:
        return None, f"since {manifest.method} takes no vectors"
    if target is None or pool is None:
        return None, f"since {why or why_not}"
    vector, vectors = _vectors(manifest, pool, target, row, cache, memory)
    if vector is None:
        return None, "since its vectors are not in the cache. Hint: --cache"
    similarity = pair_similarity(vectors, vector)
    numbers = np.argsort(-similarity, kind="stable")[:_NEAREST].tolist()
    prompts = target.rows.texts("prompt", numbers)
    return tuple(
        Near(target.rows.ids[number], float(similarity[number]), prompt)
        for number, prompt in zip(numbers, prompts, strict=True)
    ), None


def _vectors(
    manifest: ResultManifest, pool: Reading, target: Reading, row: int, cache: Path | None, memory: int
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
    """The row's unit vector, shape (1, d), and the target's, shape (m, d); no row's where it would have to be embedded.

    Raises:
        RighttimeError: If the vectors or the model cannot be had.
    """
    request, folder = manifest.request(), (cache or cache_folder()).absolute()
    with inside(find_sources_of(manifest).folder):
        if vectors_given(request.embedder):
            n = len(pool.rows), len(target.rows)
            sides = given_sides(request.embedder, request.target_embedder, *n, memory)
            return unit_rows(sides[0][row : row + 1], "pool vectors"), unit_rows(sides[1], "target vectors")
        embedder, text = request.model(), manifest.text
        texts = texts_for(embedder, text, pool.rows.take([row]), target.rows)
        if lacking(texts, 1, embedder, folder).any():
            return None, np.empty((0, 0), dtype=np.float32)
        unit = represent(texts, 1, embedder, folder, made=manifest.embedding).vectors
        return unit[:1], unit[1:]
