"""Whether the rows that a target was widened by are those that the first rounds of TMA take of the side pool."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement
from righttime.errors import RighttimeError
from righttime.formats import Reading
from righttime.inputs import read_side
from righttime.results import Request, ResultManifest, Widening, with_neighbours
from righttime.verification.finding import Finding
from righttime.verification.nearness import close_to
from righttime.verification.replay import rounds_hold
from righttime.verification.stored_order import similarities_hold
from righttime.widening import side_vectors, widen

__all__ = ["side_changed", "widening_holds", "widening_in_order"]

_WHAT = "the target was widened by the nearest rows of the side pool, each once"


def widening_in_order(manifest: ResultManifest) -> Iterator[Finding]:
    """What the manifest alone tells of how a target was widened."""
    widening = manifest.widening
    if (manifest.settings.get("widen") is None) != (widening is None):
        yield Finding("a target is widened where that was asked for", False)
    if widening is None:
        return
    numbers = [row.target_row for row in widening.rows]
    good = numbers == list(range(widening.own, manifest.counts.target_rows))
    good &= len({row.row for row in widening.rows}) == len(widening.rows)
    good &= all(0 <= row.brought_by < widening.own for row in widening.rows)
    yield Finding("every target row is its own, or was brought once by one that is", good)


def side_changed(widening: Widening, request: Request) -> str:
    """Why the side pool is not what it was, in a sentence; empty where it is.

    Args:
        widening: As the manifest has it.
        request: Names the side pool.
    """
    assert request.widens is not None
    try:
        read = read_side(request.widens.pool, "side", request)
    except RighttimeError as error:
        return f"the side pool cannot be read any more: {error}"
    same = [file.sha256 for file in read.inputs] == [file.sha256 for file in widening.pool]
    return "" if same else "the side pool was changed since"


def widening_holds(
    widening: Widening,
    target: Reading,
    request: Request,
    cache: str | os.PathLike[str] | None,
    progress: bool,
) -> Finding:
    """Widen a target once more, and compare; by other vectors, within what these may differ by.

    Args:
        widening: As the manifest has it.
        target: The target's own rows.
        request: Of the result.
        cache: The folder of cached vectors.
        progress: Show progress on stderr.
    """
    now = widen(target, request, cache=cache, progress=progress)[1]
    if now == widening:
        return Finding(f"{_WHAT}, to the bit", True)
    from_ = side_vectors(target, request, cache=cache, progress=progress)
    if (widening.own, widening.no_part) != (len(target.rows), len(from_.side.rows) - len(from_.kept)):
        return Finding(_WHAT, False, "it counts other rows")
    place = {row: number for number, row in enumerate(from_.kept.tolist())}
    order = np.array([place.get(row.row, -1) for row in widening.rows], dtype=np.int64)
    if (order < 0).any():
        return Finding(_WHAT, False, f"row {widening.rows[int(np.argmin(order))].row} of the side pool takes no part")
    stored = _as_arrangement(widening, order, len(from_.kept))
    bound = close_to(from_.sides.about)
    pool, own = from_.sides.pool, from_.sides.target
    alike = similarities_hold(order, stored, (pool, own), bound)
    if not alike.ok:
        return alike
    wide = with_neighbours(target, from_.side, [row.row for row in widening.rows])
    wrong = _rounds_wrong(widening, request, len(pool)) or rounds_hold(
        order, stored, pool, own, 1.0, bound, last_whole=True
    )
    wrong = wrong or _names(widening, wide)
    return Finding(f"{_WHAT}, within {bound:g}", not wrong, wrong)


def _rounds_wrong(widening: Widening, request: Request, n_side: int) -> str:
    """Whether there are as many rounds as were asked for, in their order; what is wrong, or an empty string."""
    assert request.widens is not None
    rounds = [row.round for row in widening.rows]
    if rounds != sorted(rounds) or rounds[0] != 0:
        return "its rounds are not in order"
    found = rounds[-1] + 1
    if found > request.widens.each or (found < request.widens.each and len(rounds) < n_side):
        return f"it has {found:,} rounds, {request.widens.each:,} were asked for"
    return ""


def _as_arrangement(widening: Widening, order: NDArray[np.int64], n_side: int) -> Arrangement:
    """The rows taken as an arrangement of the side pool's rows that take part around the target's own."""
    return Arrangement(
        order,
        np.array([row.round for row in widening.rows], dtype=np.int32),
        np.array([row.brought_by for row in widening.rows], dtype=np.int64),
        np.array([row.similarity for row in widening.rows], dtype=np.float32),
        None,
        n_side,
        widening.own,
        {},
    )


def _names(widening: Widening, wide: Reading) -> str:
    """What of the names of the rows taken is not that of the side pool; empty where all is."""
    rows = wide.rows
    for one in widening.rows:
        at = one.target_row
        if (one.id, one.file, one.line) != (rows.ids[at], rows.files[at], rows.lines[at]):
            return f"target row {at} is {rows.ids[at]} ({rows.files[at]}:{rows.lines[at]})"
    return ""
