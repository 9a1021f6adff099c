from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import twin_measures as twin
from righttime.errors import NonFiniteError, SettingsError, ShapeError
from righttime.measures import MEASURES, Curves, measure
from righttime.measures.bigrams import bigram_curves
from righttime.measures.dataset import prefix_sizes
from righttime.similarity import unit_rows
from strategies import vectors

VECTOR_MEASURES = list(MEASURES)[:-1]


def close(got: Any, want: Any) -> None:
    """Within 1e-5 of the value, and of nothing where the value is nothing."""
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-12)


def against_twin(pool: NDArray[np.float32], target: NDArray[np.float32], every: int, **more: Any) -> Curves:
    curves = measure(pool, target, every=every, **more)
    want = [twin.vector_measures(pool, target, n) for n in curves.n.tolist()]
    for name in VECTOR_MEASURES:
        close(curves.columns[name], [at[name] for at in want])
    return curves


@given(vectors(max_pool=40), st.integers(1, 50), st.integers(1, 50))
def test_every_prefix_equals_the_definition(sides: tuple[Any, Any], every: int, block_rows: int) -> None:
    against_twin(*sides, every, block_rows=block_rows)


def cloud(rng: np.random.Generator, n: int, d: int, spread: float) -> NDArray[np.float32]:
    """Unit vectors around one direction: the smaller the spread, the nearer to one another."""
    return unit_rows(np.eye(1, d)[0] + spread * rng.normal(size=(n, d)))


@pytest.mark.parametrize("spread", [3.0, 1.0, 0.05, 1e-2, 1e-3, 1e-4, 1e-6, 1e-7])
def test_near_and_nearly_identical_vectors_lose_no_digits(spread: float) -> None:
    rng = np.random.default_rng(0)
    pool, target = cloud(rng, 300, 48, spread), cloud(rng, 70, 48, spread)
    pool[7], pool[211] = target[3], target[4]  # some identical
    against_twin(pool, target, 37)


def test_a_target_larger_than_one_product() -> None:
    rng = np.random.default_rng(1)
    against_twin(cloud(rng, 30, 6, 1.0), cloud(rng, 1100, 6, 1.0), 11)


def test_more_prefixes_in_a_block_than_are_summed_one_by_one() -> None:
    rng = np.random.default_rng(5)
    pool, target = cloud(rng, 150, 4, 1.0), cloud(rng, 3, 4, 1.0)
    many = against_twin(pool, target, 1)
    few = measure(pool, target, every=50)
    for name in VECTOR_MEASURES:
        np.testing.assert_allclose(many.columns[name][few.n - 1], few.columns[name], rtol=1e-12)


def test_extremes_are_found_wherever_they_stand() -> None:
    rng = np.random.default_rng(2)
    pool, target = cloud(rng, 90, 5, 0.3), cloud(rng, 9, 5, 0.3)
    for place in range(0, 90, 7):
        moved = pool.copy()
        moved[place] = target[place % 9]
        moved[89 - place] = -target[0]
        curves = against_twin(moved, target, 10)
        assert curves.columns["euclidean-min"][-1] == 0
        assert curves.columns["euclidean-max"][-1] == pytest.approx(2)


@given(vectors(max_pool=60), st.integers(1, 70), st.integers(1, 70))
def test_block_size_changes_nothing(sides: tuple[Any, Any], every: int, block_rows: int) -> None:
    whole, blocks = measure(*sides, every=every), measure(*sides, every=every, block_rows=block_rows)
    for name in VECTOR_MEASURES:
        # A float32 product rounds with the shape of its block, and only this measure sums such products.
        rtol = 1e-6 if name == "euclidean-avg" else 1e-12
        np.testing.assert_allclose(blocks.columns[name], whole.columns[name], rtol=rtol, atol=1e-14)


