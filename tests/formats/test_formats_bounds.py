"""What a stranger's file may take: long rows are bad rows, and a small file never becomes a huge one."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from righttime.cli import main
from righttime.errors import DataError, RowError, SettingsError
from righttime.formats import Reading, read_rows
from righttime.formats.bounds import bounded_lines
from righttime.formats.reading import read_head
from tiers import quick

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROW = {"prompt": "question", "response": "answer"}
LONG = {"prompt": "question", "response": "x" * 2000}
MOST = 1000


def jsonl(rows: Iterable[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


FILES = {
    "x.jsonl": jsonl([ROW, LONG, ROW]),
    "x.jsonl.gz": gzip.compress(jsonl([ROW, LONG, ROW])),
    "x.jsonl.zst": zstd.compress(jsonl([ROW, LONG, ROW])),
    "x.json": json.dumps([ROW, LONG, ROW]).encode(),
    "y.json": json.dumps({"data": [ROW, LONG, ROW]}).encode(),
    "x.parquet": parquet([ROW, LONG, ROW]),
    "x.txt": b"a prompt\n" + b"x" * 2000 + b"\nanother\n",
}


def read(path: Path, **settings: Any) -> Reading:
    role: Any = "target" if path.suffix == ".txt" else "pool"
    return read_rows([path], role=role, max_row_bytes=MOST, **settings)


@pytest.mark.parametrize("name", FILES)
def test_a_row_that_is_too_long_is_a_bad_row(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(RowError, match=r"must be at most 1,000 bytes long \(`max_row_bytes=1000`\)"):
        read(tmp_path / name)
    found = read(tmp_path / name, bad_rows="skip")
    assert (len(found.rows), len(found.left_out)) == (2, 1)
    role: Any = "target" if name.endswith(".txt") else "pool"
    assert len(read_rows([tmp_path / name], role=role).rows) == 3, "by default a row may have 64 MiB"


def test_the_first_row_may_be_the_long_one(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(jsonl([LONG, ROW]))
    assert len(read(tmp_path / "x.jsonl", bad_rows="skip").rows) == 1
    assert len(read_head([tmp_path / "x.jsonl"], 5, role="pool", bad_rows="skip", max_row_bytes=MOST).rows) == 1


@pytest.mark.parametrize("text", ["prompt,response\na,b\nc,{long}\n", 'prompt,response\na,b\nc,"{long}\n{long}"\n'])
def test_a_line_or_cell_of_a_table_that_is_too_long_is_named(text: str, tmp_path: Path) -> None:
    for longest in (700, 2000):
        (tmp_path / "x.csv").write_text(text.format(long="x" * longest))
        if longest < MOST and '"' not in text:
            assert len(read(tmp_path / "x.csv").rows) == 2
            continue
        with pytest.raises(DataError, match=r"x\.csv:3: the row that starts here is not well-formed \(.*10"):
            read(tmp_path / "x.csv")


def test_one_object_as_a_file_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(LONG, indent=1))
    with pytest.raises(RowError, match="at most 1,000 bytes"):
        read(tmp_path / "x.json")


@pytest.mark.parametrize("most", [0, -1, True, 1.5])
def test_a_bound_that_is_none_is_refused(most: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`max_row_bytes` must be a whole number from 1"):
        read_rows([tmp_path], role="pool", max_row_bytes=most)


def test_lines_come_as_they_are_and_long_ones_as_nothing() -> None:
    for text in (b"", b"\n", b"abc", b"abc\n", b"abcd\nab\n", b"abcde\nab", b"abcdefghij", b"\n\nabcdef\n\n"):
        want = [None if len(line.rstrip(b"\n")) > 3 else line for line in io.BytesIO(text)]
        assert list(bounded_lines(io.BytesIO(text), 3)) == want


def zeros(path: Path, size: int, head: bytes = b"") -> None:
    kind: Any = gzip.open if path.suffix == ".gz" else zstd.open
    with kind(path, "wb") as file:
        file.write(head)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))


@pytest.mark.parametrize("name", ["x.jsonl.zst", "x.json.zst", "x.csv.zst", "x.txt.zst", "x.jsonl.gz"])
@pytest.mark.parametrize("head", quick([b"", b"[", b'{"prompt": "'], 2))
def test_a_small_file_of_zeros_is_refused_in_little_memory(name: str, head: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    zeros(path, 200 << 20, head)
    code = (
        "import resource, sys\n"
        "from righttime.errors import DataError\n"
        "from righttime.formats import read_rows\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    read_rows(sys.argv[1:], role='target', bad_rows='skip')\n"
        "except DataError as error:\n"
        "    print(str(error).replace('\\n', ' '))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    said, megabytes = done.stdout.splitlines()
    assert said
    assert int(megabytes) < 400
    assert name.endswith(".gz") or "must not become more than 1,000 times its size" in said


def test_a_parquet_file_of_zeros_is_refused(tmp_path: Path) -> None:
    table = pa.table({"prompt": ["a"] * 3, "response": ["x" * (40 << 20)] * 3})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "x.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"row group 0 does, with 125,\d{3},\d{3} bytes"):
        read_rows([tmp_path / "x.parquet"], role="pool")


@pytest.mark.linux
def test_what_does_not_fit_into_memory_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([{"prompt": "a", "response": "x" * (50 << 20)}] * 4))
    code = (
        "import resource, sys\n"
        "from righttime.cli import main\n"
        "import righttime.formats, righttime.splits, righttime.results\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (300 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        "sys.exit(main(['split', sys.argv[1], '--share', '0.5', '--out', sys.argv[2]]))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "x.json"), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "what must be read at once has to fit into memory, and it does not" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**ROW, "task": f"t{number % 4}", "prompt": f"question {number}"} for number in range(8)]
    (tmp_path / "x.jsonl").write_bytes(jsonl([*rows, LONG]))
    words = ["split", str(tmp_path / "x.jsonl"), "--count", "1", "--max-row-bytes", "1000"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    assert "x.jsonl:9: a line must be at most 1,000 bytes long (--max-row-bytes 1000)" in capsys.readouterr().err
    assert main([*words, "--bad-rows", "skip", "--out", str(tmp_path / "out")]) == 0
