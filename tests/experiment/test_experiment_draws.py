"""Replicates: what each draws, and that no judge row is seen by an order or trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from made_experiments import made_data, written
from righttime.errors import DuplicateIdError, EmptyDataError, SettingsError, StoreError
from righttime.experiment import Experiment, read_experiment
from righttime.experiment.draws import Draw, draw_replicate, read_pools
from righttime.experiment.prepare import prepare_replicate, read_draw


def drawn(data: Path, replicate: int = 1, **changes: Any) -> Draw:
    asked = read_experiment(written(data, "no-model", **changes))
    return draw_replicate(asked, read_pools(asked), replicate)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return made_data(tmp_path / "data")


def test_target_rows_steer_or_judge_task_by_task(data: Path) -> None:
    found = drawn(data)
    assert not set(found.steer.ids) & set(found.judge.ids)
    assert len(found.steer) == len(found.judge) == 9
    assert {task: list(found.judge.tasks).count(task) for task in found.judge.tasks} == dict.fromkeys(
        ("add_target", "sort_target", "spell_target"), 3
    )
    both = drawn(data, judge_share=0)
    assert both.steer.ids == both.judge.ids
    assert len(both.judge) == 18


def test_formats_that_must_be_named_are_refused(data: Path) -> None:
    with pytest.raises(
        SettingsError, match="an experiment's rows must be of a format for instruction tuning, got text"
    ):
        drawn(data, pool=[{"path": "pool.jsonl", "format": "text"}])


def test_replicates_differ_and_are_repeatable(data: Path) -> None:
    one, two = drawn(data, 1), drawn(data, 2)
    assert (one.pool.ids, one.judge.ids) == (drawn(data, 1).pool.ids, drawn(data, 1).judge.ids)
    assert set(one.pool.ids) != set(two.pool.ids)
    assert set(one.judge.ids) != set(two.judge.ids)
    assert len(one.pool) == 30
    assert one.counts["not drawn"] == 30


def test_pool_rows_with_a_target_prompt_leave(data: Path) -> None:
    target = [json.loads(line) for line in (data / "target.jsonl").read_text(encoding="utf-8").splitlines()]
    other = [json.loads(line) for line in (data / "other.jsonl").read_text(encoding="utf-8").splitlines()]
    with (data / "pool.jsonl").open("a", encoding="utf-8") as file:
        for row in (target[0], other[0]):
            file.write(json.dumps({**row, "id": f"copy-{row['id']}", "prompt": f"  {row['prompt']} "}) + "\n")
    found = drawn(data, subsample="all", arrange=None)
    assert found.counts["leaks"] == 2
    assert not [name for name in found.pool.ids if name.startswith("copy")]
    assert len(found.pool) == 60


def test_a_target_inside_the_pool_is_taken_out_of_it(data: Path) -> None:
    target = [{"path": "pool.jsonl", "rows": 12}]
    found = drawn(data, target=target, subsample="all", arrange=None)
    asked = {*found.steer.texts("prompt"), *found.judge.texts("prompt")}
    assert len(asked) == 12
    assert not asked & set(found.pool.texts("prompt"))
    assert (len(found.pool), found.counts["leaks"]) == (48, 12)


def test_tasks_and_groups_are_held_out(data: Path) -> None:
    target = [{"path": "pool.jsonl", "tasks": ["add_*"], "rows": 4}]
    for by in ("task", "group"):
        found = drawn(data, target=target, hold_out=by, subsample="all", arrange=None)
        assert set(found.pool.tasks) == {"sort_pool", "spell_pool"}
        assert found.counts["held out"] == 16
    assert found.counts["leaks"] == 4


def test_each_source_draws_its_own_number(data: Path) -> None:
    pool = [{"path": "pool.jsonl", "rows": 10}, {"path": "other.jsonl", "rows": 2}]
    found = drawn(data, pool=pool, sets=None, arrange=None)
    assert [sum(name.startswith(side) for name in found.pool.ids) for side in ("pool", "other")] == [10, 2]
    pool = [{"path": "pool.jsonl", "rows": "all"}, {"path": "other.jsonl"}]
    found = drawn(data, pool=pool, sets=None, arrange=None)
    assert [sum(name.startswith(side) for name in found.pool.ids) for side in ("pool", "other")] == [60, 3]
    with pytest.raises(SettingsError, match="must have the 7 rows that a replicate draws, but only 6"):
        drawn(data, pool=[{"path": "other.jsonl", "rows": 7}], sets=None, arrange=None)


def test_long_rows_take_no_part(data: Path, tiny: str) -> None:
    asked = read_experiment(written(data, tiny, max_tokens=60))
    assert len(read_pools(asked).pool[0].rows) == 60
    asked = read_experiment(written(data, tiny, max_tokens=2))
    with pytest.raises(EmptyDataError, match="rows of at most 2 tokens, but none of its 60 rows"):
        read_pools(asked)


def test_a_judged_row_needs_an_answer(data: Path) -> None:
    with (data / "target.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "mute", "prompt": "say nothing"}) + "\n")
    with pytest.raises(EmptyDataError, match=r"must have an answer .*target.jsonl:19 \(id mute\)"):
        drawn(data)


def test_rows_with_one_prompt_are_on_one_side(data: Path) -> None:
    rows = [{"id": f"{k}", "prompt": f"question {k // 2}", "response": f"answer {k}"} for k in range(20)]
    (data / "target.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for k in range(1, 6):
        found = drawn(data, k, arrange=None)
        assert not set(found.steer.texts("prompt")) & set(found.judge.texts("prompt"))
        assert len(found.judge) == 10


def test_tasks_of_one_row_judge_in_some_replicates(data: Path) -> None:
    rows = [{"id": f"{k}", "task": f"t{k}", "prompt": f"question {k}", "response": "yes"} for k in range(10)]
    (data / "target.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judges = [set(drawn(data, k, arrange=None).judge.ids) for k in range(1, 9)]
    assert {len(one) for one in judges} <= {4, 5, 6}
    assert set.union(*judges) == {str(k) for k in range(10)}
    assert len({frozenset(one) for one in judges}) > 5


def test_sources_of_one_size_draw_apart(data: Path) -> None:
    other = [json.loads(line) for line in (data / "pool.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = (json.dumps({**row, "id": f"b-{row['id']}", "prompt": f"b {row['prompt']}"}) + "\n" for row in other)
    (data / "second.jsonl").write_text("".join(lines), encoding="utf-8")
    found = drawn(data, pool=["pool.jsonl", "second.jsonl"], arrange=None)
    one = {name for name in found.pool.ids if not name.startswith("b-")}
    two = {name.removeprefix("b-") for name in found.pool.ids if name.startswith("b-")}
    assert len(one) == len(two) == 30
    assert one != two


def test_rows_that_cannot_be_used_are_counted(data: Path) -> None:
    with (data / "pool.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"prompt": "no answer"}\n')
    found = drawn(data, pool=[{"path": "pool.jsonl", "bad_rows": "skip"}], arrange=None)
    assert found.counts["bad"] == 1


def test_ids_that_a_source_gives_twice_are_numbered_where_asked(data: Path) -> None:
    file = data / "pool.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[0] + "\n")
    with pytest.raises(DuplicateIdError, match="Hint: for this source, `repeated_ids: number` keeps every row"):
        drawn(data, pool=["pool.jsonl"], arrange=None)
    assert drawn(data, pool=[{"path": "pool.jsonl", "repeated_ids": "number"}], arrange=None).pool.ids


def test_all_replicates_draw_from_the_same_files(data: Path, tmp_path: Path) -> None:
    asked = read_experiment(written(data, "no-model", arrange=None))
    pools = read_pools(asked)
    (tmp_path / "replicate-1").mkdir()
    (tmp_path / "replicate-1/draw.json").write_text(json.dumps({"inputs": {**pools.inputs, "pool 1: pool.jsonl": "x"}}))
    with pytest.raises(StoreError, match=r"pool 1: pool.jsonl has other content than when replicate-1 was drawn"):
        prepare_replicate(asked, lambda: pools, 2, tmp_path / "replicate-2")


def test_too_few_target_rows_are_refused(data: Path) -> None:
    (data / "target.jsonl").write_text(json.dumps({"prompt": "one", "response": "row"}) + "\n", encoding="utf-8")
    with pytest.raises(EmptyDataError, match="some to steer and some to judge"):
        drawn(data, arrange=None)


def test_a_replicate_on_disk_keeps_categories_and_vectors(data: Path, tmp_path: Path) -> None:
    asked: Experiment = read_experiment(written(data, "no-model"))
    pools = read_pools(asked)
    prepare_replicate(asked, lambda: pools, 1, tmp_path / "one")
    found, told = draw_replicate(asked, pools, 1), read_draw(tmp_path / "one")
    judge = [json.loads(line) for line in (tmp_path / "one/judge.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in judge] == list(found.judge.ids)
    assert {row["category"] for row in judge} == {"add", "sort", "spell"}
    assert told["rows"]["pool"]["rows"] == 30
    assert {"judge.jsonl", "pool.jsonl", "steer.jsonl", "other.jsonl", "vectors.safetensors"} == set(told["files"])
    import numpy as np
    from safetensors.numpy import load_file

    vectors, given = load_file(tmp_path / "one/vectors.safetensors"), np.load(data / "both.npz")
    assert np.array_equal(vectors["pool"], given["pool"][[int(name.split("-")[1]) for name in found.pool.ids]])
    assert np.array_equal(vectors["judge"], given["target"][[int(name.split("-")[1]) for name in found.judge.ids]])
