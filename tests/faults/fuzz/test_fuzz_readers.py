"""Every reader on changed inputs: success, or an error of the project with a message; never anything else."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from fuzz_driving import NUMBER, bytes_of, drive, json_of
from righttime.arrangement.budget import read_budget
from righttime.cli import main
from righttime.cli.app import bytes_in, fields_in
from righttime.cli.arrange import _params
from righttime.cli.tune import _steps_in
from righttime.embedding.given import given_vectors
from righttime.errors import SettingsError, StoreError
from righttime.evaluation.manifest import read_evaluation_manifest
from righttime.experiment.prepare import read_draw
from righttime.experiment.reading import part_of, read_experiment, share_of
from righttime.experiment.store import open_experiment, state_experiment
from righttime.formats import FORMATS, read_rows
from righttime.guard.finished import open_guarded
from righttime.results.manifest import read_result_manifest
from righttime.training import read_records
from righttime.training.finished import begun_run
from righttime.training.manifest import read_run_manifest
from righttime.verification.run import _plan

FEW, MANY = 150, int(os.environ.get(NUMBER, 10_000))
COMMANDS = MANY // 20
"""Whole commands take a hundred times as long as a reader."""
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
    "preference": {"prompt": TURNS[:1], "chosen": TURNS[1:], "rejected": [{"role": "assistant", "content": "5"}]},
    "text": {"text": "2+2 is 4."},
}
"""A valid row of each format."""


def sizes(few: int = FEW, many: int = MANY) -> list[Any]:
    return [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.slow)]


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

    assert not drive(f"rows: {name}", json_of(ROWS[name], 1), read, number)


def _table(rows: int = 3) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"question": ["2+2?"] * rows, "answer": ["4"] * rows}), sink)
    return sink.getvalue()


def _zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


EARLIER = Path(__file__).resolve().parents[2] / "earlier"
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
    "a.jsonl.zst": _zstd(LINES),
}


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", FILES)
def test_files_of_every_container(tmp_path: Path, name: str, number: int) -> None:
    read = by_file(tmp_path / name, lambda path: read_rows([path], role="target", bad_rows="skip"))

    assert not drive(f"file: {name}", bytes_of(FILES[name], 2), read, number)


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

    assert not drive(f"vectors: {name}", bytes_of(VECTORS[name], 3), read, number)


def _result(tmp_path: Path) -> dict[str, Any]:
    pool = tmp_path / "pool.jsonl"
    pool.write_bytes(LINES)
    out = tmp_path / "out"
    assert main(["arrange", str(pool), "--target", str(pool), "--method", "random", "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def manifests(tmp_path: Path, value: Any, read: Callable[[Path], object], name: str, number: int) -> list[str]:
    folder = tmp_path / "changed"
    folder.mkdir(exist_ok=True)
    reads = by_file(folder / "manifest.json", lambda path: read(path.parent))
    return drive(f"manifest: {name}", json_of(value, 4), reads, number)


@pytest.mark.parametrize("number", sizes())
def test_the_manifest_of_an_arrangement(tmp_path: Path, number: int) -> None:
    assert not manifests(tmp_path, _result(tmp_path), read_result_manifest, "arrangement", number)


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", ["run", "evaluation"])
def test_manifests_of_runs_and_evaluations(tmp_path: Path, name: str, number: int) -> None:
    read = {"run": read_run_manifest, "evaluation": read_evaluation_manifest}[name]
    value = json.loads((EARLIER / name / "manifest.json").read_text())
    shutil.copytree(EARLIER / name, tmp_path / "changed")

    assert not manifests(tmp_path, value, read, name, number)


@pytest.mark.parametrize("number", sizes())
def test_the_manifest_of_a_guard(tmp_path: Path, number: int) -> None:
    (tmp_path / "pool.jsonl").write_bytes(LINES)
    pool, out = str(tmp_path / "pool.jsonl"), tmp_path / "guard"
    assert main(["guard", pool, "--target", pool, "--out", str(out)]) == 0
    value = json.loads((out / "manifest.json").read_text())
    shutil.copytree(out, tmp_path / "changed")

    assert not manifests(tmp_path, value, open_guarded, "guard", number)


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", ["run.json", "manifest.json"])
def test_what_decides_a_run(tmp_path: Path, name: str, number: int) -> None:
    value = json.loads((EARLIER / "run" / name).read_text())
    value["settings"]["lora"] = {"rank": 4, "alpha": 8, "dropout": 0.1, "target_modules": ["q_proj"]}
    shutil.copytree(EARLIER / "run", tmp_path / "run")

    def read(path: Path) -> None:
        (tmp_path / "run" / name).write_bytes(path.read_bytes())
        _plan(tuple(str(row) for row in range(12)), begun_run(tmp_path / "run"), None)

    assert not drive(f"run: {name}", json_of(value, 6), by_file(tmp_path / "changed", read), number)


@pytest.mark.parametrize("number", sizes())
def test_the_records_of_a_run(tmp_path: Path, number: int) -> None:
    (path,) = (EARLIER / "run" / "consumed").iterdir()
    folder = tmp_path / "consumed"
    folder.mkdir()
    read = by_file(folder / path.name, lambda path: read_records(path.parent).to_table())

    assert not drive("run: records", bytes_of(path.read_bytes(), 7), read, number)


DRAW = {
    "replicate": 1,
    "seed": 1,
    "guard": {"mode": "remove", "leaks": 2, "first": [{"pool_row": 1, "test": "equal", "score": 1.0}]},
    "embedding": {"embedder": "vectors:v.npz"},
    "rows": {"pool": 8, "judge": 3},
    "files": {},
}


@pytest.mark.parametrize("number", sizes())
def test_the_draw_of_a_replicate(tmp_path: Path, number: int) -> None:
    read = by_file(tmp_path / "draw.json", lambda path: read_draw(path.parent))

    assert not drive("manifest: draw", json_of(DRAW, 8), read, number)


TUNING = {
    "pool": "pool.jsonl",
    "target": "target.jsonl",
    "sets": {"other": "other.jsonl"},
    "model": "m",
    "budget": "10%",
    "replicates": 3,
    "judge_share": "50%",
    "orders": {"random": {}, "a": {"method": "tma", "rounds": "0:5", "tuning": {"lora": {"rank": 4}}}},
    "arrange": {"embedder": "vectors:v.npz"},
    "tuning": {
        "batch_size": 4,
        "learning_rate": 1e-4,
        "betas": [0.9, 0.99],
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"]},
    },
    "evaluate": {"at": [0, 1], "metrics": ["loss"]},
}


@pytest.mark.parametrize("number", sizes())
def test_experiments_with_adapters(tmp_path: Path, number: int) -> None:
    for name in ("pool", "target", "other"):
        (tmp_path / f"{name}.jsonl").write_bytes(LINES)
    read = by_file(tmp_path / "a.yaml", lambda path: read_experiment(path).check())

    assert not drive("config: tuning, LoRA", json_of(TUNING, 9), read, number)


@pytest.mark.parametrize("number", sizes())
def test_experiments_that_were_begun(tmp_path: Path, number: int) -> None:
    for name in ("pool", "target", "other"):
        (tmp_path / f"{name}.jsonl").write_bytes(LINES)
    (tmp_path / "a.yaml").write_text(json.dumps(TUNING))
    state_experiment(read_experiment(tmp_path / "a.yaml"), tmp_path / "out")
    (path,) = (one for one in (tmp_path / "out").iterdir() if one.is_file())
    value = json.loads(path.read_text())
    read = by_file(path, lambda path: open_experiment(path.parent).check())

    assert not drive("manifest: experiment", json_of(value, 10), read, number)


NUMBERS: dict[str, tuple[Callable[[str], object], bytes]] = {
    "memory": (bytes_in, b"512MiB"),
    "budget": (read_budget, b"10%"),
    "subsample": (part_of, b"0.5"),
    "judge-share": (share_of, b"50%"),
    "fields": (fields_in, b"prompt=title,response=reply"),
    "evaluate-at": (_steps_in, b"0,1,2,4"),
    "param": (lambda word: _params([word]), b"w_avg=0.5"),
}
"""What reads a word of the command line, and a valid one."""


def word(data: bytes) -> str:
    """A word as the system hands it over, whatever its bytes; it cannot hold a zero."""
    return data.replace(b"\0", b"0").decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("number", sizes())
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_the_command_line(name: str, number: int) -> None:
    reads, valid = NUMBERS[name]

    assert not drive(f"words: {name}", bytes_of(valid, 11), lambda data: reads(word(data)), number)


PLAN = ["plan", "--rows", "1000", "--dim", "8", "--target-rows", "10", "--budget", "5", "--memory", "1G", "--seed", "3"]
PATHS = (["verify", "{}"], ["show", "{}"], ["split", "{}", "--count", "1", "--out", "out"], ["evaluate", "{}"])


@pytest.mark.parametrize(
    "number", [pytest.param(20, id="few"), pytest.param(COMMANDS, id="many", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("what", ["numbers", "paths"])
def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, number: int) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(LINES)
    draw = random.Random(12)

    def words(data: bytes) -> list[str]:
        if what == "numbers":
            changed, place = list(PLAN), draw.randrange(1, len(PLAN) // 2) * 2
            changed[place] = word(data)
            return changed
        path = word(data).replace("/", "_")  # nothing outside this folder is looked at
        return [path if one == "{}" else one for one in draw.choice(PATHS)]

    def run(data: bytes) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = main(words(data))
        if code:
            assert code in (1, 2), code
            assert "Traceback" not in said.getvalue()
            assert said.getvalue().strip()
            raise SettingsError("refused")

    changed = bytes_of(b"1000" if what == "numbers" else b"a.jsonl", 12)
    inputs = changed if what == "numbers" else replace(changed, valid=None)  # `verify` takes no file of rows
    # Large sizes are searched on trial, which takes its time.
    assert not drive(f"commands: {what}", inputs, run, number, limit_s=60.0)


CONFIG = b"""model: m
pool: pool.jsonl
target: target.jsonl
budget: 1
orders:
  random:
  tma: {rounds: '0:5'}
replicates: 2
"""


@pytest.mark.parametrize("number", sizes())
def test_experiments(tmp_path: Path, number: int) -> None:
    for name in ("pool", "target"):
        (tmp_path / f"{name}.jsonl").write_bytes(LINES)
    read = by_file(tmp_path / "a.yaml", read_experiment)

    assert not drive("config: experiment", bytes_of(CONFIG, 5), read, number)


def test_a_manifest_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[" * 100_000)

    with pytest.raises(StoreError, match="nested too deeply"):
        read_result_manifest(tmp_path)
