"""What a replicate draws: part of the pool, and target rows that steer or judge. Shared by all of its orders.

A seed changes nothing for most orders, nor for training without dropout; so replicates differ by the rows they draw.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.contamination.prompts import same_prompts
from righttime.errors import DuplicateIdError, EmptyDataError, SettingsError, hinted
from righttime.examples import Example
from righttime.experiment.guarding import Guarded, by_meaning, by_texts
from righttime.experiment.settings import ALL, Experiment, Source
from righttime.formats import FORMATS, read_rows
from righttime.gguf import model_folder
from righttime.rows import ExampleRows, Rows
from righttime.sampling import drawn
from righttime.splits import group_of
from righttime.tokenization.counts import token_counts

__all__ = ["GUARDED", "JUDGE", "Draw", "Pools", "as_line", "draw_replicate", "guarded_by_vectors", "read_pools"]

JUDGE = "judge"
"""The set whose loss decides."""
GUARDED = "guarded"
"""What rows are called that the guard took out."""
_POOL, _TARGET, _SETS, _JUDGE, _SIDE = b"pool", b"target", b"set", b"judge", b"side"
"""Each draws apart from the others."""


@dataclass(frozen=True)
class Part:
    """The rows of one source that may take part.

    Attributes:
        source: Where they come from.
        rows: The rows, their own JSON kept.
        numbers: Each row's number among all readable rows of its side.
        too_long: How many rows were left out for their length.
        other_tasks: How many were left out for their task.
        bad: How many could not be used.
    """

    source: Source
    rows: Rows
    numbers: tuple[int, ...]
    too_long: int
    other_tasks: int
    bad: int = 0


@dataclass(frozen=True)
class Pools:
    """All rows of an experiment, read once.

    Attributes:
        pool: The pool's sources.
        target: The target's.
        sets: Those of other sets.
        side_pools: Those of side pools.
        readable: Readable rows of pool and target, for vectors that go by row.
        inputs: The sha256 of every file, by side, source and name.
    """

    pool: tuple[Part, ...]
    target: tuple[Part, ...]
    sets: Mapping[str, tuple[Part, ...]]
    side_pools: Mapping[str, tuple[Part, ...]]
    readable: tuple[int, int]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Draw:
    """What one replicate drew.

    Attributes:
        pool: The pool.
        steer: Target rows that orders may look at.
        judge: Target rows that judge; the same where all do both.
        sets: The rows of other sets.
        side_pools: The rows of side pools; no id is also one of the pool's, or of another side pool's.
        numbers: Of pool, steer and judge: each row's number among the readable rows of its side.
        counts: What became of every row of the pool, and how many target rows steer and judge.
        side_counts: What became of every row of each side pool.
        guard: What the guard found in the pool and side pools together; None where it is off.
    """

    pool: Rows
    steer: Rows
    judge: Rows
    sets: Mapping[str, Rows]
    side_pools: Mapping[str, Rows]
    numbers: Mapping[str, tuple[int, ...]]
    counts: Mapping[str, int]
    side_counts: Mapping[str, Mapping[str, int]]
    guard: Guarded | None = None

    @property
    def pools(self) -> Rows:
        """The rows of the pool, and after them those of the side pools."""
        if not self.side_pools:
            return self.pool
        sides = [self.pool, *self.side_pools.values()]
        return ExampleRows([row for rows in sides for row in rows.examples()])


def read_pools(experiment: Experiment, progress: bool = False) -> Pools:
    """Read everything, and find what may take part.

    Args:
        experiment: The experiment.
        progress: Show progress on stderr.

    Raises:
        DataError: If a file cannot be read, or nothing of it may take part; a judged row without an answer is named.
    """
    inputs: dict[str, str] = {}
    seen: set[str] = set()
    pool = _parts(experiment.pool, "pool", experiment, inputs, progress, seen)
    target = _parts(experiment.target, "target", experiment, inputs, progress)
    sets = {name: _parts(found, name, experiment, inputs, progress) for name, found in experiment.sets.items()}
    side_pools = {
        name: _parts(found, name, experiment, inputs, progress, seen, name)
        for name, found in experiment.side_pools.items()
    }
    for name, parts in {"target": target, **sets}.items():
        for part in parts:
            _check_answered(part.rows, name)
    readable = tuple(sum(len(part.rows) + part.too_long + part.other_tasks for part in side) for side in (pool, target))
    return Pools(pool, target, sets, side_pools, (readable[0], readable[1]), inputs)


def _parts(
    sources: Sequence[Source],
    side: str,
    experiment: Experiment,
    inputs: dict[str, str],
    progress: bool,
    seen: set[str] | None = None,
    called: str = "",
) -> tuple[Part, ...]:
    """The sources of one side, ids made unique among all of them, and among those seen; `called`: of a side pool."""
    role: Literal["pool", "target"] = "pool" if side == "pool" or called else "target"
    found: list[Part] = []
    before = 0
    for source in sources:
        _check_format(source)
        names = ("format", "task_field", "positive_examples", "bad_rows", "repeated_ids", "fields")
        how: dict[str, Any] = {name: getattr(source, name) for name in names}
        try:
            read = read_rows([source.path], role=role, keep_original=True, progress=progress, **how)
        except DuplicateIdError as error:
            raise hinted(error, "for this source, `repeated_ids: number` keeps every row and numbers them.") from None
        inputs |= {f"{side} {len(found) + 1}: {Path(one.path).name}": one.sha256 for one in read.inputs}
        found.append(dataclasses.replace(_part(source, read.rows, before, experiment), bad=len(read.left_out)))
        before += len(read.rows)
    return tuple(_distinct(found, set() if seen is None else seen, called))


def _check_format(source: Source) -> None:
    """Refuse formats whose rows are trained on in another way than an experiment's runs are."""
    if source.format is not None and source.format in FORMATS and FORMATS[source.format].by_name:
        raise SettingsError(
            f"{source.path}: an experiment's rows must be of a format for instruction tuning, got {source.format}. "
            "Hint: `righttime arrange`, then tune or export each order by itself.",
            setting="format",
        )


