"""What an arrangement will take, before it is started: passes, time, memory and disk of each stage.

Reading, embedding and searching are measured for some seconds on this machine, on samples of the right shape, and
scaled up. Estimates, then: other work on the machine changes them. The data is read whole only where it has to be
known which texts are not in the cache yet, or what a method goes by; of given vectors, shapes and some rows are. So of
files at addresses, beside given vectors, one of each ending is fetched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from righttime.arrangement import SelectionInput, check_settings, method_named
from righttime.arrangement.caps import check_caps, read_caps, with_names
from righttime.arrangement.weights import weights_of_rows
from righttime.each_target import named_targets, of_target
from righttime.embedding.given import kept_spec, split_spec
from righttime.embedding.glimpse import Glimpse, glimpse
from righttime.embedding.vectors import vectors_given
from righttime.errors import SettingsError, ShapeError
from righttime.formats import Reading
from righttime.formats.reading import read_head
from righttime.growing import grown
from righttime.guard.cutting import check_chunks
from righttime.inputs import read_side
from righttime.ordering import selection_input_of
from righttime.planning.chosen import chosen_stages
from righttime.planning.copies import fetch_stage
from righttime.planning.finishing import once, with_falloff, writing_stage
from righttime.planning.guard import chunk_stage, text_stage, vector_stage
from righttime.planning.losses import loss_stage
from righttime.planning.search import order_stages, random_sides
from righttime.planning.stages import KEY_BYTES, SOME, Stage, peak_of, repeated, resident
from righttime.planning.vectors import embedding_stages, vectors_stage
from righttime.results import Data, Neighbour, Request, Widening, with_neighbours
from righttime.rows import Rows
from righttime.sampling import drawn
from righttime.similarity import unit_rows
from righttime.store import cache_folder
from righttime.stored import StoredRows

__all__ = ["Stage", "plan", "plan_sizes"]

_HEAD = 4000  # rows that are read to see what all are like
_AS_THE_POOL = ("text", "embedder", "max_length", "prefix", "device", "precision", "workers", "engine", "memory")
"""What holds for a side pool, once it is read, as it does for the pool."""
MOST_DIMENSIONS = 1 << 16
"""Far more than any model gives; a sample of longer vectors would take all memory."""
_TEXT = 1000  # characters of a row that nobody showed us


@dataclass(frozen=True)
class _Known:
    """What is known of the data."""

    n_pool: int
    n_target: int
    rows: Rows
    targets: Rows
    reading: Stage
    held: int  # bytes of rows that are in memory now
    asked: SelectionInput
    pool: Glimpse | None = None
    target: Glimpse | None = None
    others: int = 0  # the last rows of the pool, which can only be woven

    @property
    def own(self) -> int:
        """Rows that a method may choose from."""
        return self.n_pool - self.others


def plan(
    pool: Data,
    target: Data,
    request: Request,
    cache: Path | None = None,
    nodes: int | None = None,
    *,
    each_target: bool = False,
) -> tuple[Stage, ...]:
    """The stages of `righttime.arrange` with these settings, and what each will take.

    Args:
        pool: As for `righttime.arrange`.
        target: The same.
        request: The settings.
        cache: The folder of cached vectors; None takes the user's.
        nodes: With the engine ``ray``: plan for so many machines like this one; None asks the cluster of
            ``RAY_ADDRESS``, or takes this machine.
        each_target: Plan for an arrangement for each target on its own; all are taken to be of their mean size.

    Raises:
        RighttimeError: What `righttime.arrange` would raise before it embeds anything, as far as a sample shows it.
    """
    request.check()
    check_chunks(request)
    names = _names_of(target) if each_target else ()
    cache = cache or cache_folder()
    before = [stage] if (stage := fetch_stage(pool, target, request, names)) is not None else []
    if request.widens is None:
        first, *rest = _planned(pool, target, request, cache, nodes, names)
        return (first, *before, *rest)
    wide, widening, stage = _widened(target, request, cache, nodes)
    first, *rest = _planned(pool, wide, replace(request, widen=None), cache, nodes, names, widening)
    return (first, *before, stage, *rest)


def _planned(
    pool: Data,
    target: Data,
    request: Request,
    cache: Path,
    nodes: int | None,
    names: Sequence[str],
    widening: Widening | None = None,
) -> tuple[Stage, ...]:
    """The stages; `names` are those of targets that are arranged for one by one."""
    needs, targets = method_named(request.method).needs, max(1, len(names))
    vectors = vectors_given(request.embedder) and "vectors" in needs
    if vectors and not {"tasks", "texts"} & set(needs):
        return _stages(_glimpsed(pool, target, request, names), request, cache, nodes, targets)
    known = _read(pool, target, request, widening)
    if vectors:
        there, other = _glimpses(request, names)
        known = replace(known, pool=there, target=other)
    return _stages(known, request, cache, nodes, targets)


def _names_of(target: Data) -> tuple[str, ...]:
    """The names of the targets that are arranged for one by one."""
    files = [target] if isinstance(target, str | os.PathLike) else target
    if isinstance(files, Sequence) and files and all(isinstance(one, str | os.PathLike) for one in files):
        return tuple(named_targets(files))
    raise SettingsError(
        f"targets that are arranged for one by one must be files, got {type(target).__name__}. "
        "Hint: `each_target=False`.",
        setting="each_target",
    )


def _widened(target: Data, request: Request, cache: Path, nodes: int | None) -> tuple[Reading, Widening, Stage]:
    """The target and as many rows of the side pool as it may take, as if taken in turn; the stage that finds which."""
    asked = request.widens
    assert asked is not None
    own, side = read_side(target, "target", request), read_side(asked.pool, "side", request)
    most = min(len(side.rows), asked.each * len(own.rows))
    rounds = Request(budget=most, guard="off", **{name: getattr(request, name) for name in _AS_THE_POOL})
    stages = [stage for stage in plan(side, own, rounds, cache, nodes) if stage.name not in ("libraries", "write")]
    seconds = None if any(stage.seconds is None for stage in stages) else sum(stage.seconds or 0 for stage in stages)
    note = (
        f"the target's {len(own.rows):,} rows take at most {most:,} of the side pool's {len(side.rows):,}; "
        "reading, embedding and searching it, each measured as for the pool"
    )
    stage = Stage("widen", 1, seconds, 0, sum(one.disk for one in stages), note, peak_of(stages))
    n_own, wide = len(own.rows), with_neighbours(own, side, range(most))
    rows = (Neighbour(n_own + at, "", "", 0, at, at % n_own, at // n_own, 0.0) for at in range(most))
    return wide, Widening(side.inputs, n_own, 0, tuple(rows)), stage


def plan_sizes(
    n_pool: int, n_target: int, dimension: int, request: Request, nodes: int | None = None
) -> tuple[Stage, ...]:
    """The same for vectors and rows that are not there yet: rows of 1,000 characters, vectors that are given.

    Args:
        n_pool: Pool rows.
        n_target: Target rows.
        dimension: Of the vectors.
        request: The settings; the embedder does not matter.
        nodes: As for `plan`.

    Raises:
        SettingsError: If a number is less than 1 or the dimension is more than 65,536, or a setting is wrong, or goes
            by tasks or files, which sizes do not have.
    """
    _check_nameless(request)
    if min(n_pool, n_target, dimension) < 1:
        raise SettingsError(
            f"`n_pool`, `n_target` and `dimension` must be at least 1, got {n_pool}, {n_target} and {dimension}.",
            setting="n_pool",
        )
    if dimension > MOST_DIMENSIONS:
        raise SettingsError(
            f"`dimension` must be at most {MOST_DIMENSIONS:,}, got {dimension:,}. Hint: it is the length of one "
            "vector, 384 for the default embedder.",
            setting="dimension",
        )
    request.check()
    if request.widens is not None:
        raise SettingsError(
            "`widen` must have the side pool and the target to plan for, got sizes alone. Hint: plan for as many "
            "target rows as there will be.",
            setting="widen",
        )
    n_pool = len(drawn(n_pool, request.subsample, request.seed or 0))
    asked = check_settings(request.method, _sized_input(request, n_pool, n_target), n_pool)
    record = {"prompt": "x" * (_TEXT - 100), "response": "y" * 100}
    made = [{**record, "prompt": f"{n} {record['prompt']}"} for n in range(min(_HEAD, n_pool))]
    rows, seconds, held = _head(made, "pool", request)
    rows = replace(rows, share=len(rows.rows) / (n_pool + n_target))
    kept, filed = _kept(rows, held)
    note = f"ASSUMED: rows of {_TEXT:,} characters, read from memory at the rate measured"
    known = _Known(
        n_pool,
        n_target,
        rows.rows,
        rows.rows.take([0]),
        Stage("read", 1, seconds / rows.share, kept, filed, note, KEY_BYTES * n_pool),
        held,
        asked,
        Glimpse((n_pool, dimension), 4, np.ones((1, dimension), dtype=np.float32)),
        Glimpse((n_target, dimension), 4, np.ones((1, dimension), dtype=np.float32)),
    )
    return _stages(known, request, cache_folder(), nodes)


def _check_nameless(request: Request) -> None:
    """Refuse what goes by names that rows would have."""
    names = ("cap_task", "cap_source", "target_weight")
    wrong = next((name for name in names if getattr(request, name)), None)
    if request.woven_pool is not None:
        wrong = "weave" if request.anneal is None else "anneal"
    if wrong:
        raise SettingsError(
            f"`{wrong}` goes by the rows' tasks or files, so a plan of it must have data, got sizes alone. "
            "Hint: give the pool and the target.",
            setting=wrong,
        )


def _stages(known: _Known, request: Request, cache: Path, nodes: int | None, targets: int = 1) -> tuple[Stage, ...]:
    stages, sides = [known.reading], None
    dimension, long = 0, None
    guards, n_target = request.guard != "off", max(1, known.n_target // targets)
    each = partial(repeated, times=targets, why=f"for each of {targets:,} targets" if targets > 1 else "")
    if guards:
        stages.append(each(text_stage(known.rows, known.targets, known.n_pool, n_target)))
    if known.pool is not None and known.target is not None:
        stages.append(vectors_stage(known.pool, known.target, request))
        dimension = known.pool.shape[1]
        if len(known.pool.some) > 1:
            sides = unit_rows(known.pool.some, "pool vectors"), unit_rows(known.target.some, "target vectors")
    elif "vectors" in method_named(request.method).needs:
        embedding, dimension, long = embedding_stages(known.rows, known.targets, request, cache)
        stages += embedding
    if guards and dimension:
        how = (known.rows, known.targets, known.n_pool, n_target)
        stages.append(each(vector_stage(*how, dimension, request)))
    if long is not None:
        stages.append(chunk_stage(long, known.n_pool + known.n_target))
    stages += map(each, order_stages(known.own, n_target, dimension, sides, request, nodes, known.asked.own))
    stages += map(each, chosen_stages(known.rows, known.own, known.n_pool, request, known.asked))
    stages += map(each, loss_stage(known.rows, known.own, request, cache, known.asked.own.budget))
    finished = writing_stage(known.rows, known.own, known.n_pool, request)
    if dimension:
        finished = with_falloff(
            finished, sides or random_sides(known.own, n_target, dimension), known.own, n_target, request
        )
    stages.append(each(finished))
    del sides
    samples = sum(side.some.nbytes for side in (known.pool, known.target) if side is not None)
    libraries = max(0, resident() - known.held - samples)
    note = "Python and what the stages import, model included; resident now, the samples taken off. Time: that of "
    note += "arranging two rows in a process of its own; loading a model comes on top"
    return (Stage("libraries", 0, once(), libraries, 0, note), *stages)


def _read(pool: Data, target: Data, request: Request, widening: Widening | None = None) -> _Known:
    """All rows of both sides."""
    before, start = resident(), time.perf_counter()
    here = replace(request, engine="auto")  # a plan for a cluster is made without one
    read, targets = read_side(pool, "pool", here), read_side(target, "target", here).rows
    held = max(0, resident() - before)
    others = read.of_last if request.woven_pool is not None else 0
    rows, n = _taking_part(read.rows, request, others)
    reading = Stage("read", 1, time.perf_counter() - start, held, 0, "measured", KEY_BYTES * len(rows))
    own = rows.take(range(n)) if others else rows
    inputs = selection_input_of(request, own, targets, widening)
    inputs = replace(inputs, caps=with_names(inputs.caps, rows.tasks, rows.sources))
    asked = check_settings(request.method, inputs, n)
    return _Known(len(rows), len(targets), rows, targets, reading, held, asked, others=len(rows) - n)


def _glimpses(request: Request, names: Sequence[str]) -> tuple[Glimpse, Glimpse]:
    """What is seen of the pool's vectors, and of the target's: of several targets all rows are counted."""
    asked = [of_target(request, name, len(names)) for name in names] or [request]
    specs = [split_spec(str(one.embedder), one.target_embedder) for one in asked]
    there, others = glimpse(specs[0][0], "pool", SOME), [glimpse(spec, "target", SOME) for _, spec in specs]
    for (spec, of_its), other in zip(specs, others, strict=True):
        if other.shape[1] != there.shape[1]:
            raise ShapeError(
                f"pool and target vectors must have the same dimension, got {there.shape[1]} ({kept_spec(spec)}) and "
                f"{other.shape[1]} ({kept_spec(of_its)})."
            )
    return there, replace(others[0], shape=(sum(other.shape[0] for other in others), there.shape[1]))


def _glimpsed(pool: Data, target: Data, request: Request, names: Sequence[str]) -> _Known:
    """Some rows of both sides, and how many there are by the shapes of their vectors."""
    there, other = _glimpses(request, names)
    n_pool, n_target = there.shape[0], other.shape[0]
    others = _woven(request)
    n_part = len(drawn(n_pool - others, request.subsample, request.seed or 0))
    asked = check_settings(request.method, _sized_input(request, n_part, n_target), n_part)
    rows, seconds, held = _head(pool, "pool", request)
    targets, more, also = _head(target, "target", request)
    (kept, filed), (of_targets, beside) = _kept(rows, held), _kept(targets, also)
    looked = f"measured on {len(rows.rows):,} and {len(targets.rows):,} rows, scaled to {n_pool:,} and {n_target:,}"
    note = f"{looked}; how many there are by their vectors"
    took = seconds / rows.share + more / targets.share
    reading = Stage("read", 1, took, kept + of_targets, filed + beside, note, KEY_BYTES * n_pool)
    asked = _with_heads(asked, request, rows.rows, targets.rows)
    sizes = (n_part + others, n_target)
    return _Known(*sizes, rows.rows, targets.rows, reading, held + also, asked, there, other, others)


def _woven(request: Request) -> int:
    """About how many rows can only be woven: those of another pool."""
    if request.woven_pool is None:
        return 0
    read, _, _ = _head(request.woven_pool, "pool", request)
    return round(len(read.rows) / read.share)


def _with_heads(asked: SelectionInput, request: Request, rows: Rows, targets: Rows) -> SelectionInput:
    """The same with the names of the rows that were looked at, for what goes by them."""
    named = with_names(read_caps(request.cap_task, request.cap_source), rows.tasks, rows.sources)
    nested = method_named(request.method).nested
    caps = check_caps(named, asked.budget, request.method, nested, known=True)
    seen = {*targets.sources, *targets.tasks}
    weights = {name: weight for name, weight in request.target_weight.items() if name in seen}
    return replace(asked, caps=caps, target_weights=weights_of_rows(weights, targets.sources, targets.tasks))


def _sized_input(request: Request, n_pool: int, n_target: int) -> SelectionInput:
    """What a method is asked, as far as sizes go."""
    inputs = request.selection_input(*(np.empty((n, 0), dtype=np.float32) for n in (n_pool, n_target)))
    return replace(inputs, caps=())  # which go by names that nobody has read yet


def _head(data: Data, role: Literal["pool", "target"], request: Request) -> tuple[Reading, float, int]:
    """The first rows, the seconds that reading them took, and the bytes it needed."""
    if isinstance(data, Reading):
        return data, 0.0, 0
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        return read_side(data, role, request), 0.0, 0  # which says what is wrong with it
    items = [data] if isinstance(data, str | os.PathLike) else list(data)
    paths = [item for item in items if isinstance(item, str | os.PathLike)]

    def read() -> Reading:
        if len(paths) < len(items):
            some = read_side(items[:_HEAD], role, request)  # type: ignore[arg-type]
            return replace(some, share=min(1.0, _HEAD / len(items)))
        return read_head(
            paths,
            _HEAD,
            role=role,
            format=request.format if role == "pool" else request.target_format,
            bad_rows=request.bad_rows,
            repeated_ids=request.repeated_ids,
            positive_examples=request.positive_examples,
            task_field=request.task_field,
            fields=request.fields if role == "pool" else request.target_fields,
            max_row_bytes=request.max_row_bytes,
        )

    read()  # what is done once is not scaled up
    start = time.perf_counter()
    reading = read()
    return reading, time.perf_counter() - start, sum(_sizes(reading))


def _sizes(reading: Reading) -> list[int]:
    """The bytes of each column of what was read."""
    return reading.rows.sizes if isinstance(reading.rows, StoredRows) else []


def _kept(some: Reading, held: int) -> tuple[int, int]:
    """The bytes that all rows keep in memory and in files; none where they were there before."""
    return grown(_sizes(some) if held else [], 1 / some.share)


def _taking_part(rows: Rows, request: Request, others: int) -> tuple[Rows, int]:
    """The rows that are drawn where the request asks for a part of the pool, and how many these are without others."""
    own = drawn(len(rows) - others, request.subsample, request.seed or 0)
    return rows.take([*own, *range(len(rows) - others, len(rows))] if others else own), len(own)
