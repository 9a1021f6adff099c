from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from righttime.errors import OrderError, SettingsError, StoreError
from righttime.training import Oracle, Plan, Records, first_difference, read_records, tokens_hash
from righttime.training.oracle import fed_rows
from righttime.training.records import Attempt, Consumed, last_attempt

ROWS = [[5, 6, 7], [8], [9, 9], [4, 3, 2, 1], [8, 8, 8]]
PLAN = Plan(tuple("abcde"), epochs=2, batch=2)
HASHES = [tokens_hash(row) for row in ROWS]


def batch(places: list[int], *, carried: bool = True, left: bool = False) -> dict[str, Any]:
    """A padded batch of some of ROWS."""
    longest = max(len(ROWS[place]) for place in places)
    ids, mask = torch.zeros((len(places), longest), dtype=torch.int64), torch.zeros((len(places), longest))
    for number, place in enumerate(places):
        row = torch.tensor(ROWS[place])
        at = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[number, at], mask[number, at] = row, 1
    made: dict[str, Any] = {"input_ids": ids, "attention_mask": mask.long()}
    return {**made, "places": torch.tensor(places)} if carried else made


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("left", [True, False])
def test_what_was_planned_passes_and_is_recorded(tmp_path: Path, carried: bool, left: bool) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path)
    for planned in PLAN.all_batches():
        oracle.consume(planned.step, batch(list(planned.places), carried=carried, left=left))
    records = read_records(tmp_path)
    assert first_difference(PLAN, records) is None
    assert [record.rows for record in records.effective()] == 2 * [("a", "b"), ("c", "d"), ("e",)]
    assert [record.epoch for record in records.effective()] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([1, 0], "step 0, micro-batch 0, process 0, row 0 must be 'a' of place 0, got row 'b' of place 1"),
        ([0, 3], "step 0, micro-batch 0, process 0, row 1 must be 'b' of place 1, got row 'd' of place 3"),
        ([0], "step 0, micro-batch 0, process 0 must hold 2 rows, got 1"),
        ([0, 1, 2], "step 0, micro-batch 0, process 0 must hold 2 rows, got 3"),
    ],
)
def test_another_order_stops_with_its_place(tmp_path: Path, carried: bool, places: list[int], message: str) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path)
    with pytest.raises(OrderError, match=message):
        oracle.consume(0, batch(places, carried=carried))
    assert len(read_records(tmp_path).consumed) == 1, "it is recorded all the same"


def test_reordering_may_be_allowed_and_is_recorded(tmp_path: Path) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path, allow_reorder=True)
    oracle.consume(0, batch([1, 0]))
    oracle.consume(1, batch([2, 3]))
    assert oracle.differences == 1
    assert "row 0 must be 'a' of place 0, got row 'b'" in str(first_difference(PLAN, read_records(tmp_path)))


def test_a_place_whose_tokens_are_another_rows_is_a_difference(tmp_path: Path) -> None:
    lying = {**batch([0, 2]), "places": torch.tensor([0, 1])}
    with pytest.raises(OrderError, match="row 1 must be 'b' of place 1, got a row that is not in the plan"):
        Oracle(PLAN, HASHES, tmp_path).consume(0, lying)


def test_unknown_rows_and_steps_beyond_the_plan_stop(tmp_path: Path) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path)
    cut = {"input_ids": torch.tensor([[5, 6], [8, 0]]), "attention_mask": torch.tensor([[1, 1], [1, 0]])}
    with pytest.raises(OrderError, match="got a row that is not in the plan"):
        oracle.consume(0, cut)
    with pytest.raises(OrderError, match="step 6, micro-batch 0, process 0 is not in the plan, which has 6 steps"):
        oracle.consume(6, batch([0, 1]))
    with pytest.raises(OrderError, match="step 6, micro-batch 1"):
        oracle.consume(6, batch([0, 1]))


def test_rows_of_equal_tokens_are_told_apart_by_place_only(tmp_path: Path) -> None:
    plan, same = Plan(("a", "b", "c")), [tokens_hash([1]), tokens_hash([2]), tokens_hash([1])]
    for name, carried in (("with", True), ("without", False)):
        oracle = Oracle(plan, same, tmp_path / name)
        fed: dict[str, Any] = {"input_ids": torch.tensor([[1]]), "attention_mask": torch.tensor([[1]])}
        if carried:
            with pytest.raises(OrderError, match="got row 'c' of place 2"):
                oracle.consume(0, {**fed, "places": torch.tensor([2])})
        else:
            assert oracle.consume(0, fed).rows == ("a",)
            assert oracle.consume(2, fed).rows == ("c",)


def test_packed_rows_are_taken_apart() -> None:
    ids = torch.tensor([[5, 6, 7, 8, 9, 9]])
    positions = torch.tensor([[0, 1, 2, 0, 0, 1]])
    assert [row.tolist() for row in fed_rows({"input_ids": ids, "position_ids": positions})] == [[5, 6, 7], [8], [9, 9]]
    padded = {"input_ids": torch.tensor([[5, 6, 0]]), "attention_mask": torch.tensor([[1, 1, 0]])}
    padded["position_ids"] = torch.tensor([[0, 1, 0]])
    assert [row.tolist() for row in fed_rows(padded)] == [[5, 6]]