def _part(source: Source, rows: Rows, before: int, experiment: Experiment) -> Part:
    wanted = [number for number, task in enumerate(rows.tasks) if _of_task(task, source.tasks)]
    kept, most = wanted, source.max_tokens or experiment.max_tokens
    if most is not None:
        counts = token_counts(rows.take(wanted), model_folder(experiment.model))
        kept = [number for number, count in zip(wanted, counts, strict=True) if count <= most]
    if not kept:
        limit = f" of at most {most} tokens" if most is not None else ""
        tasks = f" of the tasks {', '.join(source.tasks)}" if source.tasks else ""
        raise EmptyDataError(
            f"{source.path} must have rows{tasks}{limit}, but none of its {len(rows):,} rows is one.", file=source.path
        )
    numbers = tuple(before + number for number in kept)
    return Part(source, rows.take(kept), numbers, len(wanted) - len(kept), len(rows) - len(wanted))


def _of_task(task: str | None, patterns: Sequence[str]) -> bool:
    return not patterns or (task is not None and any(fnmatchcase(task, pattern) for pattern in patterns))


def _distinct(parts: Sequence[Part], seen: set[str], called: str) -> Iterator[Part]:
    """The same with ids and names of sources that differ among all: a repeated one gets its source's number."""
    named: set[str] = set()
    for place, part in enumerate(parts):
        examples, before, mark = [], frozenset(named), f"@{called}{place + 1}"
        for row in part.rows.examples():
            name = row.id if row.id not in seen else f"{row.id}{mark}"
            source = row.source if row.source not in before else f"{row.source}{mark}"
            seen.add(name)
            named.add(source)
            examples.append(dataclasses.replace(row, id=name, source=source))
        yield dataclasses.replace(part, rows=ExampleRows(examples, part.rows.content_ids))


def _check_answered(rows: Rows, name: str) -> None:
    for number, answered in enumerate(rows.answered):
        if not answered:
            raise EmptyDataError(
                f"every row of {name} must have an answer to take the loss of, but {rows.files[number]}:"
                f"{rows.lines[number]} (id {rows.ids[number]}) has none. Hint: rows with answers.",
                file=rows.files[number],
                line=rows.lines[number],
                row=rows.ids[number],
            )


def draw_replicate(experiment: Experiment, pools: Pools, replicate: int) -> Draw:
    """Draw one replicate; its number and the experiment's seed decide everything.

    Target rows are drawn first; pool rows with the same prompt as one of them, or as a row of another set, are left
    out, as are those of the target's tasks or groups where that is asked for, and those in which the guard finds a
    leak; then the pool is drawn.

    Raises:
        EmptyDataError: If nothing is left of the pool, or no target row steers or judges.
        SettingsError: If more rows are to be drawn than there are.
    """
    seed = experiment.seed + replicate
    target, target_numbers = _joined(_drawn_side(pools.target, [seed, *_TARGET]))
    sets = {name: _joined(_drawn_side(parts, [seed, *_SETS]))[0] for name, parts in pools.sets.items()}
    steering, judging = _shared_out(target, experiment.judge_share, seed)
    asked = ExampleRows([*target.examples(), *(row for rows in sets.values() for row in rows.examples())])
    held, sides = _held_out(experiment, target), {"": pools.pool, **pools.side_pools}
    tally = {name: Counter[str]() for name in sides}
    free: Mapping[str, Sequence[Part]] = {
        name: [_without(part, asked, held, experiment.hold_out, tally[name]) for part in parts]
        for name, parts in sides.items()
    }
    guard, free = _guarded(experiment, free, asked, seed, tally)
    chosen = {name: _drawn_pool(parts, experiment, seed, name, tally[name]) for name, parts in free.items()}
    (pool, pool_numbers), counts = _joined(chosen.pop("")), tally.pop("")
    _check_sides(pool, steering, judging, counts)
    side_pools = {name: _joined(parts)[0] for name, parts in chosen.items()}
    for name, rows in side_pools.items():
        _check_side_pool(name, rows, tally[name])
        tally[name]["drawn"] = len(rows)
    side_counts = {name: dict(counted) for name, counted in tally.items()}
    counts |= Counter({"pool": len(pool), "steer": len(steering), "judge": len(judging)})
    numbers = {
        "pool": pool_numbers,
        "steer": tuple(target_numbers[place] for place in steering),
        "judge": tuple(target_numbers[place] for place in judging),
    }
    steer, judge = target.take(steering), target.take(judging)
    return Draw(pool, steer, judge, sets, side_pools, numbers, dict(counts), side_counts, guard)


