"""How a run's folder is held, and which trainers are refused."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from righttime.errors import SettingsError, StoreError
from righttime.training import check_versions
from righttime.training.folder import begin, end

DECIDING: dict[str, dict[str, str]] = {name: {} for name in ("plan", "settings", "model", "rows")}
HOLD = """
import sys, time
from pathlib import Path
from righttime.training.folder import begin

start = begin(Path(sys.argv[1]), {name: {} for name in ("plan", "settings", "model", "rows")})
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_is_held_until_its_process_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said = rf"must be free, but another process writes there \(process {process.pid}, since 20"
        with pytest.raises(StoreError, match=said):
            begin(tmp_path, DECIDING)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RIGHTTIME_CACHE", str(tmp_path / "another home"))
            with pytest.raises(StoreError, match="must be free, but another process trains there"):
                begin(tmp_path, DECIDING)
        shutil.rmtree(tmp_path / "another home")
        process.kill()
    start = begin(tmp_path, DECIDING)
    with pytest.raises(StoreError, match="must be free"):
        begin(tmp_path, DECIDING)
    end(start)
    end(begin(tmp_path, DECIDING))


def test_a_start_can_be_sent_to_other_processes_without_its_lock(tmp_path: Path) -> None:
    start = begin(tmp_path, DECIDING)
    sent = pickle.loads(pickle.dumps(start))
    assert sent == dataclasses.replace(start, lock=None)
    with pytest.raises(StoreError, match="must be free"):
        begin(tmp_path, DECIDING)
    end(start)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.linux
def test_a_file_system_without_locks_is_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    first, second = begin(tmp_path, DECIDING), begin(tmp_path, DECIDING)
    assert (first.lock, second.lock) == (None, None)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != ".lock"] == ["run.json"]


@pytest.mark.linux
def test_a_lock_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(StoreError, match=r"\.lock must be writable, got Is a directory"):
        begin(tmp_path, DECIDING)


@pytest.mark.parametrize(
    ("package", "number", "refused"),
    [
        ("transformers", "5.1.9", True),
        ("transformers", "4.57.1", True),
        ("transformers", "5.2.0.dev0", False),
        ("transformers", "5.2rc1", False),
        ("transformers", "5.10.0+local", False),
        ("transformers", "v5.2.0", False),
        ("trl", "0.14.0", True),
        ("trl", "0.15", False),
        ("trl", "1.0", False),
    ],
)
def test_trainers_that_would_shuffle_are_refused(
    monkeypatch: pytest.MonkeyPatch, package: str, number: str, refused: bool
) -> None:
    def version(name: str) -> str:
        if name != package:
            raise metadata.PackageNotFoundError(name)
        return number

    monkeypatch.setattr(metadata, "version", version)
    if refused:
        with pytest.raises(SettingsError, match=f"{package} must be at least .*, got {number}, which "):
            check_versions()
    else:
        check_versions()
