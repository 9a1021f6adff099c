"""Vectors that every machine of a cluster reads for itself: the bytes of one machine's, and nothing sent."""

from __future__ import annotations

import gc
import itertools
import json
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from righttime import arrange_embeddings
from righttime.cli import main
from righttime.embedding.given import given_vectors, shared_vectors
from righttime.errors import EmbeddingError, NonFiniteError, StoreError
from righttime.neighbours import BlockSearch, shards
from righttime.neighbours.shards import ShardedSearch
from righttime.similarity import (
    SharedRows,
    as_array,
    first_rows,
    mapped_rows,
    narrowed,
    shared_copy,
    shared_or_none,
    unit_rows,
)
from small_cluster import cluster, clustered, losing_a_node, saved, shard_pids

__all__ = ["cluster"]

slow = pytest.mark.slow

pytest.importorskip("ray")

Write = Callable[[Path, NDArray[np.float32]], str]


def npy(folder: Path, vectors: NDArray[Any]) -> str:
    np.save(folder / "v.npy", vectors)
    return str(folder / "v.npy")


def half_npy(folder: Path, vectors: NDArray[Any]) -> str:
    return npy(folder, vectors.astype(np.float16))


def columns_first(folder: Path, vectors: NDArray[Any]) -> str:
    return npy(folder, np.asfortranarray(vectors))


def npz(folder: Path, vectors: NDArray[Any]) -> str:
    np.savez(folder / "v.npz", pool=vectors)
    return str(folder / "v.npz")


def safetensors(folder: Path, vectors: NDArray[Any]) -> str:
    from safetensors.numpy import save_file

    save_file({"pool": vectors.copy()}, folder / "v.safetensors")
    return str(folder / "v.safetensors")


def in_parts(write: Callable[[Path, NDArray[Any]], None]) -> Write:
    """The same in files of unlike length, one of them empty."""

    def parts(folder: Path, vectors: NDArray[Any]) -> str:
        (folder / "parts").mkdir()
        ends = [0, 1, len(vectors) // 3, len(vectors) // 3, len(vectors)]
        for number, (start, end) in enumerate(itertools.pairwise(ends)):
            write(folder / "parts" / f"{number}", vectors[start:end])
        return str(folder / "parts")

    return parts


def _parquet(path: Path, vectors: NDArray[Any]) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({"embedding": column}), f"{path}.parquet", row_group_size=100)


def parquet(folder: Path, vectors: NDArray[Any]) -> str:
    _parquet(folder / "v", vectors)
    return str(folder / "v.parquet")


def _safetensors(path: Path, vectors: NDArray[Any]) -> None:
    from safetensors.numpy import save_file

    save_file({"pool": np.ascontiguousarray(vectors)}, f"{path}.safetensors")


npy_parts = in_parts(lambda path, vectors: np.save(f"{path}.npy", vectors))
parquet_parts, safetensors_parts = in_parts(_parquet), in_parts(_safetensors)
READ: dict[str, Write] = {
    **{write.__name__: write for write in (npy, half_npy, columns_first, npz, parquet, safetensors)},
    "npy_parts": npy_parts,
    "parquet_parts": parquet_parts,
    "safetensors_parts": safetensors_parts,
}


def unscaled(n: int = 3_000) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows of many lengths, some of them of length 1 already, many of them twice."""
    pool, target = clustered(n)
    scale = np.random.default_rng(1).uniform(1e-3, 1e3, size=(n // 10, 1)).astype(np.float32)
    scale[::3] = 1
    return pool * np.repeat(scale, 10, axis=0), target


@pytest.fixture
def nothing_sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Fails where this process, the driver, hands out rows."""
    sent: list[int] = []
    dealt = shards._dealt

    def watched(column: Any, shard: int, n_shards: int) -> Any:
        if column.ndim == 2:
            sent.append(shard)
        return dealt(column, shard, n_shards)

    monkeypatch.setattr(shards, "_dealt", watched)
    yield sent
    assert not sent


