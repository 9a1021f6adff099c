"""How far arrangements of one pool agree: which rows they take first, and in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import Arrangement
from righttime.errors import SettingsError
from righttime.results import open_result

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far each pair of n arrangements agrees on its first rows, for each of c counts.

    Attributes:
        names: What the arrangements are called, n of them.
        at: The counts of first rows compared.
        n_pool: Rows of the pool.
        jaccard: float64, shape (c, n, n): rows in common, of all rows either took.
        rank: float64, shape (c, n, n): correlation of the places of the rows in common; NaN below two such rows.
        rank_kind: ``spearman`` or ``kendall`` (tau-b).
    """

    names: tuple[str, ...]
    at: tuple[int, ...]
    n_pool: int
    jaccard: NDArray[np.float64]
    rank: NDArray[np.float64]
    rank_kind: str


def agreement(
    arrangements: Sequence[Arrangement | str | os.PathLike[str]],
    *,
    at: Sequence[float] | None = None,
    rank: Literal["spearman", "kendall"] = "spearman",
    names: Sequence[str] | None = None,
) -> Agreement:
    """Compare arrangements of one pool, two by two.

    Args:
        arrangements: Two or more: arrangements, folders that ``righttime arrange`` wrote, or ``.parquet`` files.
        at: How many first rows to compare: shares of the pool (float below 1 or 1.0) or counts (int); None: as many
            as the shortest has.
        rank: Spearman's rho, or Kendall's tau, of the rows in common.
        names: What to call them; None: by their files.

    Returns:
        Jaccard indices and rank correlations of all pairs.

    Raises:
        SettingsError: If they are of different pools, are fewer than two, or one is shorter than asked for.
        StoreError: If one cannot be read.

    Example:
        >>> a, b = (Arrangement(np.array(rows), None, None, None, None, 4, 1, {}) for rows in ([0, 1, 2], [1, 0, 3]))
        >>> agreement([a, b], at=[2]).jaccard[0, 0, 1].item()
        1.0
    """
    if len(arrangements) < 2:
        raise SettingsError(f"agreement needs at least two arrangements, got {len(arrangements)}.")
    if rank not in ("spearman", "kendall"):
        raise SettingsError(f"rank must be 'spearman' or 'kendall', got {rank!r}.", setting="rank")
    loaded = [one if isinstance(one, Arrangement) else Arrangement.load(Path(one)) for one in arrangements]
    called = tuple(names) if names is not None else _names(arrangements)
    if len(called) != len(loaded):
        raise SettingsError(
            f"names must be one for each of the {len(loaded)} arrangements, got {len(called)}.", setting="names"
        )
    _check_one_pool(arrangements, loaded, called)
    counts = _counts(at, loaded, called)
    n = len(loaded)
    jaccard, ranks = np.ones((len(counts), n, n)), np.ones((len(counts), n, n))
    places = [_places(one) for one in loaded]
    for c, count in enumerate(counts):
        for a, b in combinations(range(n), 2):
            first = loaded[a].order[:count]
            common = first[places[b][first] < count]
            jaccard[c, a, b] = jaccard[c, b, a] = len(common) / (2 * count - len(common))
            ranks[c, a, b] = ranks[c, b, a] = _correlation(places[a][common], places[b][common], rank)
    return Agreement(called, counts, loaded[0].n_pool, jaccard, ranks, rank)


def _names(arrangements: Sequence[Arrangement | str | os.PathLike[str]]) -> tuple[str, ...]:
    """Folder or file names; whole paths where those repeat, numbers where there is no file."""
    paths = [None if isinstance(one, Arrangement) else Path(one) for one in arrangements]
    short = [None if path is None else path.name.removesuffix(".parquet") for path in paths]
    return tuple(
        f"arrangement {number}" if path is None or name is None else name if short.count(name) == 1 else str(path)
        for number, (path, name) in enumerate(zip(paths, short, strict=True))
    )


def _check_one_pool(
    given: Sequence[Arrangement | str | os.PathLike[str]], loaded: Sequence[Arrangement], names: Sequence[str]
) -> None:
    """All must be of one pool: as many rows, the same content where manifests tell it, the same id for a row."""
    hint = "Hint: only arrangements of one pool can be compared."
    ids: dict[int, tuple[str, str]] = {}
    content: dict[tuple[str, ...], str] = {}
    for one, arrangement, name in zip(given, loaded, names, strict=True):
        if arrangement.n_pool != loaded[0].n_pool:
            raise SettingsError(
                f"{names[0]} is of a pool of {loaded[0].n_pool} rows, {name} of one of {arrangement.n_pool}. {hint}"
            )
        if not isinstance(one, Arrangement) and Path(one).is_dir():
            content.setdefault(tuple(file.sha256 for file in open_result(one).manifest.pool), name)
        labels = arrangement.labels.id if arrangement.labels else ()
        for row, label in zip(arrangement.order.tolist(), labels, strict=False):
            known, where = ids.setdefault(row, (label, name))
            if known != label:
                raise SettingsError(
                    f"pool row {row} is {known!r} in {where} and {label!r} in {name}. {hint}", setting="pool"
                )
    if len(content) > 1:
        raise SettingsError(f"{' and '.join(list(content.values())[:2])} are of pools of different content. {hint}")


def _counts(at: Sequence[float] | None, loaded: Sequence[Arrangement], names: Sequence[str]) -> tuple[int, ...]:
    n_pool = loaded[0].n_pool
    shortest = min(range(len(loaded)), key=lambda number: len(loaded[number]))
    if at is None:
        return (len(loaded[shortest]),)
    counts = []
    for value in at:
        share = isinstance(value, float) and 0 < value <= 1
        if not share and not (1 <= value <= n_pool and int(value) == value):
            raise SettingsError(
                f"at must hold shares above 0 up to 1.0, or whole counts up to the pool's {n_pool} rows, got {value}.",
                setting="at",
            )
        count = max(1, round(value * n_pool)) if share else int(value)
        if count > len(loaded[shortest]):
            raise SettingsError(
                f"at {value} is {count} rows, but {names[shortest]} holds {len(loaded[shortest])}. "
                "Hint: arrange with a larger budget, or compare fewer rows.",
                setting="at",
            )
        counts.append(count)
    if not counts:
        raise SettingsError("at must hold at least one share or count, got none.", setting="at")
    return tuple(counts)


def _places(arrangement: Arrangement) -> NDArray[np.int64]:
    """The place of each pool row; n_pool where it has none."""
    places = np.full(arrangement.n_pool, arrangement.n_pool, dtype=np.int64)
    places[arrangement.order] = np.arange(len(arrangement))
    return places


def _correlation(a: NDArray[np.int64], b: NDArray[np.int64], kind: str) -> float:
    if len(a) < 2:
        return float("nan")
    from scipy import stats

    return float((stats.spearmanr if kind == "spearman" else stats.kendalltau)(a, b).statistic)
