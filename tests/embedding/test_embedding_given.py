from __future__ import annotations

import tracemalloc
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as torch_save

from righttime.embedding import columns, given_vectors
from righttime.embedding.given import check_given_ids
from righttime.embedding.glimpse import glimpse
from righttime.errors import EmbeddingError, RighttimeError, ShapeError
from righttime.examples import Example, Message
from righttime.rows import ExampleRows
from righttime.similarity import unit_rows
from righttime.similarity.lazy import LazyRows

POOL = np.arange(12, dtype=np.float16).reshape(4, 3)
TARGET = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "pool.npy", POOL)
    np.savez(tmp_path / "both.npz", pool=POOL, target=TARGET)
    save_file({"pool": POOL, "target": TARGET}, tmp_path / "both.safetensors")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "both.npz").read_bytes()[:100])
    torch_save({"pool": torch.ones(4, 3, dtype=torch.bfloat16)}, tmp_path / "bf16.safetensors")
    save_file({"x": POOL}, tmp_path / "one.safetensors")
    lists = {
        "embedding": pa.array(POOL.astype(np.float32).tolist(), pa.list_(pa.float32())),
        "fixed": pa.array(POOL.astype(np.float32).tolist(), pa.list_(pa.float32(), 3)),
        "ragged": pa.array([[1.0], [1.0, 2.0], [1.0], [1.0]]),
        "holes": pa.array([[1.0], None, [1.0], [1.0]]),
        "text": pa.array(["a", "b", "c", "d"]),
    }
    pq.write_table(pa.table(lists), tmp_path / "pool.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("pool.npy", "pool"),
        ("both.npz", "pool"),
        ("both.npz#target", "pool"),
        ("both.safetensors", "pool"),
        ("both.safetensors", "target"),
        ("one.safetensors", "pool"),
        ("one.safetensors#x", "target"),
        ("pool.parquet", "pool"),
        ("pool.parquet#fixed", "pool"),
    ],
)
def test_vectors_are_read(folder: Path, name: str, role: str) -> None:
    want = TARGET if "target" in (role, name.partition("#")[2]) and "both" in name else POOL
    got = given_vectors(f"vectors:{folder / name}", role, len(want))
    assert np.array_equal(got, want)


def test_bfloat16_is_widened(folder: Path) -> None:
    got = given_vectors(f"vectors:{folder / 'bf16.safetensors'}", "pool", 4)
    assert got.dtype == np.float32
    assert np.array_equal(got, np.ones((4, 3)))


BAD: list[tuple[str, type[RighttimeError], str]] = [
    ("none.npy", EmbeddingError, "No such file"),
    ("empty.npy", EmbeddingError, "empty.npy must hold vectors, reading it failed"),
    ("cut.npz", EmbeddingError, "cut.npz must hold vectors, reading it failed"),
    ("pool.csv", EmbeddingError, r"must be a file ending in \.npy, \.npz, \.safetensors, \.parquet"),
    ("both.npz#other", EmbeddingError, "must hold a tensor 'other', got pool, target"),
    ("pool.parquet#vector", EmbeddingError, "must have a column 'vector', got the columns embedding"),
    ("pool.parquet#text", EmbeddingError, "must hold lists of numbers, got string"),
    ("pool.parquet#holes", EmbeddingError, "a vector in every row, got 1 nulls"),
    ("pool.parquet#ragged", ShapeError, "must have 1 numbers like row 0, got 2 in row 1"),
]


