"""Rows by their distance to the whole target, and the same rows in other orders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.methods.tma import PAPER, WHOLE_PAPER
from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.similarity import Distance, check_distance, target_distance

__all__ = ["METHODS", "WEIGHTS", "check_distance_of", "distance_of", "in_order", "remarks"]

WEIGHTS: Mapping[str, Param] = {
    "w_avg": Param(float, None, "wsd: the weight of AD; default: mean(MD)/mean(AD) of the pool, guarded"),
    "w_min": Param(float, None, "wsd: the weight of MD; default: 1"),
}


def in_order(found: Selection, places: NDArray[np.int64]) -> Selection:
    """The same answer with its places taken in another order, or only some of them."""
    columns: dict[str, Any] = {
        entry.name: None if (column := getattr(found, entry.name)) is None else column[places]
        for entry in dataclasses.fields(found)
        if entry.name != "resolved"
    }
    return dataclasses.replace(found, **columns)


def distance_of(inputs: SelectionInput, rows: NDArray[np.float32], similarity: NDArray[np.float32]) -> Distance:
    """The distance that the inputs name, with its weights, of rows of vectors to the target."""
    return target_distance(
        inputs.distance,
        rows,
        inputs.target,
        similarity,
        w_avg=inputs.params.get("w_avg"),
        w_min=inputs.params.get("w_min"),
        target_weights=inputs.target_weights,
    )


def check_distance_of(inputs: SelectionInput, n_rows: int | None = None) -> None:
    """Refuse a distance that cannot be computed of so many rows, or weights that it ignores.

    Args:
        inputs: The settings; its vectors are not looked at.
        n_rows: How many rows of vectors will be asked about; None: the pool's.

    Raises:
        SettingsError: Says what must hold and what was got.
    """
    n_rows = len(inputs.pool) if n_rows is None else n_rows
    weighted = any(inputs.params.get(name) is not None for name in WEIGHTS)
    check_distance(inputs.distance, n_rows, len(inputs.target), weighted=weighted)


def remarks(distance: Distance) -> dict[str, Any]:
    """What the manifest should say of a distance."""
    said: dict[str, Any] = {}
    if distance.weights:
        said["weights"] = dict(distance.weights)
    if distance.transport:
        said["transport"] = dict(distance.transport)
    if distance.warning:
        said["warning"] = distance.warning
    return said


def _by_distance(inputs: SelectionInput, sign: float = 1.0) -> Selection:
    """All rows sorted by their distance to the target; equal distances keep the pool's order."""
    nearest, similarity = inputs.search.nearest(inputs.pool, inputs.target)
    distance = distance_of(inputs, inputs.pool, similarity)
    order = np.argsort(sign * distance.values, kind="stable").astype(np.int64)
    return Selection(order, None, nearest[order], similarity[order], distance.values[order], remarks(distance))


def _reversed(inputs: SelectionInput) -> Selection:
    return in_order(_by_distance(inputs), np.arange(inputs.wanted, dtype=np.int64)[::-1])


def _shuffled(inputs: SelectionInput) -> Selection:
    places = np.random.default_rng(inputs.seed).permutation(inputs.wanted)
    return in_order(_by_distance(inputs), places.astype(np.int64))


def _unshuffled(order: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The ranking of which `_shuffled` made this order."""
    ranked = np.empty_like(order)
    ranked[np.random.default_rng(seed).permutation(len(order))] = order
    return ranked


def _method(order: Callable[[SelectionInput], Selection], does: str, draws: bool = False, **fields: Any) -> Method:
    return Method(
        order,
        does,
        PAPER,
        frozenset({"vectors", "distance"}),
        "n·m·d",
        WEIGHTS,
        draws=lambda _: draws,
        check=check_distance_of,
        paper=WHOLE_PAPER,
        looks="nearest",
        verified_by="ranking",
        picked_near=True,
        **fields,
    )


METHODS = {
    "nearest": _method(
        _by_distance,
        "rows by distance to the target, nearest first",
        differs="Where WSD's default weight would explode or turn negative, `w_avg` is 1, with a warning.",
    ),
    "farthest": _method(
        lambda inputs: _by_distance(inputs, -1.0), "rows by distance to the target, farthest first", farthest=True
    ),
    "nearest-reversed": _method(
        _reversed, "exactly the rows of nearest, the nearest last", nested=False, ranking=lambda order, _: order[::-1]
    ),
    "nearest-shuffled": _method(
        _shuffled, "exactly the rows of nearest, in a seeded shuffle", draws=True, nested=False, ranking=_unshuffled
    ),
}
