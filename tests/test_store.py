from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from righttime.errors import StoreError
from righttime.store import (
    ids_sha256,
    lent_folder,
    prepare_folder,
    read_manifest,
    staged,
    write_json,
    write_lines,
)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
@pytest.mark.linux
def test_files_appear_whole_with_ordinary_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")  # it is the whole process's: files of other threads would get its permissions
            write_lines(tmp_path / "a.jsonl", ["ä", "b"])
    finally:
        os.umask(before)
    assert (tmp_path / "a.jsonl").read_bytes() == "ä\nb\n".encode()
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield "new"
        raise RuntimeError("in the middle")

    write_lines(tmp_path / "a.jsonl", ["old"])
    with pytest.raises(RuntimeError, match="in the middle"):
        write_lines(tmp_path / "a.jsonl", lines())
    assert (tmp_path / "a.jsonl").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"], "nothing half-written stays behind"


LIMITED = """
import os, resource, signal, sys
from pathlib import Path
import pyarrow as pa
from righttime.errors import StoreError
from righttime.store import write_lines, write_parquet

folder = Path(sys.argv[1])
table = pa.table({"x": pa.array(os.urandom(20) for _ in range(2000))})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write, name, what in ((write_lines, "a.jsonl", ["x" * 100] * 1000), (write_parquet, "a.parquet", table)):
    try:
        write(folder / name, what)
    except StoreError as error:
        print(error)
"""


@pytest.mark.linux
def test_a_write_that_fails_gets_its_sentence(tmp_path: Path) -> None:
    """A limit that the kernel keeps, in a process of its own: writes past 4 kB fail, as on a full disk."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    lines, parquet = done.stdout.splitlines()
    assert re.search(r"a\.jsonl must be writable, got File too large\. Hint: check free space", lines)
    assert re.search(r"a\.parquet must be writable, got .*Hint: check free space", parquet)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_gets_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="must be writable, got No space left on device"):
        write_json(tmp_path / "manifest.json", {"a": 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.linux
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/righttime")):
        with pytest.raises(StoreError, match="must be a folder that can be written"):
            prepare_folder(folder, ["a"])


def test_somebody_elses_files_and_finished_results_are_not_written_over(tmp_path: Path) -> None:
    prepare_folder(tmp_path, ["a"])
    (tmp_path / "a").write_text("unfinished")
    prepare_folder(tmp_path, ["a"])
    write_json(tmp_path / "manifest.json", {})
    with pytest.raises(
        StoreError, match="holds a finished result already. Hint: choose another folder, or `overwrite=True`"
    ):
        prepare_folder(tmp_path, ["a"])
    prepare_folder(tmp_path, ["a"], overwrite=True)
    assert (tmp_path / "manifest.json").exists(), "the old result stays one until the new one is written"
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match=r"but it holds 'thesis\.tex'"):
        prepare_folder(tmp_path, ["a"], overwrite=True)


def test_no_manifest_no_result(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"must hold manifest\.json, but there is none"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="must be readable JSON"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(StoreError, match="must hold a JSON object, got list"):
        read_manifest(tmp_path)


def test_the_fingerprint_of_an_order_knows_order_and_boundaries() -> None:
    assert len({ids_sha256(ids) for ids in (["a", "b"], ["b", "a"], ["ab"], [], ["a", "b", ""])}) == 5


def test_what_a_killed_run_left_behind_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".dead.partial").mkdir()
    (tmp_path / ".dead.partial" / "train.jsonl").write_text("half")
    (tmp_path / ".train.jsonl.x.partial").write_text("half")
    prepare_folder(tmp_path, ["a"])
    with staged(tmp_path) as staging:
        write_lines(staging / "a", ["x"])
        write_json(staging / "manifest.json", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "manifest.json"]


LENT = """
import sys, time
from pathlib import Path
from righttime.store import lent_folder

folder, _ = lent_folder(Path(sys.argv[1]))
(folder / "half").write_text("written so far")
print(folder, flush=True)
time.sleep(600)
"""


@pytest.mark.linux
def test_a_lent_folder_goes_with_its_process_at_the_latest_when_another_is_lent(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LENT, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        ours, give_back = lent_folder(tmp_path)
        again, give_back_again = lent_folder(tmp_path)
        assert (theirs / "half").exists(), "its process lives"
        process.kill()
    assert theirs.exists()
    third, _ = lent_folder(tmp_path)
    assert not theirs.exists()
    assert ours.exists(), "this process has it"
    assert again.exists()
    give_back()
    give_back_again()
    give_back()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [third.name]


@pytest.mark.linux
def test_a_forked_child_does_not_give_back_what_its_parent_has(tmp_path: Path) -> None:
    folder, give_back = lent_folder(tmp_path)
    child = os.fork()
    if not child:
        give_back()
        os._exit(0)
    os.waitpid(child, 0)
    _, give_back_another = lent_folder(tmp_path)
    assert folder.exists()
    give_back()
    give_back_another()


def test_without_locks_leftovers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".lent-x.partial").mkdir()
    monkeypatch.setattr("righttime.store.locked", lambda path: None)
    _, give_back = lent_folder(tmp_path)
    give_back()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [".lent-x.partial"]


def test_a_folder_cannot_be_lent_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="must be a folder that can be written"):
        lent_folder(tmp_path / "file")
