"""One row, or one target row, of a result: where it stands, who picked it or what it picked, and what it says."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement, method_named
from righttime.cli.flags import in_flags
from righttime.cli.show import indented
from righttime.cli.text import printable
from righttime.embedding import embed_texts, given_sides, uncached
from righttime.embedding.texts import texts_for
from righttime.embedding.vectors import vectors_given
from righttime.errors import RighttimeError, SettingsError
from righttime.formats import Reading
from righttime.results import FinishedResult, ResultManifest, open_result
from righttime.results.sources import find_sources_of, inside
from righttime.rows import Rows
from righttime.similarity import pair_similarity, unit_rows
from righttime.store import cache_folder

__all__ = ["show_row", "show_target_row"]

_NEAREST = 5  # target rows that are named


def show_target_row(out: Path, name: str, first: int | None = None) -> str:
    """What a target row says and, with whole texts and in order, which rows it picked.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        name: The target row's id.
        first: How many of the rows it picked to show; None: all.

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
    parts = [f"target row {name}"]
    parts.append(f"  its text: {why}" if read is None else _said(read.rows, read.rows.ids.index(name)))
    places = [place for place, picker in enumerate(pickers) if picker == name]
    if not method_named(manifest.method).needs & {"vectors"}:
        parts.append(f"{manifest.method} looks at no target row, so it picked none")
    else:
        how = "picked" if arrangement.round is not None else "is the most similar target row of"
        parts.append(f"{how} {len(places):,} of {len(arrangement):,} rows" + (":" if places else ""))
    shown = places if first is None else places[:first]
    texts = _rows_at(finished, shown)
    ids = arrangement.labels.id if arrangement.labels else ()
    parts += [f"{ids[at]}\n{_place(arrangement, at)}\n{text}" for at, text in zip(shown, texts, strict=True)]
    if len(shown) < len(places):
        parts.append(f"and {len(places) - len(shown):,} more: --first {len(places)}")
    return printable("\n\n".join(parts))


def show_row(out: Path, name: str, cache: Path | None = None) -> str:
    """A pool row's place and who picked it, or why it was left out; what it says, and its nearest target rows.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        name: The row's id.
        cache: The folder of cached vectors; None takes the user's. Nothing is embedded.

    Raises:
        SettingsError: If there is no such row; names the near ones.
        StoreError: If the folder is not a finished result.
    """
    finished = open_result(out)
    arrangement = finished.arrangement
    ids = list(arrangement.labels.id) if arrangement.labels else []
    if name in ids:
        place = ids.index(name)
        row, parts = int(arrangement.order[place]), [f"row {name}\n{_place(arrangement, place)}"]
        parts += _rows_at(finished, [place])
    else:
        left = _left_out(finished, name, ids)
        row, parts = left["row"], [f"row {name}\nleft out: {left['reason']}, {in_flags(left['detail'])}"]
        parts.append(f"it stands in {left['file']}:{left['line']}")
    try:
        parts += _nearest(finished, row, name in ids, cache)
    except (RighttimeError, OSError) as error:
        parts.append(f"its nearest target rows: not known, {error}")
    return printable("\n\n".join(parts))


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


def _place(arrangement: Arrangement, place: int) -> str:
    """Where a row stands and why, in one line."""
    words = [f"place {place:,} of {len(arrangement):,}"]
    if arrangement.round is not None:
        words.append(f"round {arrangement.round[place]}")
    if arrangement.similarity is not None:
        words.append(f"similarity {arrangement.similarity[place]:.3f}")
    labels = arrangement.labels
    if labels is not None and labels.picked_by[place] is not None:
        words.append(f"{'picked by' if arrangement.round is not None else 'most similar to'} {labels.picked_by[place]}")
    return ", ".join(words)


def _rows_at(finished: FinishedResult, places: Sequence[int]) -> list[str]:
    """The whole texts of rows of ``train.jsonl``, turn by turn."""
    wanted = set(places)
    lines = enumerate(finished.lines(max(wanted, default=-1) + 1))
    found = {place: line for place, line in lines if place in wanted}
    return [_turns(found[place]) for place in places]


def _turns(row: Mapping[str, Any]) -> str:
    turns = row.get("messages")
    if not isinstance(turns, list):
        return indented(json.dumps(row, ensure_ascii=False, indent=2))
    return "\n".join(f"    {turn.get('role')}\n{indented(_content(turn))}" for turn in turns)


def _content(turn: Mapping[str, Any]) -> str:
    calls = [json.dumps(call, ensure_ascii=False) for call in turn.get("tool_calls") or ()]
    return "\n".join([str(turn.get("content") or ""), *calls])


def _said(rows: Rows, number: int) -> str:
    return _turns(next(rows.examples([number])).as_dict())


def _nearest(finished: FinishedResult, row: int, arranged: bool, cache: Path | None) -> list[str]:
    """The row's text where train.jsonl does not hold it, and its nearest target rows, without embedding anything."""
    manifest = finished.manifest
    target, why = finished.read_again("target")
    pool, why_not = finished.read_again("pool")
    parts = []
    if not arranged:
        parts.append(_said(pool.rows, row) if pool is not None else f"its text: {why_not}")
    if "vectors" not in method_named(manifest.method).needs:
        return [*parts, f"its nearest target rows: not known, since {manifest.method} takes no vectors"]
    if target is None or pool is None:
        return [*parts, f"its nearest target rows: not known, since {why or why_not}"]
    vector, vectors = _vectors(manifest, pool, target, row, cache)
    if vector is None:
        return [*parts, "its nearest target rows: not known, since its vectors are not in the cache. Hint: --cache"]
    similarity = pair_similarity(vectors, vector)
    lines = ["its nearest target rows"]
    nearest = np.argsort(-similarity, kind="stable")[:_NEAREST].tolist()
    for number, prompt in zip(nearest, target.rows.texts("prompt", nearest), strict=True):
        lines.append(f"  {similarity[number]:.3f}  {target.rows.ids[number]}\n{indented(prompt)}")
    return [*parts, "\n".join(lines)]


def _vectors(
    manifest: ResultManifest, pool: Reading, target: Reading, row: int, cache: Path | None
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
    """The row's unit vector, shape (1, d), and the target's, shape (m, d); no row's where it would have to be embedded.

    Raises:
        RighttimeError: If the vectors or the model cannot be had.
    """
    request, folder = manifest.request(), (cache or cache_folder()).absolute()
    with inside(find_sources_of(manifest).folder):
        if vectors_given(request.embedder):
            n = len(pool.rows), len(target.rows)
            sides = given_sides(request.embedder, request.target_embedder, *n)
            return unit_rows(sides[0][row : row + 1], "pool vectors"), unit_rows(sides[1], "target vectors")
        embedder, text = request.model(), manifest.text
        texts = texts_for(embedder, pool.rows.take([row]), text) + texts_for(embedder, target.rows, text)
        if uncached(texts, embedder, folder):
            return None, np.empty((0, 0), dtype=np.float32)
        unit = unit_rows(embed_texts(texts, embedder, folder).vectors, "vectors")
        return unit[:1], unit[1:]
