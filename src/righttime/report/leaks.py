"""What the guard found, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from righttime.guard.finished import FinishedGuard
from righttime.report.arranged import Arranged
from righttime.report.blocks import Block, Cell, Column, Facts, Section, Table, Text
from righttime.results import FinishedResult

__all__ = ["guard_section", "is_of", "leaks_section"]

_MOST = 5_000  # leaks of one table
_SHOWN = ("pool_id", "target_id", "test", "part", "score", "span")


def leaks_section(arranged: Arranged, guards: Sequence[FinishedGuard] = ()) -> Section | None:
    """The leaks of arrangements; None where no guard ran.

    Args:
        arranged: The arrangements. Their manifests name the first leaks.
        guards: What the guard found on its own, which names all: taken for arrangements of the same data.
    """
    blocks: list[Block] = []
    with_guard = [(one, prefix) for one, prefix in arranged.prefixed if one.manifest.guard]
    # Orders of one pool mostly leak the same rows, which are listed once.
    same_leaks = [
        [(one, prefix) for one, prefix in with_guard if _leaks_of(one) == leaks]
        for leaks in dict.fromkeys(_leaks_of(one) for one, _ in with_guard)
    ]
    for alike in same_leaks:
        one = alike[0][0]
        whole = next((guard for guard in guards if _same_leaks(guard, one)), None)
        found = one.manifest.guard
        names = "" if len(same_leaks) == 1 else ", ".join(prefix.removesuffix(": ") for _, prefix in alike) + ": "
        rows = found["first"] if whole is None else whole.leaks.to_pylist()
        blocks += _found(found, rows, names, _fates(alike))
    for told in (_shared, _unseen):
        same = len({repr(list(told(one.manifest.guard))) for one, _ in with_guard}) == 1
        for one, prefix in with_guard[:1] if same else with_guard:
            blocks += told(one.manifest.guard, "" if same else prefix)
    return Section("leaks", "Leaks", blocks) if blocks else None


def _leaks_of(one: FinishedResult) -> str:
    """What tells whether two arrangements found the same."""
    return repr((one.manifest.guard["leaks"], one.manifest.guard["first"]))


def _fates(alike: Sequence[tuple[FinishedResult, str]]) -> str:
    """What became of the pool rows that leak, by arrangement where that differs."""
    fates = {
        prefix.removesuffix(": "): "left out" if one.manifest.settings.get("guard") == "remove" else "kept"
        for one, prefix in alike
    }
    if len(set(fates.values())) == 1:
        return next(iter(fates.values()))
    return " and ".join(f"{fate} in {name}" for name, fate in fates.items())


def guard_section(found: FinishedGuard, name: str, number: int) -> Section:
    """What the guard found on its own."""
    did = "taken out of the pool that was written" if found.settings.get("remove") else "only reported"
    leaks = _found(found.found, found.leaks.to_pylist(), "", did)
    return Section(f"guard-{number}", f"Guard: {name}", [*leaks, *_shared(found.found), *_unseen(found.found)])


def is_of(guard: FinishedGuard, arranged: Arranged) -> bool:
    """Whether what the guard found on its own is what it found in some of these arrangements."""
    return any(_same_leaks(guard, one) for one in arranged.finished)


def _same_leaks(guard: FinishedGuard, one: FinishedResult) -> bool:
    """Whether they are the same leaks of the same data: an arrangement's guard may have looked at vectors as well."""
    manifest = one.manifest
    for mine, theirs in ((guard.pool, manifest.pool), (guard.target, manifest.target)):
        if [file.sha256 for file in mine] != [file.sha256 for file in theirs]:
            return False
    return all(guard.found[name] == manifest.guard.get(name) for name in ("leaks", "first"))


def _found(found: Mapping[str, Any], leaks: Sequence[Mapping[str, Any]], prefix: str, did: str) -> Iterator[Block]:
    if not found["leaks"]:
        yield Text(f"{prefix}The guard found no pool row that gives a target row away.", "good")
    else:
        rows: list[list[Cell]] = [[leak[key] for key in _SHOWN] for leak in leaks[:_MOST]]
        columns = [Column("pool row"), Column("target row"), Column("test"), Column("part")]
        columns += [Column("score", "right"), Column("shared span")]
        told = (
            f"{found['leaks']:,} leaks in {found['pool_rows']:,} pool rows, of {found['target_rows']:,} target "
            f"rows; the pool rows were {did}."
        )
        if len(rows) < found["leaks"]:
            told += (
                f" Shown are the first {len(rows):,} of {found['leaks']:,}; `righttime guard` writes all of them to "
                "leaks.parquet."
            )
        yield Table(f"{prefix}Leaks", columns, rows, told)


def _shared(found: Mapping[str, Any], prefix: str = "") -> Iterator[Block]:
    """Sources that are on both sides."""
    if groups := found.get("shared_groups"):
        sides = [[group["group"], group["pool_tasks"], group["target_tasks"]] for group in groups]
        columns = [Column("source"), Column("pool tasks", "right"), Column("target tasks", "right")]
        yield Table(f"{prefix}Sources on both sides", columns, sides, "As far as the tasks' names tell.")


def _unseen(found: Mapping[str, Any], prefix: str = "") -> Iterator[Block]:
    """What was not looked at."""
    if unseen := found.get("unseen"):
        yield Facts([(f"{prefix}not looked at", sentence) for sentence in unseen])