@pytest.mark.parametrize(("name", "kind", "sentence"), BAD)
def test_what_is_wrong_is_said(folder: Path, name: str, kind: type[RighttimeError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        given_vectors(f"vectors:{folder / name}", "pool", 4)


def test_one_vector_for_each_row(folder: Path) -> None:
    with pytest.raises(ShapeError, match="one vector for each of the 9 pool rows, got 4"):
        given_vectors(f"vectors:{folder / 'pool.npy'}", "pool", 9)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    objects: Any = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    with pytest.raises(EmbeddingError, match="reading it failed"):
        given_vectors(f"vectors:{tmp_path / 'objects.npy'}", "pool", 1)


def bomb(path: Path, shape: str, size: int) -> None:
    """A .npz whose array `pool` says that it has that shape, with so many bytes of zeros after the header."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("pool.npy", "w") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for _ in range(size >> 20):
            stream.write(bytes(1 << 20))


def test_a_compressed_array_is_never_inflated_beyond_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    bomb(path, "(262144, 64)", 64 << 20)
    assert path.stat().st_size < 100_000
    assert given_vectors(f"vectors:{path}", "pool", 262_144, 64 << 20).shape == (262_144, 64)
    tracemalloc.start()
    try:
        with pytest.raises(EmbeddingError, match=r"'pool' must fit into the 33,554,432 bytes of `memory` when it is"):
            given_vectors(f"vectors:{path}", "pool", 262_144, 32 << 20)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", ["(1000000000000, 4)", "(300, -1)", "(-300, -4)", "(9, 4)"])
def test_a_shape_that_is_not_that_of_the_bytes_is_damage(shape: str, tmp_path: Path) -> None:
    bomb(tmp_path / "x.npz", shape, 1 << 20)
    with pytest.raises(EmbeddingError, match=r"x\.npz: 'pool' must hold the .* bytes of its shape"):
        given_vectors(f"vectors:{tmp_path / 'x.npz'}", "pool", 9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_that_is_not_compressed_may_be_larger_and_is_mapped(tmp_path: Path, order: Any) -> None:
    pool = np.asarray(np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32), order=order)
    np.savez(tmp_path / "x.npz", first=np.ones(3), pool=pool)
    mapped = given_vectors(f"vectors:{tmp_path / 'x.npz'}", "pool", 9, 1)
    assert np.array_equal(mapped, pool)
    assert isinstance(mapped.base, np.memmap) or isinstance(mapped, np.memmap)
    assert np.array_equal(given_vectors(f"vectors:{tmp_path / 'x.npz'}", "pool", 9), pool), "read as a whole"


def column_file(path: Path, vectors: NDArray[Any], group: int, kind: Any = None) -> str:
    """A Parquet file of vectors in row groups of so many."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({"embedding": flat if kind is None else flat.cast(kind)}), path, row_group_size=group)
    return f"vectors:{path}"


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("group", [1, 700, 1024, 5_000])
@pytest.mark.parametrize("kind", [None, "list"])
def test_a_column_larger_than_memory_is_read_by_the_piece(
    tmp_path: Path, dtype: Any, group: int, kind: str | None
) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5_000, 6)).astype(dtype)
    lists = pa.list_(pa.from_numpy_dtype(np.dtype(dtype))) if kind else None
    spec, memory = column_file(tmp_path / "x.parquet", vectors, group, lists), 4 * 6 * 900 * vectors.itemsize
    rows: Any = given_vectors(spec, "pool", 5_000, memory)
    assert isinstance(rows, LazyRows)
    assert (rows.shape, rows.dtype, rows.by_row) == ((5_000, 6), np.dtype(dtype), False)
    for start, stop in ((0, 5_000), (0, 1), (1, 900), (899, 901), (4_999, 5_000), (300, 4_000), (10, 10), (2, 3)):
        assert rows[start:stop].tobytes() == vectors[start:stop].tobytes()
    asked = rng.integers(0, 5_000, size=300)
    assert rows[asked].tobytes() == vectors[asked].tobytes()
    assert columns._opened.cache_info().currsize == 1
    whole: Any = given_vectors(spec, "pool", 5_000, 4 * memory)
    assert isinstance(whole, np.ndarray)
    assert (whole.dtype, whole.tobytes()) == (np.dtype(dtype), vectors.tobytes())
    assert unit_rows(rows).tobytes() == unit_rows(vectors).tobytes()


