from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.errors import SettingsError
from righttime.training import Plan

small = st.integers(1, 4)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    n = draw(st.integers(1, 40))
    after = draw(st.none() | st.integers(0, 30))
    ids = tuple(f"r{place}" for place in range(n))
    epochs, world, batch, accumulation = (draw(small) for _ in range(4))
    return Plan(ids, epochs, world, batch, accumulation, after, draw(st.integers(0, 9)))


@given(plans())
def test_every_row_is_consumed_once_in_each_epoch(plan: Plan) -> None:
    seen = Counter((batch.epoch, place) for batch in plan.all_batches() for place in batch.places)
    assert seen == Counter((epoch, place) for epoch in range(plan.epochs) for place in range(len(plan.ids)))


@given(plans())
def test_a_step_is_the_next_block_of_the_order(plan: Plan) -> None:
    size = plan.world * plan.batch * plan.accumulation
    for step, batches in groupby(plan.all_batches(), key=lambda batch: batch.step):
        together = list(batches)
        epoch, number = divmod(step, plan.steps_per_epoch)
        assert {batch.epoch for batch in together} == {epoch}
        block = plan.order(epoch)[number * size : (number + 1) * size].tolist()
        assert [place for batch in together for place in batch.places] == block
        assert all(len(batch.places) <= plan.batch for batch in together)
    assert step == plan.n_steps - 1


@given(plans())
def test_processes_take_the_same_number_of_micro_batches(plan: Plan) -> None:
    kinds = {tuple((batch.step, batch.micro) for batch in plan.batches(process)) for process in range(plan.world)}
    assert len(kinds) == 1
    assert len(kinds.pop()) == sum(plan.micros_in(epoch) for epoch in range(plan.epochs))
    assert plan.n_batches == len(list(plan.all_batches()))


@given(plans())
def test_the_order_is_followed_for_just_so_many_steps(plan: Plan) -> None:
    after = plan.shuffle_after
    rows = [place for batch in plan.all_batches() for place in batch.places]
    undisturbed = [place for _ in range(plan.epochs) for place in range(len(plan.ids))]
    if after is None:
        assert rows == undisturbed
        return
    whole_epochs, rest = divmod(after, plan.steps_per_epoch)
    followed = whole_epochs * len(plan.ids) + rest * plan.rows_per_step
    assert rows[:followed] == undisturbed[:followed]


@st.composite
def grouped(draw: st.DrawFn) -> Plan:
    plan = draw(plans())
    lengths = tuple(draw(st.lists(st.integers(1, 30), min_size=len(plan.ids), max_size=len(plan.ids))))
    return dataclasses.replace(plan, batch_tokens=draw(st.integers(1, 120)), lengths=lengths)


@given(grouped())
def test_groups_hold_the_rows_of_the_same_steps(plan: Plan) -> None:
    plain = dataclasses.replace(plan, batch_tokens=None, lengths=())
    rows = {step: Counter(one.places) for step, one in _steps(plain).items()}
    assert {step: Counter(one.places) for step, one in _steps(plan).items()} == rows
    assert plan.fingerprint != plain.fingerprint


@dataclasses.dataclass
class Step:
    places: list[int]
    batches: list[tuple[int, ...]]


def _steps(plan: Plan) -> dict[int, Step]:
    found: dict[int, Step] = {}
    for batch in plan.all_batches():
        step = found.setdefault(batch.step, Step([], []))
        step.places += batch.places
        step.batches.append(batch.places)
    return found


@given(grouped())
def test_groups_stay_within_the_budget_and_are_evenly_dealt(plan: Plan) -> None:
    budget = plan.batch_tokens or 0
    kinds = {tuple((batch.step, batch.micro) for batch in plan.batches(process)) for process in range(plan.world)}
    assert len(kinds) == 1, "every process takes part equally often"
    assert plan.n_batches == len(list(plan.all_batches()))
    for step in _steps(plan).values():
        groups = [[plan.lengths[place] for place in places] for places in step.batches if places]
        assert all(len(group) == 1 or len(group) * max(group) <= budget for group in groups)
        fillers = len(step.batches) - len(groups)
        assert fillers < plan.world
        assert not fillers or all(len(group) == 1 for group in groups), "a filler only where no group can be halved"