def test_two_processes_with_nothing_left_for_one(tmp_path: Path) -> None:
    plan = Plan(tuple("abcde"), world=2, batch=2)
    filler = {"input_ids": torch.tensor([[0]]), "places": torch.tensor([], dtype=torch.int64)}
    for process in (1, 0):
        oracle = Oracle(plan, HASHES, tmp_path, process=process)
        for planned in plan.batches(process):
            oracle.consume(planned.step, batch(list(planned.places)) if planned.places else filler)
    records = read_records(tmp_path)
    assert first_difference(plan, records) is None
    assert [record.rows for record in records.effective()] == [("a", "b"), ("c", "d"), ("e",), ()]
    with pytest.raises(SettingsError, match="one of the plan's 2, counted from 0, got 2"):
        Oracle(plan, HASHES, tmp_path, process=2)


@given(st.data())
def test_after_any_kills_what_is_not_superseded_is_the_plan(data: st.DataObject) -> None:
    """Attempts that run to any step and go on from any checkpoint before it."""
    plan = Plan(tuple(f"r{number}" for number in range(11)), epochs=2, world=2, batch=1, accumulation=2)
    attempts, consumed, resumed = [], [], 0
    for number in range(1, data.draw(st.integers(1, 5)) + 1):
        attempts.append(Attempt(number, resumed, 2, plan.fingerprint))
        reached = [data.draw(st.integers(resumed, plan.n_steps)) for _ in range(2)]
        consumed += _consumed(plan, number, resumed, reached)
        resumed = data.draw(st.integers(0, min(reached)))
    attempts.append(Attempt(9, resumed, 2, plan.fingerprint))
    consumed += _consumed(plan, 9, resumed, [plan.n_steps] * 2)
    records = Records(tuple(attempts), tuple(consumed))
    assert first_difference(plan, records) is None
    table = records.to_table().to_pylist()
    kept = [row["id"] for row in table if not row["superseded"]]
    assert sorted(kept) == sorted(2 * plan.ids)
    lost = consumed.pop()
    assert first_difference(plan, Records(tuple(attempts), tuple(consumed))) == (
        f"step {lost.step}, micro-batch {lost.micro}, process {lost.process} was not consumed"
    )


def _consumed(plan: Plan, attempt: int, start: int, reached: list[int]) -> list[Consumed]:
    made = []
    for planned in plan.all_batches():
        if start <= planned.step < reached[planned.process]:
            ids = tuple(plan.ids[place] for place in planned.places)
            about = (attempt, planned.process, planned.step, planned.micro, planned.epoch)
            made.append(Consumed(*about, ids, planned.places, ids))
    return made


def test_a_batch_consumed_twice_is_a_difference(tmp_path: Path) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path, allow_reorder=True)
    for planned in PLAN.all_batches():
        oracle.consume(planned.step, batch(list(planned.places)))
    oracle.consume(5, batch([4]))
    assert "not in the plan" in str(first_difference(PLAN, read_records(tmp_path)))
    other = Oracle(PLAN, HASHES, tmp_path, attempt=2, resumed_from=9, allow_reorder=True)
    other.consume(0, batch([0, 1]))
    assert first_difference(PLAN, read_records(tmp_path)) == "step 0, micro-batch 0, process 0 was consumed twice"


def test_records_survive_a_cut_last_line_and_tell_of_damage(tmp_path: Path) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path)
    oracle.consume(0, batch([0, 1]))
    path = oracle.recorder.path
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 1, "mic')
    assert len(read_records(tmp_path).consumed) == 1
    path.write_bytes(whole + b"oops\n")
    with pytest.raises(StoreError, match=r"process-0000\.jsonl:3 must be JSON"):
        read_records(tmp_path)
    path.write_bytes(b'{"attempt": 1}\n')
    with pytest.raises(StoreError, match="a line lacks 'resumed_from'"):
        read_records(tmp_path)
    line = json.loads(whole.splitlines()[1])
    changes: list[dict[str, object]] = [{"tokens": []}, {"step": "one"}, {"places": None}]
    for change in changes:
        path.write_bytes(whole + json.dumps({**line, **change}).encode() + b"\n")
        with pytest.raises(StoreError, match="must hold the records of a run, but a line is none"):
            read_records(tmp_path)


def test_attempts_never_share_a_file(tmp_path: Path) -> None:
    Oracle(PLAN, HASHES, tmp_path)
    with pytest.raises(StoreError, match="must be new and writable"):
        Oracle(PLAN, HASHES, tmp_path)
    assert last_attempt(tmp_path) == 1
    (tmp_path / "attempt-0007-process-0001.jsonl").touch()
    assert last_attempt(tmp_path) == 7, "an attempt that was killed before its first line counts"
    assert len(read_records(tmp_path).attempts) == 1


def test_processes_of_one_attempt_must_agree(tmp_path: Path) -> None:
    plan = Plan(tuple("abcde"), world=2)
    Oracle(plan, HASHES, tmp_path, process=0, attempt=2, resumed_from=1)
    Oracle(plan, HASHES, tmp_path, process=1, attempt=2, resumed_from=2)
    with pytest.raises(StoreError, match="must belong to Attempt"):
        read_records(tmp_path)


def test_the_first_line_says_what_follows(tmp_path: Path) -> None:
    oracle = Oracle(PLAN, HASHES, tmp_path, attempt=3, resumed_from=2)
    head = json.loads(oracle.recorder.path.read_text().splitlines()[0])
    assert head == {"attempt": 3, "process": 0, "resumed_from": 2, "world": 1, "plan": PLAN.fingerprint}
