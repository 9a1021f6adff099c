"""One suite that every engine passes: whatever looks first, and however roughly, the definition decides."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime.arrangement import candidates, tma_rounds
from righttime.arrangement.candidates import CandidateLists
from righttime.errors import SettingsError
from righttime.neighbours import ENGINES, MEMORY, BlockSearch, Nominees, Search, local, nominate, search_named
from righttime.neighbours.products import TorchProducts
from righttime.similarity import pair_similarity, unit_rows
from strategies import vectors
from tiers import examples
from twin import matrix, tma

Make = Callable[[], Search]

LOCAL: dict[str, Make] = {
    "cpu": lambda: BlockSearch("cpu"),
    "cpu-blocks-of-7": lambda: BlockSearch("cpu", block_rows=7),
    "torch": lambda: BlockSearch("torch"),
    "torch-float16": lambda: BlockSearch("torch", first_look="float16", block_rows=13),
    "torch-bfloat16": lambda: BlockSearch("torch", first_look="bfloat16"),
}
every_local_engine = pytest.mark.parametrize("engine", LOCAL)


@pytest.fixture
def small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples, cuts, refills and threads at sizes where the twin is still fast."""
    monkeypatch.setattr(candidates, "_SHORTEST", 2)
    monkeypatch.setattr(candidates, "_SHORTEST_KEPT", 2)
    monkeypatch.setattr(candidates, "AHEAD", 0)
    monkeypatch.setattr(nominate, "_SAMPLE", 2)
    monkeypatch.setattr(nominate, "_SURE", 0.0)
    monkeypatch.setattr(nominate, "_STRETCH", 3)
    monkeypatch.setattr(local, "_WORTH_THREADS", 0)


def played(pool: NDArray[np.float32], target: NDArray[np.float32], how: Search) -> list[tuple[Any, ...]]:
    return [
        (one.rows.tolist(), one.picked_by.tolist(), one.similarity.tolist())
        for one in tma_rounds(pool, target, search=how)
    ]


def twin_played(pool: NDArray[np.float32], target: NDArray[np.float32]) -> list[tuple[Any, ...]]:
    return [
        ([row for row, _, _ in one], [by for _, by, _ in one], [float(value) for _, _, value in one])
        for one in tma(matrix(pool, target))
    ]


@every_local_engine
@pytest.mark.usefixtures("small_lists")
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(both=vectors(max_pool=60))
def test_rounds_equal_the_twin(engine: str, both: tuple[Any, Any]) -> None:
    assert played(*both, LOCAL[engine]()) == twin_played(*both)


@every_local_engine
@pytest.mark.usefixtures("small_lists")
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(both=vectors(max_pool=40), data=st.data())
def test_any_target_rows_choose_after_any_rows_are_taken(
    engine: str, both: tuple[Any, Any], data: st.DataObject
) -> None:
    """As in a mixture or in turns: some target rows wait while others take, and rows go that nobody chose."""
    pool, target = both
    s, there = matrix(pool, target).T, np.ones(len(pool), dtype=bool)
    lists = CandidateLists(pool, target, len(pool), LOCAL[engine]())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    while there.any():
        who = np.flatnonzero(rng.random(len(target)) < 0.5)
        rows, similarity = lists.choose(who)
        left = np.where(there, s[who], -np.inf)
        assert rows.tolist() == left.argmax(axis=1).tolist()
        assert similarity.tolist() == left.max(axis=1).tolist()
        some = rng.permutation(np.flatnonzero(there))[: rng.integers(3)]
        gone = np.union1d(some, rows[: rng.integers(2)])
        lists.take(gone)
        there[gone] = False


@every_local_engine
@settings(max_examples=examples(100))
@given(both=vectors(max_pool=40, max_target=20), tile=st.integers(1, 8))
def test_nearest_equals_the_definition(engine: str, both: tuple[Any, Any], tile: int) -> None:
    from righttime.neighbours import products

    s = matrix(*both)
    patch = pytest.MonkeyPatch()
    patch.setattr(products, "_TARGET_ROWS", tile)
    try:
        rows, similarity = LOCAL[engine]().nearest(*both)
    finally:
        patch.undo()
    assert rows.tolist() == s.argmax(axis=1).tolist()
    assert similarity.tolist() == s.max(axis=1).tolist()