def test_a_column_is_never_held_beyond_the_memory(tmp_path: Path) -> None:
    n = 65_536
    spec = column_file(tmp_path / "x.parquet", np.ones((n, 64), dtype=np.float32), n)
    assert (tmp_path / "x.parquet").stat().st_size < 1_000_000
    rows: Any = given_vectors(spec, "pool", n, 8 << 20)
    tracemalloc.start()
    assert all((rows[start : start + 1000] == 1).all() for start in range(0, n, 1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 8 << 20


def test_a_column_is_read_once_from_front_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, plain, opened = np.random.default_rng(0).normal(size=(5_000, 6)), columns._Column._pieces, list[int]()

    def counted(column: Any, group: int) -> Any:
        opened.append(group)
        return plain(column, group)

    monkeypatch.setattr(columns._Column, "_pieces", counted)
    rows: Any = given_vectors(column_file(tmp_path / "x.parquet", vectors, 1_000), "pool", 5_000, 40_000)
    assert unit_rows(rows).tobytes() == unit_rows(vectors).tobytes()
    assert opened == [0]
    _ = rows[1_200:1_300], rows[1_250:1_400], rows[4_100:4_200], rows[4_150:4_900], rows[3_010:3_020]
    assert opened == [0, 1, 4, 3], "at the row group that is asked for"


LATE = [
    ([[1.0, 2.0]] * 3_000 + [[1.0]], ShapeError, "must have 2 numbers like row 0, got 1 in row 3000"),
    ([[1.0, 2.0]] * 3_000 + [None], EmbeddingError, "a vector in every row, got 1 nulls"),
    ([[1, 2]] * 3_000 + [[1, None]], EmbeddingError, "must hold numbers only, got a null within a vector"),
]


@pytest.mark.parametrize(("lists", "kind", "sentence"), LATE)
def test_what_is_wrong_far_into_a_column_is_told(
    tmp_path: Path, lists: list[Any], kind: type[RighttimeError], sentence: str
) -> None:
    pq.write_table(pa.table({"embedding": lists}), tmp_path / "x.parquet")
    rows = given_vectors(f"vectors:{tmp_path / 'x.parquet'}", "pool", 3_001, 1_000)
    with pytest.raises(kind, match=sentence):
        unit_rows(rows)


def test_a_file_that_is_damaged_behind_its_first_rows_is_told(tmp_path: Path) -> None:
    spec = column_file(tmp_path / "x.parquet", np.random.default_rng(0).normal(size=(5_000, 6)), 1_000)
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60_000] = bytes(60_000)
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(EmbeddingError, match=r"x\.parquet must hold vectors, reading it failed"):
        unit_rows(given_vectors(spec, "pool", 5_000, 10_000))


WIDE = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
"""Vectors that are spread over shards."""


def shard(folder: Path, ending: str, dtype: Any = np.float32) -> Path:
    """`WIDE` in four files, one of them of one row."""
    folder.mkdir()
    bounds = (0, 20, 21, 40, 50)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        part, file = WIDE[start:stop].astype(dtype), folder / f"part-{number}{ending}"
        flat = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), 6)
        table = pa.table({"id": [f"r{row}" for row in range(start, stop)], "embedding": flat})
        if ending == ".npy":
            np.save(file, part)
        elif ending == ".safetensors":
            save_file({"x": part}, file)
        elif ending == ".parquet":
            pq.write_table(table, file)
        else:
            new = pa.ipc.new_stream if number % 2 else pa.ipc.new_file
            with new(str(file), table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
    return folder


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".parquet", ".arrow"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_shards_are_one_matrix_read_block_by_block(tmp_path: Path, ending: str, dtype: Any, memory: int) -> None:
    folder = shard(tmp_path / "shards", ending, dtype)
    for name in (folder, f"{folder}/part-*{ending}"):
        got: Any = given_vectors(f"vectors:{name}", "pool", 50, memory)
        assert isinstance(got, LazyRows)
        assert (got.shape, got.dtype) == ((50, 6), np.dtype(dtype))
        for start, stop in ((0, 50), (19, 22), (20, 21), (45, 60), (7, 7)):
            assert np.array_equal(got[start:stop], WIDE[start:stop].astype(dtype))
        assert np.array_equal(unit_rows(got), unit_rows(WIDE.astype(dtype)))
    seen = glimpse(f"vectors:{folder}", "pool", 16)
    assert (seen.shape, seen.itemsize) == ((50, 6), np.dtype(dtype).itemsize)


def test_a_large_tensor_is_read_block_by_block(tmp_path: Path) -> None:
    torch_save({"pool": torch.from_numpy(WIDE).bfloat16()}, tmp_path / "x.safetensors")
    got: Any = given_vectors(f"vectors:{tmp_path / 'x.safetensors'}", "pool", 50, 1)
    assert isinstance(got, LazyRows)
    assert np.array_equal(got, torch.from_numpy(WIDE).bfloat16().float().numpy())


BAD_SHARDS = [
    ("z-narrow.npy", np.ones((2, 5), np.float32), ShapeError, r"z-narrow.npy .*6 numbers, float32\), got 5 numbers"),
    ("z-wide.npy", np.ones((2, 6)), ShapeError, r"must hold vectors like .*part-0.npy .* got 6 numbers, float64"),
    ("readme.txt", None, EmbeddingError, "must hold files of vectors, ending in .npy.*got .*readme.txt"),
]


@pytest.mark.parametrize(("name", "array", "kind", "sentence"), BAD_SHARDS)
def test_a_shard_that_does_not_fit_is_named(
    tmp_path: Path, name: str, array: Any, kind: type[RighttimeError], sentence: str
) -> None:
    folder = shard(tmp_path / "shards", ".npy")
    (folder / name).write_bytes(b"") if array is None else np.save(folder / name, array)
    with pytest.raises(kind, match=sentence):
        given_vectors(f"vectors:{folder}", "pool", 52)
    with pytest.raises(EmbeddingError, match="got none"):
        given_vectors(f"vectors:{tmp_path}/no*.npy", "pool", 52)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_vectors_of_other_rows_are_noticed_by_their_ids(tmp_path: Path, ending: str) -> None:
    folder = shard(tmp_path / "shards", ending)
    ids = [f"r{row}" for row in range(50)]

    def check(names: list[str], numbers: list[int]) -> None:
        rows = [Example(name, None, "s", "f", 1, (Message("user", "x"),)) for name in names]
        check_given_ids(f"vectors:{folder}", ExampleRows(tuple(rows)), numbers)

    check(ids, list(range(50)))
    check(ids[3:30:2], list(range(3, 30, 2)))
    check([f"made-{row}" for row in range(50)], list(range(50)))
    ids[30], ids[45] = ids[45], ids[30]
    with pytest.raises(EmbeddingError, match=r"vector 30 must be that of row r45, got that of row r30"):
        check(ids, list(range(50)))
