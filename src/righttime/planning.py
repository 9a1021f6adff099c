"""What an arrangement will take, before it is started: passes, time, memory and disk of each stage.

The data is read, as it will be; embedding and searching are measured for some seconds on this machine, on a sample of
the texts and on random vectors of the right shape, and scaled up. Estimates, then: other work on the machine changes
them.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from righttime.arrangement import check_settings, method_named, tma_rounds
from righttime.arrangement.budget import rows_of
from righttime.embedding import Embedder, default_cache, given_sides, plan_batches, uncached
from righttime.embedding.texts import texts_for
from righttime.embedding.vectors import vectors_given
from righttime.examples import Example
from righttime.neighbours import search_named
from righttime.pipeline import Data, Request, question_of, read_side, resolve_text
from righttime.sampling import drawn
from righttime.similarity import unit_rows

__all__ = ["Stage", "plan"]

PASSES = {"tma-nft": 2, "tma-fft": 2, "tma-rt": 2}
"""Methods that look at the pool more than once; see `LOOKS` for those that do it once."""

LOOKS = {
    **dict.fromkeys(("tma", "tma-farthest", *PASSES, "rds", "mixture"), "rounds"),
    **dict.fromkeys(("nearest", "farthest", "nearest-reversed", "nearest-shuffled", "rds-max"), "nearest"),
}
"""How a method looks at the pool, where that can be measured on a sample."""

_TEXTS = 512  # texts that are sampled
_SECONDS = 8.0  # that embedding them may take
_MULTIPLICATIONS = 2e10  # of the searched sample: about a second
_CACHED_BYTES = 120  # of a vector in the cache, beside its numbers
_PLACE_BYTES = 32  # of a place of the order: row, round, picker, similarity, distance


@dataclass(frozen=True)
class Stage:
    """What one stage takes.

    Attributes:
        name: Of the stage.
        passes: How often it looks at every row.
        seconds: How long it takes; None where that cannot be told from a sample.
        memory: Bytes it holds beside what earlier stages hold.
        disk: Bytes it writes.
        note: How that is known, and what else to know.
    """

    name: str
    passes: int
    seconds: float | None
    memory: int
    disk: int
    note: str


def plan(pool: Data, target: Data, request: Request, cache: Path | None = None) -> tuple[Stage, ...]:
    """The stages of `righttime.arrange` with these settings, and what each will take.

    Args:
        pool: As for `righttime.arrange`.
        target: The same.
        request: The settings.
        cache: The folder of cached vectors; None takes the user's.

    Raises:
        RighttimeError: What `righttime.arrange` would raise before it embeds anything.
    """
    request.check()
    before, start = _resident(), time.perf_counter()
    rows, targets = read_side(pool, "pool", request).examples, read_side(target, "target", request).examples
    n_read = len(rows)
    rows = tuple(rows[number] for number in drawn(n_read, request.subsample, request.seed or 0))
    reading = Stage("read", 1, time.perf_counter() - start, max(0, _resident() - before), 0, "measured")
    check_settings(request.method, question_of(request, rows, targets), len(rows))
    stages, dimension = [reading], 0
    if "vectors" in method_named(request.method).needs:
        embedding, dimension = _embedding(rows, targets, request, cache or default_cache(), n_read)
        stages += [embedding]
    stages += [_searching(len(rows), len(targets), dimension, request), _writing(rows, request)]
    return tuple(stages)


def _embedding(
    rows: Sequence[Example], targets: Sequence[Example], request: Request, cache: Path, n_read: int
) -> tuple[Stage, int]:
    """The stage that makes vectors, and their dimension; given vectors are of all rows that were read."""
    n = len(rows) + len(targets)
    if vectors_given(request.embedder):
        sides = given_sides(request.embedder, request.target_embedder, n_read, len(targets))
        dimension = sides[0].shape[1]
        size = 4 * dimension * n
        mapped = size > request.memory
        note = "given; read, normalised where they are not yet" + (", mapped from a file" if mapped else "")
        seconds = _timed(lambda: unit_rows(np.asarray(sides[0][:_TEXTS]))) * len(rows) / min(len(rows), _TEXTS)
        return Stage("vectors", 1, seconds, 0 if mapped else size, size if mapped else 0, note), dimension
    embedder = request.model()
    text, _ = resolve_text(request, targets)
    texts = texts_for(embedder, [*rows, *targets], text)
    missing = uncached(texts, embedder, cache)
    sample = random.Random(0).sample(missing or texts, min(len(missing or texts), _TEXTS))
    rate, dimension, tokens = _rate(sample, embedder)
    size = 4 * dimension * n
    mapped = n * 4096 > request.memory
    note = (
        f"{len(missing):,} of {n:,} texts not in the cache yet, {tokens:.0f} tokens each; {rate:,.1f} texts/s measured"
    )
    disk = len(missing) * (4 * dimension + _CACHED_BYTES) + (size if mapped else 0)
    return Stage("embed", 1, len(missing) / rate, 0 if mapped else size, disk, note), dimension


def _rate(sample: Sequence[str], embedder: Embedder) -> tuple[float, int, float]:
    """Texts a second, the dimension, and the mean number of tokens that the model reads of a text.

    Whole batches as they would be planned, the longest apart, until some seconds are over; token counting counts.
    """
    start = time.perf_counter()
    most = int(embedder.identity["max_length"])
    lengths = [min(length, most) for length in embedder.lengths(sample)]
    counting = (time.perf_counter() - start) / len(sample)
    batches = plan_batches(lengths, getattr(embedder, "tokens_per_batch", 2048))
    dimension = embedder.embed([sample[place] for place in batches[0]]).shape[1]  # loads and warms up
    done, tokens, start = 0, 0, time.perf_counter()
    for batch in batches[1:] or batches:
        embedder.embed([sample[place] for place in batch])
        done, tokens = done + len(batch), tokens + sum(lengths[place] for place in batch)
        if time.perf_counter() - start > _SECONDS:
            break
    # By tokens: the sample's batches that were embedded may be shorter or longer than most.
    mean = sum(lengths) / len(lengths)
    each = (time.perf_counter() - start) / tokens * mean + counting
    return 1 / each, dimension, mean


def _searching(n_pool: int, n_target: int, dimension: int, request: Request) -> Stage:
    """The stage that orders, measured on random vectors."""
    method, budget = request.method, rows_of(request.budget, n_pool) or n_pool
    look, passes = LOOKS.get(method), PASSES.get(method, 1)
    if not dimension or look is None:
        cost = method_named(method).cost
        return Stage("order", 1, None, 0, 0, f"{method} takes {cost}; not measured")
    n = int(np.clip(_MULTIPLICATIONS / (n_target * dimension), 1024, n_pool)) if n_pool > 1024 else n_pool
    rng = np.random.default_rng(0)
    pool, target = (unit_rows(rng.normal(size=(rows, dimension))) for rows in (n, n_target))
    search = search_named("cpu" if request.engine == "ray" else request.engine, memory=request.memory)
    share = max(1, budget * n // n_pool)

    def rounds() -> None:
        taken = 0
        for one in tma_rounds(pool, target, expected_rows=share, search=search):
            taken += len(one.rows)
            if taken >= share:
                return

    seconds = _timed(rounds if look == "rounds" else lambda: search.nearest(pool, target)) * passes * n_pool / n
    # Lists of about 8 entries a row that is to be taken, 128 bytes each at the peak, but never more than allowed.
    lists = min(request.memory, 128 * max(64 * n_target, 8 * budget)) if look == "rounds" else 0
    note = f"exact; measured on {n:,} random rows"
    if request.engine == "ray":
        note += "; one machine's time, not a cluster's"
    if look == "rounds" and budget > n_pool // 2:
        note += "; lists that run out are filled again by passes over what is left"
    return Stage("order", passes, seconds, lists + _PLACE_BYTES * budget, 0, note)


def _writing(rows: Sequence[Example], request: Request) -> Stage:
    """The stage that writes the result."""
    some = rows[:: max(1, len(rows) // _TEXTS)]
    budget = rows_of(request.budget, len(rows)) or len(rows)
    lines: list[int] = []
    seconds = _timed(lambda: lines.extend(len(json.dumps(row.as_dict(), ensure_ascii=False).encode()) for row in some))
    each = sum(lines) / len(lines)
    disk = int(budget * each + len(rows) * _CACHED_BYTES)
    return Stage("write", 1, 2 * seconds / len(some) * budget, 0, disk, f"train.jsonl of {each:,.0f} bytes a row")


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _resident() -> int:
    """Bytes of memory that the process holds; 0 where that cannot be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0
