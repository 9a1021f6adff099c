"""What the guard found, as a table."""

from __future__ import annotations

from righttime.report.arranged import Arranged
from righttime.report.blocks import Block, Column, Facts, Section, Table, Text

__all__ = ["leaks_section"]


def leaks_section(arranged: Arranged) -> Section | None:
    """The leaks that the manifests name; None where no guard ran."""
    blocks: list[Block] = []
    for one, prefix in arranged.prefixed:
        found = one.manifest.guard
        if not found:
            continue
        if not found["leaks"]:
            blocks.append(Text(f"{prefix}The guard found no pool row that gives a target row away.", "good"))
        else:
            first = found["first"]
            rows = [[leak[key] for key in ("pool_id", "target_id", "test", "part", "score", "span")] for leak in first]
            columns = [Column("pool row"), Column("target row"), Column("test"), Column("part")]
            columns += [Column("score", "right"), Column("shared span")]
            more = "" if len(first) == found["leaks"] else f" The first {len(first)}; all: righttime guard."
            did = "left out" if one.manifest.settings.get("guard") == "remove" else "kept"
            told = (
                f"{found['leaks']:,} leaks in {found['pool_rows']:,} pool rows, of {found['target_rows']:,} target "
                f"rows; the pool rows were {did}.{more}"
            )
            blocks.append(Table(f"{prefix}Leaks", columns, rows, told))
        if found.get("shared_groups"):
            groups = found["shared_groups"]
            rows = [[group["group"], group["pool_tasks"], group["target_tasks"]] for group in groups]
            columns = [Column("source"), Column("pool tasks", "right"), Column("target tasks", "right")]
            blocks.append(Table(f"{prefix}Sources on both sides", columns, rows, "As far as the tasks' names tell."))
        if found.get("unseen"):
            blocks.append(Facts([("not looked at", sentence) for sentence in found["unseen"]]))
    return Section("leaks", "Leaks", blocks) if blocks else None