def _drawn_pool(free: Sequence[Part], experiment: Experiment, seed: int, name: str, counts: Counter[str]) -> list[Part]:
    """What is drawn of each source of a pool, or of the side pool of that name; what becomes of the rest is counted."""
    stream = [seed, *_SIDE, *name.encode()] if name else [seed, *_POOL]
    drawn_parts = []
    for k, part in enumerate(free):
        chosen = _drawn(part, part.source.rows or experiment.subsample, [*stream, k])
        counts["not drawn"] += len(part.rows) - len(chosen.rows)
        counts["bad"] += part.bad
        counts["too long"] += part.too_long
        counts["other tasks"] += part.other_tasks
        drawn_parts.append(chosen)
    return drawn_parts


def _guarded(
    experiment: Experiment,
    free: Mapping[str, Sequence[Part]],
    asked: Rows,
    seed: int,
    tally: Mapping[str, Counter[str]],
) -> tuple[Guarded | None, Mapping[str, Sequence[Part]]]:
    """What the guard finds in the sources of all pools, which it reads as one, and the sources without it."""
    pool, _ = _joined([part for parts in free.values() for part in parts])
    if experiment.guard == "off" or not len(pool):
        return None, free
    found = by_texts(pool, asked, seed, experiment.guard == "remove")
    if not found.removed:
        return found, free
    gone, first, kept = set(found.leaks.pool_rows), 0, dict[str, Sequence[Part]]()
    for name, parts in free.items():
        left = []
        for part in parts:
            places = [place for place in range(len(part.rows)) if first + place not in gone]
            tally[name][GUARDED] += len(part.rows) - len(places)
            left.append(_taken(part, places))
            first += len(part.rows)
        kept[name] = left
    return found, kept


def guarded_by_vectors(draw: Draw, vectors: Mapping[str, NDArray[Any]], seed: int) -> tuple[Draw, Sequence[int]]:
    """The draw without the rows in which the guard finds a target row in other words; and the places that stay.

    Args:
        draw: What was drawn.
        vectors: Unit vectors of ``pool``, all rows of `Draw.pools`, and of ``target``: rows that steer, then those that
            judge.
        seed: Of the replicate.

    Raises:
        EmptyDataError: If none stays.
    """
    assert draw.guard is not None
    judged = draw.judge if draw.judge.ids != draw.steer.ids else ()
    target: Rows = ExampleRows([*draw.steer.examples(), *(judged.examples() if judged else ())])
    found, kept = by_meaning(draw.guard, draw.pools, target, vectors, seed)
    if len(kept) == len(draw.pools):
        return dataclasses.replace(draw, guard=found), kept
    own = [place for place in kept if place < len(draw.pool)]
    counts = Counter(draw.counts) + Counter({GUARDED: len(draw.pool) - len(own)})
    counts["pool"] = len(own)
    pool = draw.pool.take(own)
    _check_sides(pool, draw.steer.ids, draw.judge.ids, counts)
    numbers = {**draw.numbers, "pool": tuple(draw.numbers["pool"][place] for place in own)}
    draw = _side_pools_kept(draw, kept)
    return dataclasses.replace(draw, pool=pool, numbers=numbers, counts=dict(counts), guard=found), kept


def _side_pools_kept(draw: Draw, kept: Sequence[int]) -> Draw:
    """The draw with those rows of its side pools, by their places among the rows of all pools."""
    first, rows, counts = len(draw.pool), dict[str, Rows](), dict[str, Mapping[str, int]]()
    for name, before in draw.side_pools.items():
        rows[name] = before.take([place - first for place in kept if first <= place < first + len(before)])
        counted = Counter(draw.side_counts[name]) + Counter({GUARDED: len(before) - len(rows[name])})
        counts[name] = {**counted, "drawn": len(rows[name])}
        _check_side_pool(name, rows[name], counts[name])
        first += len(before)
    return dataclasses.replace(draw, side_pools=rows, side_counts=counts)


