"""Rows of a round that stay apart, against a twin written from the definition, on near-copies and ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from made_vectors import some
from righttime import Arrangement, arrange_embeddings
from righttime.arrangement import METHODS, candidates
from righttime.arrangement.apart import too_near
from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.rounds import tma_rounds
from righttime.errors import SettingsError
from righttime.neighbours import BlockSearch
from righttime.similarity import unit_rows
from twin import matrix, tma_within

ROUNDS = [name for name, entry in METHODS.items() if entry.nested and "rounds" in entry.needs]


def clustered(rng: np.random.Generator, n: int, m: int, copies: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pool rows that are copies, exact or near, of a few directions; target rows near them."""
    centres = rng.integers(-1, 2, size=(5, 3)) + 0.0
    centres[~centres.any(axis=1)] = 1.0
    pool = centres[rng.integers(0, 5, size=n)] + copies * rng.integers(-1, 2, size=(n, 3))
    pool[~pool.any(axis=1)] = 1.0
    return pool, centres[rng.integers(0, 5, size=m)] + 0.25 * rng.integers(0, 2, size=(m, 3)) + 1e-3


def places(found: Arrangement) -> list[tuple[int, int, int, float]]:
    assert found.round is not None
    assert found.picked_by is not None
    assert found.similarity is not None
    columns = (found.round, found.order, found.picked_by, found.similarity)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def expected(
    pool: NDArray[np.float32],
    target: NDArray[np.float32],
    apart: float,
    farthest: bool = False,
    caps: Any = (),
    floor: float | None = None,
) -> list[tuple[int, int, int, float]]:
    s = matrix(pool, target)
    rounds = tma_within(s, list(caps), farthest, floor, (matrix(pool, pool), apart))
    return [(k, i, j, float(value)) for k, played in enumerate(rounds) for i, j, value in played]


@given(
    st.integers(0, 2**32),
    st.integers(1, 24),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.05, 0.25]),
    st.sampled_from([1e-6, 0.01, 0.1, 0.5, 1.0, 1.5, 2.0]),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 6)),
    st.sampled_from([None, 1, 5]),
)
def test_rounds_equal_the_twin(
    seed: int, n: int, m: int, copies: float, apart: float, farthest: bool, cap: int | None, block_rows: int | None
) -> None:
    rng = np.random.default_rng(seed)
    sides = [unit_rows(side) for side in clustered(rng, n, m, copies)]
    tasks = [f"task{k}" for k in rng.integers(0, 3, size=n)]
    caps = [] if cap is None else [(tasks, cap)]
    found = arrange_embeddings(
        *sides,
        method="tma-farthest" if farthest else "tma",
        apart=apart,
        tasks=tasks,
        cap_task=cap,
        within_round="index",
        block_rows=block_rows,
    )
    assert places(found) == expected(sides[0], sides[1], apart, farthest, caps)


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from([0.05, 0.5]))
def test_with_a_least_similarity_it_equals_the_twin(seed: int, floor: float, apart: float) -> None:
    rng = np.random.default_rng(seed)
    pool, target = (unit_rows(side) for side in clustered(rng, 16, 4, 0.1))
    allowed = np.flatnonzero(matrix(pool, target).max(axis=1) >= np.float32(floor))
    if not len(allowed):
        return
    found = arrange_embeddings(pool, target, apart=apart, min_similarity=floor, within_round="index")
    want = expected(pool[allowed], target, apart, floor=floor)
    assert places(found) == [(k, int(allowed[i]), j, value) for k, i, j, value in want]
    assert sorted(found.order.tolist()) == allowed.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("memory", [1 << 30, 128 * 70, 1])
