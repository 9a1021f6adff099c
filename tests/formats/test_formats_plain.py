"""Plain rows read in one step are what their format's reader makes of them, whatever stands in a record."""

from __future__ import annotations

import csv
import dataclasses
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from righttime.errors import DataError
from righttime.examples import Message, content_text
from righttime.formats import Reading, from_records, read_rows, records
from righttime.formats.plain import Layout, shape_of
from righttime.formats.registry import FORMATS, Format
from righttime.stored import Block
from tiers import examples

PLAIN = {name: form for name, form in FORMATS.items() if form.plain}
KNOWN = sorted(
    {
        one
        for form in FORMATS.values()
        for names in (form.needs, form.answers, form.ids, form.tasks)
        for name in names
        for one in name.split("|")
    }
    | {"id", "task", "task_name", "input", "system", "system_prompt", "tools", "history", "label", "context", "choices"}
    | {"options", "passage", "image", "images", "chosen", "rejected", "message_tree_id", "A", "B", "response_a"}
    | {"Prompt", "Input", "task-name", "url", "notes", "Response", "score"}
)
TEXTS = st.sampled_from(
    ["", " ", "a", "2+2?", 'say "x"\n\t\\', "a/b", "é漢😀", "\x7f\x00\u2028", "x<|endoftext|>", "\ud800"]
)
GOOD = st.sampled_from(["a", "2+2?", 'say "x"\n\t\\', "é漢😀", "c", "d", "a/b", "\x7f\u2028"])
VALUES = st.one_of(
    GOOD,
    TEXTS,
    TEXTS,
    st.sampled_from([None, 0, 7, 10**30, True, False, 1.5, float("nan"), [], ["a"], ["a", "b"], {}, {"text": "a"}]),
)
MOSTLY = st.integers(0, 11).flatmap(lambda number: VALUES if number == 0 else GOOD)
ROLES = st.sampled_from(["user", "human", "assistant", "gpt", "system", "tool", "function_call", "nobody", "User"])
TURN = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": GOOD}),
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt"]), "value": GOOD}),
    st.fixed_dictionaries({"role": ROLES, "content": TEXTS}),
    st.fixed_dictionaries({"content": VALUES}, optional={"role": ROLES, "from": ROLES, "value": TEXTS, "name": TEXTS}),
)
PAIR = st.tuples(GOOD, GOOD).map(lambda two: [{"role": "user", "content": two[0]}, {"role": "gpt", "content": two[1]}])
TURNS = st.one_of(
    PAIR, st.builds(lambda one, two: one + two, PAIR, st.lists(TURN, max_size=3)), st.lists(TURN, max_size=5)
)
SPACES = [(", ", ": "), (",", ":"), (" , ", " : ")]


@st.composite
def some_records(draw: st.DrawFn, form: Format) -> list[dict[str, Any]]:
    """Records of a format, most of them with the same keys, their prompts and responses mostly texts."""
    assert form.plain
    asks, more, answers = form.plain
    some = st.lists(st.sampled_from([*answers[:3], more or "id", "id", "task"]), max_size=4)
    usual = [asks, *([draw(st.sampled_from(answers))] if answers else []), *draw(some)]
    unusual = draw(st.lists(st.sampled_from(["url", "notes", "score"]), max_size=2))
    unusual += draw(st.sampled_from([[], [], []]) | st.lists(st.sampled_from(KNOWN), max_size=2))
    keys = draw(st.permutations(list(dict.fromkeys([*usual, *unusual]))))
    value: dict[str, st.SearchStrategy[Any]] = {key: MOSTLY if key in usual else VALUES for key in keys}
    if not answers:
        value[asks] = TURNS
    rows = draw(st.lists(st.fixed_dictionaries(value), min_size=2, max_size=10))
    if draw(st.integers(0, 9)):  # ids that differ
        for number, row in enumerate(rows):
            for name in ("id", *form.ids):
                row.update({name: f"{row[name]}{number}"} if isinstance(row.get(name), str) else {})
    return rows + draw(st.lists(st.dictionaries(st.sampled_from(KNOWN), VALUES, max_size=4), max_size=1))


