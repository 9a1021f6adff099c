from __future__ import annotations

import json
from pathlib import Path

import pytest

import righttime
from righttime.contamination.prompts import same_prompts
from righttime.errors import SettingsError
from righttime.examples import Example, Message, content_id
from righttime.filtering import take_part
from righttime.formats import from_records, read_rows
from righttime.pipeline import arrange_into
from righttime.results import Request, open_result
from righttime.rows import ExampleRows, Rows, left_out

RECORDS = [{"id": f"r{n}", "task": f"t{n % 2}", "prompt": f"ask {n % 3}", "response": f"say {n % 3}"} for n in range(7)]


@pytest.fixture
def rows() -> Rows:
    return from_records(RECORDS, role="pool").rows


def test_columns_have_an_entry_for_each_row(rows: Rows) -> None:
    assert len(rows) == 7
    assert list(rows.ids) == [f"r{n}" for n in range(7)]
    assert list(rows.tasks) == ["t0", "t1", "t0", "t1", "t0", "t1", "t0"]
    assert list(rows.lines) == [1, 2, 3, 4, 5, 6, 7]
    assert (set(rows.files), set(rows.sources)) == ({"memory"}, {"memory"})
    assert list(rows.answered) == [True] * 7


def test_content_ids_are_those_of_what_rows_say(rows: Rows) -> None:
    worked_out = ExampleRows(rows.examples())
    assert list(rows.content_ids) == list(worked_out.content_ids)
    assert rows.content_ids[0] == rows.content_ids[3] != rows.content_ids[1]
    assert rows.content_ids[1] == content_id([Message("user", "ask 1"), Message("assistant", "say 1")])


def test_texts_and_rows_come_by_number_in_the_order_asked_for(rows: Rows) -> None:
    assert list(rows.texts("prompt", [5, 0])) == ["ask 2", "ask 0"]
    assert list(rows.texts("prompt+response"))[1] == "ask 1 say 1"
    assert [row.id for row in rows.examples([5, 0])] == ["r5", "r0"]
    assert len(list(rows.examples())) == 7
    with pytest.raises(SettingsError, match="unknown text 'promt'"):
        list(rows.texts("promt"))


def test_some_rows_are_rows_of_their_own(rows: Rows) -> None:
    some = rows.take([4, 1])
    assert (list(some.ids), list(some.tasks)) == (["r4", "r1"], ["t0", "t1"])
    assert list(some.content_ids) == [rows.content_ids[4], rows.content_ids[1]]
    assert list(some.texts("prompt")) == ["ask 1", "ask 1"]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_are_all_rows_in_order(rows: Rows, size: int) -> None:
    parts = list(rows.batches(size))
    assert [name for part in parts for name in part.ids] == list(rows.ids)
    assert {len(part) for part in parts[:-1]} <= {size}
    assert 0 < len(parts[-1]) <= size


def test_a_row_without_a_response_is_not_answered() -> None:
    rows = from_records([RECORDS[0], {"id": "open", "prompt": "ask"}], role="target").rows
    assert list(rows.answered) == [True, False]


def test_who_is_left_out_is_said_with_its_place(rows: Rows) -> None:
    out = left_out(rows, 2, "too-long", "9 tokens")
    assert (out.row, out.id, out.line, out.file, out.reason) == (2, "r2", 3, rows.files[2], "too-long")


def test_repeats_are_those_among_the_rows_drawn(rows: Rows) -> None:
    taking = take_part(rows, duplicates="drop")
    assert (list(taking.kept), taking.duplicates) == ([0, 1, 2], 4)
    assert {out.reason for out in taking.left_out} == {"duplicate"}
    kept = take_part(rows, duplicates="keep")
    assert (list(kept.kept), kept.duplicates, list(kept.left_out)) == (list(range(7)), 4, [])
    few = take_part(rows, subsample=3, seed=1, duplicates="drop")
    assert len(few.drawn) == 3
    assert len(few.kept) == 3 - few.duplicates


def test_prompts_in_the_pool_are_found_in_the_part_that_takes_part(rows: Rows) -> None:
    target = from_records([{"prompt": " ask  1 "}, {"prompt": "else"}], role="target").rows
    assert same_prompts(rows, target) == {0: 1}
    assert same_prompts(rows, target, [0, 2, 4]) == {0: 4}
    assert same_prompts(rows, target, [0, 2]) == {}


def test_reading_hands_out_objects_and_an_arrangement_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    read = read_rows([file], role="pool")
    assert all(isinstance(row, Example) for row in read.examples)
    assert [row.id for row in read.examples] == list(read.rows.ids)
    arrangement = righttime.arrange(read, read, method="random", budget=3)
    assert arrangement.rows is not None
    assert arrangement.examples is not None
    assert [row.id for row in arrangement.examples] == [RECORDS[row]["id"] for row in arrangement.order.tolist()]


def test_the_whole_way_writes_what_it_returns(tmp_path: Path) -> None:
    request = Request(method="random", budget=4)
    result = arrange_into(tmp_path / "out", RECORDS, RECORDS[:2], request)
    finished = open_result(tmp_path / "out", unchanged=True)
    assert result.arrangement.labels is not None
    assert list(finished.arranged.ids) == list(result.arrangement.labels.id)
    original = arrange_into(tmp_path / "out", RECORDS, RECORDS[:2], request, as_="original", overwrite=True)
    lines = (tmp_path / "out" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [RECORDS[row] for row in original.arrangement.order.tolist()]
    with pytest.raises(righttime.RighttimeError):
        arrange_into(tmp_path / "out", RECORDS, RECORDS[:2], request)
