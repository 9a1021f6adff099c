"""One row, or one target row, as text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from righttime.cli.flags import in_flags
from righttime.cli.lookup import FoundRow, FoundTargetRow, Position
from righttime.cli.show import indented, score_text
from righttime.cli.text import printable
from righttime.examples import turns_in

__all__ = ["row_text", "target_row_text"]


def target_row_text(found: FoundTargetRow) -> str:
    """What a target row says and, in full and in order, the rows that it picked."""
    parts = [f"target row {found.id}"]
    parts.append(_turns(found.row) if found.row is not None else f"  its text: {found.unread}")
    if (one := found.brought) is not None:
        who = found.brought_by or f"target row {one.brought_by}"
        parts.append(f"brought by {who} in round {one.round}, similarity {one.similarity:.3f} ({one.file}:{one.line})")
    if not found.picks:
        parts.append(f"{found.method} looks at no target row, so it picked none")
    else:
        how = "picked" if found.rounds else "is the most similar target row of"
        colon = ":" if found.n_picked else ""
        parts.append(f"{how} {found.n_picked:,} of {found.arranged:,} rows{colon}")
    parts += [f"{one.id}\n{_position(one)}\n{_turns(one.row)}" for one in found.picked]
    if len(found.picked) < found.n_picked:
        parts.append(f"and {found.n_picked - len(found.picked):,} more: --first {found.n_picked}")
    return printable("\n\n".join(parts))


def row_text(found: FoundRow) -> str:
    """Where a row stands and why, or why it does not; what it says, and its nearest target rows."""
    parts = []
    if found.position is not None:
        parts.append(f"row {found.id}\n{_position(found.position)}")
    if found.left_out is not None:
        left = found.left_out
        parts.append(f"row {found.id}\nleft out: {left.reason}, {in_flags(left.detail)}")
        parts.append(f"it stands in {left.file}:{left.line}")
    parts.append(_turns(found.row) if found.row is not None else f"its text: {found.unread}")
    if found.nearest is None:
        parts.append(f"its nearest target rows: not known, {found.unknown}")
    else:
        near = [f"  {one.similarity:.3f}  {one.id}\n{indented(one.prompt)}" for one in found.nearest]
        parts.append("\n".join(["its nearest target rows", *near]))
    return printable("\n\n".join(parts))


def _position(one: Position) -> str:
    """Where a row stands and why, in one line."""
    words = [f"position {one.position:,} of {one.arranged:,}", *["drawn at random and woven in"] * one.woven]
    if one.round is not None:
        words.append(f"round {one.round}")
    if one.similarity is not None:
        words.append(f"similarity {one.similarity:.3f}")
    if one.picked_by is not None:
        words.append(f"{'picked by' if one.round is not None else 'most similar to'} {one.picked_by}")
    return ", ".join(words) + score_text(one.score, one.scored_by, ",")


def _turns(row: Mapping[str, Any]) -> str:
    turns = turns_in(row)
    if turns is None:
        return indented(json.dumps(row, ensure_ascii=False, indent=2))
    return "\n".join(f"    {turn.get('role')}\n{indented(_content(turn))}" for turn in turns)


def _content(turn: Mapping[str, Any]) -> str:
    calls = [json.dumps(call, ensure_ascii=False) for call in turn.get("tool_calls") or ()]
    return "\n".join([str(turn.get("content") or ""), *calls])