@pytest.mark.parametrize("write", READ)
def test_rows_are_those_that_are_normalised_at_once(write: str, tmp_path: Path) -> None:
    pool, _ = unscaled(1_500)
    spec = f"vectors:{READ[write](tmp_path, pool)}"
    want = unit_rows(given_vectors(spec, "pool", len(pool)))
    found = shared_vectors(spec, "pool", len(pool), 1)
    assert found is not None
    assert (found.shape, found.by_row) == (
        want.shape,
        write in {"npy", "half_npy", "columns_first", "npz", "npy_parts"},
    )
    there: SharedRows = pickle.loads(pickle.dumps(found))
    places = np.array([1_499, 3, 3, 0, 700, 1_023, 1_024])
    for rows in (found, there):
        for key in (slice(None), slice(400, 1_100), slice(7, 7), places, -1, slice(None, None, 7), np.array([], int)):
            assert np.asarray(rows[key]).tobytes() == want[key].tobytes()
    turned = narrowed(there, np.arange(1_499, -1, -1))
    for some in map(shared_or_none, (narrowed(there, places), narrowed(turned, 1_499 - places))):
        assert some is not None
        assert as_array(some).tobytes() == want[places].tobytes()
        assert some[2:4].tobytes() == want[places[2:4]].tobytes()
    assert as_array(found).tobytes() == want.tobytes()
    assert shared_or_none(first_rows(found, len(found))) is found
    assert np.asarray(first_rows(found, 5)).tobytes() == want[:5].tobytes()


def test_what_would_be_held_as_a_whole_is_not_shared(tmp_path: Path) -> None:
    pool, _ = unscaled(300)
    for path in (parquet(tmp_path, pool), npz(tmp_path, pool)):
        assert shared_vectors(f"vectors:{path}", "pool", 300, 1 << 30) is None


def test_an_array_is_shared_where_its_file_holds_it_as_it_is(tmp_path: Path) -> None:
    pool, _ = unscaled(300)
    path = npy(tmp_path, pool)
    mapped = np.load(path, mmap_mode="r")
    found = mapped_rows(mapped, "vectors")
    assert found is not None
    assert pickle.loads(pickle.dumps(found))[:].tobytes() == unit_rows(pool).tobytes()
    for other in (pool, mapped[5:], mapped.T, mapped.view("i4").view("f4"), np.load(path, mmap_mode="c"), [[1.0]]):
        assert mapped_rows(other, "vectors") is None


def test_a_copy_is_there_for_as_long_as_rows_of_it_are_looked_at(tmp_path: Path) -> None:
    unit = unit_rows(unscaled(20_000)[0])
    found = shared_copy(unit, tmp_path, "vectors")
    there: SharedRows = pickle.loads(pickle.dumps(found))
    assert found[:].tobytes() == there[:].tobytes() == unit.tobytes()
    some = found.take(np.array([19_999, 5]))
    del found, there
    gc.collect()
    assert some[:].tobytes() == unit[[19_999, 5]].tobytes()
    assert list(tmp_path.glob(".lent*"))
    del some
    gc.collect()
    assert not list(tmp_path.glob(".lent*"))


def test_a_copy_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, parts: Any) -> None:
        next(parts)
        raise StoreError(f"{path} must be writable, got No space left on device.")

    monkeypatch.setattr("righttime.similarity.shared.write_parts", full)
    with pytest.raises(StoreError, match="No space left"):
        shared_copy(unit_rows(unscaled(300)[0]), tmp_path, "vectors")
    assert not list(tmp_path.glob(".lent*"))


def test_a_file_that_is_not_the_same_is_refused(tmp_path: Path) -> None:
    pool, _ = unscaled(300)
    spec = f"vectors:{npy(tmp_path, pool)}"
    found = pickle.dumps(shared_vectors(spec, "pool", 300))
    os.utime(tmp_path / "v.npy", ns=(0, 0))
    with pytest.raises(EmbeddingError, match="must be the file that the driver sees, got one of another size or time"):
        pickle.loads(found)[:1]
    (tmp_path / "v.npy").unlink()
    with pytest.raises(EmbeddingError, match="must be the file that the driver sees, got none"):
        pickle.loads(found)[:1]


def test_a_row_without_direction_is_named_by_its_number(tmp_path: Path) -> None:
    pool, _ = unscaled(300)
    pool[200], pool[207] = 0, np.nan
    found = shared_vectors(f"vectors:{npy(tmp_path, pool)}", "pool", 300)
    assert found is not None
    with pytest.raises(NonFiniteError, match=r"got row 200 \(all zeros\), row 207 \(NaN or infinity\)"):
        found.check()
    found.take(np.arange(200)).check()
    with pytest.raises(NonFiniteError, match=r"got row 207 \(NaN or infinity\)\."):
        found.take(np.array([3, 207, 5])).check()


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("write", "method", "budgets", "how"),
    [
        pytest.param("npy", "tma", (300, None), {}, marks=slow),
        pytest.param("half_npy", "tma-farthest", (300, None), {}, marks=slow),
        pytest.param("npy", "tma", (100,), {"apart": 0.05}, marks=slow),
        pytest.param("npy", "rds", (100,), {"min_similarity": 0.3}, marks=slow),
        pytest.param("columns_first", "nearest", (None,), {"min_similarity": 0.3}, marks=slow),
    ],
)
def test_ray_gives_the_bytes_of_the_cpu(
    cluster: Any, write: str, method: str, budgets: tuple[int | None, ...], how: dict[str, Any], tmp_path: Path
) -> None:
    pool, target = unscaled()
    mapped = np.load(READ[write](tmp_path, pool), mmap_mode="r")
    for budget in budgets:
        here, there = (
            arrange_embeddings(mapped, target, method=method, budget=budget, engine=engine, **how)
            for engine in ("cpu", "ray")
        )
        assert saved(here, tmp_path / "cpu") == saved(there, tmp_path / "ray")
    assert not how.get("min_similarity") or len(here) < len(pool) or budgets != (None,)


