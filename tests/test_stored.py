"""Rows as columns are the rows they were made from, in memory and in files."""

from __future__ import annotations

import tempfile
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime import growing
from righttime.errors import StoreError
from righttime.examples import Example, Message
from righttime.formats.ids import Named, repeats, settle, settled
from righttime.growing import Growing, Picked, Runs, Texts, Values
from righttime.rows import ExampleRows, as_numbers, prompt_key
from righttime.stored import Block, Store, StoredRows, Told

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
calls = st.dictionaries(words, st.none() | st.integers() | st.floats(allow_nan=False) | words, max_size=3)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    words,
    st.lists(calls, max_size=2).map(tuple),
    st.lists(st.tuples(words, words), max_size=2).map(tuple),
)
said = st.tuples(st.lists(messages, min_size=1, max_size=3).map(tuple), st.none() | words | st.lists(calls, max_size=2))
rows_of_a_file = st.lists(st.tuples(said, st.none() | words.filter(bool)), max_size=6)


def stored(files: dict[str, list[Example]]) -> StoredRows:
    """Rows put into a store as a reader does it, two at a time; their ids are those they give."""
    store = Store()
    for file, rows in files.items():
        block = Block()
        for row in rows:
            told = Told.of(row.messages, row.tools)
            block.lines.append(row.line)
            block.given.append(row.id)
            block.tasks.append(row.task)
            block.contents.append(told.content)
            block.kept.append(told.kept)
            block.prompts.append(row.prompt)
            block.answered.append(row.response is not None)
            block.originals.append(row.original or "")
            if len(block.lines) == 2:
                store.add(file, block)
        store.add(file, block)
    starts = np.cumsum([0, *map(len, files.values())])
    return StoredRows(
        store.columns(store.given(), Runs([f"of {file}" for file in files], starts[:-1].tolist(), store.size))
    )


@pytest.mark.parametrize("held", [0, 1 << 20])
@given(files=st.lists(rows_of_a_file, min_size=1, max_size=3), data=st.data())
def test_stored_rows_are_the_rows(held: int, files: list[list[Any]], data: st.DataObject) -> None:
    made = {
        f"{n}.jsonl": [
            Example(f"{n}-{m}", task, f"of {n}.jsonl", f"{n}.jsonl", 3 * m + 1, turns, tools, f"<{m}>")
            for m, ((turns, tools), task) in enumerate(file)
        ]
        for n, file in enumerate(files)
    }
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(growing, "_HELD", held)
        patch.setenv("RIGHTTIME_CACHE", folder)
        ours = stored(made)
    every = [row for rows in made.values() for row in rows]
    numbers = data.draw(st.lists(st.integers(0, len(every) - 1), max_size=8) if every else st.just([]))
    for rows, plain in ((ours, every), (ours.take(numbers), [every[number] for number in numbers])):
        twin = ExampleRows(plain)
        assert len(rows) == len(twin)
        assert list(rows.examples()) == plain
        assert list(rows.texts("all")) == list(twin.texts("all"))
        for column in ("ids", "tasks", "sources", "files", "lines", "content_ids", "answered"):
            assert list(getattr(rows, column)) == list(getattr(twin, column)), column
            assert [getattr(rows, column)[n] for n in range(len(plain))] == list(getattr(twin, column)), column
        assert np.array_equal(rows.contents, twin.contents)
        assert np.array_equal(rows.prompt_keys, twin.prompt_keys)


def test_what_does_not_stay_in_memory_lies_in_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "_HELD", 10)
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "cache"))
    column = Growing()
    for part in (b"abcdefgh", b"ijklmnop", b"q"):
        column.add(part)
    assert bytes(column.buffer()) == b"abcdefghijklmnopq"
    assert list((tmp_path / "cache").iterdir()) == []
    column.add(b"r")
    assert bytes(column.buffer()) == b"abcdefghijklmnopqr"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(growing, "_HELD", 1)
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="must fit on the disk of .*file: .*RIGHTTIME_CACHE"):
        Growing().add(b"abc")


