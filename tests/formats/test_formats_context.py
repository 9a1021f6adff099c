"""What belongs to a question is read into its prompt, and text that no rule reads is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.errors import FormatError, RowError
from righttime.examples import Example
from righttime.formats import InputFile, from_records, read_rows


def one(record: Any, **settings: Any) -> Example:
    return from_records([record], role="target", **settings).examples[0]


def file_of(*records: Any, **settings: Any) -> InputFile:
    return from_records(records, role="target", **settings).inputs[0]


CONTEXTS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"question": "Q", "context": "C", "answer": "a"}, "Q\nC", "a"),
    ({"question": "Q", "passage": "C", "answer": "a"}, "Q\nC", "a"),
    ({"question": "Q", "article": ["C", "D"], "answer": "a"}, "Q\nC\nD", "a"),
    ({"question": "Q", "passage": "C", "options": ["x", "y"], "answer": "B"}, "Q\nA. x\nB. y\n\nC", "B"),
    ({"question": "Q", "passage": "C", "answer": True}, "Q\nC", "yes"),
    ({"question": "Q", "context": "C", "answers": {"text": ["a", "b"], "answer_start": [0, 1]}}, "Q\nC", "a"),
    ({"question": "Q", "answers": [{"text": "a"}]}, "Q", "a"),
    ({"question": "Q", "answer": ["a", "b"]}, "Q", "a"),
    ({"question": "Q", "answer": 204}, "Q", "204"),
    ({"input": "Q", "context": "C", "output": "a"}, "Q\nC", "a"),
    ({"prompt": "Q", "context": "C", "completion": "a"}, "Q\nC", "a"),
    ({"prompt": "Q", "input": "I", "context": "C", "output": "a"}, "Q\nI\nC", "a"),
    ({"instruction": "Q", "input": "I", "context": "C", "output": "a"}, "Q\nI\nC", "a"),
    ({"instruction": "Q", "input": "Q", "output": "a"}, "Q\nQ", "a"),
    ({"instruction": "Q", "options": ["x", "y"], "output": 0}, "Q\nA. x\nB. y", "A"),
    ({"prompt": "Read C. Q", "passage": "C", "completion": "a"}, "Read C. Q", "a"),
    ({"question": "Q", "context": "", "answer": "a"}, "Q", "a"),
    ({"problem": "Q", "context": "C", "solution": "a"}, "Q\nC", "a"),
    ({"query": "Q", "context": "C", "response": "a"}, "Q\nC", "a"),
]


@pytest.mark.parametrize(("record", "prompt", "response"), CONTEXTS)
def test_context_stands_after_what_is_asked(record: dict[str, Any], prompt: str, response: str | None) -> None:
    row = one(record)
    assert (row.prompt, row.response) == (prompt, response)
    assert file_of(record).unread == {}


OPTIONS: list[tuple[Any, Any, str, str]] = [
    (["x", "y"], 1, "Q\nA. x\nB. y", "B"),
    (["x", "y"], "y", "Q\nA. x\nB. y", "y"),
    ([3, 4.5], 0, "Q\nA. 3\nB. 4.5", "A"),
    (["A) x", "B) y"], 1, "Q\nA) x\nB) y", "B"),
    (["(A) x", "(B) y"], "B", "Q\n(A) x\n(B) y", "B"),
    ({"A": "x", "B": "y", "C": None}, "B", "Q\nA. x\nB. y", "B"),
    ({"text": ["x", "y"], "label": ["1", "2"]}, "2", "Q\n1. x\n2. y", "2"),
    ({"text": ["x", "y"], "label": ["1", "2"]}, 1, "Q\n1. x\n2. y", "2"),
    ([{"label": "A", "text": "x"}, {"label": "B", "text": "y"}], "A", "Q\nA. x\nB. y", "A"),
    ("a ) x , b ) y", 1, "Q\na ) x , b ) y", "B"),
]


@pytest.mark.parametrize("key", ["choices", "options"])
@pytest.mark.parametrize(("options", "answer", "prompt", "response"), OPTIONS)
def test_options_become_lettered_lines(key: str, options: Any, answer: Any, prompt: str, response: str) -> None:
    row = one({"question": "Q", key: options, "answer": answer})
    assert (row.prompt, row.response) == (prompt, response)


def test_options_listed_in_the_question_are_not_listed_again() -> None:
    assert one({"question": "Q\nA. x\nB. y", "options": ["x", "y"], "answer": 0}).prompt == "Q\nA. x\nB. y"


def test_many_options_are_numbered() -> None:
    lines = one({"question": "Q", "options": [f"o{n}" for n in range(30)], "answer": 29})
    assert lines.prompt.splitlines()[-1] == "30. o29"
    assert lines.response == "30"


@pytest.mark.parametrize("answer", [2, -1])
def test_number_of_no_option(answer: int) -> None:
    with pytest.raises(RowError, match=rf"row 1: `answer` must number one of the 2 options from 0, got {answer}"):
        one({"question": "Q", "options": ["x", "y"], "answer": answer})


@given(st.lists(st.text("xyz ", min_size=1), min_size=2, max_size=26), st.data())
def test_every_option_stands_in_the_prompt_once_and_the_number_is_its_letter(options: list[str], data: Any) -> None:
    answer = data.draw(st.integers(0, len(options) - 1))
    row = one({"question": "Which?", "choices": options, "answer": answer})
    assert row.prompt.split("\n")[1:] == [f"{chr(65 + n)}. {option}" for n, option in enumerate(options)]
    assert row.response == chr(65 + answer)


SETTINGS = [{"style": "short", "form": "json"}, [["x"], ["y"]], ["x"]]


@pytest.mark.parametrize("options", SETTINGS)
def test_options_that_are_none_are_told_not_read(options: Any) -> None:
    record = {"prompt": "x", "completion": "y", "options": options}
    assert one(record).prompt == "x"
    assert file_of(record).unread == {"options": 1.0}


def test_text_that_no_rule_reads_is_told_with_its_share() -> None:
    rows = [{"prompt": str(n), "completion": "y", "why": "w" if n else "", "url": "u", "n": 3} for n in range(4)]
    file = file_of(*rows)
    assert file.unread == {"url": 1.0, "why": 0.75}
    assert file.note == "text that no rule reads: `why` (75% of rows); labels that no rule reads: `url`"


UNREAD: list[tuple[dict[str, Any], dict[str, float]]] = [
    ({"prompt": "x", "completion": "y", "response": "z"}, {"response": 1.0}),
    ({"question": "x", "answer": "y", "context": {"title": ["t"], "sentences": [["s"]]}}, {"context": 1.0}),
    ({"question": "x", "choices": ["p", "q"], "correct": "B", "rationale": "r"}, {"rationale": 1.0}),
    ({"question_id": 1, "turns": ["x", "more"]}, {"turns[1:]": 1.0}),
    ({"messages": [{"role": "user", "content": "x", "thinking": "hm"}]}, {"messages[].thinking": 1.0}),
    ({"instruction": "x", "instances": [{"output": "y", "constraints": "c"}]}, {"instances[].constraints": 1.0}),
    ({"inputs": "x", "targets": "y", "context": "c"}, {"context": 1.0}),
    ({"prompt": "x", "scores": [0.5], "nested": {"deep": [{"t": "text"}]}}, {"nested": 1.0}),
    ({"prompt": "x", "category": "c", "id": "1", "tools": "[]"}, {}),
    ({"Prompt": "x", "prompt": "z"}, {"Prompt": 1.0}),
]


@pytest.mark.parametrize(("record", "expected"), UNREAD)
def test_what_is_unread(record: dict[str, Any], expected: dict[str, float]) -> None:
    assert file_of(record).unread == expected


def test_text_beside_the_rows_is_told(tmp_path: Path) -> None:
    wrapped = {"advice": "Think.", "n": 1, "examples": [{"input": "x", "target": "y"}]}
    (tmp_path / "x.json").write_text(json.dumps(wrapped))
    assert read_rows([tmp_path / "x.json"], role="pool").inputs[0].unread == {"advice": 1.0}
    task = {"Definition": "Do.", "Things to Avoid": "Haste.", "Instances": [{"input": "x", "output": "y"}]}
    (tmp_path / "x.json").write_text(json.dumps(task))
    assert read_rows([tmp_path / "x.json"], role="pool").inputs[0].unread == {"Things to Avoid": 1.0}


def test_many_unread_fields_are_listed_in_part_but_all_held() -> None:
    file = file_of({"prompt": "x", **{f"extra{n}": "t" for n in range(11)}})
    assert len(file.unread) == 11
    assert (file.note or "").endswith("`extra7` (every row) and 3 more")


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=5), max_size=6))
def test_every_text_is_either_read_or_told(extra: dict[str, str]) -> None:
    """Whatever stands beside a prompt: its text is in the row, names it, or is reported."""
    row = {**extra, "prompt": "x", "tools": None}
    try:
        reading = from_records([row], role="target", bad_rows="skip")
    except (FormatError, ValueError):
        return  # refused aloud
    example, unread = reading.examples[0], reading.inputs[0].unread
    said = json.dumps([message.as_dict() for message in example.messages] + [example.id, example.task])
    for key, text in extra.items():
        if text.strip() and key != "prompt" and key != "tools":
            assert key in unread or json.dumps(text)[1:-1].removesuffix("<|endoftext|>") in said


MEDIA = [("images", "images"), ("image", "images"), ("audios", "audio"), ("audio", "audio")]


@pytest.mark.parametrize(("key", "what"), [*MEDIA, ("videos", "videos"), ("Video", "videos")])
def test_rows_with_media_are_refused(key: str, what: str) -> None:
    with pytest.raises(FormatError, match=f"row 1: `{key.lower()}` says that the row comes with {what}, and only text"):
        one({"prompt": "x", "completion": "y", key: ["a.bin"]})
    assert one({"prompt": "x", "completion": "y", key: []}).response == "y"


@pytest.mark.parametrize(("kind", "what"), [("input_audio", "audio"), ("video_url", "video"), ("image", "an image")])
def test_parts_that_are_media_are_refused(kind: str, what: str) -> None:
    with pytest.raises(FormatError, match=rf"`messages\[0\].content\[0\]` is {what}, and only text can be arranged"):
        one({"messages": [{"role": "user", "content": [{"type": kind}]}]})


PREFERENCES = [
    ("chosen_messages", "rejected_messages"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("Chosen", "Rejected"),
    ("conversation_a", "conversation_b"),
    ("response_0", "response_1"),
    ("answer-chosen", "answer-rejected"),
]


@pytest.mark.parametrize(("better", "worse"), PREFERENCES)
def test_preference_data_under_any_key_is_refused_and_may_be_read_by_its_fields(better: str, worse: str) -> None:
    record = {"instruction": "x", better: "y", worse: "z"}
    with pytest.raises(FormatError) as caught:
        one(record)
    assert f"`{better}` and `{worse}` make this preference data (DPO)" in str(caught.value)
    assert f"`fields={{'prompt': 'instruction', 'response': {better!r}}}`" in str(caught.value)
    assert one(record, fields={"prompt": "instruction", "response": better}).response == "y"


def test_half_a_preference_is_none() -> None:
    assert one({"prompt": "x", "completion": "y", "chosen_style": "s"}).response == "y"
    assert one({"prompt": "x", "completion": "y", "chosen": None, "rejected": "z"}).response == "y"


CASES = [
    {"Instruction": "x", "INPUT": "", "Output": "y"},
    {"Question": "x", "Answer": "y"},
    {"Prompt": "x", "Completion": "y"},
    {"Messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
    {"definition": "", "Inputs": "x", "TARGETS": "y"},
]


@pytest.mark.parametrize("record", CASES)
def test_keys_in_any_case(record: dict[str, Any]) -> None:
    assert (one(record).prompt, one(record).response) == ("x", "y")
