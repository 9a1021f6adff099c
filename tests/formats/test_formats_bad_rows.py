"""Bad rows: named by file, line and field, and every row accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from righttime.errors import DataError, EmptyDataError, FormatError, RowError
from righttime.formats import from_records, read_rows

GOOD = json.dumps({"instruction": "q", "output": "a"}).encode()

BAD: dict[str, tuple[bytes, str]] = {
    "malformed": (b'{"instruction": "q"', "the line must be one JSON object, but the JSON breaks at column 20"),
    "two objects": (b"{} {}", "but the JSON breaks at column 4: Extra data"),
    "a list": (b"[1]", "a record must be a JSON object, got a list"),
    "null": (b"null", "a record must be a JSON object, got null"),
    "text": (b'"q"', "a record must be a JSON object, got text"),
    "bytes": (
        b'{"instruction": "\xff", "output": "a"}',
        "the line must be UTF-8, got byte 0xff at byte 18 of the line",
    ),
    "surrogate": (b'{"instruction": "q", "output": "\\ud800"}', "`output` holds a lone surrogate"),
    "surrogate id": (b'{"instruction": "q", "output": "a", "id": "\\ud800"}', "`id` holds a lone surrogate"),
    "surrogate in tools": (
        b'{"instruction": "q", "output": "a", "tools": [{"name": "\\ud800"}]}',
        "`tools[0].name` holds a lone surrogate",
    ),
    "null prompt": (b'{"instruction": null, "output": "a"}', "`instruction` must be text, got null"),
    "empty prompt": (b'{"instruction": " ", "output": "a"}', "`instruction` is the prompt and must not be empty"),
    "number": (b'{"instruction": "q", "output": 5}', "`output` must be text, got a number"),
    "not a number": (b'{"instruction": NaN, "output": "a"}', "`instruction` must be text, got a number"),
    "huge number": (
        b'{"instruction": ' + b"1" * 5000 + b"}",
        "the line must be one JSON object, but Exceeds the limit",
    ),
    "another shape": (
        b'{"messages": []}',
        "`instruction` is missing, the file being read as alpaca; the record's keys are",
    ),
    "no response": (b'{"instruction": "q", "output": ""}', "must have a response, got none (looked under `output` and"),
    "null response": (b'{"instruction": "q", "output": null}', "it may serve as the target"),
    "absent response": (b'{"instruction": "q"}', "it may serve as the target"),
    "bad id": (b'{"instruction": "q", "output": "a", "id": [1, 2]}', "`id` must be text or a whole number, got a list"),
    "bad id too": (
        b'{"instruction": "q", "output": "a", "id": true}',
        "`id` must be text or a whole number, got true or",
    ),
    "bad task": (
        b'{"instruction": "q", "output": "a", "task": {}}',
        "`task` must be text or a whole number, got an obj",
    ),
    "bad tools": (b'{"instruction": "q", "output": "a", "tools": 5}', "`tools` must be text or a list, got a number"),
    "deep": (b'{"a":' * 100_000, "nested too deeply to be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_line_stops_or_is_left_out(tmp_path: Path, case: str) -> None:
    bad, what = BAD[case]
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\n".join([GOOD, b"", bad, GOOD]))
    with pytest.raises(RowError) as caught:
        read_rows([file], role="pool")
    message = str(caught.value)
    assert message.startswith(f"{file}:3: ")
    assert what in message
    assert message.endswith("(`bad_rows='skip'` leaves bad rows out and lists them)")
    reading = read_rows([file], role="pool", bad_rows="skip")
    assert [row.line for row in reading.examples] == [1, 4]
    assert [(one.file, one.line, one.row, one.reason) for one in reading.left_out] == [(str(file), 3, None, "bad-row")]
    assert what in reading.left_out[0].detail
    assert (reading.total, reading.inputs[0].rows, reading.inputs[0].left_out) == (3, 2, 1)


TURNS: list[tuple[Any, str]] = [
    ([], "`messages` must be a list of at least one turn, got an empty list"),
    ("q", "`messages` must be a list of at least one turn, got text"),
    (["q"], "`messages[0]` must be an object, got text"),
    ([{"role": "usr", "content": "q"}], "`messages[0].role`: unknown role 'usr': did you mean 'user'"),
    ([{"content": "q"}], "`messages[0].role` must name who speaks, got null"),
    ([{"role": "user", "content": 5}], "`messages[0].content` must be text or a list of parts, got a number"),
    ([{"role": "user", "content": [5]}], "`messages[0].content[0]` must be an object with `type` and `text`"),
    ([{"role": "user", "content": [{"type": "text"}]}], "`messages[0].content[0].value` must be text, got null"),
    (
        [{"role": "user", "content": [{"type": "pdf"}]}],
        "`messages[0].content[0].type` must be text, reasoning or tool_c",
    ),
    (
        [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": 5}],
        "`messages[1].tool_calls` must be a list",
    ),
    ([{"role": "assistant", "content": "a"}], "no user turn says anything"),
    ([{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}], "turn 1 (user) is empty"),
    (
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "q"}],
        "turn 2 (assistant) is empty",
    ),
]


@pytest.mark.parametrize(("turns", "what"), TURNS)
def test_bad_turns(turns: Any, what: str) -> None:
    with pytest.raises(RowError) as caught:
        from_records([{"messages": turns}], role="target")
    assert str(caught.value).startswith("memory: row 1: ")
    assert what in str(caught.value)


SHAPES: list[tuple[dict[str, Any], str]] = [
    ({"data": ["q", 5]}, "`data` must be a list of texts, user and assistant by turns"),
    ({"question_id": 1, "turns": []}, "`turns` must be a list of at least one text"),
    ({"question_id": 1, "turns": [5]}, "`turns[0]` must be text, got a number"),
    ({"instruction": "q", "instances": []}, "`instances` must be a list of at least one object"),
    ({"Definition": "d", "input": "q", "output": 5}, "`output` must be text or a list of texts, got a number"),
]


@pytest.mark.parametrize(("record", "what"), SHAPES)
def test_bad_fields_of_other_formats(record: dict[str, Any], what: str) -> None:
    with pytest.raises(RowError) as caught:
        from_records([record], role="target")
    assert what in str(caught.value)


def test_bad_example_of_a_task() -> None:
    record = {"Definition": "d", "input": "q", "output": "a", "Positive Examples": ["e"]}
    with pytest.raises(RowError, match=r"`Positive Examples\[0\]` must be an object, got text"):
        from_records([record], role="pool", positive_examples=1)


def test_first_bad_row_is_the_one_that_stops() -> None:
    silent, bad = {"prompt": "q", "completion": ""}, {"prompt": "", "completion": "a"}
    good = {"prompt": "q", "completion": "a"}
    with pytest.raises(RowError, match="row 2: a pool's row must have a response"):
        from_records([good, silent, bad], role="pool")
    with pytest.raises(RowError, match="row 1: a pool's row must have a response"):
        from_records([silent, good], role="pool")
    with pytest.raises(RowError, match="row 2: `prompt` is the prompt and must not be empty"):
        from_records([good, bad, silent], role="pool")


@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
def test_pool_without_any_response(bad_rows: Literal["stop", "skip"]) -> None:
    rows = [{"prompt": str(n), "completion": " "} for n in range(2000)]
    with pytest.raises(FormatError) as caught:
        from_records(rows, role="pool", bad_rows=bad_rows)
    assert str(caught.value).startswith("memory: a pool's rows must have responses, got none in all 2,000 rows")
    assert "may serve as the target" in str(caught.value)
    assert {row.response for row in from_records(rows, role="target").examples} == {None}


def test_nothing_usable_at_all() -> None:
    rows = [{"prompt": "", "completion": "a"}] * 3
    with pytest.raises(
        EmptyDataError, match="the pool must hold a usable row, got 3 bad ones; the first: memory: row 1: `prom"
    ):
        from_records(rows, role="pool", bad_rows="skip")


def test_nothing_but_broken_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{a\n{b\n")
    with pytest.raises(RowError, match=r"x\.jsonl:1: the line must be one JSON object"):
        read_rows([file], role="pool")
    with pytest.raises(
        EmptyDataError, match=r"x\.jsonl:1: the line must .*; not one of the first 2 records can be read"
    ):
        read_rows([file], role="pool", bad_rows="skip")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_broken_first_line_is_one_bad_row(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b'{"instruction": \n' + GOOD + b"\n" + GOOD)
    reading = read_rows([file], role="pool", bad_rows="skip")
    assert ([one.line for one in reading.left_out], len(reading.examples)) == ([1], 2)


@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('[\n{"prompt": "q", "completion": "a"},\n{"prompt": }\n]', 3, "Expecting value"),
        ('[\n{"prompt": "q", "completion": "a"}\n{"prompt": "q"}]', 3, "a comma or the closing ] must follow"),
        ('[\n{"prompt": "q", "completion": "a"}\n', 3, "a comma or the closing ] must follow"),
        ('[{"prompt": "q", "completion": "a"}]\n\nmore', 3, "nothing may follow the end"),
        ('{\n"examples": [\n{"input": "q" "target": "a"}\n]}', 3, "Expecting ',' delimiter"),
        ('{\n"examples": [\n],\n5: 1}', 4, "a key or the closing } must follow"),
        ('{\n"examples" []}', 2, "a colon must follow the key"),
        ('{\n"examples": []\n"a": 1}', 3, "a comma or the closing } must follow"),
        ("[" + '{"a":' * 100_000, 1, "is nested too deeply to be read"),
    ],
)
def test_broken_json_cannot_be_skipped_past(
    tmp_path: Path, bad_rows: Literal["stop", "skip"], text: str, where: int, what: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_rows([file], role="pool", bad_rows=bad_rows)
    message = str(caught.value)
    assert message.startswith(f"{file}:{where}: the JSON ")
    assert what in message
    assert "skipping bad rows does not help" in message


@pytest.mark.parametrize("name", ["x.json", "x.csv"])
def test_wrong_bytes_in_an_array_or_table_are_laid_to_their_row(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name == "x.json":
        file.write_bytes(b"[\n" + GOOD + b',\n{"instruction": "q", "output": "\xff"}]')
    else:
        file.write_bytes(b"instruction,output\nq,\xff\nq,a\n")
    reading = read_rows([file], role="pool", bad_rows="skip")
    assert len(reading.examples) == 1
    assert [one.line for one in reading.left_out] == [3 if name == "x.json" else 2]
    assert "`output` holds a lone surrogate or a byte that is not UTF-8" in reading.left_out[0].detail


def test_original_that_cannot_be_written_is_a_bad_row(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('[{"prompt": "q", "completion": "a", "note": "\\ud800"}]')
    assert read_rows([file], role="pool").total == 1
    with pytest.raises(RowError, match=r"x\.json:1: `note` holds a lone surrogate"):
        read_rows([file], role="pool", keep_original=True)


def test_record_in_memory_with_what_json_cannot_hold() -> None:
    record = {"prompt": "q", "completion": "a", "tools": [{"name": object()}]}
    with pytest.raises(RowError, match="row 1: the record must hold only what JSON can, but Object of type object"):
        from_records([record], role="pool")


@pytest.mark.slow
def test_nulls_for_the_first_hundred_thousand_rows(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    null = b'{"instruction": null, "input": null, "output": null}\n'
    file.write_bytes(null * 100_000 + GOOD)
    reading = read_rows([file], role="pool", bad_rows="skip")
    assert [(row.line, row.prompt) for row in reading.examples] == [(100_001, "q")]
    assert len(reading.left_out) == 100_000
    empty_input = b'{"instruction": "q", "input": null, "output": "a"}\n'
    file.write_bytes(empty_input * 100_000 + empty_input.replace(b"null", b'"i"'))
    assert read_rows([file], role="pool").examples[-1].prompt == "q\ni"


def test_line_of_ten_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": "é" * 10_000_000, "completion": "a", "id": n}) for n in range(2)))
    assert [len(row.prompt) for row in read_rows([file], role="pool").examples] == [10_000_000] * 2


def test_empty_system_and_last_answer_of_a_target_are_no_turns() -> None:
    turns = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None},
    ]
    row = from_records([{"messages": turns}], role="target").examples[0]
    assert [turn.role for turn in row.messages] == ["user"]
