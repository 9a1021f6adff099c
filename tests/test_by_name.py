"""Preferences and plain texts the whole way: what they are arranged by, left out for, verified and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from preferences import arranged_of, preferences, texts, written
from righttime import arrange
from righttime.cli import main
from righttime.results import open_result


class Listening:
    """An embedder that remembers what it read; the vector of a text is its letters."""

    identity: Mapping[str, str | int] = {"model": "letters", "revision": "1", "max_length": 512}

    def __init__(self) -> None:
        self.read: list[str] = []

    def lengths(self, some: Any) -> list[int]:
        return [len(one) for one in some]

    def embed(self, some: Any) -> Any:
        import numpy as np

        self.read += some
        return np.array([[1.0 + one.count(letter) for letter in "aeiouk"] for one in some], np.float32)


def heard(pool: list[dict[str, Any]], target: list[dict[str, Any]], tmp_path: Path, **settings: Any) -> set[str]:
    model = Listening()
    arrange(pool, target, embedder=model, guard="off", cache=tmp_path / "cache", **settings)
    return set(model.read)


PAIR = {"prompt": "What?", "chosen": "Yes.", "rejected": "No."}
ROW = {"prompt": "Which?", "response": "That."}


@pytest.mark.parametrize(
    ("pool", "target", "settings", "wanted"),
    [
        (PAIR, PAIR, {"format": "preference", "target_format": "preference"}, {"What?"}),
        (PAIR, ROW, {"format": "preference"}, {"What?", "Which?"}),
        (ROW, PAIR, {"target_format": "preference"}, {"What?", "Which?"}),
        (PAIR, ROW, {"format": "preference", "text": "all"}, {"What? Yes. No.", "Which? That."}),
        (PAIR, PAIR, {"format": "preference", "target_format": "preference", "text": "all"}, {"What? Yes. No."}),
        ({"text": "Once."}, {"text": "Twice."}, {"format": "text", "target_format": "text"}, {"Once.", "Twice."}),
        ({"text": "Once."}, ROW, {"format": "text"}, {"Once.", "Which? That."}),
        (ROW, {"text": "Once."}, {"target_format": "text"}, {"Once.", "Which? That."}),
    ],
)
def test_what_represents_a_row(
    pool: Any, target: Any, settings: dict[str, Any], wanted: set[str], tmp_path: Path
) -> None:
    assert heard([pool], [target], tmp_path, **settings) == wanted


def test_that_preferences_go_by_their_prompts_is_noted(tmp_path: Path) -> None:
    out = arranged_of(tmp_path, "preference", preferences(4))
    note = "the pool rows hold two answers each, so both sides are embedded by their prompts alone."
    assert note in open_result(out).manifest.notes
    assert open_result(out).manifest.settings["text"] == "prompt"


@pytest.mark.parametrize(("name", "rows"), [("preference", preferences(6)), ("text", texts(6))])
def test_every_row_is_in_or_out_with_its_reason_and_verified(
    name: str, rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = {**rows[1], "id": "twin"}
    bad = {**rows[0], "id": "bad", "text" if name == "text" else "rejected": ""}
    out = arranged_of(tmp_path, name, [*rows, twin, bad], "--duplicates", "drop", "--bad-rows", "skip", "--budget", "4")
    left = pq.read_table(out / "left_out.parquet").to_pylist()
    assert [(one["line"], one["reason"]) for one in left if one["reason"] in ("duplicate", "bad-row")] == [
        (8, "bad-row"),
        (7, "duplicate"),
    ]
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert len(lines) + len(left) == len(rows) + 2
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()
    assert main(["show", str(out), "--row", lines[0]["id"]]) == 0
    shown = capsys.readouterr().out
    assert lines[0]["text"] in shown if name == "text" else lines[0]["rejected"][0]["content"] in shown
    changed = (out / "train.jsonl").read_text().replace("rivers", "floods").replace('"no ', '"yes ')
    (out / "train.jsonl").write_text(changed)
    assert main(["verify", str(out)]) == 1


def test_as_original_keeps_each_record(tmp_path: Path) -> None:
    out = arranged_of(tmp_path, "preference", preferences(4), "--as", "original")
    kept = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in kept) == [row["id"] for row in preferences(4)]
    assert all(row in preferences(4) for row in kept)
    assert main(["verify", str(out)]) == 0


def test_the_guard_finds_a_target_row_in_a_rejected_answer(tmp_path: Path) -> None:
    said = "The ferry to Hiddensee leaves Stralsund at seven minutes past nine on every odd Sunday of the winter."
    rows = [
        *preferences(12),
        {"id": "leak", "prompt": "Say something.", "chosen": "No.", "rejected": f"Well: {said}"},
    ]
    pool = written(tmp_path / "pool.jsonl", rows)
    target = written(tmp_path / "target.jsonl", [{"id": "t", "prompt": said, "response": "When it thaws."}])
    words = ["arrange", str(pool), "--format", "preference", "--target", str(target), "--guard", "remove"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    left = pq.read_table(tmp_path / "out" / "left_out.parquet").to_pylist()
    assert [(one["id"], one["reason"]) for one in left] == [("leak", "leak")]


def test_rows_become_a_data_set(tmp_path: Path) -> None:
    found = arrange([{"id": "a", **PAIR}], [ROW], format="preference", method="random", seed=1, guard="off")
    assert found.to_dataset().column_names == ["id", "prompt", "chosen", "rejected"]
    found = arrange([{"id": "a", "text": "Once."}], [ROW], format="text", method="random", seed=1, guard="off")
    assert found.to_dataset()[0] == {"id": "a", "text": "Once."}
