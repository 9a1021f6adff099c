"""Each container, and how folders and data sets are found."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from righttime.errors import DataError, EmptyDataError, FormatError, RowError
from righttime.formats import from_records, json_text, read_rows
from righttime.formats.bounds import TooLong
from righttime.formats.files import file_source, stem_of
from righttime.formats.folders import labels
from tiers import examples

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS = [{"instruction": f"q{n}", "input": "a,\n\tb" if n else "", "output": f"a{n}"} for n in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
PLAIN = LINES.encode()


def pairs(path: Path | str, **settings: Any) -> list[tuple[str, str | None]]:
    reading = read_rows([path], role=settings.pop("role", "pool"), **settings)
    return [(row.prompt, row.response) for row in reading.examples]


def lines_of(path: Path, container: str) -> list[int]:
    reading = read_rows([path], role="pool")
    assert [file.container for file in reading.inputs] == [container]
    assert pairs(path) == EXPECTED
    return [row.line for row in reading.examples]


EXPECTED = [("q0", "a0"), ("q1\na,\n\tb", "a1"), ("q2\na,\n\tb", "a2")]


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.json", "x.txt"])
def test_one_object_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PLAIN)
    assert lines_of(tmp_path / name, "jsonl") == [1, 2, 3]


def test_bom_crlf_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\xef\xbb\xbf\r\n" + PLAIN.replace(b"\n", b"\r\n\r\n"))
    assert lines_of(file, "jsonl") == [2, 4, 6]
    rows = read_rows([file], role="pool", keep_original=True).examples
    assert [row.original for row in rows] == LINES.splitlines()


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@pytest.mark.parametrize(("indent", "expected"), [(2, [2, 7, 12]), (None, [1, 1, 1])])
def test_array(tmp_path: Path, name: str, indent: int | None, expected: list[int]) -> None:
    file = tmp_path / name
    file.write_text(json.dumps(ROWS, indent=indent), encoding="utf-8-sig")
    assert lines_of(file, "json-array") == expected
    rows = read_rows([file], role="pool", keep_original=True).examples
    assert [row.original for row in rows] == LINES.splitlines()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("😀"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def whole_array(text: str) -> list[tuple[int, Any]] | str:
    """The elements of an array with their lines, from all of its text, or what is wrong with it."""
    try:
        items, end = json_text._list(text, json_text._skip(text, 0), 30)
        json_text._nothing_after(text, end)
    except ValueError as error:
        return str(json_text._broken("array", "x.json", error))
    return [(line, "too long" if isinstance(value, TooLong) else value) for line, value in items]


def array_by_pieces(text: str) -> list[tuple[int, Any]] | str:
    try:
        found = list(json_text.array(io.BytesIO(text.encode("utf-8", "surrogatepass")), "x.json", 30))
    except DataError as error:
        return str(error)
    return [(one.line, "too long" if one.problem else one.value) for one in found]


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
@hypothesis.settings(max_examples=examples(300))
@hypothesis.given(data=st.data())
def test_an_array_read_by_pieces_is_that_of_its_whole_text(piece: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(JSON, max_size=6))
    how = st.sampled_from([(None, False), (0, True), (3, False)])
    indent, ascii_ = data.draw(how)
    text = " \n" + json.dumps(rows, indent=indent, ensure_ascii=ascii_) + "\n"
    if data.draw(st.booleans()):  # broken somewhere
        at = data.draw(st.integers(3, len(text)))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", ",", "]", "}", '"', "x", "\n", '{"a":1,"a":2}']))
            + text[at + 1 :]
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_PIECE", piece)
        assert array_by_pieces(text) == whole_array(text)


def test_of_an_array_little_is_held(tmp_path: Path) -> None:
    rows = [{"prompt": f"{number} " + "x" * 1000, "completion": "y"} for number in range(20_000)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    source = file_source(str(tmp_path / "x.json"))
    tracemalloc.start()
    try:
        n = sum(1 for _ in source.records())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == len(rows)
    assert peak < 2 << 20
    assert source.expected(n) is None
    records = source.records()
    next(itertools.islice(records, 4000, None))
    assert source.expected(4001) == pytest.approx(len(rows), rel=0.05)


@pytest.mark.parametrize("key", ["examples", "data", "rows", "train", "whatever"])
@pytest.mark.parametrize("indent", [1, None])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_object_around_a_list(tmp_path: Path, key: str, indent: int | None, name: str) -> None:
    file = tmp_path / name
    file.write_text(json.dumps({"canary": "c", "n": [1], key: ROWS}, indent=indent))
    lines = lines_of(file, "json-object")
    assert lines == ([7, 12, 17] if indent else [1, 1, 1])


def test_object_that_is_one_record(tmp_path: Path) -> None:
    record = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    for name, indent in (("x.json", 2), ("x.json", None), ("x.jsonl", None)):
        (tmp_path / name).write_text("\n" + json.dumps(record, indent=indent))
        reading = read_rows([tmp_path / name], role="pool", keep_original=True)
        assert [(row.line, row.response, row.original) for row in reading.examples] == [(2, "a", json.dumps(record))]


def test_object_with_several_lists(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"train": ROWS, "test": ROWS}))
    with pytest.raises(DataError, match=r"x\.json: a JSON object must hold one list of rows, got train, test"):
        pairs(tmp_path / "x.json")


def test_csv_and_tsv(tmp_path: Path) -> None:
    csv = 'instruction,input,output\nq0,,a0\n\nq1,"a,\n\tb",a1\nq2,"a,\n\tb",a2\n'
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + csv.encode())
    assert lines_of(tmp_path / "x.csv", "csv") == [2, 4, 6]
    tsv = 'instruction\tinput\toutput\r\nq0\t\ta0\r\nq1\t"a,\n\tb"\ta1\r\nq2\t"a,\n\tb"\ta2\r\n'
    (tmp_path / "x.tsv").write_bytes(tsv.encode())
    assert lines_of(tmp_path / "x.tsv", "tsv") == [2, 3, 5]


def test_long_csv_field(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"prompt,completion\n{'p' * 300_000},c\n")
    assert len(pairs(tmp_path / "x.csv")[0][0]) == 300_000


def test_csv_faults(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("prompt,completion\na,b\nc\nd,e\n")
    with pytest.raises(RowError, match=r"x\.csv:3: the row must have as many cells as there are columns \(2\), got 1"):
        pairs(file)
    assert pairs(file, bad_rows="skip") == [("a", "b"), ("d", "e")]
    file.write_text("prompt,prompt\na,b\n")
    with pytest.raises(DataError, match=r"x\.csv:1: every column must have its own name, got prompt, prompt"):
        pairs(file)
    file.write_text('prompt,completion\na,b\nc,"d\n')
    with pytest.raises(
        DataError, match=r"x\.csv:3: the row that starts here is not well-formed .*put the quotes right"
    ):
        pairs(file, bad_rows="skip")
    file.write_text("prompt,completion\n")
    with pytest.raises(EmptyDataError, match=r"x\.csv: the file must hold rows, got none"):
        pairs(file)


def test_tsv_without_header_is_flan_cot(tmp_path: Path) -> None:
    file = tmp_path / "x.tsv"
    file.write_text('Why "so?\\n- a\ta\tBecause.\nHow?\tb\tSo.\n')
    reading = read_rows([file], role="pool")
    assert (reading.inputs[0].format, reading.inputs[0].container) == ("flan-cot", "tsv-without-header")
    assert pairs(file) == [('Why "so?\n- a', "Because.\na"), ("How?", "So.\nb")]
    file.write_text("q\ta\te\n1\t2\t3\n")
    with pytest.raises(FormatError, match="got q, a, e"):
        pairs(file)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstd.compress,
}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "misnamed"])
def test_compressed(tmp_path: Path, ending: str, name: str) -> None:
    csv = b'instruction,input,output\nq0,,a0\nq1,"a,\n\tb",a1\nq2,"a,\n\tb",a2\n'
    data = {"x.json": json.dumps(ROWS).encode(), "x.csv": csv}.get(name, PLAIN)
    file = tmp_path / (name if name == "misnamed" else name + ending)
    halves = COMPRESS[ending](data[:40]) + COMPRESS[ending](data[40:])
    for packed in (COMPRESS[ending](data), halves):
        file.write_bytes(packed)
        reading = read_rows([file], role="pool")
        assert pairs(file) == EXPECTED
        assert reading.inputs[0].sha256 == hashlib.sha256(packed).hexdigest()
        assert reading.inputs[0].source == name.split(".")[0]


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed_data_that_ends_early(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.jsonl{ending}"
    packed = COMPRESS[ending](PLAIN * 500)
    for broken in (packed[: len(packed) // 2], packed[:-1], packed[:12] + b"\xff\xff\xff" + packed[15:]):
        file.write_bytes(broken)
        with pytest.raises(
            DataError, match="the compressed data is damaged or ends early .*fetch the file again"
        ) as caught:
            pairs(file, bad_rows="skip")
        assert str(caught.value).startswith(str(file))


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist([*ROWS, {"instruction": None, "output": "a"}]), file, row_group_size=2)
    with pytest.raises(RowError) as caught:
        pairs(file)
    assert str(caught.value).startswith(f"{file}: row 4: `instruction` must be text, got null")
    reading = read_rows([file], role="pool", bad_rows="skip", keep_original=True)
    assert [(row.prompt, row.response) for row in reading.examples] == EXPECTED
    assert [row.line for row in reading.examples] == [1, 2, 3]
    assert [json.loads(row.original or "") for row in reading.examples] == ROWS
    data = bytearray(file.read_bytes())
    for damaged in (bytes(data[: len(data) // 2]), b"PAR1" + b"\x00" * 40 + b"PAR1", b""):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="the Parquet file is damaged from its start .*write or fetch it again"):
            pairs(file)


def test_saved_data_sets(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_list(ROWS)
    rows.save_to_disk(tmp_path / "one")
    assert pairs(tmp_path / "one") == EXPECTED
    datasets.DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk(tmp_path / "two")
    assert pairs(tmp_path / "two") == EXPECTED
    with pytest.raises(
        DataError, match=r"one split must be chosen as target, got train, test; name its folder, such as"
    ):
        pairs(tmp_path / "two", role="target")
    assert pairs(tmp_path / "two" / "test", role="target") == EXPECTED[:1]
    datasets.DatasetDict({"only": rows}).save_to_disk(tmp_path / "three")
    assert pairs(tmp_path / "three", role="target") == EXPECTED
    reading = from_records(rows, role="pool")
    assert [(row.prompt, row.response) for row in reading.examples] == EXPECTED
    (tmp_path / "one" / "state.json").write_text("{")
    with pytest.raises(DataError, match="the saved data set cannot be loaded .*save it again"):
        pairs(tmp_path / "one")


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    rows = datasets.Dataset.from_list(ROWS)
    asked: list[tuple[Any, ...]] = []

    def load_dataset(name: str, config: str | None = None, split: str | None = None) -> Any:
        asked.append((name, config, split))
        if name == "no/such":
            raise ConnectionError("Couldn't reach the Hub\nsecond line")
        splits = {"train": rows, "test": rows.select([0])}
        return splits[split] if split else datasets.DatasetDict(splits)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert pairs("hf:o/n/c:test", role="target") == EXPECTED[:1]
    assert pairs("hf:o/n") == EXPECTED
    assert asked == [("o/n", "c", "test"), ("o/n", None, None)]
    file = read_rows(["hf:o/n"], role="pool").inputs[0]
    assert (file.path, file.source, file.container) == ("hf:o/n", "n", "hub")
    assert file.sha256 == hashlib.sha256(str(rows._fingerprint).encode()).hexdigest()
    with pytest.raises(DataError, match="hf:o/n: one split must be chosen as target, got train, test; .*hf:o/n:train"):
        pairs("hf:o/n", role="target")
    with pytest.raises(DataError) as caught:
        pairs("hf:no/such:train")
    assert str(caught.value).startswith("hf:no/such:train: the data set cannot be loaded (Couldn't reach the Hub); see")


def test_plain_folder_is_read_file_by_file(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json", "deep/a.jsonl", "README.md", ".hidden.jsonl"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(PLAIN)
    reading = read_rows([tmp_path / "d"], role="pool")
    assert [(file.source, file.rows, file.duplicates) for file in reading.inputs] == [
        ("d/a", 3, 0),
        ("b", 3, 3),
        ("deep/a", 3, 3),
    ]
    assert [file.path for file in reading.inputs] == [
        str(tmp_path / "d" / name) for name in ("a.json", "b.jsonl", "deep/a.jsonl")
    ]


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(EmptyDataError, match=r"the folder must hold data files \(\.jsonl, .*got none"):
        pairs(tmp_path)


@pytest.fixture
def task_folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "splits" / "default").mkdir(parents=True)
    for name in ("task1", "task2", "task3"):
        task = {"Definition": ["Do."], "Instances": [{"id": f"{name}-1", "input": name, "output": ["y"]}]}
        (tmp_path / "tasks" / f"{name}.json").write_text(json.dumps(task, indent=1))
    (tmp_path / "splits" / "default" / "train_tasks.txt").write_text("task2\ntask1\n")
    (tmp_path / "splits" / "default" / "test_tasks.txt").write_text("task3\n")
    return tmp_path


def test_task_folder_by_role(task_folder: Path) -> None:
    reading = read_rows([task_folder], role="pool")
    assert [row.task for row in reading.examples] == ["task2", "task1"]
    assert reading.examples[0].file == str(task_folder / "tasks" / "task2.json")
    assert [(file.source, file.rows, file.note) for file in reading.inputs] == [(task_folder.name, 2, None)]
    assert [row.task for row in read_rows([task_folder], role="target").examples] == ["task3"]


def test_task_folder_sha256_is_of_its_files(task_folder: Path) -> None:
    used = ["splits/default/test_tasks.txt", "tasks/task3.json"]
    lines = [f"{name} {hashlib.sha256((task_folder / name).read_bytes()).hexdigest()}\n" for name in used]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert read_rows([task_folder], role="target").inputs[0].sha256 == expected


def test_task_folder_with_missing_files(task_folder: Path) -> None:
    split = task_folder / "splits" / "default" / "train_tasks.txt"
    split.write_text("task1\ntask8\ntask9\n")
    reading = read_rows([task_folder], role="pool")
    assert [row.task for row in reading.examples] == ["task1"]
    assert reading.inputs[0].note == f"2 of the 3 tasks in {split} have no file in {task_folder}/tasks"
    split.write_text("task8\ntask9\n")
    with pytest.raises(DataError, match="2 tasks are listed, and all of them are missing in"):
        read_rows([task_folder], role="pool")
    split.unlink()
    assert [row.task for row in read_rows([task_folder], role="pool").examples] == ["task1", "task2", "task3"]


def test_missing_file_names_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_bytes(PLAIN)
    with pytest.raises(DataError, match=r"pol\.jsonl: no such file or folder; did you mean pool\.jsonl\?"):
        pairs(tmp_path / "pol.jsonl")
    with pytest.raises(DataError, match=r"zzz/q: no such file or folder; look for a slip in the path"):
        pairs(tmp_path / "zzz" / "q")


def test_unreadable_kinds_of_file(tmp_path: Path) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"x\.bin: the file must be JSON or a table"):
        pairs(file)
    file.write_bytes("\ufeff{}".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"x\.bin: the file must be UTF-8, got UTF-16; save it as UTF-8"):
        pairs(file)


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("bad_rows", ["stop", "skip"])
def test_empty_file(tmp_path: Path, content: bytes, bad_rows: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(EmptyDataError, match=r"x\.jsonl: the file must hold rows, got an empty file"):
        pairs(tmp_path / "x.jsonl", bad_rows=bad_rows)


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(EmptyDataError, match=r"x\.json: the file must hold rows, got none"):
        pairs(tmp_path / "x.json")
    with pytest.raises(EmptyDataError, match="the pool must be read from at least one file, got none"):
        read_rows([], role="pool")
    with pytest.raises(EmptyDataError, match="memory: there must be at least one record, got none"):
        from_records([], role="pool")


def test_one_path_need_not_be_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(PLAIN)
    assert read_rows(str(tmp_path / "x.jsonl"), role="pool").total == 3


NAMES = [
    (["pool.jsonl.gz"], ["pool"]),
    (["a/x.json", "b/x.json"], ["a/x", "b/x"]),
    (["a/b/x.json", "c/b/x.json", "y.csv"], ["a/b/x", "c/b/x", "y"]),
    (["x.json", "x.json", "x.json"], ["x", "x-2", "x-3"]),
    (["a/x.json", "a/x.jsonl"], ["x", "x-2"]),
    (["x.json", "x.json", "x-2.json"], ["x", "x-2", "x-2-2"]),
    (["hf:o/n:train", "hf:p/n"], ["o/n", "p/n"]),
]


@pytest.mark.parametrize(("paths", "expected"), NAMES)
def test_labels(paths: list[str], expected: list[str]) -> None:
    assert labels(paths) == expected


@pytest.mark.parametrize(
    ("path", "stem"), [("a/x.tar.jsonl.zst", "x.tar"), ("X.JSON", "X"), (".json", ".json"), ("d/", "d"), ("x.gz", "x")]
)
def test_stem(path: str, stem: str) -> None:
    assert stem_of(path) == stem


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = "import sys, righttime.formats; print({'datasets', 'pyarrow', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_vectors_beside_the_rows_of_a_parquet_file_are_not_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = {"id": ["a", "b"], "prompt": ["Add 1.", "Add 2."], "response": ["1", None], "note": ["x", "y"]}
    plain = pa.table(texts)
    vectors = {"embedding": pa.array([[0.5, 1.0], [2.0, 3.0]]), "labels": pa.array([[1], [2]])}
    pq.write_table(plain, tmp_path / "plain.parquet")
    pq.write_table(pa.table({**vectors, **texts}), tmp_path / "beside.parquet")
    pq.write_table(pa.table({**vectors, **texts, "a.b": ["q", "r"]}), tmp_path / "dotted.parquet")
    seen = []
    for name in ("plain", "beside", "dotted"):
        read = read_rows([tmp_path / f"{name}.parquet"], role="target")
        seen.append([(row.id, row.line, row.messages) for row in read.rows.examples()])
        assert "note" in read.inputs[0].unread
        assert "embedding" not in read.inputs[0].unread
    assert seen[0] == seen[1] == seen[2]
    kept = read_rows([tmp_path / "beside.parquet"], role="target", keep_original=True)
    original = [json.loads(row.original or "") for row in kept.rows.examples()]
    assert [row["embedding"] for row in original] == [[0.5, 1.0], [2.0, 3.0]]
    pq.write_table(pa.table(vectors), tmp_path / "only.parquet")
    with pytest.raises(FormatError, match="embedding"):
        read_rows([tmp_path / "only.parquet"], role="target")
