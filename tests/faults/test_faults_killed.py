"""Commands killed wherever they touch the disk, and run again: the bytes are those of an undisturbed run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from faulty_commands import COMMANDS
from killing import Killed, kill_everywhere, told
from recording import record
from warm import Warm

pytestmark = pytest.mark.linux
QUICK = ("arrange --overwrite", "builtin", "split", "guard --overwrite", "export --overwrite")


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_command_is_done_by_running_it_again(light: Warm, name: str) -> None:
    killed = kill_everywhere(light, name, most=5)
    assert len(killed) >= 5
    assert not told(killed)


@pytest.mark.slow
def test_every_command_killed_everywhere(heavy: tuple[Warm, Warm]) -> None:
    found: list[Killed] = []
    rows = []
    with ThreadPoolExecutor(2) as pool:
        for name in COMMANDS:
            parts = pool.map(lambda part, name=name: kill_everywhere(heavy[part], name, part, 2), range(2))
            killed = [one for part in parts for one in part]
            found += killed
            rows.append({"what": name, "count": len(killed), "wrong": sum(bool(one.wrong) for one in killed)})
    record("kills", rows)
    assert not told(found)
    assert len(found) >= 200
