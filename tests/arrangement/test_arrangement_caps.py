"""Caps against twins written from their definition, on vectors with many ties."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_vectors import WHOLE, arranged, few_directions, some
from righttime import arrange_embeddings
from righttime.arrangement import METHODS
from righttime.arrangement.methods.mixture import read_shares, turns
from righttime.errors import SettingsError
from righttime.similarity import unit_rows
from twin import has_room, matrix, rds_within, tma_within, walked

NESTED = [name for name, entry in METHODS.items() if entry.nested]
WALKED = [name for name in NESTED if not METHODS[name].caps_itself]


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Vectors of a few directions, so that most similarities are equal, with few tasks and sources."""
    n, m = draw(st.integers(1, 24)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sides = [few_directions(rng, count) for count in (n, m)]
    tasks, sources = ([f"{name}{k}" for k in rng.integers(0, 3, size=n)] for name in ("task", "file"))
    return {"pool_vectors": sides[0], "target_vectors": sides[1], "tasks": tasks, "sources": sources}


caps = st.one_of(st.none(), st.integers(1, 9))


@given(inputs(), caps, caps, st.booleans(), st.sampled_from([None, 0.0, 0.5]), st.sampled_from([None, 1, 5]))
def test_rounds_equal_the_twin(
    made: dict[str, Any],
    cap_task: int | None,
    cap_source: int | None,
    farthest: bool,
    floor: float | None,
    block_rows: int | None,
) -> None:
    s = matrix(unit_rows(made["pool_vectors"]), unit_rows(made["target_vectors"]))
    asked = [(made["tasks"], cap_task), (made["sources"], cap_source)]
    allowed = np.arange(len(s)) if floor is None else np.flatnonzero(s.max(axis=1) >= np.float32(floor))
    if not len(allowed) or (cap_task is None and cap_source is None):
        return
    there = [([names[row] for row in allowed], most) for names, most in asked if most is not None]
    want = tma_within(s[allowed], there, farthest, None if farthest else floor)
    found = arrange_embeddings(
        **made,
        method="tma-farthest" if farthest else "tma",
        cap_task=cap_task,
        cap_source=cap_source,
        min_similarity=floor,
        within_round="index",
        block_rows=block_rows,
    )
    assert found.round is not None
    assert found.picked_by is not None
    assert found.similarity is not None
    got = zip(found.round.tolist(), found.order.tolist(), found.picked_by.tolist(), found.similarity, strict=True)
    expected = [(k, int(allowed[i]), j, value) for k, played in enumerate(want) for i, j, value in played]
    assert list(got) == expected


@given(inputs(), st.integers(1, 9), caps, st.sampled_from([None, 0.5]))
def test_turns_of_rds_equal_the_twin(
    made: dict[str, Any], cap_task: int, cap_source: int | None, floor: float | None
) -> None:
    s = matrix(unit_rows(made["pool_vectors"]), unit_rows(made["target_vectors"]))
    allowed = np.arange(len(s)) if floor is None else np.flatnonzero(s.max(axis=1) >= np.float32(floor))
    if not len(allowed):
        return
    asked = [(made["tasks"], cap_task), (made["sources"], cap_source)]
    there = [([names[row] for row in allowed], most) for names, most in asked if most is not None]
    want = [(int(allowed[row]), by) for row, by in rds_within(s[allowed], there, floor)]
    budget = len(want)
    rule: dict[str, Any] = {"method": "rds", "cap_task": cap_task, "cap_source": cap_source, "min_similarity": floor}
    found = arrange_embeddings(**made, **rule, budget=budget)
    assert found.picked_by is not None
    assert list(zip(found.order.tolist(), found.picked_by.tolist(), strict=True)) == want
    if budget < len(allowed):
        with pytest.raises(
            SettingsError, match=f"at most the {budget} rows that there are within `cap_task={cap_task}`"
        ):
            arrange_embeddings(**made, **rule, budget=budget + 1)


@given(inputs(), st.integers(1, 9))
def test_a_mixture_equals_the_twin(made: dict[str, Any], cap_task: int) -> None:
    s = matrix(unit_rows(made["pool_vectors"]), unit_rows(made["target_vectors"]))
    of = [f"target{number % 2}" for number in range(s.shape[1])]
    names = list(dict.fromkeys(of))
    taken: list[int] = []
    for turn in turns(read_shares(None, names)):
        who = [j for j, name in enumerate(of) if name == names[turn]]
        may = [i for i in range(len(s)) if i not in taken and has_room(i, taken, [(made["tasks"], cap_task)])]
        if not may:
            break
        taken.append(min(may, key=lambda i: (-max(s[i, j] for j in who), i)))
    found = arrange_embeddings(**made, method="mixture", target_tasks=of, cap_task=cap_task, budget=len(taken))
    assert found.order.tolist() == taken


@pytest.mark.parametrize("method", WALKED)
def test_other_methods_orders_are_walked(method: str) -> None:
    made = some()
    sources = [f"file{number % 3}" for number in range(50)]
    whole = arranged(method, made, seed=5)
    for cap_task, cap_source in ((4, None), (9, 7), (None, 3)):
        asked = [(made["tasks"], cap_task), (sources, cap_source)]
        want = walked(whole.order.tolist(), [(names, most) for names, most in asked if most is not None])
        for budget in (1, 5, len(want)):
            rule: dict[str, Any] = {"cap_task": cap_task, "cap_source": cap_source, "sources": sources}
            found = arranged(method, made, seed=5, budget=budget, **rule)
            assert found.order.tolist() == want[:budget]
            place = {row: k for k, row in enumerate(whole.order.tolist())}
            for name in ("round", "picked_by", "similarity", "distance"):
                column, old = getattr(found, name), getattr(whole, name)
                assert (column is None) == (old is None)
                if column is not None and METHODS[method].verified_by == "ranking":
                    assert column.tolist() == [old[place[row]] for row in found.order.tolist()]


@pytest.mark.parametrize("method", NESTED)
@pytest.mark.parametrize("share", ["34%", 0.34, "0.34"])
def test_a_share_is_one_of_the_budget_and_holds_with_woven_rows(method: str, share: str | float) -> None:
    made = some()
    for weave in (None, "0.25"):
        found = arranged(method, made, budget=12, cap_task=share, seed=2, weave=weave)
        assert len(found) == 12
        assert max(Counter(made["tasks"][row] for row in found.order.tolist()).values()) <= 4
        assert found.settings["caps"] == {"task": 4}


def test_caps_that_bind_nothing_change_nothing() -> None:
    for method in NESTED:
        plain = arranged(method, some(), budget=12)
        capped = arranged(method, some(), budget=12, cap_task=50)
        assert capped.order.tolist() == plain.order.tolist()


BAD: list[tuple[dict[str, Any], str]] = [
    *(
        ({"cap_task": cap}, "a whole number of rows from 1, or a share above 0 and up to 1")
        for cap in (0, "0%", 1.5, "x", -1, True)
    ),
    ({"cap_task": 3, "tasks": None}, "`cap_task` needs the task of every pool row, got none"),
    ({"cap_task": 3, "tasks": ["a"] * 49 + [None]}, "pool row 49 has none"),
    ({"cap_source": 3}, "`cap_source` needs the source of every pool row, got none"),
    ({"cap_task": "10%"}, "as a share must be one of a `budget`, but there is none"),
    ({"cap_task": 2, "budget": 30}, "at most the 8 rows that there are within `cap_task=2`, got 30"),
    ({"cap_task": 2, "method": "nearest-reversed"}, "is for methods whose order can be walked down"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_caps_get_their_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        arrange_embeddings(**{**some(), "method": "tma", **change})
    assert caught.value.setting in ("cap_task", "cap_source", "budget")


def test_rows_that_caps_shut_out_of_weaving_are_told_from_rows_that_are_not_there() -> None:
    told = "takes 5 rows .* there are 0 that .* and that there is room for within caps, of 40. Hint: a higher"
    with pytest.raises(SettingsError, match=told):
        arrange_embeddings(**{**some(), "tasks": list("ab") * 25}, budget=15, weave="34%", cap_task=5)


def test_the_whole_pool_is_taken_within_caps() -> None:
    made = some()
    for method in NESTED:
        found = arranged(method, made, cap_task=5, params=WHOLE.get(method))
        counts = Counter(made["tasks"][row] for row in found.order.tolist())
        assert set(counts.values()) == {5}