@pytest.fixture(scope="module")
def near_ties() -> tuple[NDArray[np.float32], NDArray[np.float32], list[tuple[Any, ...]]]:
    """3,000 rows in 30 clumps, task by task; and Algorithm 1. A third of a clump is one row, the others nearly that."""
    rng = np.random.default_rng(5)
    centre = rng.normal(size=(30, 384))
    noise = 1e-6 * rng.normal(size=(3000, 384)) * (np.arange(3000) % 3 > 0)[:, None]
    pool = unit_rows(np.repeat(centre, 100, axis=0) + noise)
    target = unit_rows(centre[:20] + 0.1 * rng.normal(size=(20, 384)))
    return pool, target, list(_matrix_rounds(np.stack([pair_similarity(pool, row[None]) for row in target])))


def _matrix_rounds(s: NDArray[np.float32]) -> Iterator[tuple[Any, ...]]:
    """Algorithm 1 on a matrix of similarities, shape (target, pool); argmax takes the lower row of equal ones."""
    there = np.ones(s.shape[1], dtype=bool)
    while there.any():
        choice = np.where(there, s, -np.inf).argmax(axis=1)
        best: dict[int, tuple[float, int]] = {}
        for by, row in enumerate(choice.tolist()):
            if row not in best or s[by, row] > best[row][0]:
                best[row] = (float(s[by, row]), by)
        rows = sorted(best)
        there[rows] = False
        yield rows, [best[row][1] for row in rows], [best[row][0] for row in rows]


@every_local_engine
def test_near_ties_are_decided_by_the_definition(engine: str, near_ties: Any) -> None:
    pool, target, want = near_ties
    assert played(pool, target, LOCAL[engine]()) == want


@every_local_engine
def test_rows_that_are_all_equal_go_by_their_number_in_bounded_memory(engine: str) -> None:
    import tracemalloc
    from itertools import islice

    pool = np.zeros((20_000, 16), dtype=np.float32)
    pool[:, 0] = 1
    target = unit_rows(np.eye(64, 16) + 0.1)
    tracemalloc.start()
    rounds = list(islice(tma_rounds(pool, target, expected_rows=10, search=LOCAL[engine]()), 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one.rows.tolist() for one in rounds] == [[0], [1], [2]]
    assert peak < 150e6


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, near_ties: Any) -> None:
    import threadpoolctl

    pool, target, want = near_ties
    monkeypatch.setattr(local, "_WORTH_THREADS", 0)
    for threads in (1, 2, 3):
        with threadpoolctl.threadpool_limits(threads):
            assert played(pool, target, BlockSearch("cpu", block_rows=100)) == want


@every_local_engine
def test_vectors_mapped_from_a_file_to_be_read_only(engine: str, tmp_path: Path, recwarn: Any) -> None:
    rows = unit_rows(np.random.default_rng(0).normal(size=(300, 8)))
    np.save(tmp_path / "v.npy", rows)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    how = LOCAL[engine]()
    assert played(mapped, mapped[:20], how) == played(rows, rows[:20], how)
    assert how.nearest(mapped, mapped[:20])[0].tolist() == how.nearest(rows, rows[:20])[0].tolist()
    assert not recwarn.list


def test_little_memory_changes_nothing(near_ties: Any) -> None:
    pool, target, want = near_ties
    assert played(pool, target, BlockSearch("cpu", memory=64 * len(target) * 8)) == want


@every_local_engine
def test_nominees_are_all_rows_above_the_cut(engine: str) -> None:
    rng = np.random.default_rng(1)
    # Task by task, and the target is like the last task only.
    pool = unit_rows(np.repeat(rng.normal(size=(40, 24)), 500, axis=0) + 0.3 * rng.normal(size=(20_000, 24)))
    target = unit_rows(pool[-30:] + 0.1 * rng.normal(size=(30, 24)))
    taken = rng.random(len(pool)) < 0.3
    s = (target.astype(np.float64) @ pool.T.astype(np.float64)).astype(np.float32)
    for wanted, gone in ((50, None), (50, taken), (15_000, taken)):
        found = LOCAL[engine]().nominees(pool, target, wanted, gone)
        for j in range(len(target)):
            rows = found.rows[found.start[j] : found.start[j + 1]]
            value = found.value[found.start[j] : found.start[j + 1]]
            assert (np.diff(value) <= 0).all()
            assert np.abs(value - s[j, rows]).max() <= found.margin
            assert len(np.unique(rows)) == len(rows)
            others = np.ones(len(pool), dtype=bool) if gone is None else ~gone
            assert others[rows].all()
            others[rows] = False
            assert not others.any() or s[j, others].max() <= found.cut[j] + found.margin
            assert others.any() or found.cut[j] == -np.inf
            assert len(rows) >= min(wanted // 2, int((~taken).sum() if gone is not None else len(pool)))


def test_progress_counts_every_living_row() -> None:
    rng = np.random.default_rng(0)
    pool, told = unit_rows(rng.normal(size=(1000, 3))), list[int]()
    how = BlockSearch("cpu", block_rows=7, progress=told.append)
    how.nominees(pool, pool[:3], 5, None)
    assert sum(told) == 1000
    how.nearest(pool, pool[:3])
    assert sum(told) == 2000


def test_settings_out_of_range() -> None:
    for name, value, says in (
        ("engine", "gpu", "unknown engine 'gpu'.*Known: auto, cpu, cuda, ray, torch"),
        ("first_look", "float8", "unknown precision of the first look 'float8': did you mean"),
        ("memory", 1000, "memory must be at least 64 MiB, got 0.0 MiB"),
        ("block_rows", 0, "block_rows must be at least 1, got 0"),
    ):
        with pytest.raises(SettingsError, match=says):
            search_named(**{name: value})  # type: ignore[arg-type]


def test_cuda_is_refused_where_there_is_none() -> None:
    import torch

    if torch.cuda.is_available():
        assert isinstance(search_named("cuda"), BlockSearch)
        return
    with pytest.raises(SettingsError, match="needs a GPU that PyTorch finds"):
        search_named("cuda")


def test_ray_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"needs the package ray.*pip install 'righttime\[ray\]'"):
        search_named("ray")


