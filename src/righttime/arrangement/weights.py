"""Target rows of unequal importance: what each weighs, and whose turn it is when they take turns in proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError, unknown_name

__all__ = ["Turns", "equal_is_none", "read_weights", "weight_of", "weights_of_rows"]


def weight_of(given: Any, whose: str = "a target row") -> Fraction:
    """A weight as an exact number.

    Args:
        given: A number, or its text.
        whose: For the error.

    Raises:
        SettingsError: If it is not a finite number above 0.

    Example:
        >>> weight_of(0.1), weight_of("1/3")
        (Fraction(1, 10), Fraction(1, 3))
    """
    try:
        weight = Fraction(0) if isinstance(given, bool) else Fraction(str(given))
    except (ValueError, ZeroDivisionError):
        weight = Fraction(0)
    if weight <= 0:
        raise SettingsError(
            f"the weight of {whose} must be a number above 0, got {given!r}. Hint: 1 is that of all others.",
            setting="target_weight",
        )
    return weight


def read_weights(given: Mapping[str, Any]) -> dict[str, Fraction]:
    """The weights that are asked for by name.

    Raises:
        SettingsError: If one is no weight.
    """
    return {name: weight_of(value, repr(name)) for name, value in given.items()}


def weights_of_rows(
    given: Mapping[str, Any], sources: Sequence[str], tasks: Sequence[str | None]
) -> tuple[Fraction, ...] | None:
    """The weight of each target row: that of its file, times that of its task, where these are named.

    Args:
        given: File or task to weight. A name that is both is the file's.
        sources: The short name of each row's file.
        tasks: Each row's task.

    Returns:
        One for each row; None where all weigh the same.

    Raises:
        SettingsError: If a name is neither a file's nor a task's, or a weight is none.
    """
    weights = read_weights(given)
    files, others = set(sources), {task for task in tasks if task is not None}
    for name in weights:
        if name not in files and name not in others:
            raise unknown_name("file or task of the target", name, sorted(files | others), setting="target_weight")
    of_tasks = {name: weight for name, weight in weights.items() if name not in files}
    one = Fraction(1)
    return equal_is_none(
        tuple(
            weights.get(source, one) * (one if task is None else of_tasks.get(task, one))
            for source, task in zip(sources, tasks, strict=True)
        )
    )


def equal_is_none(weights: tuple[Fraction, ...]) -> tuple[Fraction, ...] | None:
    """Weights, or None where all are the same."""
    return None if len(set(weights)) < 2 else weights


class Turns:
    """Whose turn it is: with the largest weight w, a row of weight v has ⌈n·v/w⌉ of the first n turns.

    So all have the first, and the heaviest have every one.
    """

    def __init__(self, weights: Sequence[Fraction] | None, m: int) -> None:
        """Start.

        Args:
            weights: The weight of each target row; None: the same.
            m: How many target rows there are.
        """
        kinds = sorted(set(weights)) if weights else [Fraction(1)]
        place = {weight: number for number, weight in enumerate(kinds)}
        self._kind = np.array([place[weight] for weight in weights] if weights else [0] * m, dtype=np.int64)
        self._every = [kinds[-1] / weight for weight in kinds]
        self._had = [0] * len(kinds)

    def next(self, playing: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of the target rows that still play whose turn is next; turns that nobody would have are left out.

        Args:
            playing: Target rows, ascending, at least one.
        """
        mine = self._kind[playing]
        due = {kind: int(self._had[kind] * self._every[kind]) for kind in np.unique(mine).tolist()}
        now = min(due.values())
        kinds = [kind for kind, turn in due.items() if turn == now]
        for kind in kinds:
            self._had[kind] += 1
        return playing[np.isin(mine, kinds)]
