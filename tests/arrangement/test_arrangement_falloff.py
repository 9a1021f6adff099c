"""Where quality falls, held to the whole matrix of similarities."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from righttime import arrange_embeddings
from righttime.arrangement import falloff as module
from righttime.arrangement.falloff import Falloff, falloff
from righttime.arrangement.rounds import tma_rounds
from righttime.neighbours import Seen, local, products, search_named
from righttime.similarity import pair_similarity, unit_rows


def some(n_pool: int = 1000, n_target: int = 12, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return unit_rows(rng.normal(size=(n_pool, 6))), unit_rows(rng.normal(size=(n_target, 6)))


def seen(pool: Any, target: Any, **settings: Any) -> tuple[Any, Falloff]:
    arrangement = arrange_embeddings(pool, target, **settings)
    place = np.full(len(pool), -1)
    place[arrangement.order] = np.arange(len(arrangement))
    return arrangement, falloff(pool, target, place, arrangement.round)


@pytest.mark.parametrize("method", ["tma", "random", "nearest"])
@pytest.mark.parametrize("budget", [None, 300, 7, 1])
@pytest.mark.parametrize("elements", [1 << 21, 1])
def test_lines_are_those_of_the_matrix(
    method: str, budget: int | None, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ELEMENTS", elements)
    pool, target = some()
    arrangement, found = seen(pool, target, method=method, budget=budget)
    s = pool.astype(float) @ target.astype(float).T
    n, order, start = len(arrangement), arrangement.order, 0
    sizes = {max(1, round(n * share / 100)) for share in (1, 2, 5, 10, 20, 50, 100)}
    assert [line.rows for line in found.lines] == sorted(sizes)
    for line in found.lines:
        taken = s[order[: line.rows]]
        assert line.similarity == pytest.approx(s[order[start : line.rows]].max(axis=1).mean(), abs=1e-5)
        assert line.coverage == pytest.approx(taken.max(axis=0).mean(), abs=1e-5)
        assert line.found == pytest.approx((taken.max(axis=0) >= s.max(axis=0) - 1e-6).mean())
        start = line.rows
    assert found.middle == pytest.approx(np.median(s.max(axis=1)), abs=1e-6)
    assert found.target_rows == 12


def test_target_rows_that_nothing_is_near_are_named_the_farthest_first() -> None:
    pool, target = some()
    pool[:, 0] = np.abs(pool[:, 0])
    target[:, 0] = np.abs(target[:, 0])
    away = unit_rows(np.array([[-1.0, 0.2, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0, 0]]))
    found = seen(pool, np.concatenate([target, away]), budget=50)[1]
    assert [one.row for one in found.alone] == [13, 12]
    assert found.alone[0].similarity == pytest.approx((pool @ away[1]).max())
    assert all(one.similarity < found.middle for one in found.alone)
    assert not seen(pool, target, budget=50)[1].alone


def test_rounds_scrape_the_barrel_from_the_first_with_most_rows_below_the_middle() -> None:
    pool, target = some()
    arrangement, found = seen(pool, target)
    near = (pool @ target.T).max(axis=1)[arrangement.order]
    below = [np.mean(near[arrangement.round == number] < found.middle) > 0.5 for number in range(arrangement.n_rounds)]
    assert found.barrel_round is not None
    assert 0 < found.barrel_round < arrangement.n_rounds
    assert found.barrel_round == below.index(True)
    assert found.barrel_place == np.flatnonzero(arrangement.round == found.barrel_round)[0]
    assert seen(pool, target, budget=100)[1].barrel_round is None, "the best rows are not the barrel's bottom"
    assert seen(pool, target, rounds=(found.barrel_round + 1, None))[1].barrel_round is not None
    assert seen(pool, target, method="nearest")[1].barrel_round is None, "it does not go by rounds"


def by_definition(pool: Any, target: Any, order: Any) -> tuple[list[tuple[int, float, float, float]], float, list[Any]]:
    """Lines, middle and lonely target rows, from every pair."""
    s = np.stack([pair_similarity(pool, one[None]) for one in target], axis=1)
    lines, start = [], 0
    for rows in sorted({max(1, round(len(order) * share / 100)) for share in (1, 2, 5, 10, 20, 50, 100)}):
        near, covered = s[order[start:rows]].max(axis=1), s[order[:rows]].max(axis=0)
        found = float((covered >= s.max(axis=0) - 1e-6).mean())
        lines.append((rows, float(near.mean(dtype=float)), float(covered.mean(dtype=float)), found))
        start = rows
    middle, best = float(np.median(s.max(axis=1))), s.max(axis=0)
    lonely = [(row, float(best[row])) for row in np.argsort(best, kind="stable").tolist() if best[row] < middle]
    return lines, middle, lonely


SEARCHES: dict[str, dict[str, Any]] = {
    "cpu": {},
    "in blocks": {"block_rows": 37},
    "on threads": {},
    "torch": {"engine": "torch"},
    "bfloat16": {"engine": "torch", "first_look": "bfloat16"},
    "nothing seen": {},
}


@pytest.mark.parametrize("n_pool", [2000, 2001])
@pytest.mark.parametrize("budget", [50, 1500, None])
@pytest.mark.parametrize("alike", [1, 40])
@pytest.mark.parametrize("way", SEARCHES)
def test_whatever_looked_the_numbers_are_those_of_the_definition_to_the_bit(
    way: str, alike: int, budget: int | None, n_pool: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_TARGET_ROWS", 5)
    if way == "on threads":
        monkeypatch.setattr(local, "_threads", lambda *given: contextlib.nullcontext(3))
    if way == "in blocks":
        monkeypatch.setattr(module, "_ELEMENTS", 1)
    distinct, target = some(n_pool=-(-n_pool // alike), n_target=13, seed=alike)
    pool = np.tile(distinct, (alike, 1))[:n_pool]
    watching = None if way == "nothing seen" else Seen(pool, target)
    search = search_named(**SEARCHES[way], seen=watching)
    rounds = list(tma_rounds(pool, target, expected_rows=budget, search=search))
    assert watching is None or watching.of_pool is not None
    order = np.concatenate([one.rows for one in rounds])[:budget]
    place = np.full(len(pool), -1)
    place[order] = np.arange(len(order))
    found = falloff(pool, target, place, None, 0.5, watching)
    lines, middle, lonely = by_definition(pool, target, order)
    assert [(line.rows, line.similarity, line.coverage, line.found) for line in found.lines] == lines
    assert found.middle == middle
    assert [(one.row, one.similarity) for one in found.alone] == lonely


def test_lists_that_are_too_short_to_tell_the_nearest_row_are_not_taken_for_it() -> None:
    distinct, target = some(n_pool=50)
    pool = np.tile(distinct, (100, 1))
    watching = Seen(pool, target)
    search_named("cpu", seen=watching).nominees(pool, target, 1, None)
    assert np.isnan(watching.of_target).all(), "a hundred rows are as near as the one or two that are named"
    order = np.arange(0, len(pool), 97)
    place = np.full(len(pool), -1)
    place[order] = np.arange(len(order))
    lines, middle, _ = by_definition(pool, target, order)
    found = falloff(pool, target, place, None, None, watching)
    assert [(line.rows, line.similarity, line.coverage, line.found) for line in found.lines] == lines
    assert found.middle == middle


def test_a_search_of_other_rows_tells_nothing() -> None:
    pool, target = some()
    watching = Seen(pool, target)
    search = search_named("cpu", seen=watching)
    search.nominees(pool, target[1:], 5, None)
    search.nominees(pool[1:], target, 5, None)
    search.nominees(pool, target, 5, np.arange(len(pool)) == 3)
    assert watching.of_pool is None
    search.nominees(pool, target, 5, None)
    first = watching.of_pool
    search.nominees(pool, target, 9, None)
    assert watching.of_pool is first is not None


def test_no_matrix_of_all_pairs_is_made() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    pool, target = unit_rows(rng.normal(size=(60_000, 4))), unit_rows(rng.normal(size=(500, 4)))
    place = np.arange(len(pool))
    tracemalloc.start()
    falloff(pool, target, place, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * 4 * len(pool) * len(target)