def by_plain_and_without(given: Path | list[dict[str, Any]], **how: Any) -> list[Any]:
    """What reading gives both ways, or its error."""
    found: list[Any] = []
    for way in ("plain", "other"):
        with pytest.MonkeyPatch.context() as patch:
            if way == "other":
                patch.setattr(records, "shape_of", lambda *given: None)
            try:
                read = read_rows([given], **how) if isinstance(given, Path) else from_records(given, **how)
                found.append(described(read))
            except DataError as error:
                found.append((type(error), str(error)))
    return found


def described(reading: Reading) -> list[Any]:
    rows = reading.rows
    columns = [list(getattr(rows, name)) for name in ("ids", "tasks", "files", "lines", "content_ids", "answered")]
    inputs = [dataclasses.replace(file, unread={}) for file in reading.inputs]
    unread = [list(file.unread.items()) for file in reading.inputs]
    return [reading.examples, reading.left_out, inputs, unread, columns, rows.prompt_keys.tolist()]


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=examples(60))
@given(data=st.data())
def test_lines_are_read_as_the_formats_reader_reads_them(name: str, data: st.DataObject) -> None:
    values = data.draw(some_records(PLAIN[name]))
    written = data.draw(st.lists(st.tuples(st.booleans(), st.sampled_from(SPACES)), min_size=1, max_size=2))
    lines = []
    for value in values:
        ascii_, spaces = data.draw(st.sampled_from(written))
        line = json.dumps(value, ensure_ascii=ascii_, separators=spaces).encode("utf-8", "surrogatepass")
        changed = st.sampled_from([line.replace(b"/", b"\\/"), line[:-1], line + b"}", b" " + line])
        lines.append(data.draw(changed) if data.draw(st.integers(0, 9)) == 0 else line)
    if data.draw(st.booleans()) and len(values[0]) > 1:
        lines.append(lines[0].replace(b"{", b'{"id": "1", ', 1))  # perhaps a key twice
    how = {
        "role": data.draw(st.sampled_from(["pool", "pool", "target"])),
        "format": data.draw(st.sampled_from([name, None])),
        "bad_rows": data.draw(st.sampled_from(["skip", "skip", "stop"])),
        "task_field": data.draw(st.sampled_from([None, None, "@file", "notes"])),
        "keep_original": data.draw(st.booleans()),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_bytes(b"\n".join(lines))
        plain, other = by_plain_and_without(path, **how)
    assert plain == other


@pytest.mark.parametrize("container", ["array", "object", "memory"])
@settings(max_examples=examples(60))
@given(data=st.data())
def test_records_of_other_containers_are_read_as_the_formats_reader_reads_them(
    container: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(PLAIN)))
    values = data.draw(some_records(PLAIN[name]))
    how = {
        "role": data.draw(st.sampled_from(["pool", "pool", "target"])),
        "format": data.draw(st.sampled_from([name, None])),
        "bad_rows": data.draw(st.sampled_from(["skip", "skip", "stop"])),
        "task_field": data.draw(st.sampled_from([None, None, "@file", "notes"])),
        "keep_original": data.draw(st.booleans()),
    }
    if container == "memory":
        plain, other = by_plain_and_without(values, **how)
        assert plain == other
        return
    beside = data.draw(st.sampled_from([{}, {"about": "text"}]))
    text = json.dumps(values if container == "array" else {**beside, "data": values}, indent=data.draw(st.just(1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.json")
        path.write_text(text, encoding="utf-8")
        plain, other = by_plain_and_without(path, **how)
    assert plain == other


@settings(max_examples=examples(60))
@given(data=st.data())
def test_rows_of_csv_are_read_as_the_formats_reader_reads_them(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(name for name, form in PLAIN.items() if form.plain and form.plain[2])))
    asks, more, answers = PLAIN[name].plain or ("", None, ())
    keys = [asks, answers[0], *([more] if more else []), "id", "task", "notes"]
    cell = TEXTS.filter(lambda text: text != "\ud800" and "\x00" not in text)
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(keys, cell)), min_size=1, max_size=8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, keys)
            table.writeheader()
            table.writerows(rows)
        plain, other = by_plain_and_without(path, role="pool", bad_rows="skip", keep_original=data.draw(st.booleans()))
    assert plain == other