def _taken(part: Part, places: Sequence[int]) -> Part:
    return dataclasses.replace(part, rows=part.rows.take(places), numbers=tuple(part.numbers[p] for p in places))


def _drawn_side(parts: Sequence[Part], stream: Sequence[int]) -> list[Part]:
    return [_drawn(part, part.source.rows, [*stream, k]) for k, part in enumerate(parts)]


def _drawn(part: Part, wish: int | str | float | None, stream: Sequence[int]) -> Part:
    """The part of a source that a replicate draws; each source of each side draws apart from the others."""
    mixed, there = int(np.random.default_rng(stream).integers(2**31)), len(part.rows)
    if isinstance(wish, int) and wish > there:
        raise SettingsError(
            f"{part.source.path} must have the {wish:,} rows that a replicate draws, but only {there:,} may take part. "
            "Hint: fewer `rows`, or a larger `max_tokens`.",
            file=part.source.path,
        )
    places = drawn(there, None if wish == ALL else wish, mixed) if there else []
    return _taken(part, places)


def _joined(parts: Sequence[Part]) -> tuple[Rows, tuple[int, ...]]:
    examples = [row for part in parts for row in part.rows.examples()]
    contents = [one for part in parts for one in part.rows.content_ids]
    return ExampleRows(examples, contents), tuple(number for part in parts for number in part.numbers)


def _shared_out(target: Rows, share: float | None, seed: int) -> tuple[list[int], list[int]]:
    """The places of target rows that steer and of those that judge, task by task."""
    every = list(range(len(target)))
    if share is None:
        return every, every
    rng = np.random.default_rng([seed, *_JUDGE])
    by_task = list(_alike(target).values())
    chosen: set[int] = set()
    owed = rng.random() - 0.5  # of a task of one row, half a row judges: tasks, in any order, make it up among them
    for which in rng.permutation(len(by_task)).tolist():
        groups = by_task[which]
        owed += share * sum(map(len, groups))
        for one in rng.permutation(len(groups)).tolist():
            if owed < len(groups[one]) / 2:
                break
            owed -= len(groups[one])
            chosen.update(groups[one])
    return [place for place in every if place not in chosen], sorted(chosen)


def _alike(target: Rows) -> dict[str, list[list[int]]]:
    """By task the places of rows with one prompt: on one side, or judge rows would be seen by orders."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, prompt in enumerate(target.texts("prompt")):
        groups.setdefault(tuple(prompt.split()), []).append(place)
    found: dict[str, list[list[int]]] = {}
    for places in groups.values():
        found.setdefault(target.tasks[places[0]] or "", []).append(places)
    return found


def _held_out(experiment: Experiment, target: Rows) -> set[str]:
    return {_unit(task, experiment.hold_out) for task in target.tasks if task is not None}


def _unit(task: str, by: str) -> str:
    """What is held out as a whole: a task, or its group."""
    return group_of(task) if by == "group" else task


def _without(part: Part, asked: Rows, held: set[str], by: str, counts: Counter[str]) -> Part:
    """A pool source without rows that target or sets have too, and without held-out tasks."""
    leaks, kept = same_prompts(asked, part.rows), []
    for place, task in enumerate(part.rows.tasks):
        if place in leaks:
            counts["leaks"] += 1
        elif by != "none" and task is not None and _unit(task, by) in held:
            counts["held out"] += 1
        else:
            kept.append(place)
    return _taken(part, kept)


def _check_sides(pool: Rows, steering: Sequence[object], judging: Sequence[object], counts: Mapping[str, int]) -> None:
    if not len(pool):
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        raise EmptyDataError(f"a replicate must draw pool rows, but none is left ({told}).")
    if not steering or not judging:
        side = "steers" if not steering else "judges"
        raise EmptyDataError(
            f"target rows must be enough for some to steer and some to judge, but of {len(steering) + len(judging)} "
            f"none {side}. Hint: more target rows, or another `judge_share`."
        )


def _check_side_pool(name: str, rows: Rows, counts: Mapping[str, int]) -> None:
    if not len(rows):
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        raise EmptyDataError(f"a replicate must draw rows of the side pool {name}, but none is left ({told}).")


def as_line(row: Example) -> str:
    """A row as a replicate's file has it: our own form, with its category and its other right answers."""
    original = json.loads(row.original) if row.original else {}
    made: dict[str, Any] = {**row.as_dict(), "task": row.task}
    category = original.get("category", original.get("Categories")) if isinstance(original, dict) else None
    if category is not None:
        made["category"] = category
    if isinstance(original, dict) and isinstance(original.get("output"), list):
        made["output"] = original["output"]
    return json.dumps(made, ensure_ascii=False)
