"""A mixture: each target task gets its share of the rows, at every prefix."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from righttime.arrangement.candidates import CandidateLists
from righttime.arrangement.caps import Room
from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.errors import SettingsError, unknown_name

__all__ = ["METHODS", "read_shares", "turns"]


def read_shares(text: str | None, tasks: list[str]) -> list[Fraction]:
    """``a=0.5,b=0.5`` as the share of each task, summing to 1.

    Args:
        text: Shares of any scale; tasks that are not named get none. None: all the same.
        tasks: The target's tasks.

    Raises:
        SettingsError: If a name is not a target task or stands twice, or a share is not a number of 0 or more.

    Example:
        >>> read_shares("b=3, a=1", ["a", "b"])
        [Fraction(1, 4), Fraction(3, 4)]
    """
    if text is None:
        return [Fraction(1, len(tasks))] * len(tasks)
    shares: dict[str, Fraction] = {}
    for entry in text.split(","):
        name, equals, number = (part.strip() for part in entry.rpartition("="))
        if not equals:
            raise SettingsError(f"shares must be TASK=NUMBER,TASK=NUMBER, got {entry!r}.", setting="params")
        if name not in tasks:
            raise unknown_name("target task in shares", name, tasks, setting="params")
        if name in shares:
            raise SettingsError(f"shares must name each target task once, got {name!r} twice.", setting="params")
        try:
            shares[name] = Fraction(number)
        except (ValueError, ZeroDivisionError):
            shares[name] = Fraction(-1)
        if shares[name] < 0:
            raise SettingsError(
                f"the share of {name!r} must be a number of 0 or more, got {number!r}.", setting="params"
            )
    total = sum(shares.values(), Fraction(0))
    if not total:
        raise SettingsError(f"at least one share must be above 0, got {text!r}.", setting="params")
    return [shares.get(task, Fraction(0)) / total for task in tasks]


def turns(shares: list[Fraction]) -> Iterator[int]:
    """Whose turn it is, for ever: after h turns each has had its share·h, rounded up or down.

    The method of largest remainders itself may take a turn back when h grows, so it cannot be played turn by turn.
    This is the quota method (Balinski and Young, The American Mathematical Monthly 1975), which keeps the same bounds:
    of those below share·h, the one with the largest share/(turns + 1); equal ones by the earlier place.

    Args:
        shares: Of each, 0 or more, summing to 1.

    Example:
        >>> from itertools import islice
        >>> list(islice(turns([Fraction(1, 4), Fraction(3, 4)]), 8))
        [1, 1, 0, 1, 1, 1, 0, 1]
    """
    whole = int(np.lcm.reduce([share.denominator for share in shares], dtype=object))
    weight = [int(share * whole) for share in shares]
    had = [0] * len(shares)
    h = 0
    while True:
        h += 1
        best = -1
        for who, mine in enumerate(weight):
            may = had[who] * whole < mine * h
            if may and (best < 0 or mine * (had[best] + 1) > weight[best] * (had[who] + 1)):
                best = who
        had[best] += 1
        yield best


def _mixture(inputs: SelectionInput) -> Selection:
    """In each turn a task picks the nearest pool row still there to any of its target rows."""
    members = _rows_by_target_task(inputs)
    shares = read_shares(inputs.params["shares"], list(members))
    target_rows = list(members.values())
    n = inputs.wanted
    lists, room = CandidateLists(inputs.pool, inputs.target, n, inputs.search), Room(inputs.caps)
    order, picked_by = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    similarity = np.empty(n, dtype=np.float32)
    for place, turn in zip(range(n), turns(shares), strict=False):
        if not lists.n_alive:  # every task or source is full
            order, picked_by, similarity = order[:place], picked_by[:place], similarity[:place]
            break
        who = target_rows[turn]
        rows, values = lists.choose(who)
        best = np.lexsort((rows, -values))[0]  # stable: the lower target row of equal ones
        order[place], picked_by[place], similarity[place] = rows[best], who[best], values[best]
        room.take(lists, int(rows[best]))
        lists.take(rows[best : best + 1])
    resolved = {"shares": {task: float(share) for task, share in zip(members, shares, strict=True)}}
    return Selection(order, None, picked_by, similarity, 0.0 - similarity.astype(np.float64), resolved)


def _check(inputs: SelectionInput) -> None:
    """Tasks of all target rows, and shares of those tasks."""
    read_shares(inputs.params["shares"], list(_rows_by_target_task(inputs)))


def _rows_by_target_task(inputs: SelectionInput) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    hint = "Hint: the target's rows must carry their task (`task_field`); nearest and tma need none."
    if inputs.target_tasks is None:
        raise SettingsError(f"this method needs the task of every target row, got none. {hint}", setting="target_tasks")
    rows: dict[str, list[int]] = {}
    for number, task in enumerate(inputs.target_tasks):
        if task is None:
            raise SettingsError(
                f"this method needs the task of every target row, but target row {number} has none. {hint}",
                row=number,
                setting="target_tasks",
            )
        rows.setdefault(task, []).append(number)
    return {task: np.asarray(numbers, dtype=np.int64) for task, numbers in rows.items()}


METHODS = {
    "mixture": Method(
        _mixture,
        "target tasks in turn by their shares, each picking the nearest row to any of its target rows",
        "ours; turns: Balinski & Young, Am. Math. Monthly 1975",
        frozenset({"vectors", "target_tasks"}),
        "n·m·d",
        {"shares": Param(str, None, "of target tasks: taskA=0.5,taskB=0.5; tasks not named get none; default: equal")},
        check=_check,
        differs="Not from a paper on data selection: each target task gets its share, as readers of He et al. asked.",
        paper="The turns: Balinski and Young, *The Quota Method of Apportionment*, The American Mathematical Monthly "
        "82, 1975",
        looks="rounds",
        caps_itself=True,
    ),
}
