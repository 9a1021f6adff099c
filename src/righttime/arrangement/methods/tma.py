"""TMA as methods: rounds in order, nearest or farthest, each ordered inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.caps import Room
from righttime.arrangement.rounds import Round, tma_rounds
from righttime.arrangement.selection import Method, Selection, SelectionInput
from righttime.errors import SettingsError

__all__ = ["METHODS", "PAPER", "WHOLE_PAPER", "WITHIN_ROUND", "play"]

PAPER = "He et al., Findings of ACL 2025"
WHOLE_PAPER = (
    "He et al., *The Right Time Matters: Data Arrangement Affects Zero-Shot Generalization in Instruction Tuning*, "
    "Findings of ACL 2025, arXiv 2406.11721"
)


def _by_similarity(played: Round, number: int, seed: int) -> NDArray[np.intp]:
    return np.lexsort((played.rows, -played.similarity))


def _by_index(played: Round, number: int, seed: int) -> NDArray[np.intp]:
    return np.argsort(played.rows, kind="stable")


def _at_random(played: Round, number: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, number]).permutation(len(played.rows))


WITHIN_ROUND: Mapping[str, Callable[[Round, int, int], NDArray[np.intp]]] = {
    "similarity": _by_similarity,
    "index": _by_index,
    "random": _at_random,
}
"""The order inside a round: most similar first (least, for farthest), the pool's order, or a seeded shuffle."""


def play(inputs: SelectionInput, sign: float) -> Selection:
    """Rounds in order. Farthest is nearest to the opposite target: cos(x, -t) = -cos(x, t), exactly.

    Args:
        inputs: Vectors, budget, window of rounds, order within a round, seed.
        sign: 1.0 for nearest, -1.0 for farthest.

    Raises:
        SettingsError: If the window names no round that exists.
    """
    start, stop = inputs.rounds or (0, None)
    target = inputs.target if sign > 0 else -inputs.target
    played = tma_rounds(
        inputs.pool,
        target,
        expected_rows=stop * len(target) if stop is not None else inputs.budget if start == 0 else None,
        search=inputs.search,
        min_similarity=inputs.min_similarity if sign > 0 else None,
        room=Room(inputs.caps) if inputs.caps else None,
        apart=inputs.apart,
        weights=inputs.target_weights,
        enough=inputs.budget if start == 0 and inputs.within_round == "similarity" else None,
    )
    parts: list[tuple[NDArray[Any], ...]] = []
    number, taken = -1, 0
    for number, one in enumerate(islice(played, stop)):
        if number < start:
            continue
        # Similarities are to the turned target here, so most similar first is right for both signs.
        inside = WITHIN_ROUND[inputs.within_round](one, number, inputs.seed)
        label = np.full(len(inside), number, dtype=np.int32)
        similarity = np.float32(sign) * one.similarity[inside] + np.float32(0.0)
        parts.append((one.rows[inside], label, one.picked_by[inside], similarity))
        taken += len(inside)
        if inputs.budget is not None and taken >= inputs.budget:
            break
    if not parts:
        raise SettingsError(
            f"`rounds='{start}:{'' if stop is None else stop}'` must name rounds that exist, "
            f"but the pool is empty after {number + 1} rounds. Hint: rounds count from 0.",
            setting="rounds",
        )
    order, label, picked_by, similarity = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Selection(order, label, picked_by, similarity, 0.0 - similarity.astype(np.float64))


_NEEDS = frozenset({"vectors", "rounds"})
_DIFFERS = (
    "The budget is exact; the released code takes whole rounds. Inside a round the most similar rows come first; the "
    "released code keeps the pool's order (`within_round='index'`)."
)

METHODS = {
    "tma": Method(
        lambda inputs: play(inputs, 1.0),
        "rounds: every target row picks its nearest remaining pool row",
        PAPER,
        _NEEDS,
        "n·m·d",
        paper=WHOLE_PAPER,
        differs=_DIFFERS,
        looks="rounds",
        verified_by="rounds",
        rounds_fall=True,
        picked_near=True,
        caps_itself=True,
    ),
    "tma-farthest": Method(
        lambda inputs: play(inputs, -1.0),
        "rounds: every target row picks its farthest pool row",
        PAPER,
        _NEEDS,
        "n·m·d",
        paper=WHOLE_PAPER,
        differs=_DIFFERS,
        looks="rounds",
        verified_by="rounds",
        farthest=True,
        caps_itself=True,
    ),
}
