"""An experiment that is killed twice, by SIGKILL, gives the numbers of an undisturbed one; several jobs do too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from made_experiments import made_data, written

pytestmark = [pytest.mark.slow, pytest.mark.linux]


def begun(path: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "righttime.cli", "experiment", str(path), "--out", str(out), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finished(process: subprocess.Popen[bytes]) -> None:
    _, told = process.communicate(timeout=900)
    assert process.returncode == 0, told.decode()


def numbers(out: Path) -> dict[str, Any]:
    """All values of all runs, and the comparison."""
    values = {
        str(path.relative_to(out)): pq.read_table(path).to_pylist()
        for path in sorted(out.glob("replicate-*/runs/*/run/evaluation/evaluation.parquet"))
    }
    found = json.loads((out / "analysis/compare.json").read_text(encoding="utf-8"))
    kept = {name: found[name] for name in ("verdict", "differences", "curves", "harm", "measured")}
    return {"values": values, **kept}


def running(out: Path) -> list[int]:
    """Processes that make a run of this experiment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"righttime.experiment.cell" in words and os.fsencode(str(out)) in words:
                found.append(int(entry.name))
    return found


def test_a_killed_experiment_gives_the_same_numbers(tmp_path: Path, tiny: str) -> None:
    path = written(made_data(tmp_path / "data"), tiny, orders={"random": None, "tma": None})
    finished(begun(path, tmp_path / "undisturbed"))
    out = tmp_path / "killed"
    for wait_for in ("replicate-1/runs/random/run/consumed", "replicate-2/runs/random/run/run.json"):
        process = begun(path, out)
        deadline = time.monotonic() + 300
        while not (out / wait_for).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for _ in range(100):
            if not running(out):
                break
            time.sleep(0.1)
        assert not running(out), "a run went on without the experiment that began it"
        assert not (out / "analysis").exists()
    finished(begun(path, out))
    assert numbers(out) == numbers(tmp_path / "undisturbed")
    finished(begun(path, tmp_path / "two", "--jobs", "2"))
    assert numbers(tmp_path / "two") == numbers(tmp_path / "undisturbed")
