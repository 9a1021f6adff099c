"""Commands killed wherever they touch the disk, and run again: the bytes are those of an undisturbed run."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from faulty_commands import COMMANDS
from killing import kill_everywhere, told
from machine import RESULTS
from recording import record
from warm import Warm

pytestmark = pytest.mark.linux


def test_a_killed_command_is_done_by_running_it_again(light: Warm) -> None:
    killed = kill_everywhere(light, "builtin", most=5)
    assert len(killed) >= 5
    assert not told(killed)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_everywhere(heavy: tuple[Warm, Warm], name: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda part: kill_everywhere(heavy[part], name, part, 2), range(2))
        killed = [one for part in parts for one in part]
    record("kills", [{"what": name, "count": len(killed), "wrong": sum(bool(one.wrong) for one in killed)}])
    assert not told(killed)
    assert len(killed) >= 10, "all commands together are killed at more than 200 places"


def test_all_commands_were_killed_at_more_than_two_hundred_places() -> None:
    rows = json.loads((RESULTS / "reliability" / "kills.json").read_text())["rows"]
    assert {row["what"] for row in rows} == set(COMMANDS)
    assert sum(row["count"] for row in rows) >= 200
