from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.errors import NonFiniteError, ShapeError, StoreError
from righttime.similarity import average_distance, pair_similarity, room_for, rounding_margin, unit_rows
from righttime.similarity.pairs import fold_sum
from twin import similarity


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 40))
def test_pair_similarity_is_the_definition_to_the_bit(seed: int, d: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, t = unit_rows(rng.normal(size=(n, d))), unit_rows(rng.normal(size=(n, d)))
    got = pair_similarity(x, t)
    assert got.tolist() == [float(similarity(a, b)) for a, b in zip(x, t, strict=True)]
    assert pair_similarity(x, -t).tolist() == (0.0 - got).tolist(), "farthest is nearest to the opposite"
    assert pair_similarity(x[::-1], t[::-1]).tolist() == got[::-1].tolist(), "no pair knows its neighbours"
    assert pair_similarity(x, t[:1]).tolist() == pair_similarity(x, np.repeat(t[:1], n, axis=0)).tolist()


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 7, 384, 1024]))
def test_products_stay_within_the_margin(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x, t = unit_rows(rng.normal(size=(50, d))), unit_rows(rng.normal(size=(20, d)))
    exact = np.array([pair_similarity(x, t[j : j + 1]) for j in range(20)])
    assert np.abs(t @ x.T - exact).max() <= rounding_margin(d)
    worst = np.zeros((20, 50), dtype=np.float32)  # the least careful order: one product after another
    for place in range(d):
        worst += t[:, place, None] * x[:, place]
    assert np.abs(worst - exact).max() <= rounding_margin(d)


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float16, np.float32, np.float64, np.int8]))
def test_unit_rows_are_of_unit_length_and_each_by_itself(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    vectors: Any = (rng.normal(size=(30, 9)) * 50).astype(dtype)
    vectors[:, 0] = 1
    unit = unit_rows(vectors)
    assert unit.dtype == np.float32
    assert np.abs(np.linalg.norm(unit.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert np.array_equal(unit_rows(vectors[7:9]), unit[7:9])


def test_huge_and_tiny_vectors_have_a_direction_too() -> None:
    unit = unit_rows(np.array([[3e300, 4e300], [3e-300, 4e-300]]))
    assert np.allclose(unit, [[0.6, 0.8], [0.6, 0.8]])


def test_rows_without_a_direction_are_named() -> None:
    vectors = np.ones((9000, 384), dtype=np.float32)
    vectors[5000] = 0
    vectors[5001, 3] = np.inf
    with pytest.raises(
        NonFiniteError, match=r"pool must be .* got row 5000 \(all zeros\), row 5001 \(NaN or infinity\)"
    ):
        unit_rows(vectors, "pool")


@pytest.mark.parametrize(
    "vectors", [np.ones(3), np.ones((2, 0)), np.ones((1, 1, 1)), np.array([["x"]]), 3.0, [[1.0], [1.0, 2.0]]]
)
def test_what_is_no_matrix_of_numbers_is_refused(vectors: object) -> None:
    with pytest.raises(ShapeError, match="must (h|be a m)"):
        unit_rows(vectors)


def test_average_distance_is_the_mean_over_the_target() -> None:
    rng = np.random.default_rng(0)
    pool, target = unit_rows(rng.normal(size=(5000, 12))), unit_rows(rng.normal(size=(70, 12)))
    want = -(pool.astype(np.float64) @ target.astype(np.float64).T).mean(axis=1)
    assert np.abs(average_distance(pool, target) - want).max() < 1e-12


def test_the_callers_vectors_are_not_touched() -> None:
    vectors = np.array([[3.0, 4.0]])
    unit_rows(vectors)
    assert vectors.tolist() == [[3.0, 4.0]]


def test_torch_tensors_of_any_kind_are_read() -> None:
    import torch

    for tensor in (torch.tensor([[3.0, 4.0]], requires_grad=True), torch.tensor([[3.0, 4.0]]).bfloat16()):
        assert np.allclose(unit_rows(tensor), [[0.6, 0.8]])


def test_rows_of_length_one_stay_as_they_are_to_the_bit() -> None:
    unit = unit_rows(np.random.default_rng(0).normal(size=(500, 384)))
    assert unit_rows(unit) is unit
    assert np.array_equal(unit_rows(unit.astype(np.float64)), unit)
    mixed = unit.copy()
    mixed[7] *= 3
    again = unit_rows(mixed)
    assert np.array_equal(np.delete(again, 7, axis=0), np.delete(unit, 7, axis=0))
    assert np.abs(again[7] - unit[7]).max() < 1e-7


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_second_time_changes_nothing(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    unit = unit_rows(rng.normal(size=(20, d)) * 10.0 ** rng.integers(-30, 30, size=(20, 1)))
    assert unit_rows(unit) is unit


def test_what_counts_as_length_one_does_not_depend_on_the_sum_in_any_order() -> None:
    """Rows on both sides of the bound, some of them within what orders of summation differ by."""
    rng = np.random.default_rng(3)
    rows = unit_rows(rng.normal(size=(4000, 384))) * (1 + 2.0**-23 * rng.uniform(0.9, 1.1, size=(4000, 1)))
    rows = rows.astype(np.float32)
    whole = unit_rows(rows)
    kept = np.abs(fold_sum(rows.astype(np.float64) ** 2) - 1) <= 2.0**-22
    assert 100 < kept.sum() < 3900
    assert ((whole == rows).all(axis=1) == kept).mean() > 0.99  # a row may be the same after being scaled, too
    assert (whole == rows).all(axis=1)[kept].all()
    for row in range(0, 4000, 97):
        assert np.array_equal(unit_rows(rows[row : row + 1]), whole[row : row + 1])


def test_large_results_are_mapped_from_a_file_that_leaves_nothing(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float16)
    mapped = unit_rows(rows, most_bytes=1000, folder=tmp_path)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, unit_rows(rows))
    assert not list(tmp_path.iterdir())


def test_no_room_on_the_disk_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"vectors of 4\.0 GiB must fit on the disk of .*inside: .*`cache`"):
        room_for((1 << 15, 1 << 15), 1000, tmp_path / "file" / "inside")
