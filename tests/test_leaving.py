"""Rows that are left out by their numbers are the records that a list of them would hold."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime import leaving
from righttime.examples import LeftOut
from righttime.formats import from_records, read_rows
from righttime.leaving import AllLeftOut, Detail, LeftOutRows, as_tables, compact, reasons_of
from righttime.rows import ExampleRows, Rows, left_out
from righttime.store import write_parquet

RECORDS = [{"id": f"r{n}" if n % 2 else None, "prompt": f"ask {n}", "response": "say"} for n in range(12)]
READ = from_records(RECORDS, role="pool").rows
FEW = [LeftOut("x.jsonl", 3, None, None, "bad-row", "it is bad"), LeftOut("x.jsonl", 4, 1, "r1", "leak", "equal")]


def parts_of(rows: Rows, numbers: Sequence[int], which: Sequence[int]) -> tuple[LeftOutRows, list[LeftOut]]:
    """Rows left out for two reasons, the second with a sentence of its own for each; and the same as a list."""
    why: dict[str, Detail] = {"far": "too far", "same": lambda place: f"the {place}th"}
    ours = LeftOutRows(rows, np.array(numbers, dtype=np.int64), why, np.array(which, dtype=np.int8))
    plain = [
        left_out(rows, number, "same" if code else "far", f"the {place}th" if code else "too far")
        for place, (number, code) in enumerate(zip(numbers, which, strict=True))
    ]
    return ours, plain


@pytest.mark.parametrize("rows", [READ, READ.take(range(11, -1, -1)), ExampleRows(READ.examples())])
@given(data=st.data(), group=st.integers(1, 9))
def test_rows_left_out_are_those_of_a_list(rows: Rows, data: st.DataObject, group: int) -> None:
    numbers = data.draw(st.lists(st.integers(0, 11), max_size=12))
    which = data.draw(st.lists(st.integers(0, 1), min_size=len(numbers), max_size=len(numbers)))
    ours, plain = parts_of(rows, numbers, which)
    both = AllLeftOut(FEW[:1], AllLeftOut(ours, []), FEW[1:])
    for some, wanted in ((ours, plain), (both, [FEW[0], *plain, FEW[1]])):
        assert list(some) == wanted
        assert [some[place] for place in range(len(wanted))] == wanted
        assert list(some[1:]) == wanted[1:]
        assert list(reasons_of(some).items()) == list(Counter(row.reason for row in wanted).items())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(leaving, "GROUP", group)
            tables = list(as_tables(some))
        assert [len(table) for table in tables[:-1]] == [group] * (len(tables) - 1)
        assert [tuple(row.values()) for table in tables for row in table.to_pylist()] == list(map(astuple, wanted))
        assert all(table["row"].type == table["line"].type == pa.int64() for table in tables)


@pytest.mark.parametrize("size", [1, 5, 12, 20])
def test_parts_give_the_bytes_of_the_whole_table(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "GROUP", size)
    rows, plain = parts_of(READ, [*range(12), 3, 4], [0, 1] * 7)
    with tempfile.TemporaryDirectory() as folder:
        write_parquet(Path(folder, "parts"), as_tables(rows))
        (whole,) = as_tables(plain) if size == 20 else [pa.concat_tables(as_tables(plain)).combine_chunks()]
        pq.write_table(whole, Path(folder, "whole"), compression="zstd", row_group_size=size)
        assert Path(folder, "parts").read_bytes() == Path(folder, "whole").read_bytes()


def test_no_rows_are_a_table_without_rows() -> None:
    (table,) = as_tables(AllLeftOut())
    assert table.column_names == ["file", "line", "row", "id", "reason", "detail"]
    assert len(table) == 0


def test_rows_of_a_file_are_named_as_they_lie_there(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('\n{"prompt": "a", "response": "b"}\n\n{"prompt": "c", "response": "d", "id": "é"}\n')
    rows = LeftOutRows(read_rows([file], role="pool").rows, np.array([1, 0]), {"far": "too far"})
    (table,) = as_tables(rows)
    assert (table["line"].to_pylist(), table["id"][0].as_py()) == ([4, 2], "é")
    assert table["file"].to_pylist() == [str(file)] * 2


def test_numbers_are_kept_small() -> None:
    assert compact(np.arange(4), 4) == range(4)
    some = compact(np.array([0, 2]), 4)
    assert list(some) == [0, 2]
    assert all(type(number) is int for number in some)