def test_a_layout_follows_from_the_lengths_alone() -> None:
    ids, lengths = tuple("abcdef"), (3, 9, 2, 8, 3, 1)
    plan = Plan(ids, batch=6, batch_tokens=18, lengths=lengths)
    assert [batch.places for batch in plan.batches(0)] == [(1, 3), (0, 2, 4, 5)]
    two = dataclasses.replace(plan, world=2, batch=3)
    assert [[batch.places for batch in two.batches(process)] for process in (0, 1)] == [[(1, 3)], [(0, 2, 4, 5)]]
    three = dataclasses.replace(plan, world=3, batch=2)
    assert [[batch.places for batch in three.batches(process)] for process in (0, 1, 2)] == [
        [(0, 2, 4, 5)],
        [(1,)],
        [(3,)],
    ]
    assert plan.fingerprint != dataclasses.replace(plan, lengths=(*lengths[:-1], 2)).fingerprint
    with pytest.raises(SettingsError, match="a length for each of 6 rows, got 0"):
        Plan(ids, batch_tokens=10)


def test_a_plan_without_groups_keeps_its_fingerprint() -> None:
    plan = Plan(tuple("abc"), epochs=2, batch=2)
    assert plan.fingerprint == "466eb01a0cfe1b0f4b00403bc39ce3cdb3ccca761d0ad7f0ce32498888780c17"


def test_what_comes_after_is_shuffled_anew_in_each_epoch() -> None:
    plan = Plan(tuple(map(str, range(100))), epochs=3, batch=10, shuffle_after=2)
    orders = [plan.order(epoch).tolist() for epoch in range(3)]
    assert orders[0][:20] == list(range(20))
    assert orders[0][20:] != list(range(20, 100))
    assert orders[1] != list(range(100))
    assert orders[1] != orders[2]
    assert orders == [plan.order(epoch).tolist() for epoch in range(3)]
    assert orders[1] != dataclasses.replace(plan, seed=1).order(1).tolist()


@pytest.mark.parametrize(
    ("rows", "world", "batch", "accumulation", "expected"),
    [
        (7, 2, 2, 1, [[(0, 1), (4, 5)], [(2, 3), (6,)]]),
        (5, 2, 2, 2, [[(0, 1), (4,)], [(2, 3), ()]]),
        (9, 2, 2, 2, [[(0, 1), (4, 5), (8,)], [(2, 3), (6, 7), ()]]),
        (3, 3, 1, 1, [[(0,)], [(1,)], [(2,)]]),
        (1, 3, 2, 2, [[(0,)], [()], [()]]),
    ],
)
def test_the_remainder_by_hand(
    rows: int, world: int, batch: int, accumulation: int, expected: list[list[object]]
) -> None:
    plan = Plan(tuple(map(str, range(rows))), world=world, batch=batch, accumulation=accumulation)
    assert [[one.places for one in plan.batches(process)] for process in range(world)] == expected


def test_the_fingerprint_tells_plans_apart() -> None:
    plan = Plan(("a", "b", "c"))
    others = [
        Plan(("a", "c", "b")),
        Plan(("a", "b", "c"), epochs=2),
        Plan(("a", "b", "c"), world=2),
        Plan(("a", "b", "c"), batch=2),
        Plan(("a", "b", "c"), accumulation=2),
        Plan(("a", "b", "c"), shuffle_after=0),
        Plan(("a", "b", "c"), seed=1),
    ]
    assert len({plan.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)
    assert plan.fingerprint == Plan(("a", "b", "c")).fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"world": -1}, "world must be at least 1"),
        ({"shuffle_after": -1}, "shuffle_after must not be negative"),
        ({"ids": ()}, "at least one row"),
        ({"ids": ("a", "b", "a")}, "'a' twice"),
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(Plan(("a",)), **changes)  # type: ignore[arg-type]
