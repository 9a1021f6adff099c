"""Every reader on changed inputs: success, or an error of the project with a message; never anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from fuzz_driving import drive, mixed
from fuzz_mutation import as_json, changed_bytes, changed_value
from righttime.cli import main
from righttime.embedding.given import given_vectors
from righttime.errors import StoreError
from righttime.evaluation.manifest import read_evaluation_manifest
from righttime.experiment.reading import read_experiment
from righttime.formats import FORMATS, read_rows
from righttime.results.manifest import read_result_manifest
from righttime.training.manifest import read_run_manifest

FEW, MANY = 150, 10_000
TURNS = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
ROWS: dict[str, dict[str, Any]] = {
    "natural-instructions": {"Definition": ["Add."], "input": "2+2?", "output": ["4"]},
    "natural-instructions-rows": {"definition": "Add.", "inputs": "2+2?", "targets": "4"},
    "p3": {"inputs_pretokenized": "2+2?", "targets_pretokenized": "4"},
    "messages": {"messages": TURNS, "tools": [{"type": "function", "function": {"name": "f"}}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}], "source": "t"},
    "self-instruct": {"id": "1", "name": "t", "instruction": "Add.", "instances": [{"input": "2+2?", "output": "4"}]},
    "alpaca": {
        "instruction": "Add.",
        "input": "2+2?",
        "output": "4",
        "history": [["1+1?", "2"]],
        "system": "Be short.",
    },
    "mt-bench": {"question_id": 1, "turns": ["2+2?", "3+3?"], "category": "math"},
    "ifeval": {"key": 1, "prompt": "2+2?", "instruction_id_list": ["a"]},
    "prompt-completion": {"prompt": "2+2?", "completion": "4"},
    "multiple-choice": {"question": "2+2?", "choices": ["3", "4"], "answer": 1},
    "question-answer": {"question": "2+2?", "answer": "4", "context": "Numbers."},
    "input-target": {"input": TURNS[:1], "target": "4"},
    "inputs-targets": {"inputs": "2+2?", "targets": "4"},
    "flan-cot": {"question": "2+2?", "answer": "4", "explanation": "Add them."},
    "ultrachat": {"id": "1", "data": ["2+2?", "4"]},
    "problem-solution": {"problem": "2+2?", "solution": "4", "type": "t"},
    "query-response": {"query": "2+2?", "response": "4"},
    "text-code": {"text": "Add.", "code": "2+2", "task_id": 3},
    "squad": {
        "title": "t",
        "paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "2+2?", "answers": [{"text": "4"}]}]}],
    },
    "conversation": {"conversation": TURNS, "conversation_id": "c"},
    "prompt": {"prompt": "2+2?"},
    "instruction": {"instruction": "Add."},
    "question": {"question": "2+2?"},
    "input": {"input": "2+2?"},
}
"""A valid row of each format."""


def sizes() -> list[Any]:
    return [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]


def json_of(value: Any) -> list[Callable[[random.Random], bytes]]:
    text = json.dumps(value).encode()
    return [
        lambda draw: as_json(changed_value(value, draw), draw),
        lambda draw: as_json(changed_value(value, draw), draw),
        lambda draw: changed_bytes(text, draw),
    ]


def file_of(data: bytes) -> list[Callable[[random.Random], bytes]]:
    return [lambda draw: changed_bytes(data, draw)]


def by_file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def written(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return written


def test_every_format_has_a_row_to_be_changed() -> None:
    assert set(ROWS) == set(FORMATS)


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_every_format(tmp_path: Path, name: str, number: int) -> None:
    read = by_file(tmp_path / "a.jsonl", lambda path: read_rows([path], role="target", format=name, keep_original=True))

    assert not drive(f"rows: {name}", mixed(json_of(ROWS[name]), 1), read, number)


def _table(rows: int = 3) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"question": ["2+2?"] * rows, "answer": ["4"] * rows}), sink)
    return sink.getvalue()


def _zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


LINES = b'{"question": "2+2?", "answer": "4"}\n{"question": "3+2?", "answer": "5"}\n'
FILES = {
    "a.jsonl": LINES,
    "a.json": b'{"data": [{"question": "2+2?", "answer": "4"}]}',
    "b.json": b'[{"question": "2+2?", "answer": "4"},\n {"question": "2+3?", "answer": "5"}]',
    "a.csv": b'question,answer\n"2,2?",4\n3+2?,5\n',
    "a.tsv": b"question\tanswer\n2+2?\t4\n",
    "a.txt": b"2+2?\n3+2?\n",
    "a.parquet": _table(),
    "a.jsonl.gz": gzip.compress(LINES, mtime=0),
    "a.jsonl.bz2": bz2.compress(LINES),
    "a.jsonl.xz": lzma.compress(LINES),
    "a.jsonl.zst": _zstd(LINES),
}


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", FILES)
def test_files_of_every_container(tmp_path: Path, name: str, number: int) -> None:
    read = by_file(tmp_path / name, lambda path: read_rows([path], role="target", bad_rows="skip"))

    assert not drive(f"file: {name}", mixed(file_of(FILES[name]), 2), read, number)


def _npy() -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.arange(6, dtype=np.float32).reshape(3, 2) + 1)
    return sink.getvalue()


def _npz() -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, pool=np.ones((3, 2), dtype=np.float32))
    return sink.getvalue()


def _column() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"embedding": [[1.0, 2.0]] * 3}), sink)
    return sink.getvalue()


VECTORS = {
    "v.npy": _npy(),
    "v.npz": _npz(),
    "v.safetensors": save({"pool": np.ones((3, 2), dtype=np.float32)}),
    "v.parquet": _column(),
}


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", VECTORS)
def test_vectors(tmp_path: Path, name: str, number: int) -> None:
    read = by_file(tmp_path / name, lambda path: np.asarray(given_vectors(f"vectors:{path}", "pool", 3)).sum())

    assert not drive(f"vectors: {name}", mixed(file_of(VECTORS[name]), 3), read, number)


def _result(tmp_path: Path) -> dict[str, Any]:
    pool = tmp_path / "pool.jsonl"
    pool.write_bytes(LINES)
    out = tmp_path / "out"
    assert main(["arrange", str(pool), "--target", str(pool), "--method", "random", "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def manifests(tmp_path: Path, value: Any, read: Callable[[Path], object], name: str, number: int) -> list[str]:
    folder = tmp_path / "changed"
    folder.mkdir()
    inputs: Iterator[bytes] = mixed(json_of(value), 4)
    return drive(f"manifest: {name}", inputs, by_file(folder / "manifest.json", lambda path: read(path.parent)), number)


@pytest.mark.parametrize("number", sizes())
def test_the_manifest_of_an_arrangement(tmp_path: Path, number: int) -> None:
    assert not manifests(tmp_path, _result(tmp_path), read_result_manifest, "arrangement", number)


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", ["run", "evaluation"])
def test_manifests_of_runs_and_evaluations(tmp_path: Path, name: str, number: int) -> None:
    read = {"run": read_run_manifest, "evaluation": read_evaluation_manifest}[name]
    value = {"sets": {"t": {"rows": 2}}, "settings": {"learning_rate": 1e-4}, "files": {}, "versions": {}, "steps": 3}

    assert not manifests(tmp_path, value, read, name, number)


CONFIG = b"name: a\npool: pool.jsonl\ntargets:\n  t: t.jsonl\norders: [random, nearest]\nmodels: [m]\nreplicates: 2\n"


@pytest.mark.parametrize("number", sizes())
def test_experiments(tmp_path: Path, number: int) -> None:
    assert not drive(
        "config: experiment", mixed(file_of(CONFIG), 5), by_file(tmp_path / "a.yaml", read_experiment), number
    )


def test_a_manifest_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[" * 100_000)

    with pytest.raises(StoreError, match="nested too deeply"):
        read_result_manifest(tmp_path)