def test_records_of_more_kinds_than_are_looked_at_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_SHAPES", 3)
    rows = [{"prompt": f"p{n}", "completion": "c", **{f"k{n % 9}": "x"}} for n in range(30)]
    found = from_records(rows, role="pool")
    assert [row.prompt for row in found.examples] == [row["prompt"] for row in rows]
    assert sum(found.inputs[0].unread.values()) == pytest.approx(1)


@settings(max_examples=examples(60))
@given(data=st.data())
def test_rows_of_a_table_are_read_as_the_formats_reader_reads_them(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PLAIN)))
    asks, more, answers = PLAIN[name].plain or ("", None, ())
    answers = answers or ("answer",)
    keys = [asks, answers[0], *([more] if more else []), "id", "task", "notes", "category"]
    cell = st.none() | TEXTS.filter(lambda text: text != "\ud800")
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(keys, cell)), min_size=1, max_size=8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        pq.write_table(pa.Table.from_pylist(rows, pa.schema([(key, pa.string()) for key in keys])), path)
        plain, other = by_plain_and_without(path, role="pool", bad_rows="skip", keep_original=data.draw(st.booleans()))
    assert plain == other


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_row_is_taken(name: str) -> None:
    form = PLAIN[name]
    assert form.plain
    asks, _, answers = form.plain
    keys = ("id", "task", asks, answers[0] if answers else "notes", "url")
    turns = [{"from": "human", "value": "2+2?"}, {"role": "assistant", "content": "4\n"}]
    shape = shape_of(keys, form, None, "file")
    block, unread = Block(), Counter[str]()
    assert shape is not None
    values = ["1", "sums", "2+2?", "4\n", "here"] if answers else ["1", "sums", turns, None, "here"]
    assert shape.take(values, None, False, block, unread)
    content = content_text([Message("user", "2+2?"), Message("assistant", "4\n")])
    assert (block.given, block.tasks, block.contents, block.prompts) == (["1"], ["sums"], [content], ["2+2?"])
    assert unread == {"url": 1}


@pytest.mark.parametrize("key", ["system", "context", "choices", "Id", "image", "tools", "label", "B", "chosen"])
def test_records_with_more_to_look_at_are_not_plain(key: str) -> None:
    keys = ("prompt", "response", key, *(["rejected"] if key == "chosen" else []))
    assert shape_of(keys, FORMATS["prompt-completion"], None, "file") is None


@pytest.mark.parametrize(
    "other", ['{"a":1,"b" :"x"}', '{"b":"x","a":1}', '{"a":1,"b":"x","a":2}', '{"a":1,"b":"x"', '{"a":01,"b":"x"}']
)
def test_a_text_of_another_layout_is_not_read(other: str) -> None:
    layout = Layout.of('{"a":[1],"b":"y"}', {"a": [1], "b": "y"})
    assert layout.keys == ("a", "b")
    text = '{"a":{"c":2},"b":"z\\n"}'
    assert layout.read(text) == ([{"c": 2}, "z\n"], [12, 22])
    assert [layout.literal(text, [12, 22], place) for place in (0, 1)] == ['{"c":2}', '"z\\n"']
    assert layout.read(other) is None


def test_a_key_twice_inside_a_value_is_for_the_reader_who_says_so() -> None:
    assert Layout.of('{"a":1}', {"a": 1}).read('{"a":{"b":1,"b":2}}') is None
