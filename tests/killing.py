"""Kill a command at every seam, run it again, and compare with a run that nobody disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faulty_commands import COMMANDS, Command, clear, contents, differing
from warm import Ended, Warm

__all__ = ["Killed", "kill_everywhere"]


@dataclass(frozen=True)
class Killed:
    """What came of one kill.

    Attributes:
        command: Which command.
        seam: What it was about to do, and to what.
        torn: Whether the file being written was cut in half, as a kill in the middle of writing leaves it.
        wrong: What is wrong; empty where the second run ended with the bytes of an undisturbed one.
    """

    command: str
    seam: tuple[str, str]
    torn: bool
    wrong: str


def kill_everywhere(warm: Warm, name: str, part: int = 0, parts: int = 1, most: int | None = None) -> list[Killed]:
    """Kill a command at its seams.

    Args:
        warm: Where it runs.
        name: The command's name in `COMMANDS`.
        part: Which share of the seams, from 0.
        parts: Into how many shares they are divided.
        most: At most so many seams over all shares; None takes what the command says.
    """
    command = COMMANDS[name]
    undisturbed = _fresh(warm, command)
    wanted = contents(warm.here / command.leaves)
    assert undisturbed.code == 0, undisturbed.err
    assert wanted, f"{command.leaves} must hold something"
    places = _spread(len(undisturbed.seams), most or command.points)[part::parts]
    return [
        Killed(name, undisturbed.seams[place], torn, _killed_at(warm, command, place, torn, wanted))
        for place in places
        for torn in ((False, True) if _writing(undisturbed, place) else (False,))
    ]


def _spread(n: int, most: int | None) -> list[int]:
    if most is None or most >= n:
        return list(range(n))
    return sorted({round(place * (n - 1) / (most - 1)) for place in range(most)})


def _writing(undisturbed: Ended, place: int) -> bool:
    return place > 0 and undisturbed.seams[place - 1][0] in ("open", "written")


def _fresh(warm: Warm, command: Command, fault: dict[str, Any] | None = None) -> Ended:
    clear(warm.here, command)
    if command.before:
        before = warm.run(command.before)
        assert before.code == 0, before.err
    return warm.run(command.words, fault=fault)


def _killed_at(warm: Warm, command: Command, place: int, torn: bool, wanted: dict[str, Any]) -> str:
    """What is wrong after a kill at a place and a second run."""
    died = _fresh(warm, command, {"kill_at": place, "torn": torn})
    if not died.killed:
        return f"it was to be killed, and ended with {died.code}: {died.err[-500:]}"
    again = warm.run(command.words)
    if "Traceback" in again.err:
        return f"a traceback: {again.err[-1500:]}"
    if again.code != 0 and "holds a finished" not in again.err:  # killed after the very last step
        return f"run again it ends with {again.code}: {again.err[-500:]}"
    changed = differing(contents(warm.here / command.leaves), wanted)
    return f"other contents: {', '.join(changed)}" if changed else ""


def told(killed: Sequence[Killed]) -> str:
    """What went wrong, a line each."""
    return "\n".join(f"{one.command} at {one.seam}{', torn' * one.torn}: {one.wrong}" for one in killed if one.wrong)