@given(vectors(max_pool=60), st.integers(1, 70), st.integers(1, 70))
def test_a_prefix_is_the_same_whatever_other_prefixes_are_asked(sides: tuple[Any, Any], every: int, other: int) -> None:
    one, two = measure(*sides, every=every), measure(*sides, every=other)
    _, left, right = np.intersect1d(one.n, two.n, return_indices=True)
    for name in VECTOR_MEASURES:
        np.testing.assert_allclose(one.columns[name][left], two.columns[name][right], rtol=1e-12, atol=1e-14)


WORDS = st.lists(st.sampled_from(["the", "a", "of", "cat", "dog", "é"]), max_size=9).map(" ".join)
TEXTS = st.lists(WORDS, min_size=1, max_size=14)


def unit(n: int) -> NDArray[np.float32]:
    return np.ones((n, 1), dtype=np.float32)


def same_kl(got: Any, want: list[float]) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@given(TEXTS, TEXTS, st.integers(1, 6))
def test_kl_equals_the_definition_on_every_prefix(texts: list[str], target: list[str], every: int) -> None:
    curves = measure(unit(len(texts)), unit(len(target)), texts=texts, target_texts=target, every=every)
    same_kl(curves.columns["kl"], [twin.kl(texts[:n], target) for n in curves.n.tolist()])


@given(TEXTS, TEXTS, st.integers(1, 6))
def test_kl_over_occurrences_is_the_released_codes_number(texts: list[str], target: list[str], every: int) -> None:
    sides = (unit(len(texts)), unit(len(target)))
    curves = measure(*sides, texts=texts, target_texts=target, every=every, kl_over_occurrences=True)
    want = [twin.kl_over_occurrences(texts[:n], target, texts, target) for n in curves.n.tolist()]
    same_kl(curves.columns["kl"], want)


def test_kl_over_occurrences_counts_the_bigrams_of_all_target_tasks() -> None:
    texts, target, tasks = ["a b c", "b c", "c d"], ["a b", "c d c d"], ["one", "two"]
    sides = (unit(3), unit(2))
    more: dict[str, Any] = {"texts": texts, "target_texts": target, "every": 1}
    got = measure(*sides, **more, target_tasks=tasks, per_task=True, kl_over_occurrences=True).columns["kl"]
    for curve, text in zip(got, target, strict=True):
        same_kl(curve, [twin.kl_over_occurrences(texts[:n], [text], texts, target) for n in (1, 2, 3)])
    plain = measure(*sides, **more).columns["kl"]
    assert (np.abs(got - plain) > 0.1).all(), "it is another number, not another rounding"


def test_kl_of_many_pieces_and_of_texts_without_a_bigram() -> None:
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(["u", "v", "w", "x", "y"], size=size)) for size in rng.integers(0, 6, size=700)]
    texts[:2] = ["", "alone"]
    ends = [1, 2, 3, 255, 256, 257, 512, 700]
    got = bigram_curves(texts, [texts[300:310], ["none"]], ends)
    assert np.isnan(got[:, :2]).all()
    same_kl(got[0, 2:], [twin.kl(texts[:n], texts[300:310]) for n in ends[2:]])
    same_kl(got[1, 2:], [twin.kl(texts[:n], ["none"]) for n in ends[2:]])


def test_kl_of_more_bigrams_than_the_table_first_holds() -> None:
    rng = np.random.default_rng(4)
    texts = [" ".join(f"w{word}" for word in rng.zipf(1.3, size=40) % 5000) for _ in range(1500)]
    assert len(set(twin.bigrams(texts))) > 10_000
    ends = [1, 100, 700, 1500]
    same_kl(bigram_curves(texts, [texts[9:99]], ends)[0], [twin.kl(texts[:n], texts[9:99]) for n in ends])
    bug = bigram_curves(texts, [texts[9:99]], ends, over_occurrences=True)[0]
    np.testing.assert_allclose(
        bug, [twin.kl_over_occurrences(texts[:n], texts[9:99], texts, texts[9:99]) for n in ends], rtol=1e-9
    )


def test_a_distribution_does_not_differ_from_itself() -> None:
    assert bigram_curves(["a b c a"] * 3, [["a b c a"]], [3]) == pytest.approx(0, abs=1e-9)


