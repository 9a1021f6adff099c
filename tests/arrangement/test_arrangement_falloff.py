"""Where quality falls, held to the whole matrix of similarities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from righttime import arrange_embeddings
from righttime.arrangement import falloff as module
from righttime.arrangement.falloff import Falloff, falloff
from righttime.similarity import unit_rows


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
