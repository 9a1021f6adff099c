"""Errors carry what they are about, for programs: the file, its line, the row, the setting."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import righttime
from righttime.errors import (
    DataError,
    DuplicateIdError,
    EmbeddingError,
    EmptyDataError,
    FormatError,
    NonFiniteError,
    RighttimeError,
    RowError,
    SettingsError,
    ShapeError,
    unknown_name,
)
from righttime.formats import read_rows
from righttime.splits import split_rows

GOOD = '{"id": "a", "question": "2+2?", "answer": "4"}\n'
WRONG: dict[str, Any] = {"budgget": 3}
ONE = np.eye(2, dtype=np.float32)


def read(folder: Path, text: str, name: str = "pool.jsonl", **settings: Any) -> Any:
    (folder / name).write_text(text)
    return read_rows([folder / name], **{"role": "pool", **settings})


def vectors(folder: Path, **arrays: Any) -> Any:
    np.savez(folder / "v.npz", **arrays)
    rows = [{"question": "2+2?", "answer": "4"}, {"question": "2+3?", "answer": "5"}]
    return righttime.arrange(rows, rows[:1], embedder=f"vectors:{folder / 'v.npz'}")


Case = tuple[str, Callable[[Path], Any], type[RighttimeError], dict[str, Any]]
CASES: list[Case] = [
    ("bad row", lambda f: read(f, GOOD + '{"id": "b", "question": 3, "answer": "4"}'), RowError,
     {"file": "pool.jsonl", "line": 2, "row": "b"}),
    ("no JSON", lambda f: read(f, GOOD + "{"), RowError, {"file": "pool.jsonl", "line": 2}),
    ("no response", lambda f: read(f, GOOD + '{"id": 7, "question": "?", "answer": ""}'), RowError,
     {"file": "pool.jsonl", "line": 2, "row": "7"}),
    ("same id", lambda f: read(f, GOOD + GOOD), DuplicateIdError, {"file": "pool.jsonl", "line": 2, "row": "a"}),
    ("unknown keys", lambda f: read(f, '{"foo": 1}'), FormatError, {"file": "pool.jsonl", "line": 1}),
    ("preferences", lambda f: read(f, '{"prompt": "a", "chosen": "b", "rejected": "c"}'), FormatError,
     {"file": "pool.jsonl", "line": 1}),
    ("no such file", lambda f: read_rows([f / "no.jsonl"], role="pool"), DataError, {"file": "no.jsonl"}),
    ("empty file", lambda f: read(f, ""), EmptyDataError, {"file": "pool.jsonl"}),
    ("torn CSV", lambda f: read(f, 'question,answer\na,b\n"c,d\n', "pool.csv"), DataError,
     {"file": "pool.csv", "line": 3}),
    ("torn array", lambda f: read(f, '[{"question": "a", "answer": "b"},\n', "pool.json"), DataError,
     {"file": "pool.json", "line": 2}),
    ("field not there", lambda f: read(f, GOOD, fields={"prompt": "question", "system": "role"}), FormatError,
     {"file": "pool.jsonl"}),
    ("fields", lambda f: read(f, GOOD, fields={"promt": "ask"}), SettingsError, {"setting": "fields"}),
    ("bad_rows", lambda f: read(f, GOOD, bad_rows="ignore"), SettingsError, {"setting": "bad_rows"}),
    ("format", lambda f: read(f, GOOD, format="alpacca"), SettingsError, {"setting": "format"}),
    ("zero vector", lambda f: vectors(f, pool=[[1, 0], [0, 0]], target=[[1, 0]]), NonFiniteError, {"row": 1}),
    ("too few vectors", lambda f: vectors(f, pool=[[1, 0]], target=[[1, 0]]), ShapeError, {"file": "v.npz"}),
    ("no tensor", lambda f: vectors(f, pool=ONE, goal=ONE), EmbeddingError, {"file": "v.npz"}),
    ("method", lambda f: righttime.arrange_embeddings(ONE, ONE, method="tme"), SettingsError, {"setting": "method"}),
    ("budget", lambda f: righttime.arrange_embeddings(ONE, ONE, budget=3), SettingsError, {"setting": "budget"}),
    ("seed", lambda f: righttime.arrange_embeddings(ONE, ONE, seed=-1), SettingsError, {"setting": "seed"}),
    ("rounds", lambda f: righttime.arrange_embeddings(ONE, ONE, rounds=(2, 1)), SettingsError, {"setting": "rounds"}),
    ("params", lambda f: righttime.arrange_embeddings(ONE, ONE, method="dsir", params={"bucket": 1}), SettingsError,
     {"setting": "params"}),
    ("workers", lambda f: righttime.arrange(f, f, workers=0), SettingsError, {"setting": "workers"}),
    ("subsample", lambda f: righttime.arrange(f, f, subsample=0), SettingsError, {"setting": "subsample"}),
    ("unknown keyword", lambda f: righttime.arrange(f, f, **WRONG), SettingsError,
     {"setting": "budgget"}),
    ("tune", lambda f: righttime.TuneSettings(warmup=-1), SettingsError, {"setting": "warmup"}),
    ("export", lambda f: righttime.ExportSettings(batch_size=0).check(), SettingsError, {"setting": "batch_size"}),
    ("trainer", lambda f: righttime.export(f, "trll", f), SettingsError, {"setting": "to"}),
    ("no task", lambda f: split_rows(read(f, GOOD).rows, count=1), SettingsError,
     {"file": "pool.jsonl", "line": 1, "row": "a", "setting": "task_field"}),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "fields"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_errors_carry_fields(
    call: Callable[[Path], Any], kind: type[RighttimeError], fields: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        call(tmp_path)
    error = caught.value
    assert type(error) is kind
    found = {name: getattr(error, name) for name in ("file", "line", "row", "setting")}
    if found["file"] is not None:
        found["file"] = Path(found["file"]).name
    assert found == {"file": None, "line": None, "row": None, "setting": None, **fields}


def test_fields_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(RowError("bad", file=Path("a.jsonl"), line=3, row="x", setting="fields")))
    assert (str(error), error.file, error.line, error.row, error.setting) == ("bad", "a.jsonl", 3, "x", "fields")


def test_an_unknown_name_carries_its_setting() -> None:
    assert unknown_name("method", "tme", ["tma"]).setting == "method"
    assert unknown_name("order within a round", "tme", ["tma"]).setting is None
    assert unknown_name("order within a round", "tme", ["tma"], setting="within_round").setting == "within_round"
