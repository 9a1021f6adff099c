"""What `righttime guard` prints, and what `arrange` says of leaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.cli.flags import in_flags
from righttime.cli.text import printable, table
from righttime.contamination.leaks import PARTS, Leak, Leaks

if TYPE_CHECKING:
    from righttime.guard.guarded import Guarded

__all__ = ["guarded_facts", "guarded_text", "leak_counts", "leak_lines"]

_SHOWN = 5
_SPAN = 70


def guarded_facts(done: Guarded, out: Path, remove: bool) -> dict[str, Any]:
    """What was found, for a program."""
    return {
        "out": out,
        "pool_rows": len(done.pool.rows),
        "target_rows": len(done.target.rows),
        **leak_counts(done.leaks),
        "threshold": done.leaks.threshold,
        "shared_groups": done.leaks.groups,
        "unseen": done.leaks.unseen,
        "chunks": done.leaks.chunked,
        "judged": _verdicts(done.leaks) if done.leaks.judged else None,
        "kept": len(done.kept) if remove else None,
        "first": done.leaks.found[:_SHOWN],
        "notes": done.notes,
    }


def leak_counts(leaks: Leaks) -> dict[str, Any]:
    """How many leaks there are, for a program."""
    rows = {"leaking_rows": len(leaks.pool_rows), "leaked_rows": len(leaks.target_rows)}
    return {"leaks": len(leaks.found), **rows, "by_test": leaks.counts()}


def guarded_text(done: Guarded, out: Path, remove: bool) -> str:
    """What was found, for a person."""
    leaks = done.leaks
    lines = [f"note: {in_flags(note)}" for note in done.notes]
    lines.append(
        f"{len(leaks.pool_rows):,} of {len(done.pool.rows):,} pool rows leak {len(leaks.target_rows):,} of "
        f"{len(done.target.rows):,} target rows"
    )
    if leaks.found:
        lines += ["", _counted(leaks), "", *map(_line, leaks.found[:_SHOWN])]
        if len(leaks.found) > _SHOWN:
            lines.append(f"  and {len(leaks.found) - _SHOWN:,} more")
        lines.append("")
    lines += _groups(leaks)
    lines += _in_chunks(leaks)
    lines += [f"not seen: {what}" for what in leaks.unseen]
    if leaks.judged:
        said = _verdicts(leaks)
        lines.append(f"judge: asked about {said['asked']:,} pairs, {said['denied']:,} of them no leak")
    if leaks.threshold:
        lines.append(
            "meaning: near from "
            + ", ".join(f"{value:.4f} where agreement is {kind}" for kind, value in leaks.threshold.items())
        )
    lines.append(f"wrote {out / 'leaks.parquet'}")
    if remove:
        lines.append(
            f"wrote {len(done.kept):,} rows to {out / 'pool.jsonl'}; the others, with their reasons, to "
            f"{out / 'left_out.parquet'}"
        )
    return printable("\n".join(lines))


def leak_lines(leaks: Leaks, removed: bool) -> Iterator[str]:
    """What `arrange` says of leaks, and of what was not looked at."""
    if leaks.chunked is not None:
        yield from (f"guard    {line}" for line in _in_chunks(leaks))
    unseen = f"; not seen: {'; '.join(leaks.unseen)}" if leaks.unseen else ""
    if not leaks.found:
        yield f"guard    no leak found in {leaks.n_pool:,} pool rows{unseen}"
        return
    did = "left out" if removed else "kept; --guard remove leaves them out"
    tests = ", ".join(f"{sum(parts.values()):,} {test}" for test, parts in leaks.counts().items())
    yield (
        f"warning: {len(leaks.pool_rows):,} pool rows repeat, hold or rephrase {len(leaks.target_rows):,} target rows "
        f"({tests}; {did}){unseen}"
    )
    yield _line(leaks.found[0])


def _verdicts(leaks: Leaks) -> dict[str, int]:
    return {"asked": len(leaks.judged), "denied": sum(not one.is_leak for one in leaks.judged)}


def _in_chunks(leaks: Leaks) -> Iterator[str]:
    found = leaks.chunked
    if found is not None:
        yield (
            f"{found.pool_rows:,} pool rows and {found.target_rows:,} target rows are longer than the embedder reads: "
            f"looked at in {found.chunks:,} chunks of about {found.tokens:,} tokens"
        )


def _counted(leaks: Leaks) -> str:
    counts = leaks.counts()
    parts = [part for part in PARTS if any(part in found for found in counts.values())]
    rows = [[test, *(f"{found.get(part, 0):,}" for part in parts)] for test, found in counts.items()]
    return table(["found by", *parts], rows)


def _line(leak: Leak) -> str:
    span = f": {leak.span[:_SPAN]}{'…' if len(leak.span) > _SPAN else ''}" if leak.span else ""
    return f"  pool {leak.pool_id}, target {leak.target_id} ({leak.test}, {leak.part}, {leak.score:.2f}){span}"


def _groups(leaks: Leaks) -> Iterator[str]:
    if leaks.groups:
        named = ", ".join(group.group for group in leaks.groups[:_SHOWN])
        more = f" and {len(leaks.groups) - _SHOWN:,} more" if len(leaks.groups) > _SHOWN else ""
        tasks = sum(group.target_tasks for group in leaks.groups)
        yield f"{tasks:,} target tasks share a source data set with pool tasks, by their names: {named}{more}"