@slow
def test_a_method_that_needs_an_array_has_one(cluster: Any, tmp_path: Path) -> None:
    pool, target = unscaled(600)
    mapped = np.load(npy(tmp_path, pool), mmap_mode="r")
    here, there = (arrange_embeddings(mapped, target, method="kcenter", engine=engine) for engine in ("cpu", "ray"))
    assert saved(here, tmp_path / "cpu") == saved(there, tmp_path / "ray")


@slow
@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("write", ["npz", "parquet", "parquet_parts", "safetensors_parts"])
def test_every_answer_is_that_of_one_machine(cluster: Any, write: str, tmp_path: Path) -> None:
    pool, target = unscaled()
    shared: Any = shared_vectors(f"vectors:{READ[write](tmp_path, pool)}", "pool", len(pool), 1)
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(pool))[:2_000])
    for rows, unit in ((shared, unit_rows(pool)), (shared.take(some), unit_rows(pool)[some])):
        search, one = ShardedSearch(), BlockSearch("cpu")
        assert [part.tobytes() for part in search.nearest(rows, target)] == [
            part.tobytes() for part in one.nearest(unit, target)
        ]
        which, who = rng.integers(len(unit), size=500), rng.integers(len(target), size=500)
        asked = which, target, who
        assert search.pairs(rows, *asked).tobytes() == one.pairs(unit, *asked).tobytes()
        assert search.pairs(rows, which[:0], target, who[:0]).shape == (0,)
        for taken in (None, rng.random(len(unit)) < 0.7, np.arange(len(unit)) != 77):
            found, want = search.best(rows, target, 40, taken), one.best(unit, target, 40, taken)
            for column in ("start", "rows", "value", "cut"):
                assert np.array_equal(getattr(found, column), getattr(want, column)), column


@pytest.mark.slow
def test_equal_rows_of_all_shards_go_by_their_number(cluster: Any) -> None:
    pool = np.zeros((2_000, 4), dtype=np.float32)
    pool[:, 0] = 1
    found = ShardedSearch().best(pool, pool[:2], 300, np.arange(2_000) < 100)
    assert found.rows.tolist() == 2 * list(range(100, 400))


@slow
@pytest.mark.linux
def test_a_node_that_is_lost_changes_nothing(cluster: Any, tmp_path: Path, nothing_sent: list[int]) -> None:
    pool, target = unscaled(12_000)
    mapped = np.load(half_npy(tmp_path, pool), mmap_mode="r")
    want = saved(arrange_embeddings(mapped, target, engine="cpu"), tmp_path / "cpu")
    once, told = losing_a_node(cluster)
    assert saved(arrange_embeddings(mapped, target, engine="ray", progress=once), tmp_path / "ray") == want
    assert len(told) > 5


@slow
def test_shards_are_spread_again_once_machines_have_doubled_the_cluster(
    cluster: Any, tmp_path: Path, nothing_sent: list[int]
) -> None:
    pool, target = unscaled()
    rows: Any = mapped_rows(np.load(npy(tmp_path, pool), mmap_mode="r"), "vectors")
    want = [part.tobytes() for part in BlockSearch("cpu").nearest(unit_rows(pool), target)]
    search, spread = ShardedSearch(), []
    for cores in (0, 2, 1):
        joined = cluster.add_node(num_cpus=cores) if cores else None
        spread.append((joined, len(search._actors)))
        assert [part.tobytes() for part in search.nearest(rows, target)] == want
    shards_by_then = [n for _, n in spread[1:]] + [len(search._actors)]
    for joined, _ in spread[1:]:
        cluster.remove_node(joined)
    assert shards_by_then == [3, 3, 6]
    assert [part.tobytes() for part in search.nearest(rows, target)] == want