@given(st.lists(words), st.data())
def test_columns_are_sequences(texts: list[str], data: st.DataObject) -> None:
    ends = np.cumsum([0, *(len(text.encode()) for text in texts)], dtype=np.int64)
    numbers = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))
    column = Texts(memoryview("".join(texts).encode()), ends)
    picked = Picked(column, np.array(numbers, dtype=np.int64))
    lengths = Values(np.array(list(map(len, texts)), dtype=np.int64), "{:x}".format)
    for ours, plain in (
        (column, texts),
        (picked, [texts[number] for number in numbers]),
        (lengths, [f"{len(text):x}" for text in texts]),
    ):
        assert list(ours) == plain
        assert list(ours[1:]) == plain[1:]
        assert [ours[n] for n in range(len(plain))] == plain
        assert not plain or ours[-1] == plain[-1]


@given(st.lists(st.tuples(words, st.integers(0, 3)), min_size=1))
def test_runs_are_names_many_times(runs: list[tuple[str, int]]) -> None:
    plain = [name for name, times in runs for _ in range(times)]
    starts = np.cumsum([0, *(times for _, times in runs)])[:-1]
    ours = Runs([name for name, _ in runs], starts.tolist(), len(plain))
    assert list(ours) == [ours[n] for n in range(len(plain))] == plain
    assert [ours.names[one] for one in ours.runs_of(range(len(plain)))] == plain


few = st.sampled_from(["", "1", "2", "b:1", "0000000000000001", "0000000000000001-1", "a:0000000000000001"])


@given(st.lists(st.tuples(st.sampled_from("ab"), few, st.integers(1, 3)), min_size=1, max_size=9))
def test_settled_ids_are_those_of_settle(rows: list[tuple[str, str, int]]) -> None:
    sources, ids, contents = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    labels = sorted(set(sources))
    runs = Runs(labels, [sources.index(label) for label in labels], len(sources))
    column = Texts(memoryview("".join(ids).encode()), np.cumsum([0, *map(len, ids)], dtype=np.int64))
    hashes = np.array([hash(name) for name in ids], dtype=np.int64)
    ours = settled(column, hashes, np.array(contents, dtype=np.uint64), runs)
    named = [Named(s, name or None, f"{one:016x}") for s, name, one in zip(sources, ids, contents, strict=True)]
    assert list(ours) == settle(named)


@given(st.lists(few), st.integers(0, 3))
def test_repeats_come_in_order_each_with_the_first(ids: list[str], start: int) -> None:
    column = Texts(memoryview("".join(ids).encode()), np.cumsum([0, *map(len, ids)], dtype=np.int64))
    hashes = np.array([hash(name) for name in ids], dtype=np.int64)
    seen: dict[str, int] = {}
    expected = []
    for number, name in list(enumerate(ids))[start:]:
        if name and seen.setdefault(name, number) != number:
            expected.append((number, seen[name]))
    assert list(repeats(hashes, column, start)) == expected


@given(st.lists(words.filter(lambda word: word.split() == [word]), max_size=9), st.data())
def test_prompts_of_the_same_words_have_the_same_key(prompt: list[str], data: st.DataObject) -> None:
    space = st.text(st.sampled_from(" \n\t\u3000"), min_size=1, max_size=3)
    ways = [data.draw(space) + "".join(word + data.draw(space) for word in prompt) for _ in range(2)]
    assert prompt_key(ways[0]) == prompt_key(ways[1]) == prompt_key(" ".join(prompt))


def test_row_numbers_come_in_many_shapes() -> None:
    for numbers in (range(3, 9, 2), [3, 5, 7], array("q", [3, 5, 7]), np.array([3, 5, 7]), (n for n in (3, 5, 7))):
        assert as_numbers(numbers).tolist() == [3, 5, 7]
    assert as_numbers([]).dtype == np.int64