def test_every_engine_can_be_named() -> None:
    for name in ENGINES:
        if name not in ("cuda", "ray"):
            assert search_named(name, memory=MEMORY) is not None


@pytest.mark.parametrize("how", ["legacy", "new"])
def test_shortcuts_that_the_process_allows_torch_change_nothing(how: str, near_ties: Any) -> None:
    """With ``medium`` CPUs that can multiply bfloat16 in place of float32, 150 times beyond the margin."""
    import torch

    pool, target, want = near_ties
    cuda, cpu = torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)
    if how == "new" and not hasattr(cpu, "fp32_precision"):
        pytest.skip("this PyTorch has the old setting only")
    try:
        if how == "legacy":
            torch.set_float32_matmul_precision("medium")
        else:
            cuda.fp32_precision, cpu.fp32_precision = "tf32", "bf16"  # type: ignore[union-attr]
        products = TorchProducts(target, "cpu")
        who, where, value = products.above(pool, np.full(len(target), -np.inf, dtype=np.float32))
        assert np.abs(pair_similarity(pool[where], target[who]) - value).max() <= products.margin
        assert played(pool, target, BlockSearch("torch")) == want
        if how == "legacy":
            assert torch.get_float32_matmul_precision() == "medium"
        else:
            assert (cuda.fp32_precision, cpu.fp32_precision) == ("tf32", "bf16")  # type: ignore[union-attr]
    finally:
        torch.set_float32_matmul_precision("highest")


class _Hoarder:
    """A search whose lists never settle a choice, so that they are asked to be ever longer."""

    def __init__(self) -> None:
        self.wanted: list[int] = []

    def nominees(self, pool: Any, target: Any, wanted: int, taken: Any) -> Nominees:
        self.wanted.append(wanted)
        found = BlockSearch("cpu").nominees(pool, target, 1, taken)
        return dataclasses.replace(found, cut=np.full(len(target), np.inf, dtype=np.float32))

    def best(self, pool: Any, target: Any, wanted: int, taken: Any) -> Nominees:
        return BlockSearch("cpu").best(pool, target, 1, taken)

    def nearest(self, pool: Any, target: Any) -> Any:
        raise NotImplementedError

    def pairs(self, pool: Any, rows: Any, target: Any, who: Any) -> Any:
        return BlockSearch("cpu").pairs(pool, rows, target, who)


def test_lists_are_never_asked_to_be_longer_than_the_living() -> None:
    pool = unit_rows(np.random.default_rng(0).normal(size=(200, 3)))
    how = _Hoarder()
    assert played(pool, pool[:2], how) == played(pool, pool[:2], BlockSearch("cpu"))
    assert max(how.wanted) <= 200


@pytest.mark.parametrize(("n_pool", "n_target"), [(40_000, 100), (5_000, 5_000)])
def test_the_search_stays_under_its_memory(n_pool: int, n_target: int) -> None:
    """The whole pool, with lists held to the least memory there is; and more target rows than a sample should hold."""
    import tracemalloc

    rng = np.random.default_rng(0)
    pool, target = (unit_rows(rng.normal(size=(n, 8))) for n in (n_pool, n_target))
    memory = 1 << 26 if n_target > 1000 else 1 << 23
    lists = CandidateLists(pool, target, n_pool, BlockSearch("cpu", memory, block_rows=256))
    tracemalloc.start()
    for _ in range(100 if n_target < 1000 else 1):
        lists.take(np.unique(lists.choose()[0]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= memory