@slow
@pytest.mark.linux
@pytest.mark.parametrize("gone", ["removed", "changed", "never there"])
def test_a_machine_that_does_not_see_the_file_is_sent_its_rows(cluster: Any, gone: str, tmp_path: Path) -> None:
    pool, target = unscaled()
    path, unit = Path(npy(tmp_path, pool)), unit_rows(pool)
    rows: Any = mapped_rows(np.load(path, mmap_mode="r"), "vectors")
    assert rows[:3].tobytes() == unit[:3].tobytes()  # this process has it open
    said: list[str] = []
    search = ShardedSearch(told=said.append)
    want = [part.tobytes() for part in BlockSearch("cpu").nearest(unit, target)]
    if gone == "never there":
        path.unlink()
    assert [part.tobytes() for part in search.nearest(rows, target)] == want
    if gone != "never there":
        assert not said
        path.unlink() if gone == "removed" else os.utime(path, ns=(0, 0))
        for pid in shard_pids(search)[:-1]:
            os.kill(pid, signal.SIGKILL)
        assert [part.tobytes() for part in search.nearest(rows, target)] == want
    why = "one of another size or time of change" if gone == "changed" else "none"
    assert len(said) == 1, "said once"
    assert said[0].startswith("a machine of the cluster could not read its vectors, which are sent to it: ")
    assert f"{path} must be the file that the driver sees, got {why}." in said[0]
    for pid in shard_pids(search):  # what was sent is held on to
        os.kill(pid, signal.SIGKILL)
    assert [part.tobytes() for part in search.nearest(rows, target)] == want


@pytest.mark.slow
def test_rows_without_direction_are_told_as_on_one_machine(cluster: Any, tmp_path: Path) -> None:
    pool, target = unscaled(1_000)
    pool[700], pool[300] = np.nan, 0
    mapped = np.load(npy(tmp_path, pool), mmap_mode="r")
    told = []
    for engine in ("cpu", "ray"):
        with pytest.raises(NonFiniteError) as error:
            arrange_embeddings(mapped, target, engine=engine, budget=5)
        told.append((error.value.args, error.value.row))
    assert "row 300 (all zeros)" in str(told[0])
    assert told[0] == told[1]


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("write", ["npy", pytest.param("parquet_parts", marks=slow)])
def test_the_command_writes_the_same_folder(
    cluster: Any, write: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool, target = unscaled(900)
    np.save(tmp_path / "target.npy", target)
    rows = [{"id": f"r{n}", "prompt": f"What is {n // 2 * 2}?", "response": f"It is {n // 2}."} for n in range(900)]
    for name, some in (("pool", rows), ("target", [{**row, "prompt": row["prompt"][5:]} for row in rows[:40]])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    vectors = ["--embedder", f"vectors:{READ[write](tmp_path, pool)}", "--target-embedder"]
    given = [
        f"{tmp_path}/pool.jsonl",
        "--target",
        f"{tmp_path}/target.jsonl",
        *vectors,
        f"vectors:{tmp_path}/target.npy",
    ]
    for engine in ("cpu", "ray"):
        out = ["--out", f"{tmp_path}/{engine}", "--engine", engine, "--duplicates", "drop", "--guard", "report"]
        assert main(["arrange", *given, *out]) == 0
        assert "could not read" not in capsys.readouterr().out
    for file in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "cpu" / file).read_bytes() == (tmp_path / "ray" / file).read_bytes()
    here, there = (json.loads((tmp_path / engine / "manifest.json").read_text()) for engine in ("cpu", "ray"))
    for entry in ("embedding", "falloff", "counts"):
        assert here[entry] == there[entry]
    assert here["counts"]["arranged"] == 450


@slow
def test_the_command_says_that_rows_were_sent_and_its_folder_does_not(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pool, target = unscaled(300)
    np.save(tmp_path / "target.npy", target[:3])
    for name, n in (("pool", 300), ("target", 3)):
        lines = [json.dumps({"id": f"{name}{row}", "prompt": f"{name} {row}?", "response": "."}) for row in range(n)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    opened = ShardedSearch._spread

    def unseen(self: ShardedSearch, rows: Any) -> int:
        os.utime(tmp_path / "v.npy", ns=(0, 0))  # once the driver has looked at all of them
        return opened(self, rows)

    monkeypatch.setattr(ShardedSearch, "_spread", unseen)
    vectors = ["--embedder", f"vectors:{npy(tmp_path, pool)}", "--target-embedder", f"vectors:{tmp_path}/target.npy"]
    given = [f"{tmp_path}/pool.jsonl", "--target", f"{tmp_path}/target.jsonl", *vectors, "--engine", "ray"]
    assert main(["arrange", *given, "--out", f"{tmp_path}/out", "--guard", "off"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "which are sent to it" in line]
    assert len(said) == 1
    assert said[0].startswith("note: a machine of the cluster could not read its vectors")
    assert "sent to it" not in (tmp_path / "out" / "manifest.json").read_text()
