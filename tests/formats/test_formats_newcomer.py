"""Shapes of real files that were refused or lost their answers: OpenAI's evals, AGIEval, TruthfulQA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from righttime.examples import Example
from righttime.formats import from_records, read_rows


def _one(record: dict[str, Any], name: str) -> Example:
    reading = from_records([record], role="pool")
    assert reading.inputs[0].format == name
    return reading.examples[0]


@pytest.mark.parametrize("ideal", ["four", ["four", "4"]])
def test_evals_have_turns_as_input_and_an_ideal_answer(ideal: object) -> None:
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2+2?"}]

    row = _one({"input": turns, "ideal": ideal}, "input-target")

    assert [(turn.role, turn.content) for turn in row.messages] == [
        ("system", "Be short."),
        ("user", "2+2?"),
        ("assistant", "four"),
    ]


def test_an_input_as_text_has_its_ideal_answer() -> None:
    assert _one({"input": "2+2?", "ideal": ["four", "4"]}, "input-target").messages[-1].content == "four"


def test_an_ideal_beside_a_target_is_reported_as_unread() -> None:
    reading = from_records([{"input": "2+2?", "target": "4", "ideal": "four"}], role="pool")

    assert reading.examples[0].messages[-1].content == "4"
    assert dict(reading.inputs[0].unread) == {"ideal": 1.0}


def test_an_input_alone_is_a_prompt() -> None:
    reading = from_records([{"input": "Write a line about apple."}], role="target")

    assert reading.inputs[0].format == "input"
    assert [turn.content for turn in reading.examples[0].messages] == ["Write a line about apple."]


def test_the_label_of_a_question_with_options_is_its_answer() -> None:
    record = {"passage": "", "question": "2+2?", "options": ["(A)4", "(B)5"], "label": "A", "answer": None}

    row = _one(record, "multiple-choice")

    assert [turn.content for turn in row.messages] == ["2+2?\n(A)4\n(B)5", "A"]


def test_spaces_in_a_header_are_underscores(tmp_path: Path) -> None:
    file = tmp_path / "TruthfulQA.csv"
    file.write_text(
        "Category,Question,Best Answer,Incorrect Answers\nMyths,Do pigs fly?,They do not,They fly; They hover\n"
    )

    reading = read_rows([file], role="pool")

    assert [turn.content for turn in reading.examples[0].messages] == ["Do pigs fly?", "They do not"]
    assert reading.examples[0].task == "Myths"
    assert dict(reading.inputs[0].unread) == {"Incorrect Answers": 1.0}
