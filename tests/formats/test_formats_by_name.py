"""Preferences and plain texts: read where they are named, refused with a hint that names them where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from righttime.contamination.units import parts_of
from righttime.errors import FormatError, RowError
from righttime.examples import Example, messages_in
from righttime.formats import from_records, read_rows
from righttime.formats.registry import match

USER, BLUE, GREEN = (
    {"role": "user", "content": "What colour is the sky?"},
    {"role": "assistant", "content": "Blue."},
    {"role": "assistant", "content": "Green."},
)
SYSTEM = {"role": "system", "content": "Be brief."}
LONG = [USER, {"role": "assistant", "content": "Why?"}, {"role": "user", "content": "To know."}]
ASKED = USER["content"]

SHAPES: list[tuple[dict[str, Any], list[dict[str, str]]]] = [
    ({"prompt": ASKED, "chosen": "Blue.", "rejected": "Green."}, [USER]),
    ({"prompt": ASKED, "chosen": "Blue.", "rejected": "Green.", "system": "Be brief."}, [SYSTEM, USER]),
    ({"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]}, [USER]),
    ({"prompt": [SYSTEM, *LONG], "chosen": [BLUE], "rejected": [GREEN]}, [SYSTEM, *LONG]),
    ({"prompt": [USER], "chosen": BLUE, "rejected": GREEN}, [USER]),
    ({"prompt": [USER], "chosen": "Blue.", "rejected": "Green."}, [USER]),
    ({"chosen": [USER, BLUE], "rejected": [USER, GREEN]}, [USER]),
    ({"chosen": [*LONG, BLUE], "rejected": [*LONG, GREEN]}, LONG),
    ({"prompt": ASKED, "chosen": [USER, BLUE], "rejected": [USER, GREEN]}, [USER]),
    ({"prompt": ASKED, "system": "Be brief.", "chosen": [USER, BLUE], "rejected": [USER, GREEN]}, [SYSTEM, USER]),
    ({"question": ASKED, "system": "Be brief.", "chosen": "Blue.", "rejected": "Green."}, [SYSTEM, USER]),
    ({"instruction": "What colour is", "input": "the sky?", "chosen": "Blue.", "rejected": "Green."},
     [{"role": "user", "content": "What colour is\nthe sky?"}]),
    ({"conversations": [{"from": "human", "value": ASKED}], "chosen": {"from": "gpt", "value": "Blue."},
      "rejected": {"from": "gpt", "value": "Green."}}, [USER]),
]  # fmt: skip


def one(record: dict[str, Any], name: str, role: Any = "pool") -> Example:
    return from_records([record], role=role, format=name).examples[0]


@pytest.mark.parametrize("role", ["pool", "target"])
@pytest.mark.parametrize(("record", "prompt"), SHAPES)
def test_preferences_are_read_in_every_shape(record: dict[str, Any], prompt: list[dict[str, str]], role: Any) -> None:
    row = one({"id": "a", **record}, "preference", role)
    assert row.kind == "preference"
    assert row.as_dict() == {"id": "a", "prompt": prompt, "chosen": [BLUE], "rejected": [GREEN]}


def test_both_answers_and_their_calls_are_kept() -> None:
    call = {"type": "function", "function": {"name": "look", "arguments": {"up": True}}}
    chosen = {"role": "assistant", "content": "", "tool_calls": [call]}
    row = one({"prompt": [USER], "chosen": [chosen], "rejected": [GREEN], "tools": [{"name": "look"}]}, "preference")
    assert row.as_dict() == {
        "id": row.id, "prompt": [USER], "chosen": [chosen], "rejected": [GREEN], "tools": [{"name": "look"}]
    }  # fmt: skip


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "x", "chosen": "y"}, "`rejected` is missing, the file being read as preference"),
    ({"chosen": "y", "rejected": "z"}, "`prompt` is missing, and `chosen` and `rejected` do not begin with the same"),
    ({"chosen": [BLUE], "rejected": [GREEN]}, "`prompt` is missing"),
    ({"prompt": "x", "chosen": "y", "rejected": "y"}, "`chosen` and `rejected` must differ, got the same answer twice"),
    ({"prompt": "x", "chosen": " ", "rejected": "y"}, "`chosen` must not be empty"),
    ({"prompt": "x", "chosen": "y", "rejected": 3}, "`rejected` must be text or a list of turns, got a number"),
    ({"prompt": "x", "chosen": [], "rejected": [GREEN]}, "`chosen` must be a list of at least one turn"),
    ({"prompt": [USER], "chosen": [BLUE, USER], "rejected": [GREEN]},
     "`chosen` must hold one turn of the assistant after the prompt, got assistant, user"),
    ({"chosen": [USER, BLUE, USER, BLUE], "rejected": [USER, GREEN]}, "got assistant, user, assistant"),
    ({"prompt": [USER, BLUE], "chosen": [BLUE], "rejected": [GREEN]}, "the prompt must end with what is to be"),
    ({"prompt": "another", "chosen": [USER, BLUE], "rejected": [USER, GREEN]},
     "`prompt` must be one of the turns that `chosen` and `rejected` begin with, got another"),
    ({"prompt": "x", "chosen": "y", "rejected": "z", "images": ["a.jpg"]}, "`images` says that the row comes with"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "message"), BAD)
def test_bad_preferences_are_named_by_file_and_line(record: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (SHAPES[0][0], record)))
    with pytest.raises((RowError, FormatError)) as caught:
        read_rows([file], role="pool", format="preference")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{file}:2: ")
    skipped = read_rows([file], role="pool", format="preference", bad_rows="skip")
    assert [(one.line, one.reason) for one in skipped.left_out] == [(2, "bad-row")]


def test_plain_texts_are_read_as_they_are(tmp_path: Path) -> None:
    reading = from_records([{"text": " Once.\n", "url": "u"}], role="pool", format="text")
    assert reading.examples[0].as_dict() == {"id": reading.examples[0].id, "text": " Once.\n"}
    assert reading.inputs[0].unread == {"url": 1.0}
    (tmp_path / "pool.txt").write_text("Once.\n\nTwice.\n")
    lines = read_rows([tmp_path / "pool.txt"], role="pool", format="text").examples
    assert [(row.as_dict()["text"], row.line) for row in lines] == [("Once.", 1), ("Twice.", 3)]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": 3}, "memory: row 1: `text` must be text, got a number"),
        ({"text": " "}, "memory: row 1: `text` must not be empty, got ' '"),
        ({"body": "x"}, "memory: row 1: `text` is missing, the file being read as text; the record's keys are body"),
    ],
)
def test_bad_texts(record: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError) as caught:
        one(record, "text")
    assert str(caught.value).startswith(message)


def test_without_its_name_neither_is_read_and_the_hint_names_it() -> None:
    assert match({"text": "x"}) is None
    assert match({"chosen": "x", "rejected": "y"}) is None
    with pytest.raises(FormatError, match="make this preference data .* read both answers with `format='preference'`"):
        from_records([SHAPES[0][0]], role="pool")
    with pytest.raises(FormatError, match="plain texts for continued pre-training are read with `format='text'`"):
        from_records([{"text": "x"}], role="pool")
    with pytest.raises(FormatError, match="plain texts for continued pre-training are read with `format='text'`"):
        from_records(["Once."], role="pool")  # type: ignore[list-item]
    with pytest.raises(FormatError) as caught:  # answers under other names are not what that format reads
        from_records([{"prompt": "x", "response_a": "y", "response_b": "z"}], role="pool")
    assert "format=" not in str(caught.value)


SAID = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda text: text.strip())
TURNS = st.lists(SAID, min_size=1, max_size=3).map(
    lambda said: [turn for text in said for turn in ({"role": "user", "content": text}, BLUE)][:-1]
)


@settings(max_examples=40, deadline=None)
@given(turns=TURNS, chosen=SAID, rejected=SAID)
def test_what_is_written_is_read_again(turns: list[dict[str, str]], chosen: str, rejected: str) -> None:
    if chosen == rejected:
        return
    answers = {
        key: [{"role": "assistant", "content": said}] for key, said in (("chosen", chosen), ("rejected", rejected))
    }
    row = one({"prompt": turns, **answers}, "preference")
    written = json.loads(json.dumps(row.as_dict()))
    assert {key: written[key] for key in ("prompt", "chosen", "rejected")} == {"prompt": turns, **answers}
    again = one(written, "preference")
    assert (again.messages, again.id) == (row.messages, row.id)
    assert messages_in(written) == row.messages
    plain = one({"text": chosen}, "text")
    assert messages_in(plain.as_dict()) == one(plain.as_dict(), "text").messages == plain.messages
    assert plain.as_dict()["text"] == chosen


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(SAID, SAID, SAID), min_size=1, max_size=6))
def test_ids_and_repeats_tell_all_three_texts_apart(rows: list[tuple[str, str, str]]) -> None:
    kept = [row for row in rows if row[1] != row[2]]
    if not kept:
        return
    records = [dict(zip(("prompt", "chosen", "rejected"), row, strict=True)) for row in kept]
    reading = from_records(records, role="pool", format="preference")
    assert reading.inputs[0].duplicates == len(kept) - len(set(kept))
    assert len(set(reading.rows.content_ids)) == len(set(kept))
    assert len(set(reading.rows.ids)) == len(kept)


def test_the_guard_compares_prompt_and_both_answers() -> None:
    row = one(SHAPES[0][0], "preference")
    assert parts_of(row) == [("prompt", ASKED), ("response", "Blue."), ("turn", "Green.")]
    assert parts_of(one({"text": "Once."}, "text")) == [("prompt", "Once.")]
