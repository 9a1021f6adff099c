"""A whole command killed with SIGKILL while it embeds or searches, and run again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from righttime.cli import main
from small_cluster import arranging

pytestmark = [pytest.mark.slow, pytest.mark.linux]


def embedded(cache: Path) -> int:
    try:
        with sqlite3.connect(next(cache.glob("*.sqlite"))) as db:
            return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except (StopIteration, sqlite3.Error):
        return 0


def kill_when(
    command: list[str], when: Callable[[int], bool], environment: dict[str, str] | None = None, patience: float = 120
) -> None:
    """Start a command, and kill it once something is true of its process, or after so many seconds."""
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + patience
    while not when(process.pid) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()


def searches(pid: int) -> bool:
    """Whether a driver has started an actor of its search; Ray gives that one's process the name of its class."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named, parent = (process / "cmdline").read_bytes(), process
            while named.startswith(b"ray::Shard") and parent.name not in ("0", "1"):
                parent = Path("/proc") / (parent / "stat").read_text().rpartition(")")[2].split()[1]
                if parent.name == str(pid):
                    return True
        except OSError:  # it has ended
            continue
    return False


@pytest.mark.parametrize("rows", [1, 300, 700])
def test_killed_and_undisturbed_runs_end_with_the_same_bytes(
    tmp_path: Path, rows: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["builtin", "--out", str(tmp_path), "--rows", "40"]) == 0
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--out"]
    assert main([*words, str(tmp_path / "undisturbed"), "--cache", str(tmp_path / "one")]) == 0
    out, cache = str(tmp_path / "killed"), tmp_path / "two"
    command = [sys.executable, "-m", "righttime.cli", *words, out, "--cache", str(cache)]
    kill_when(command, lambda _: embedded(cache) >= rows)
    finished = embedded(cache)
    assert rows <= finished < 1460, "killed in the middle"
    assert not (tmp_path / "killed" / "manifest.json").exists(), "not a result"
    capfd.readouterr()
    assert main([*words, out, "--cache", str(cache)]) == 0
    assert f"{1460 - finished:,} texts embedded now, {finished:,} from the cache" in capfd.readouterr().out
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_a_killed_driver_of_a_cluster_goes_on(tmp_path: Path, ray_home: str) -> None:
    """Killed while a cluster embeds: what was finished is not embedded again, and the bytes are one machine's."""
    assert main(["builtin", "--out", str(tmp_path), "--rows", "12"]) == 0
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--out"]
    assert main([*words, str(tmp_path / "alone"), "--cache", str(tmp_path / "one")]) == 0
    cache = tmp_path / "two"
    command = [sys.executable, "-m", "righttime.cli", *words, str(tmp_path / "killed"), "--cache", str(cache)]
    command += ["--engine", "ray"]
    environment = {**os.environ, "HOME": ray_home, "RAY_TMPDIR": "/tmp"}
    kill_when(command, lambda _: embedded(cache) >= 1, environment, patience=400)
    finished, all_of_them = embedded(cache), embedded(tmp_path / "one")
    assert 0 < finished < all_of_them, "killed in the middle"
    assert not (tmp_path / "killed" / "manifest.json").exists(), "not a result"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert f"{all_of_them - finished:,} texts embedded now, {finished:,} from the cache" in again.stdout
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_driver_killed_while_its_cluster_searches_goes_on(tmp_path: Path, ray_home: str) -> None:
    """Nothing is embedded again, the bytes are one machine's, and the file that shards read does not stay."""
    assert main(["builtin", "--out", str(tmp_path), "--rows", "12"]) == 0
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--out"]
    assert main([*words, str(tmp_path / "alone"), "--cache", str(tmp_path / "one")]) == 0
    cache = tmp_path / "two"
    shutil.copytree(tmp_path / "one", cache)
    command = [sys.executable, "-m", "righttime.cli", *words, str(tmp_path / "killed"), "--cache", str(cache)]
    command += ["--engine", "ray"]
    environment = {**os.environ, "HOME": ray_home, "RAY_TMPDIR": "/tmp"}
    kill_when(command, searches, environment, patience=400)
    assert len(list(cache.glob(".lent-*/rows.f32"))) == 1, "killed in the middle"
    assert not (tmp_path / "killed" / "manifest.json").exists(), "not a result"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert f"0 texts embedded now, {embedded(cache):,} from the cache" in again.stdout
    assert not list(cache.glob(".lent-*"))
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_what_shards_had_found_is_not_looked_for_again(tmp_path: Path, ray_home: str) -> None:
    """Killed as soon as a shard's answer is on disk: the next run takes it, and ends with the bytes of one machine."""
    command = arranging(tmp_path, 60_000)
    assert main([*command, "--out", str(tmp_path / "alone")]) == 0
    keeping = (
        "import sys; from righttime.cli import main; from righttime.neighbours import answers; answers._WORTH = 0.0"
    )
    command = [sys.executable, "-c", f"{keeping}; sys.exit(main())", *command, "--engine", "ray"]
    command += ["--out", str(tmp_path / "killed")]
    environment = {**os.environ, "HOME": ray_home, "RAY_TMPDIR": "/tmp"}
    kept = tmp_path / "cache" / "searches"
    kill_when(command, lambda _: any(kept.glob("*/[0-9a-f]*")), environment, patience=400)
    assert list(kept.glob("*/[0-9a-f]*")), "killed in the middle"
    assert not (tmp_path / "killed" / "manifest.json").exists(), "not a result"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert "what its shards had found by then was taken from disk" in again.stdout + again.stderr
    assert not list(kept.iterdir())
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
