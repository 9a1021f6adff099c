"""What was asked, what came out, and what a reader should be warned of."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from righttime.report.arranged import Arranged
from righttime.report.blocks import Block, Cell, Column, Facts, Section, Table, Text
from righttime.report.rows import Nearness
from righttime.results import FinishedResult, Request

__all__ = ["DOMINATES", "FIRST", "summary", "worst_served"]

FIRST, DOMINATES = 1000, 0.5
"""A task is said to dominate where it has more than this share of the first so many rows, and twice its share of the
pool."""

_NAMED = 5
_ALONE = (
    "One pool row alone has a vector: there is no median similarity between pool rows, and no telling which target "
    "rows are farther from the pool than its rows are from each other."
)
_ALWAYS = ("method", "text", "embedder", "guard")


def summary(arranged: Arranged, near: Nearness | None) -> Section:
    """The first section of a page about arrangements."""
    blocks: list[Block] = []
    blocks += [Text(prefix + _sentence(one)) for one, prefix in arranged.prefixed]
    blocks += [Text(warning, "warning") for warning in _warnings(arranged)]
    blocks += map(Text, _far_off(arranged, near))
    if near is not None and near.median is None:
        blocks.append(Text(_ALONE))
    if arranged.vectors is not None and arranged.vectors.others:
        blocks += map(Text, arranged.vectors.sentences())
    blocks.append(_counts(arranged))
    blocks += [Text(prefix + note) for one, prefix in arranged.prefixed for note in one.manifest.notes]
    blocks.append(_settings(arranged))
    return Section("summary", "Summary", blocks)


def _sentence(one: FinishedResult) -> str:
    counts, settings = one.manifest.counts, one.manifest.settings
    by = f" by {settings['distance']}" if settings.get("distance") else ""
    rounds = f" in {_many(counts.rounds, 'round')}" if counts.rounds else ""
    left = f"; {counts.left_out:,} {'is' if counts.left_out == 1 else 'are'} left out" if counts.left_out else ""
    left = left or "; none is left out"
    return (
        f"{counts.arranged:,} of {_many(counts.pool_read, 'pool row')}, arranged by {one.manifest.method}{by}{rounds} "
        f"around {_many(counts.target_rows, 'target row')}{left}."
    )


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _counts(arranged: Arranged) -> Table:
    reasons = sorted({reason for one in arranged.finished for reason in one.manifest.counts.left_out_by_reason})
    columns = [Column("arrangement"), Column("in", "right"), Column("out", "right"), Column("left out", "right")]
    columns += [Column(reason, "right") for reason in reasons]
    rows: list[list[Cell]] = []
    for one, name in zip(arranged.finished, arranged.names, strict=True):
        counts = one.manifest.counts
        left = counts.left_out_by_reason
        rows.append([name, counts.pool_read, counts.arranged, counts.left_out, *(left.get(r, 0) for r in reasons)])
    return Table("Rows", columns, rows, "In is out and left out together: no row is lost.")


def _warnings(arranged: Arranged) -> Iterator[str]:
    for one, prefix in arranged.prefixed:
        for warning in (*_leaks(one), *_cut(one), *_dominating(arranged, one)):
            yield prefix + warning


def _far_off(arranged: Arranged, near: Nearness | None) -> Iterator[str]:
    """How many target rows are farther off than pool rows; no warning, as it is usual where tasks are held out."""
    if near is not None and near.median is not None:
        poor = int((near.best < near.median).sum())
        if poor:
            vectors = arranged.vectors
            by = f", by the vectors of {' and '.join(vectors.made)}" if vectors is not None and vectors.others else ""
            yield (
                f"{poor:,} of {len(near.best):,} target rows are farther from the pool than its rows are from each "
                f"other, as is usual where whole tasks are held out: their best similarity is below "
                f"{near.median:.4f}, the median similarity of a pool row to its most similar other pool row{by}."
            )


def _leaks(one: FinishedResult) -> Iterator[str]:
    found = one.manifest.guard
    if found and found["leaks"]:
        did = "left out" if one.manifest.settings.get("guard") == "remove" else "kept"
        yield (
            f"{found['pool_rows']:,} pool rows give away {found['target_rows']:,} target rows; they were {did}. "
            "See Leaks."
        )
    elif one.manifest.counts.target_prompts_in_pool and not found:
        yield f"the pool contains {one.manifest.counts.target_prompts_in_pool:,} target prompts word for word."


def _cut(one: FinishedResult) -> Iterator[str]:
    about = one.manifest.embedding
    for side in ("pool", "target"):
        if cut := about.get(f"{side}_truncated"):
            yield f"{cut:,} {side} rows are longer than the embedder reads; similarities are of their beginning."


def _dominating(arranged: Arranged, one: FinishedResult) -> Iterator[str]:
    labels = one.arrangement.labels
    if labels is None or arranged.pool is None or len(labels.task) < 10:
        return
    first = labels.task[:FIRST]
    task, count = Counter(first).most_common(1)[0]
    whole = sum(name == task for name in arranged.pool.tasks) / max(1, len(arranged.pool))
    share = count / len(first)
    if task is not None and share > DOMINATES and share > 2 * whole:
        yield (
            f"one task dominates: {task} has {share:.0%} of the first {len(first):,} rows, and {whole:.0%} of the pool."
        )


def _settings(arranged: Arranged) -> Facts | Table:
    """What was asked for beside the defaults; all settings are in the manifest."""
    defaults = dataclasses.asdict(Request())
    names = [
        name
        for name in dict.fromkeys(key for one in arranged.finished for key in one.manifest.settings)
        if name in _ALWAYS
        or (
            name in defaults
            and any(one.manifest.settings.get(name) not in (None, {}, defaults[name]) for one in arranged.finished)
        )
    ]
    said = {name: [_told(one.manifest.settings.get(name)) for one in arranged.finished] for name in names}
    if len(arranged.finished) == 1:
        return Facts([(name, values[0]) for name, values in said.items()])
    columns = [Column("setting"), *(Column(name) for name in arranged.names)]
    return Table("Settings", columns, [[name, *values] for name, values in said.items()])


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name}={one}" for name, one in value.items() if one is not None)
    if value in (None, "", []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def worst_served(arranged: Arranged, near: Nearness) -> Table:
    """The target rows whose most similar pool row is least similar."""
    order = np.argsort(near.best, kind="stable")[:_NAMED].tolist()
    ids = arranged.target.ids if arranged.target is not None else [str(number) for number in range(len(near.best))]
    rows = [[ids[number], float(near.best[number])] for number in order]
    return Table("Served worst", [Column("target row"), Column("best similarity", "right")], rows)
