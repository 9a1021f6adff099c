"""Inputs that change between a kill and the resume, and two processes that want one folder."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faulty_commands import COMMANDS, clear, contents
from warm import Warm, unclear

pytestmark = [pytest.mark.linux, pytest.mark.slow]


def kill_at(warm: Warm, name: str, kind: str, part: str) -> None:
    """Kill a command when it first does that to such a path."""
    command = COMMANDS[name]
    clear(warm.here, command)
    done = warm.run(command.words)
    assert done.code == 0, done.err
    place = next(n for n, (what, path) in enumerate(done.seams) if what == kind and part in path)
    clear(warm.here, command)
    assert warm.run(command.words, fault={"kill_at": place}).killed


def edited(path: Path) -> bytes:
    """Change the first row of a file of rows; gives what was there."""
    before = path.read_bytes()
    rows = [json.loads(line) for line in before.splitlines()]
    rows[0]["response"] = "changed meanwhile"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return before


@pytest.mark.parametrize("side", ["pool.jsonl", "target.jsonl"])
def test_an_arrangement_is_of_the_data_as_it_is_now(heavy: tuple[Warm, Warm], side: str) -> None:
    warm, name = heavy[0], "arrange, embedding"
    kill_at(warm, name, "open", "train.jsonl")
    before = edited(warm.here / side)
    try:
        assert warm.run(COMMANDS[name].words).code == 0
        resumed = contents(warm.here / "L")
        clear(warm.here, COMMANDS[name])
        assert warm.run(COMMANDS[name].words).code == 0
        assert contents(warm.here / "L") == resumed
    finally:
        (warm.here / side).write_bytes(before)


@pytest.mark.parametrize("what", ["target.jsonl", "OUT/train.jsonl", "tiny/model.safetensors", "tiny/tokenizer.json"])
def test_a_run_does_not_go_on_with_something_else(heavy: tuple[Warm, Warm], what: str) -> None:
    warm = heavy[0]
    kill_at(warm, "tune", "mkdir", "R/model")
    path = warm.here / what
    if path.suffix == ".jsonl":
        before = edited(path)
    else:
        before = path.read_bytes()
        path.write_bytes(before.replace(b'"answer"', b'"bnswer"') if path.suffix == ".json" else before[:-1] + b"\x01")
    try:
        if path.read_bytes() == before:
            path.write_bytes(before.replace(b"the", b"teh", 1))
        done = warm.run(COMMANDS["tune"].words)
        assert done.code == 1
        assert not unclear(done)
        assert not (warm.here / "R" / "manifest.json").exists()
    finally:
        path.write_bytes(before)


def test_an_experiment_does_not_go_on_with_something_else(heavy: tuple[Warm, Warm]) -> None:
    warm = heavy[0]
    kill_at(warm, "experiment", "mkdir", "run/consumed")
    before = (warm.here / "experiment.yaml").read_text()
    (warm.here / "experiment.yaml").write_text(before.replace("budget: 8", "budget: 9"))
    try:
        done = warm.run(COMMANDS["experiment"].words)
        assert done.code == 1
        assert "budget" in done.err
        assert not unclear(done)
    finally:
        (warm.here / "experiment.yaml").write_text(before)


def test_two_runs_at_once_into_one_folder(heavy: tuple[Warm, Warm], tmp_path: Path) -> None:
    words = [word if word != "R" else str(tmp_path / "R") for word in COMMANDS["tune"].words]
    wanted_at = heavy[0].here / "R"
    clear(heavy[0].here, COMMANDS["tune"])
    assert heavy[0].run(COMMANDS["tune"].words).code == 0
    wanted = contents(wanted_at)
    for _ in range(3):
        shutil.rmtree(tmp_path / "R", ignore_errors=True)
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda warm: warm.run(words, root=tmp_path), heavy))
        assert sorted(done.code for done in both) == [0, 1]
        (refused,) = (done for done in both if done.code)
        assert "another process" in refused.err or "finished" in refused.err
        assert not unclear(refused)
        found = contents(tmp_path / "R")
        assert found["model/model.safetensors"] == wanted["model/model.safetensors"]
        assert found["evaluation/evaluation.parquet"] == wanted["evaluation/evaluation.parquet"]
