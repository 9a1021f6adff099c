"""Ids and texts of the rows of a page, in packed blocks that the page opens as they are needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.examples import Example
from righttime.report.arranged import Arranged
from righttime.report.columns import texts_packed
from righttime.report.shown import Shown
from righttime.results import FinishedResult
from righttime.rows import Rows

__all__ = ["BLOCK", "SHOWN_CHARACTERS", "texts_json"]

BLOCK = 128
"""Rows of one packed block."""

SHOWN_CHARACTERS = 20_000
"""Characters of a row that a page holds; how many a longer row has is said beside it."""


def texts_json(arranged: Arranged, shown: Shown) -> dict[str, Any]:
    """What the page reads of texts.

    A row is ``{"id", "t": [[role, content], ...] or null where it is gone, "cut": its characters if it was cut}``.
    """
    kept = {} if arranged.pool is not None else _arranged_rows(arranged.finished)
    pool = list(_rows(arranged.pool, shown.pool, kept, _left_out_ids(arranged.finished)))
    target = list(_rows(arranged.target, shown.target, {}, _target_ids(arranged.finished)))
    return {
        "block": BLOCK,
        "shown_chars": SHOWN_CHARACTERS,
        "pool": texts_packed(pool, BLOCK),
        "target": texts_packed(target, BLOCK),
    }


def _rows(
    rows: Rows | None, numbers: NDArray[np.int64], kept: Mapping[int, Example], ids: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    where = numbers.tolist()
    if rows is not None:
        yield from map(_said, rows.examples(where))
        return
    for number in where:
        row = kept.get(number)
        yield {"id": ids.get(number, f"row {number}"), "t": None, "cut": 0} if row is None else _said(row)


def _said(row: Example) -> dict[str, Any]:
    room, turns, length = SHOWN_CHARACTERS, [], 0
    for turn in row.messages:
        content = "\n".join([turn.content, *(json.dumps(call, ensure_ascii=False) for call in turn.tool_calls)])
        length += len(content)
        if room > 0 or not content:
            turns.append([turn.role, content[:room]])
            room -= len(content)
    return {"id": row.id, "t": turns, "cut": length if length > SHOWN_CHARACTERS else 0}


def _arranged_rows(finished: Sequence[FinishedResult]) -> dict[int, Example]:
    """The rows that a training file holds, by pool row."""
    found: dict[int, Example] = {}
    for one in finished:
        if one.manifest.form == "messages":
            found |= dict(zip(one.arrangement.order.tolist(), one.examples, strict=True))
    return found


def _left_out_ids(finished: Sequence[FinishedResult]) -> dict[int, str]:
    rows = (row for one in finished for row in one.left_out.select(["row", "id"]).to_pylist())
    return {row["row"]: row["id"] for row in rows if row["row"] is not None and row["id"] is not None}


def _target_ids(finished: Sequence[FinishedResult]) -> dict[int, str]:
    """The ids of target rows that picked one, where the target itself is gone."""
    found: dict[int, str] = {}
    for one in finished:
        labels, picked = one.arrangement.labels, one.arrangement.picked_by
        if labels is not None and picked is not None:
            named = zip(picked.tolist(), labels.picked_by, strict=True)
            found |= {number: name for number, name in named if name is not None}
    return found
