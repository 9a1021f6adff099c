"""Verify what a shape sorted rows by: the order by the stored scores, and the scores against new ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from righttime.arrangement import Arrangement
from righttime.arrangement.shapes import Shape, out_of_shape
from righttime.verification.finding import Finding

__all__ = ["scores_hold", "scores_sorted"]

_CLOSE = 1e-4
"""Losses computed in other company, or on another machine, agree within this share of 1 + their value."""


def scores_sorted(arrangement: Arrangement, shape: Shape | None, seed: int) -> Iterator[Finding]:
    """Whether rows stand in a shape by their stored scores.

    Args:
        arrangement: As stored, without woven rows.
        shape: What was asked for.
        seed: Of shapes that draw.
    """
    if shape is None or not shape.scored or (arrangement.score is None and shape.by == "length"):
        return  # results of earlier versions have no lengths
    what = f"rows stand in their shape by {shape.by}"
    if arrangement.score is None:
        yield Finding(what, False, "the scores are not there")
        return
    inverse, _ = out_of_shape(arrangement, shape, seed)
    yield Finding(what, inverse.score is not None and bool((np.diff(inverse.score) >= 0).all()))


def scores_hold(then: Arrangement, now: Arrangement, *, exact: bool) -> Iterator[Finding]:
    """The stored score of each row against a new one, where they are not the same to the bit.

    Args:
        then: As stored.
        now: As it comes out now.
        exact: Whether scores cannot differ; else those of a model may, in their last bits.
    """
    if then.score is None or now.score is None:
        yield Finding("rows have scores", False, "only the stored ones do, or only the new ones")
        return
    new = dict(zip(now.order.tolist(), now.score.tolist(), strict=True))
    pairs = [
        (row, score, new[row])
        for row, score in zip(then.order.tolist(), then.score.tolist(), strict=True)
        if row in new and not np.isnan(score) and not np.isnan(new[row])
    ]
    if all(score == other for _, score, other in pairs):
        return
    close = 0.0 if exact else _CLOSE
    if not exact:
        told = "computed anew, or changed; what follows allows for that"
        yield Finding("the scores are the same to the bit", None, told)
    off = [row for row, score, other in pairs if not abs(score - other) <= close * (1 + abs(other))]
    detail = f"{len(off):,} rows' are not, the first: pool row {off[0]}" if off else ""
    yield Finding(f"every score is that of its row{'' if exact else f' within {close:g}'}", not off, detail)