@given(vectors(), st.integers(1, 9), st.data())
def test_per_task_is_the_target_filtered(sides: tuple[Any, Any], every: int, data: st.DataObject) -> None:
    pool, target = sides
    tasks = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(target), max_size=len(target)))
    texts = [f"t {row % 3} u {row % 2}" for row in range(len(pool))]
    target_texts = [f"t {row % 2} u {row % 4}" for row in range(len(target))]
    more: dict[str, Any] = {"texts": texts, "every": every}
    curves = measure(pool, target, target_texts=target_texts, target_tasks=tasks, per_task=True, **more)
    assert curves.task == tuple(dict.fromkeys(tasks))
    for place, task in enumerate(curves.task):
        rows = [row for row, name in enumerate(tasks) if name == task]
        alone = measure(pool, target[rows], target_texts=[target_texts[row] for row in rows], **more)
        for name in MEASURES:
            rtol = 1e-6 if name == "euclidean-avg" else 1e-12
            np.testing.assert_allclose(curves.columns[name][place], alone.columns[name], rtol=rtol, atol=1e-12)


def test_the_table_is_long() -> None:
    pool, target = unit_rows([[1, 0], [0, 1], [1, 1]]), unit_rows([[1, 0], [1, 2]])
    rows = measure(pool, target, every=2).to_table("tma").to_pylist()
    assert len(rows) == 8 * 2
    assert rows[0] == {"arrangement": "tma", "n": 2, "task": None, "measure": "cosine-avg", "value": rows[0]["value"]}
    curves = measure(pool, target, every=2, target_tasks=["p", "q"], per_task=True)
    found = {(row["task"], row["measure"], row["n"]): row["value"] for row in curves.to_table().to_pylist()}
    assert len(found) == 8 * 2 * 2
    assert found["q", "euclidean-min", 3] == curves.columns["euclidean-min"][1, 1]


def test_prefixes_end_with_the_whole() -> None:
    assert prefix_sizes(6, 3).tolist() == [3, 6]
    assert prefix_sizes(2, 3).tolist() == [2]
    for every in (0, -1, 2.0, True):
        with pytest.raises(SettingsError, match="every must be a whole number from 1"):
            prefix_sizes(5, every)  # type: ignore[arg-type]


def test_a_mean_without_a_direction_has_no_cosine() -> None:
    curves = measure(unit_rows([[1, 0], [-1, 0], [0, 1]]), unit_rows([[1, 0]]), every=1)
    assert np.isnan(curves.columns["cosine-centroid"]).tolist() == [False, True, False]


def test_progress_counts_every_row_once_for_vectors_and_once_for_texts() -> None:
    done: list[int] = []
    measure(unit(700), unit(2), texts=["a b"] * 700, target_texts=["a", "b"], every=300, progress=done.append)
    assert sum(done) == 1400


PAIR = np.eye(2, dtype=np.float32)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: measure(PAIR, np.eye(3)), ShapeError, "the same width, got 2 and 3"),
        (lambda: measure(PAIR[:0], PAIR), ShapeError, "pool must have at least one row"),
        (lambda: measure(PAIR * 2, PAIR), NonFiniteError, "pool vectors must be of length 1, got 2 in row 0"),
        (lambda: measure(PAIR, PAIR * np.nan), NonFiniteError, "target vectors must be of length 1, got nan in row 0"),
        (lambda: measure(PAIR, PAIR, texts=["a", "b"]), SettingsError, "texts and target_texts go together"),
        (lambda: measure(PAIR, PAIR, texts=["a"], target_texts=["a", "b"]), ShapeError, "each of the 2 rows, got 1"),
        (lambda: measure(PAIR, PAIR, per_task=True), SettingsError, "each of the 2 target rows, got none"),
        (
            lambda: measure(PAIR, PAIR, per_task=True, target_tasks=["a", None]),
            SettingsError,
            "target row 1 has none",
        ),
    ],
)
def test_what_is_wrong_is_said(call: Callable[[], object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()
