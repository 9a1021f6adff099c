"""One planner of batches for embedding and evaluation, and the batches that each of them had before there was one."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from righttime.embedding.embed import plan_batches
from righttime.evaluation.batches import length_batches

LENGTHS = st.lists(st.integers(0, 40), max_size=400)


def embedded(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """As embedding planned in version 0.1.0; its batches decide the last bits of vectors."""
    batches: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        full = batches and ((len(batches[-1]) + 1) * longest > tokens_per_batch or len(batches[-1]) == 256)
        if full or not batches:
            batches.append([])
            longest = max(1, lengths[place])
        batches[-1].append(place)
    rest = batches[1:]
    random.Random(0).shuffle(rest)
    return batches[:1] + rest


def evaluated(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """As evaluation planned then."""
    counts = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")
    batches, start = [], 0
    for place in range(1, len(order) + 1):
        full = place < len(order) and (place - start + 1) * max(1, counts[order[start]]) > batch_tokens
        if place == len(order) or full:
            batches.append(order[start:place].tolist())
            start = place
    return batches


@given(LENGTHS, st.integers(1, 2048))
def test_batches_are_those_of_before(lengths: list[int], most: int) -> None:
    assert plan_batches(lengths, most) == embedded(lengths, most)
    assert [batch.tolist() for batch in length_batches(lengths, most)] == evaluated(lengths, most)
