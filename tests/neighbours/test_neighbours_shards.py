"""A search over shards: merged in one process, and on a real Ray cluster of three nodes of which one is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime import arrange_embeddings
from righttime.neighbours import BlockSearch
from righttime.neighbours.nominate import Gathered
from righttime.neighbours.shards import Shard, ShardedSearch, _dealt, _numbers, _size
from righttime.similarity import unit_rows
from small_cluster import cluster, clustered, losing_a_node, saved, shard_pids

__all__ = ["cluster"]

slow = pytest.mark.slow

pytest.importorskip("ray")


@pytest.mark.parametrize("n_shards", [1, 3, 7])
@pytest.mark.parametrize("n", [1, 128, 129, 1000])
def test_every_row_is_in_one_shard_and_keeps_its_number(n: int, n_shards: int) -> None:
    column, seen = np.arange(n) * 10, []
    for shard in range(min(n_shards, -(-n // 128))):
        dealt = _dealt(column, shard, n_shards)
        numbers = _numbers(np.arange(len(dealt)), shard, n_shards)
        assert column[numbers].tolist() == dealt.tolist()
        assert _size(n, shard, min(n_shards, -(-n // 128))) == len(_dealt(column, shard, min(n_shards, -(-n // 128))))
        seen += numbers.tolist()
    assert sorted(seen) == list(range(n))


def test_pools_of_more_rows_than_32_bits_count() -> None:
    assert _numbers(np.array([2**25 - 1], dtype=np.int32), 99, 100).tolist() == [2**25 * 100 - 1]


def test_merged_shards_nominate_all_rows_above_the_cut() -> None:
    pool, target = clustered()
    s = (target.astype(np.float64) @ pool.T.astype(np.float64)).astype(np.float32)
    for wanted, part in ((60, 25), (6_000, 6_000)):
        gathered = Gathered(len(target), wanted, len(pool), len(pool), 1e-5)
        for shard in range(3):
            some = Shard(_dealt(pool, shard, 3), "cpu", 1 << 30, None).answer("nominees", target, part, None)
            gathered.join(some, _numbers(some.rows, shard, 3))
        found = gathered.finish()
        for j in range(len(target)):
            others = np.ones(len(pool), dtype=bool)
            others[found.rows[found.start[j] : found.start[j + 1]]] = False
            assert not others.any() or s[j, others].max() <= found.cut[j] + 1e-5
        assert np.diff(found.start).min() > 10


@pytest.mark.parametrize(
    "method", ["tma", pytest.param("tma-farthest", marks=slow), pytest.param("nearest", marks=slow)]
)
def test_ray_gives_the_bytes_of_the_cpu(cluster: Any, method: str, tmp_path: Path) -> None:
    pool, target = clustered()
    for budget in (300, None):
        here, there = (
            saved(arrange_embeddings(pool, target, method=method, budget=budget, engine=engine), tmp_path / engine)
            for engine in ("cpu", "ray")
        )
        assert here == there


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tma", "rds", "nearest"])
def test_ray_stops_at_the_least_similarity_where_the_cpu_does(cluster: Any, method: str, tmp_path: Path) -> None:
    pool, target = clustered(1_000)
    floor = float(np.median((unit_rows(pool) @ unit_rows(target).T).max(axis=1)))
    here, there = (
        arrange_embeddings(pool, target, method=method, min_similarity=floor, engine=engine)
        for engine in ("cpu", "ray")
    )
    assert 0 < len(here) < len(pool)
    assert saved(here, tmp_path / "cpu") == saved(there, tmp_path / "ray")


@pytest.mark.slow
def test_ray_prints_nothing_of_its_own(cluster: Any, capfd: pytest.CaptureFixture[str]) -> None:
    pool, target = clustered(1_000)
    ShardedSearch().nominees(pool, target, 5, None)
    assert "Actor with class name" not in capfd.readouterr().err


@pytest.mark.slow
def test_progress_counts_every_living_row_once(cluster: Any) -> None:
    pool, target = clustered(1_000)
    told: list[int] = []
    search, taken = ShardedSearch(progress=told.append), np.arange(len(pool)) % 3 == 0
    search.nominees(pool, target, 5, None)
    assert sum(told) == len(pool)
    search.nominees(pool, target, 5, taken)
    assert sum(told) == len(pool) + np.count_nonzero(~taken)


@pytest.mark.linux
def test_shards_that_are_killed_answer_all_the_same(cluster: Any) -> None:
    pool, target = clustered()
    search = ShardedSearch()
    before = search.nearest(pool, target)
    assert len(search._actors) == 3
    pids = shard_pids(search)
    assert len(set(pids)) == 3
    for pid in pids[:-1]:
        os.kill(pid, signal.SIGKILL)
    after = search.nearest(pool, target)
    want = BlockSearch("cpu").nearest(pool, target)
    for got in (before, after):
        assert [part.tobytes() for part in got] == [part.tobytes() for part in want]


@slow
@pytest.mark.linux
def test_a_node_that_is_lost_in_mid_run_changes_nothing(cluster: Any, tmp_path: Path) -> None:
    pool, target = clustered(20_000, 60)
    want = saved(arrange_embeddings(pool, target, engine="cpu"), tmp_path / "cpu")
    once, told = losing_a_node(cluster)
    assert saved(arrange_embeddings(pool, target, engine="ray", progress=once), tmp_path / "ray") == want
    assert len(told) > 5


@slow
def test_ray_embeds_what_one_process_embeds(cluster: Any, tmp_path: Path) -> None:
    from righttime.embedding import embed_texts, load_embedder

    texts = [f"{word} " * length for length in (1, 3, 30, 90, 200) for word in ("red", "green", "blue", "what", "why")]
    here, there = (
        embed_texts(texts, load_embedder(device="cpu"), tmp_path / str(on_ray), on_ray=on_ray)
        for on_ray in (False, True)
    )
    assert there.n_embedded == len(texts)
    assert np.abs(here.vectors - there.vectors).max() < 1e-6


@pytest.mark.slow
def test_what_a_model_raises_on_a_cluster_is_raised_here(cluster: Any, tmp_path: Path) -> None:
    from righttime.embedding import embed_texts
    from righttime.errors import EmbeddingError

    with pytest.raises(EmbeddingError, match="could not embed: ZeroDivisionError"):
        embed_texts(["a", "b"], Failing(), tmp_path, on_ray=True)


class Failing:
    @property
    def identity(self) -> Mapping[str, str | int]:
        return {"model": "failing", "revision": "0", "max_length": 8}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [1 for _ in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(texts), 1), 1 / 0, dtype=np.float32)
