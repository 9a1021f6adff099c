from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from righttime.neighbours import top_k
from strategies import vectors
from tiers import examples
from twin import matrix


@settings(max_examples=examples(400))
@given(vectors(max_pool=60, max_target=12), st.data())
def test_top_k_equals_sorting_everything(given_vectors: Any, data: st.DataObject) -> None:
    pool, target = given_vectors
    k = data.draw(st.integers(1, len(pool) + 3))
    block = data.draw(st.one_of(st.none(), st.integers(1, len(pool) + 3)))
    alive = None
    if data.draw(st.booleans()):
        alive = np.array(sorted(data.draw(st.sets(st.integers(0, len(pool) - 1), min_size=1))), dtype=np.int64)
    living = range(len(pool)) if alive is None else alive.tolist()
    s = matrix(pool, target)
    found = top_k(pool, target, k, alive=alive, block_rows=block)
    for j in range(len(target)):
        want = sorted(living, key=lambda i: (-s[i, j], i))[:k]
        assert found.rows[j].tolist() == want
        assert found.similarity[j].tolist() == s[want, j].tolist()


def test_no_more_than_bounded_memory_when_all_rows_are_equal() -> None:
    """Every pair ties with every other, so everything is nominated: lists must stay as short as k."""
    import tracemalloc

    pool = np.zeros((40_000, 16), dtype=np.float32)
    pool[:, 0] = 1
    tracemalloc.start()
    found = top_k(pool, pool[:64], 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.rows.tolist() == [list(range(8))] * 64
    assert peak < 150e6


def test_memory_above_the_input_stays_small_with_long_lists() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    pool = rng.normal(size=(20_000, 384)).astype(np.float32)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    tracemalloc.start()
    top_k(pool, pool[:500], 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6, "nominees are gathered a few at a time"


def test_progress_counts_every_pool_row() -> None:
    pool = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    told: list[int] = []
    top_k(pool, pool[:3], 2, block_rows=7, progress=told.append)
    assert sum(told) == 100
