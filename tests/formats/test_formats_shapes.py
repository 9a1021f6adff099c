"""Each format, from a record to its turns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from righttime.errors import FormatError, RowError, SettingsError
from righttime.examples import Example
from righttime.formats import FORMATS, format_names, from_records, read_rows

CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}

SAMPLES: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("natural-instructions", {"Definition": "Do.", "input": "x", "output": "y"}, "Do.\n\nx", "y"),
    ("natural-instructions", {"Definition": ["Do."], "input": " x ", "output": ["y", "z"]}, "Do.\n\nx", "y"),
    ("natural-instructions-rows", {"definition": "Do.", "inputs": "x", "targets": "y"}, "Do.\n\nx", "y"),
    ("p3", {"inputs_pretokenized": "x", "targets_pretokenized": "y", "inputs": [1], "targets": [2]}, "x", "y"),
    ("messages", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "x", "y"),
    ("sharegpt", {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]}, "x", "y"),
    ("sharegpt", {"conversations": [{"role": "user", "content": "x"}, {"from": "bard", "value": "y"}]}, "x", "y"),
    ("self-instruct", {"instruction": "x", "instances": [{"input": "i", "output": "y"}]}, "x\ni", "y"),
    ("alpaca", {"instruction": "x", "input": "", "output": "y"}, "x", "y"),
    ("alpaca", {"instruction": "x", "input": "i", "output": "y"}, "x\ni", "y"),
    ("alpaca", {"instruction": "x", "context": "c", "response": "y"}, "x\nc", "y"),
    ("alpaca", {"instruction": "x", "input": None, "output": "y"}, "x", "y"),
    ("mt-bench", {"question_id": 81, "turns": ["x", "more"], "category": "c", "reference": ["y"]}, "x", None),
    ("ifeval", {"key": 1000, "prompt": "x", "instruction_id_list": [], "kwargs": []}, "x", None),
    ("prompt-completion", {"prompt": "x", "completion": "y<|endoftext|>"}, "x", "y"),
    ("prompt-completion", {"prompt": "x", "response": "y"}, "x", "y"),
    (
        "prompt-completion",
        {"prompt": [{"role": "user", "content": "x"}], "completion": [{"role": "assistant", "content": "y"}]},
        "x",
        "y",
    ),
    ("question-answer", {"question": "x", "answer": "y"}, "x", "y"),
    ("input-target", {"input": "x", "target": "y"}, "x", "y"),
    ("input-target", {"input": "x", "output": "y"}, "x", "y"),
    ("inputs-targets", {"inputs": "x", "targets": "y"}, "x", "y"),
    ("ultrachat", {"id": "0", "data": ["x", "y", "z", "w"]}, "x", "y"),
    ("prompt", {"prompt": "x"}, "x", None),
    ("instruction", {"Instruction": "x", "Skill": "s"}, "x", None),
    ("question", {"question": "x"}, "x", None),
    ("multiple-choice", {"question": "x", "choices": ["p", "q"], "answer": 1}, "x\nA. p\nB. q", "B"),
    ("multiple-choice", {"question": "x", "A": "p", "B": "q", "answer": "A"}, "x\nA. p\nB. q", "A"),
    ("problem-solution", {"problem": "x", "solution": "y", "level": "1"}, "x", "y"),
    ("query-response", {"query": "x", "response": "y"}, "x", "y"),
    ("text-code", {"text": "x", "code": "y", "task_id": 1}, "x", "y"),
    (
        "squad",
        {"paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "x", "answers": [{"text": "y"}]}]}]},
        "x\nc",
        "y",
    ),
    ("conversation", {"conversation": [{"role": "user", "content": "x"}]}, "x", None),
    ("input", {"input": "x"}, "x", None),
]


def one(record: Mapping[str, Any], **settings: Any) -> Example:
    reading = from_records([record], role=settings.pop("role", "pool"), **settings)
    assert reading.total == 1
    return reading.examples[0]


def said(row: Example) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in row.messages]


@pytest.mark.parametrize(("name", "record", "prompt", "response"), SAMPLES)
def test_format_is_told_and_read(name: str, record: dict[str, Any], prompt: str, response: str | None) -> None:
    reading = from_records([record], role="target")
    assert reading.inputs[0].format == name
    assert (reading.examples[0].prompt, reading.examples[0].response) == (prompt, response)


def test_every_format_has_a_sample() -> None:
    named = {name for name, entry in FORMATS.items() if entry.by_name}
    assert named == {"preference", "text"}, "their samples are in test_formats_by_name.py"
    assert {name for name, *_ in SAMPLES} | {"flan-cot"} | named == set(FORMATS) == set(format_names())


def test_flan_cot_by_name() -> None:
    record = {"question": "x\\nA", "answer": "y", "explanation": "since\\nso"}
    assert said(one(record, format="flan-cot")) == [("user", "x\nA"), ("assistant", "since\nso\ny")]


def test_alpaca_system_and_history() -> None:
    record = {"instruction": "x", "output": "y", "system": "s", "history": [["q", "a"]]}
    turns = [("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "x"), ("assistant", "y")]
    assert said(one(record)) == turns
    with pytest.raises(RowError, match=r"memory: row 1: `history\[0\]` must be a list of a question and an answer"):
        one({**record, "history": [["q"]]})


def test_question_answer_keeps_the_system_prompt() -> None:
    record = {"id": "o.1", "system_prompt": "s", "question": "x", "response": "y"}
    assert said(one(record)) == [("system", "s"), ("user", "x"), ("assistant", "y")]


def test_self_instruct_is_one_row_an_instance() -> None:
    instances = [{"input": str(n), "output": f"y{n}"} for n in range(3)]
    record = {"id": "seed", "name": "n", "instruction": "x", "instances": instances}
    reading = from_records([record], role="pool", keep_original=True)
    assert [(row.id, row.task, row.response) for row in reading.examples] == [
        ("seed", "n", "y0"),
        ("seed-1", "n", "y1"),
        ("seed-2", "n", "y2"),
    ]
    assert [row.line for row in reading.examples] == [1, 1, 1]
    assert [json.loads(row.original or "")["instances"] for row in reading.examples] == [[one] for one in instances]


@pytest.mark.parametrize("tools", ["[]", "", [], None, " [] "])
def test_empty_tools_are_none(tools: Any) -> None:
    assert one({"prompt": "x", "completion": "y", "tools": tools}).tools is None


@pytest.mark.parametrize("tools", ['[{"name": "add"}]', [{"name": "add"}]])
def test_tools_are_kept_as_given(tools: Any) -> None:
    row = one({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "tools": tools})
    assert row.tools == tools


def test_sharegpt_function_calls() -> None:
    turns = [
        {"from": "human", "value": "x"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"from": "observation", "value": "2"},
        {"from": "function_call", "value": "add(1)"},
        {"from": "tool_call", "value": '{"name": "add", "arguments": {}, "why": "z"}'},
        {"from": "gpt", "value": "y"},
    ]
    messages = one({"conversations": turns, "system": "s"}).messages
    assert [turn.role for turn in messages] == ["system", "user", "assistant", "tool", *["assistant"] * 3]
    assert messages[2].content == ""
    assert messages[2].tool_calls == (CALL,)
    assert (messages[4].content, messages[4].tool_calls) == ("add(1)", ())
    assert (messages[5].content, messages[5].tool_calls) == (turns[4]["value"], ())


def test_openai_tool_calls_keep_their_other_keys() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    record = {
        "messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "2", "tool_call_id": "c1", "name": "add"},
            {"role": "assistant", "content": "y", "tool_calls": None},
        ]
    }
    messages = one(record).messages
    assert [turn.role for turn in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert messages[2].tool_calls == (call,)
    assert messages[3].extra == (("name", "add"), ("tool_call_id", "c1"))
    with pytest.raises(RowError, match=r"`messages\[2\].tool_calls\[0\]` must have a `function` with a `name`"):
        one({"messages": [*record["messages"][:2], {"role": "assistant", "tool_calls": [{"id": "c"}]}]})


def test_parts_are_joined_and_reasoning_stands_apart() -> None:
    parts = [
        {"type": "reasoning", "value": "hm"},
        {"type": "text", "text": "y"},
        {"type": "text", "value": "z"},
        {"type": "tool_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
    ]
    record = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": parts}]}
    answer = one(record).messages[1]
    assert answer.content == "y\nz"
    assert answer.tool_calls == (CALL,)
    assert answer.extra == (("reasoning_content", "hm"),)


def test_own_train_jsonl_is_read_back() -> None:
    row = one(
        {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}], "id": "a", "tools": "[1]"}
    )
    again = one(row.as_dict())
    assert again.messages == row.messages
    assert (again.id, again.tools) == (row.id, row.tools)


TASKS: list[tuple[dict[str, Any], str | None]] = [
    ({"task": "t", "task_name": "n", "category": "c"}, "t"),
    ({"task_name": "n", "category": "c"}, "n"),
    ({"category": "c"}, "c"),
    ({"task": None, "category": ""}, None),
    ({"task": 7}, "7"),
    ({}, None),
]


@pytest.mark.parametrize(("keys", "task"), TASKS)
def test_task(keys: dict[str, Any], task: str | None) -> None:
    assert one({"prompt": "x", "completion": "y", **keys}).task == task


def test_task_of_flan_mini_is_its_source() -> None:
    record = {
        "id": 1,
        "source": "cot",
        "conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}],
    }
    assert (one(record).task, one(record).id) == ("cot", "1")


def test_task_field(tmp_path: Path) -> None:
    record = {"prompt": "x", "completion": "y", "task": "t", "kind": "k", "Categories": ["c"]}
    assert one(record, task_field="kind").task == "k"
    assert one(record, task_field="Categories").task == "c"
    file = tmp_path / "some.task.jsonl"
    file.write_text(json.dumps(record))
    assert read_rows([file], role="pool", task_field="@file").examples[0].task == "some.task"
    with pytest.raises(
        RowError, match="row 1: `knid`, named as the task field, is missing; the record's keys are prompt,"
    ):
        one(record, task_field="knid")


IDS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "x", "completion": "y", "id": 7}, "7"),
    ({"prompt": "x", "completion": "y", "prompt_id": "p"}, "p"),
    ({"prompt": "x", "completion": "y", "uuid": "u"}, "u"),
    ({"prompt": "x", "task_id": "HumanEval/0"}, "HumanEval/0"),
    ({"prompt": "x", "key": 1000, "instruction_id_list": []}, "1000"),
    ({"question_id": 81, "turns": ["x"]}, "81"),
]


@pytest.mark.parametrize(("record", "name"), IDS)
def test_id_is_kept(record: dict[str, Any], name: str) -> None:
    assert one(record, role="target").id == name


@pytest.mark.parametrize("given", [None, ""])
def test_no_id_is_made_from_the_content(given: Any) -> None:
    assert one({"prompt": "2+2?", "completion": "4", "id": given}).id == "0014d653805e838f"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "x", "chosen": "y", "rejected": "z"}, "preference data (DPO)"),
    ({"prompt": "x", "completion": "y", "label": True}, "preference data (KTO)"),
    ({"messages": [{"role": "user", "content": "x"}], "label": False}, "preference data (KTO)"),
    ({"prompt": "x", "completion": "y", "images": ["a.jpg"]}, "`images` says that the row comes with images"),
    ({"prompt": "x", "completion": "y", "image": {"bytes": "b"}}, "`image` says that the row comes with images"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "`messages[0].content[0]` is an image"),
    ({"message_tree_id": "m", "prompt": {"text": "x"}}, "Open-Assistant message trees"),
    ({"message_tree_id": "m", "parent_id": None, "text": "x", "role": "prompter"}, "Open-Assistant message trees"),
]


@pytest.mark.parametrize(("record", "what"), REFUSED)
@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
def test_refused(record: dict[str, Any], what: str, bad_rows: Any) -> None:
    with pytest.raises(FormatError) as caught:
        from_records([record], role="target", bad_rows=bad_rows)
    assert what in str(caught.value)
    assert str(caught.value).startswith("memory: row 1: ")


def test_empty_images_and_labels_of_another_kind_are_fine() -> None:
    assert one({"prompt": "x", "completion": "y", "images": [], "image": None}).response == "y"
    assert one({"prompt": "x", "completion": "y", "label": "spam"}).response == "y"


def test_row_with_images_among_others_can_be_skipped() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "x", "completion": "y"},
        {"prompt": "x", "completion": "y", "images": ["a.jpg"]},
    ]
    with pytest.raises(FormatError, match="row 2: `images` says"):
        from_records(rows, role="pool")
    reading = from_records(rows, role="pool", bad_rows="skip")
    assert [(one.line, one.reason) for one in reading.left_out] == [(2, "bad-row")]


def test_unknown_keys_list_what_was_found_and_what_is_known() -> None:
    with pytest.raises(FormatError) as caught:
        one({"foo": 1, "bar": 2})
    message = str(caught.value)
    assert "memory: row 1: " in message
    assert "got foo, bar; name the fields, such as `fields={'prompt': 'foo', 'response': 'bar'}`, or" in message
    assert "`format='NAME'`" in message
    assert all(name in message for name in FORMATS)


def test_unknown_settings_name_the_near_ones() -> None:
    record = {"prompt": "x", "completion": "y"}
    with pytest.raises(SettingsError, match="unknown format 'alpacca': did you mean 'alpaca'"):
        one(record, format="alpacca")
    with pytest.raises(SettingsError, match="unknown role 'pol': did you mean 'pool'"):
        one(record, role="pol")
    with pytest.raises(SettingsError, match="unknown way with bad rows 'drop'"):
        one(record, bad_rows="drop")
    with pytest.raises(SettingsError, match="positive_examples must be a whole number from 0, got -1"):
        one(record, positive_examples=-1)


def test_format_by_name_overrides_the_keys() -> None:
    record = {"prompt": "p", "completion": "c", "instruction": "x", "output": "y"}
    assert one(record).prompt == "x"
    assert one(record, format="prompt-completion").prompt == "p"
    assert one({"instruction": "x"}, role="target", format="alpaca").response is None


TASK = {
    "Categories": ["QA"],
    "Definition": ["Do."],
    "Positive Examples": [{"input": f"i{n}", "output": f"o{n}"} for n in range(3)],
    "Instances": [{"id": "t-1", "input": "x", "output": ["y", "z"]}, {"id": "t-2", "input": "w", "output": "v"}],
}


def test_task_file_with_positive_examples(tmp_path: Path) -> None:
    file = tmp_path / "task1_add.json"
    file.write_text(json.dumps(TASK, indent=1))
    zero = read_rows([file], role="pool").examples
    assert [(row.id, row.task, row.prompt, row.response) for row in zero] == [
        ("t-1", "task1_add", "Do.\n\nx", "y"),
        ("t-2", "task1_add", "Do.\n\nw", "v"),
    ]
    lines = file.read_text().splitlines()
    assert [lines[row.line].strip() for row in zero] == ['"id": "t-1",', '"id": "t-2",']
    two = read_rows([file], role="pool", positive_examples=2).examples[0]
    assert two.prompt == (
        "Do.\n\nPositive Example 1 -\nInput: i0\nOutput: o0\n\nPositive Example 2 -\nInput: i1\nOutput: o1\n\n"
        "Now complete the following example -\nInput: x\nOutput:"
    )
    assert "Positive Example 3" in read_rows([file], role="pool", positive_examples=9).examples[0].prompt
    assert read_rows([file], role="pool", task_field="Categories").examples[0].task == "QA"


def test_version_1_task_file(tmp_path: Path) -> None:
    old = {"Definition": "Do.", "Instances": [{"input": "x", "output": ["y"]}]}
    file = tmp_path / "subtask.json"
    file.write_text(json.dumps({**old, "Examples": {"Positive Examples": [{"input": "i", "output": "o"}]}}))
    assert read_rows([file], role="pool").examples[0].prompt == "Do.\n\nx"
    assert "Input: i\nOutput: o\n" in read_rows([file], role="pool", positive_examples=1).examples[0].prompt


def test_original_of_a_task_is_read_back_the_same(tmp_path: Path) -> None:
    file = tmp_path / "task1.json"
    file.write_text(json.dumps(TASK))
    for shots in (0, 2):
        rows = read_rows([file], role="pool", positive_examples=shots, keep_original=True).examples
        again = tmp_path / "again.jsonl"
        again.write_text("\n".join(row.original or "" for row in rows))
        back = read_rows([again], role="pool", positive_examples=shots).examples
        assert [(row.id, row.task, row.messages) for row in back] == [(row.id, row.task, row.messages) for row in rows]
