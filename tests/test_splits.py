from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.errors import SettingsError
from righttime.examples import Example, Message
from righttime.rows import ExampleRows, Rows
from righttime.splits import group_of, split_rows

TASKS = ["task1_squad_question", "task2_squad_answer", "task3_copa_cause", "task4_snli_label", "task5_snli_explain"]


def rows(per_task: int = 10) -> ExampleRows:
    turns = (Message("user", "q"), Message("assistant", "a"))
    return ExampleRows(
        Example(f"{task}-{number}", task, "pool", "pool.jsonl", number * 5 + place + 1, turns)
        for number in range(per_task)
        for place, task in enumerate(TASKS)
    )


def tasks_of(some: Rows) -> set[str | None]:
    return set(some.tasks)


def test_listed_tasks_are_held_out_and_relatives_stay_by_default() -> None:
    done = split_rows(rows(), tasks=[TASKS[0]])
    assert tasks_of(done.target) == {TASKS[0]}
    assert tasks_of(done.pool) == set(TASKS[1:])
    assert done.left_out == ()


def test_by_group_the_relatives_of_a_listed_task_are_on_neither_side() -> None:
    done = split_rows(rows(), tasks=[TASKS[0]], by="group")
    assert tasks_of(done.target) == {TASKS[0]}
    assert tasks_of(done.pool) == set(TASKS[2:])
    assert done.relatives == (TASKS[1],)
    assert {(row.reason, row.detail) for row in done.left_out} == {
        ("relative", "task task2_squad_answer shares the group 'squad' with a held-out task")
    }


def test_a_mapping_overrules_names() -> None:
    done = split_rows(rows(), tasks=[TASKS[2]], by="group", groups={TASKS[2]: "squad"})
    assert done.relatives == (TASKS[0], TASKS[1])


@given(st.integers(0, 1000), st.sampled_from([{"count": 1}, {"count": 2}, {"share": 0.34}, {"share": 0.6}]))
def test_whole_groups_are_held_out(seed: int, how: dict[str, Any]) -> None:
    done = split_rows(rows(2), by="group", seed=seed, **how)
    held, kept = ({group_of(task or "") for task in tasks_of(side)} for side in (done.target, done.pool))
    assert not held & kept
    assert len(held) == how.get("count", round(how.get("share", 0) * 3))
    assert len(done.pool) + len(done.target) == 10


@pytest.mark.parametrize(("share", "held"), [(0.01, 1), (0.2, 1), (0.4, 2), (0.8, 4)])
def test_a_share_of_tasks(share: float, held: int) -> None:
    assert len(split_rows(rows(), share=share).held_out) == held


def test_seeded() -> None:
    chosen = [split_rows(rows(), count=2, seed=seed).held_out for seed in range(20)]
    assert chosen[3] == split_rows(rows(), count=2, seed=3).held_out
    assert len(set(chosen)) > 3


def test_at_most_so_many_rows_of_each_task() -> None:
    done = split_rows(rows(), tasks=TASKS[:1], max_per_pool_task=3, max_per_target_task=2)
    assert len(done.target) == 2
    assert len(done.pool) == 12
    assert len(done.left_out) == 50 - 14
    assert {row.reason for row in done.left_out} == {"sampled-away"}
    order = list(done.pool.lines)
    assert order == sorted(order), "file order stays"


def test_a_tasks_sample_does_not_depend_on_the_other_tasks() -> None:
    few = ExampleRows(row for row in rows().examples() if row.task != TASKS[4])
    a, b = (split_rows(some, tasks=TASKS[:1], max_per_pool_task=3) for some in (rows(), few))
    assert [row.id for row in a.pool.examples() if row.task != TASKS[4]] == list(b.pool.ids)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("task1146_country_capital", "country"),
        ("task1318_country_national_dish", "country"),
        ("subtask045_miscellaneous_sentence_paraphrasing", "miscellaneous"),
        ("cot_ecqa", "cot"),
        ("super_glue/copa:1.0", "super"),
        ("copa", "copa"),
        ("task12", "task12"),
    ],
)
def test_groups_from_names(name: str, group: str) -> None:
    assert group_of(name) == group


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "exactly one of `tasks`, `count` and `share`"),
        ({"count": 1, "share": 0.5}, "exactly one of `tasks`, `count` and `share`"),
        ({"tasks": ["task3_copa_case"]}, "unknown task 'task3_copa_case': did you mean 'task3_copa_cause'"),
        ({"tasks": []}, "`tasks` must name at least one task"),
        ({"tasks": TASKS}, "at least one task must stay in the pool, but all 5 would leave it"),
        ({"count": 5}, "`count` must be at least 1 and less than the 5 there are, got 5"),
        ({"count": 3, "by": "group"}, "less than the 3 there are, got 3"),
        ({"share": 1.5}, "`share` must be more than 0 and less than 1, got 1.5"),
        ({"count": 1, "max_per_pool_task": 0}, "`max_per_pool_task` must be at least 1, got 0"),
        ({"count": 1, "seed": -1}, "seed must be 0 or more, got -1"),
        ({"count": 1, "by": "stem"}, "unknown choice for `by` 'stem'"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        split_rows(rows(), **settings)


def test_a_row_without_a_task_is_named() -> None:
    turns = (Message("user", "q"), Message("assistant", "a"))
    some = ExampleRows([*rows().examples(), Example("x", None, "pool", "pool.jsonl", 99, turns)])
    with pytest.raises(SettingsError, match=r"but pool.jsonl:99 \(id x\) has none. Hint: `task_field`"):
        split_rows(some, count=1)