@pytest.mark.parametrize("deepest", [1 << 22, 0])
def test_lists_that_run_out_among_near_copies_are_searched_again(
    memory: int, deepest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 rows in three tight clusters, farther down than the lists go; and lists that may not grow."""
    monkeypatch.setattr(candidates, "_DEEPEST", deepest)
    searches, deeper = list[int](), CandidateLists._deeper

    def counted(self: CandidateLists, who: int, count: int) -> Any:
        searches.append(count)
        return deeper(self, who, count)

    monkeypatch.setattr(CandidateLists, "_deeper", counted)
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(3, 6))
    pool = unit_rows(centres[np.arange(300) % 3] + 0.02 * rng.normal(size=(300, 6)))
    target = unit_rows(centres[[0, 0, 0, 0, 1]] + 0.05 * rng.normal(size=(5, 6)))
    played = tma_rounds(pool, target, apart=0.2, expected_rows=12, search=BlockSearch(memory=memory))
    want = tma_within(matrix(pool, target), [], apart=(matrix(pool, pool), 0.2))
    for number, one in zip(range(6), played, strict=False):
        got = zip(one.rows.tolist(), one.picked_by.tolist(), one.similarity, strict=True)
        assert list(got) == want[number]
    assert searches


def test_a_larger_pool_equals_the_twin() -> None:
    rng = np.random.default_rng(2)
    pool, target = unit_rows(rng.normal(size=(400, 5))), unit_rows(rng.normal(size=(20, 5)))
    for apart in (0.02, 0.3):
        found = arrange_embeddings(pool, target, apart=apart, within_round="index")
        assert places(found) == expected(pool, target, apart)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 30), st.sampled_from([0.0, 0.1]))
def test_nearest_rows_of_one_target_row_are_those_of_the_definition(
    seed: int, count: int, taken: int, copies: float
) -> None:
    rng = np.random.default_rng(seed)
    pool, target = (unit_rows(side) for side in clustered(rng, 40, 3, copies))
    lists = CandidateLists(pool, target, 40)
    gone = rng.permutation(40)[:taken]
    lists.choose()
    lists.take(gone)
    lists.choose()
    s = matrix(pool, target)
    living = sorted(set(range(40)) - set(gone.tolist()), key=lambda i: (-s[i, 1], i))
    rows, similarity = lists.nearest_of(1, count)
    assert len(rows) >= min(count, len(living))
    assert rows.tolist() == living[: len(rows)]
    assert similarity.tolist() == s[rows, 1].tolist()
    chosen, _ = lists.choose()  # and the lists are as they were
    assert chosen.tolist() == [min(living, key=lambda i: (-s[i, j], i)) for j in range(3)]


@given(st.integers(0, 2**32), st.floats(-1, 1))
def test_pairs_are_too_near_by_the_definition(seed: int, most: float) -> None:
    x, y = (unit_rows(side) for side in clustered(np.random.default_rng(seed), 12, 9, 0.1))
    s = matrix(x, y)
    for bound in (np.float32(most), s[0, 0], np.nextafter(s[0, 0], np.float32(2), dtype=np.float32)):
        assert too_near(x, y, np.float32(bound)).tolist() == (s > bound).tolist()


@pytest.mark.parametrize("method", ROUNDS)
def test_no_two_rows_of_a_round_are_nearer_and_no_row_is_lost(method: str) -> None:
    made = some()
    found = arrange_embeddings(**made, method=method, apart=0.4)
    assert sorted(found.order.tolist()) == list(range(50))
    assert found.round is not None
    assert found.settings["apart"] == 0.4
    pool = unit_rows(made["pool_vectors"])
    pairs = matrix(pool, pool)
    for number in range(found.n_rounds):
        rows = found.order[found.round == number]
        inside = pairs[np.ix_(rows, rows)]
        assert (inside[~np.eye(len(rows), dtype=bool)] <= np.float32(0.6)).all()


def test_a_bound_that_nothing_reaches_changes_nothing() -> None:
    """Distinct directions far from each other: rounds are the plain ones."""
    pool = np.eye(8)
    target = np.eye(8)[:5] + 0.1
    plain = arrange_embeddings(pool, target)
    assert arrange_embeddings(pool, target, apart=0.9).order.tolist() == plain.order.tolist()


BAD: list[tuple[dict[str, Any], str]] = [
    *(({"apart": value}, "a cosine distance above 0 and up to 2") for value in (0, -0.1, 2.1, float("nan"), "x", True)),
    ({"apart": 0.1, "method": "nearest"}, "one sequence of rounds, such as the default, got it with 'nearest'"),
    ({"apart": 0.1, "method": "tma-nft"}, "one sequence of rounds"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_distances_get_their_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        arrange_embeddings(**some(), **change)
    assert caught.value.setting == "apart"
