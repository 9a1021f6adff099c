"""TMA with everything that composes with it at once, against one twin written from the definitions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from made_vectors import few_directions
from righttime import arrange_embeddings
from righttime.errors import SettingsError
from righttime.similarity import unit_rows
from twin import has_room, matrix, tma_within

Row = tuple[int, int | None, int | None, float | None]
"""Pool row, round, who picked it, similarity; the last three None where it was woven."""


def woven_at(k: int, n: int, shares: tuple[Fraction, Fraction]) -> int:
    """How many of the first k of n rows are woven: the sum of their shares to the nearest whole number, halves down."""
    first, last = shares
    due = sum((first + (last - first) * Fraction(2 * j - 1, 2 * n) for j in range(1, k + 1)), Fraction(0))
    return math.ceil(due - Fraction(1, 2))


def folded(rows: list[Row], layers: int, reverse: bool) -> list[Row]:
    rows = rows[::-1] if reverse else rows
    return [row for layer in range(layers) for row in rows[layer::layers]]


def the_twin(
    pool: NDArray[np.float32], target: NDArray[np.float32], asked: dict[str, Any], shares: tuple[Fraction, Fraction]
) -> list[Row] | None:
    """Every row with its reason; None where there are too few."""
    s, n, tasks = matrix(pool, target), asked["budget"], asked["tasks"]
    floor, cap = asked["min_similarity"], asked["cap_task"]
    allowed = [i for i in range(len(pool)) if floor is None or s[i].max() >= np.float32(floor)]
    caps = [] if cap is None else [([tasks[i] for i in allowed], cap)]
    apart = None if asked["apart"] is None else (matrix(pool[allowed], pool[allowed]), asked["apart"])
    weights = None if asked["target_weights"] is None else [Fraction(one) for one in asked["target_weights"]]
    if not allowed or woven_at(n, n, shares) == n:
        return None
    farthest = asked["method"] == "tma-farthest"
    sign = -1 if farthest else 1
    own: list[Row] = []
    for number, played in enumerate(tma_within(s[allowed], caps, farthest, floor, apart, weights)):
        inside = sorted(played, key=lambda pick: (-sign * pick[2], pick[0]))
        own += [(allowed[row], number, by, float(value)) for row, by, value in inside]
    wanted = woven_at(n, n, shares)
    if len(own) < n - wanted:
        return None
    own = own[: n - wanted]
    taken = [row for row, *_ in own]
    keys = np.random.default_rng([asked["seed"], *b"weave"]).random(len(allowed))
    drawn: list[int] = []
    for place in sorted((k for k, row in enumerate(allowed) if row not in taken), key=lambda k: keys[k]):
        row = allowed[place]
        whole = [] if cap is None else [(tasks, cap)]
        if len(drawn) < wanted and has_room(row, [*taken, *drawn], whole):
            drawn.append(row)
    if len(drawn) < wanted:
        return None
    if asked["shape"] is not None:
        own = folded(own, 3, "reverse" in asked["shape"])
    found, come = list[Row](), iter(own)
    for k in range(1, n + 1):
        if woven_at(k, n, shares) > woven_at(k - 1, n, shares):
            found.append((drawn.pop(0), None, None, None))
        else:
            found.append(next(come))
    return found


@st.composite
def inputs(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[Fraction, Fraction]]:
    n, m = draw(st.integers(4, 24)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    farthest = draw(st.booleans())
    share = draw(st.sampled_from(["0", "0.25", "40%"]))
    falls = draw(st.booleans())
    asked: dict[str, Any] = {
        "pool_vectors": few_directions(rng, n) + draw(st.sampled_from([0.0, 0.1])) * rng.normal(size=(n, 3)),
        "target_vectors": few_directions(rng, m),
        "tasks": [f"task{k}" for k in rng.integers(0, 3, size=n)],
        "method": "tma-farthest" if farthest else "tma",
        "budget": draw(st.integers(1, n)),
        "seed": draw(st.integers(0, 5)),
        "min_similarity": None if farthest else draw(st.sampled_from([None, 0.0, 0.5])),
        "cap_task": draw(st.sampled_from([None, 2, 4])),
        "apart": draw(st.sampled_from([None, 0.05, 0.5])),
        "target_weights": draw(st.sampled_from([None, [str(k) for k in rng.integers(1, 4, size=m)]])),
        "shape": draw(st.sampled_from([None, "folded:layers=3", "folded:layers=3,reverse=1"])),
    }
    number = Fraction(share[:-1]) / 100 if share.endswith("%") else Fraction(share)
    if falls:
        return {**asked, "anneal": f"1:{float(1 - number)}"} if number else asked, (Fraction(0), number)
    return {**asked, "weave": share} if number else asked, (number, number)


@given(inputs())
def test_everything_at_once_equals_the_twin(made: tuple[dict[str, Any], tuple[Fraction, Fraction]]) -> None:
    asked, shares = made
    want = the_twin(unit_rows(asked["pool_vectors"]), unit_rows(asked["target_vectors"]), asked, shares)
    if want is None:
        with pytest.raises(SettingsError):
            arrange_embeddings(**asked)
        return
    found = arrange_embeddings(**asked)
    table = found.to_table()
    columns = [table[name].to_pylist() for name in ("row", "round", "picked_by_row", "similarity")]
    assert list(zip(*columns, strict=True)) == want
    if "reason" in table.column_names:
        assert table["reason"].to_pylist() == ["woven" if one[1] is None else "arranged" for one in want]
    else:
        assert None not in columns[1]
