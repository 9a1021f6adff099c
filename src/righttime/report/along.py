"""Along an order: what it is made of, how similar its rows are, and how far orders agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from righttime.measures.agreement import agreement
from righttime.report.arranged import Arranged
from righttime.report.blocks import Block, Chart, Column, Matrix, Section, Series, Share, Shares, Table
from righttime.report.rows import Nearness
from righttime.report.summary import worst_served

__all__ = ["agreement_section", "composition", "similarity_section"]

_LARGEST, _POINTS = 12, 60


def composition(arranged: Arranged) -> Section | None:
    """Tasks and sources along each order, against the pool; None where no row has either."""
    blocks: list[Block] = []
    of_pool = (None, None) if arranged.pool is None else (arranged.pool.tasks, arranged.pool.sources)
    every = [
        (name, one.arrangement.labels)
        for one, name in zip(arranged.finished, arranged.names, strict=True)
        if one.arrangement.labels is not None
    ]
    for what, kind, pool in (("Tasks", "task", of_pool[0]), ("Sources", "source", of_pool[1])):
        parts = [(name, _parts(getattr(labels, kind), pool)) for name, labels in every]
        counted = [part for _, some in parts for part in some]
        # One ranking for all orders, so that a name has one colour in all of them.
        names = sorted(dict.fromkeys(one for _, part in counted for one in part), key=lambda one: -_most(one, counted))
        if len(names) > 1:
            blocks += [_shares(what if len(every) == 1 else f"{what}: {name}", some, names) for name, some in parts]
    return Section("composition", "Composition", blocks) if blocks else None


Part: TypeAlias = tuple[str, Counter[str | None]]
"""What a part of an order or pool is called, and how many rows of each name it has."""


def _parts(arranged: Sequence[str | None], pool: Sequence[str | None] | None) -> list[Part]:
    sizes = [n for n in (100, 1_000, 10_000, 100_000) if n < len(arranged)]
    parts = [(f"first {n:,}", Counter(arranged[:n])) for n in sizes]
    parts.append((f"all {len(arranged):,}", Counter(arranged)))
    return [*parts, *([] if pool is None else [(f"pool, {len(pool):,}", Counter(pool))])]


def _most(name: str | None, parts: Sequence[Part]) -> float:
    """The largest share that a name has of any part."""
    return max(part[name] / max(1, part.total()) for _, part in parts)


def _shares(title: str, parts: Sequence[Part], names: Sequence[str | None]) -> Shares:
    def shares(name: str | None) -> list[float]:
        return [part[name] / max(1, part.total()) for _, part in parts]

    rows = [Share("no task" if name is None else name, shares(name)) for name in names[:_LARGEST]]
    rest = [max(0.0, 1 - sum(row.shares[place] for row in rows)) for place in range(len(parts))]
    if len(names) > _LARGEST:
        rows.append(Share(f"{len(names) - _LARGEST:,} others", rest))
    return Shares(title, [label for label, _ in parts], rows, "Shares of the first rows of the order, and of the pool.")


def similarity_section(arranged: Arranged, near: Nearness | None) -> Section | None:
    """How similar the rows of each order are to what picked them; None where no order has similarities."""
    series = [
        Series(name, *_running(one.arrangement.arranged().similarity))
        for one, name in zip(arranged.finished, arranged.names, strict=True)
        if one.arrangement.similarity is not None and len(one.arrangement)
    ]
    if not series:
        return None
    blocks: list[Block] = [
        Chart(
            "Similarity along the order",
            "position in the order",
            "similarity",
            series,
            caption="Mean cosine similarity of each stretch of rows to the target rows that picked them (or, without "
            "rounds, to their most similar target rows).",
        )
    ]
    blocks += list(_rounds(arranged))
    blocks += list(_falloff(arranged))
    if near is not None:
        blocks.append(worst_served(arranged, near))
    return Section("similarity", "Measures along the order", blocks)


def _running(similarity: NDArray[np.float32] | None) -> tuple[list[float], list[float | None]]:
    """The mean of each of some sixty stretches, at the position of its last row."""
    assert similarity is not None
    parts = np.array_split(similarity.astype(np.float64), min(_POINTS, len(similarity)))
    ends = np.cumsum([len(part) for part in parts])
    return [float(end) for end in ends], [float(part.mean()) for part in parts]


def _rounds(arranged: Arranged) -> Iterator[Chart]:
    series = []
    for one, name in zip(arranged.finished, arranged.names, strict=True):
        arrangement = one.arrangement.arranged()
        if arrangement.round is None or arrangement.similarity is None:
            continue
        rounds, inverse = np.unique(arrangement.round, return_inverse=True)
        if len(rounds) < 2:
            continue
        sums = np.bincount(inverse, arrangement.similarity.astype(np.float64))
        sizes = np.bincount(inverse)
        low, high = np.full(len(rounds), np.inf), np.full(len(rounds), -np.inf)
        np.minimum.at(low, inverse, arrangement.similarity)
        np.maximum.at(high, inverse, arrangement.similarity)
        series.append(
            Series(
                name, rounds.tolist(), (sums / sizes).tolist(), low.astype(float).tolist(), high.astype(float).tolist()
            )
        )
    if series:
        caption = "Line: mean; band: lowest and highest of the round."
        yield Chart("Similarity by round", "round", "similarity", series, caption=caption)


def _falloff(arranged: Arranged) -> Iterator[Table]:
    columns = [Column(name, "right") for name in ("first rows", "mean similarity", "coverage", "found its nearest")]
    for one, name in zip(arranged.finished, arranged.names, strict=True):
        falloff = one.manifest.falloff
        if falloff is not None and falloff.lines:
            title = "Where quality falls" + (f": {name}" if len(arranged.finished) > 1 else "")
            rows = [[line.rows, line.similarity, line.coverage, line.found] for line in falloff.lines]
            told = "Coverage: mean over target rows of the similarity of the best row so far. Found: target rows that "
            yield Table(title, columns, rows, told + "have met their most similar pool row.")


def agreement_section(arranged: Arranged) -> Section | None:
    """How far several orders take the same rows; None for one."""
    if len(arranged.finished) < 2:
        return None
    shortest = min(len(one.arrangement) for one in arranged.finished)
    at = sorted({n for n in (100, 1_000, 10_000) if n < shortest} | {shortest})
    found = agreement([one.arrangement for one in arranged.finished], at=at, names=arranged.names)
    blocks: list[Block] = [
        Matrix(
            f"Rows in common among the first {n:,}",
            arranged.names,
            found.jaccard[place].tolist(),
            0.0,
            1.0,
            "Jaccard index: rows that both took, of all that either took.",
        )
        for place, n in enumerate(found.at)
    ]
    caption = "Spearman's correlation of the places of the rows that both took."
    blocks.append(
        Matrix(f"Same order, first {found.at[-1]:,}", arranged.names, found.rank[-1].tolist(), -1.0, 1.0, caption)
    )
    return Section("agreement", "Agreement", blocks)
