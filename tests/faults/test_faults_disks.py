"""Disks that are full, read-only or fail once: one sentence, nothing that looks like a result, and then it works."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from faulty_commands import COMMANDS, clear, contents, differing
from recording import record
from warm import Ended, Warm, unclear

pytestmark = pytest.mark.linux
FAULTS = {
    "full": {"errno": errno.ENOSPC, "from": True},
    "read-only": {"errno": errno.EROFS, "from": True, "all": True},
    "an error once": {"errno": errno.EIO, "from": False, "all": True},
}


def refused(warm: Warm, name: str, kind: str, most: int | None) -> list[tuple[str, str]]:
    """Refuse a command the disk from one of its seams on; what was refused, and what is wrong with how it ended."""
    command = COMMANDS[name]
    clear(warm.here, command)
    undisturbed = warm.run(command.words)
    assert undisturbed.code == 0, undisturbed.err
    wanted = contents(warm.here / command.leaves)
    n = len(undisturbed.seams)
    places = range(n) if most is None or most >= n else sorted({place * (n - 1) // (most - 1) for place in range(most)})
    found = []
    for place in places:
        clear(warm.here, command)
        how = FAULTS[kind]
        fault = {"fail_from" if how["from"] else "fail_at": place, "errno": how["errno"], "all": how.get("all", False)}
        done = warm.run(command.words, fault=fault)
        found.append((f"{name}, {kind}, at {undisturbed.seams[place]}", _judged(warm, name, done, wanted)))
    return found


def _judged(warm: Warm, name: str, done: Ended, wanted: dict[str, Any]) -> str:
    command = COMMANDS[name]
    out = warm.here / command.leaves
    if wrong := unclear(done):
        return wrong
    if done.code == 0 or (out / "manifest.json").exists():
        # What cannot be cleaned up any more, or is no part of the result, does not undo what is whole.
        changed = [file for file in differing(contents(out), wanted) if ".partial" not in file]
        if changed:
            return f"it looks like a result, but {', '.join(changed)} differ (code {done.code}: {done.err[-300:]})"
        if done.code == 0:
            return ""
    again = warm.run(command.words)
    if again.code and "holds a finished" not in again.err:
        return f"with room again it ends with {again.code}: {again.err[-300:]}"
    changed = [file for file in differing(contents(out), wanted) if ".partial" not in file]
    return f"with room again {', '.join(changed)} differ" if changed else ""


@pytest.mark.parametrize(("name", "kind"), [("export", "full"), ("export", "an error once")])
def test_a_refused_command_says_so(light: Warm, name: str, kind: str) -> None:
    wrong = [f"{where}: {what}" for where, what in refused(light, name, kind, 4) if what]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_every_command_on_a_disk_that_refuses(heavy: tuple[Warm, Warm], kind: str) -> None:
    names = [name for name in COMMANDS if not name.endswith("--overwrite") and name != "experiment"]

    def share(part: int) -> list[tuple[str, str]]:
        return [one for name in names[part::2] for one in refused(heavy[part], name, kind, 8)]

    with ThreadPoolExecutor(2) as pool:
        judged_as(kind, [one for part in pool.map(share, range(2)) for one in part])


@pytest.mark.slow
def test_a_disk_that_is_really_full(heavy: tuple[Warm, Warm], tmp_path: Path) -> None:
    found = [one for name in ("arrange, embedding", "tune") for one in _really_full(heavy[0], tmp_path, name)]
    judged_as("tmpfs, full", found)


def judged_as(kind: str, found: list[tuple[str, str]]) -> None:
    if found:
        record("disks", [{"what": kind, "count": len(found), "wrong": sum(bool(what) for _, what in found)}])
    wrong = [f"{where}: {what}" for where, what in found if what]
    assert not wrong, "\n".join(wrong)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A disk of some kilobytes in memory; False where it cannot be had."""
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    there = os.geteuid() == 0 and not subprocess.run(words, capture_output=True).returncode
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _really_full(warm: Warm, folder: Path, name: str) -> list[tuple[str, str]]:
    """A real disk of several sizes, all too small; compiled writers and SQLite meet it too."""
    found = []
    for size in ("8k", "24k", "48k", "96k", "160k"):
        with small_disk(folder / "small", size) as there:
            if not there:
                print("no tmpfs can be mounted here: a full disk is only simulated")
                return []
            words = [f"{folder}/small/out" if word == COMMANDS[name].leaves else word for word in COMMANDS[name].words]
            done = warm.run(words, env={"RIGHTTIME_CACHE": f"{folder}/small/cache"}, root=folder)
            wrong = unclear(done)
            if not wrong and (folder / "small/out/manifest.json").exists() != (done.code == 0):
                wrong = "a manifest without success, or success without one"
            found.append((f"{name} on a disk of {size}", wrong))
    return found
