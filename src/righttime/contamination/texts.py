"""Leaks that the texts alone show: parts that are equal after normalisation, and parts that a pool row holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from righttime.contamination.agreement import Said, same_answer
from righttime.contamination.containment import Wanted, held, is_leak, may_hold, shared_span, wanted_of
from righttime.contamination.leaks import PARTS, TESTS, Leak, Part, Test
from righttime.contamination.rarity import Rarity
from righttime.contamination.scan import Equal, Scan
from righttime.contamination.units import Unit, parts_of
from righttime.contamination.words import words_of
from righttime.rows import Rows

__all__ = ["contained", "equal", "settled"]

_SPAN = 240

Key = TypeVar("Key")


def equal(found: Scan, rarity: Rarity, pool: Rows, target: Rows) -> list[Leak]:
    """Parts of pool rows that have the words of a part of a target row, in their order.

    A prompt counts whatever it says. A response, a later turn or a system turn counts where its words are telling, and
    where no more than a few pool rows have it: "Yes." gives nothing away.

    Args:
        found: What the pass over the pool found.
        rarity: How telling words are.
        pool: The pool.
        target: The target.
    """
    parts: dict[tuple[int, int], dict[Part, Unit]] = {}
    for one in found.equal:
        unit = found.index.units[one.unit]
        part = _part_of(one, unit)
        if part == "prompt" or (found.keys[unit.key] <= found.most and rarity.telling(unit.words) >= rarity.needed):
            parts.setdefault((one.row, unit.row), {}).setdefault(part, unit)
    # A response too short to tell anything still tells that both are the same, where the prompts are.
    short = {(one.row, found.index.units[one.unit].row) for one in found.equal if one.part == "response"}
    leaks = []
    for (row, number), units in sorted(parts.items()):
        both = "prompt" in units and ("response" in units or (row, number) in short)
        part = "both" if both else min(units, key=PARTS.index)
        span = (units["prompt"] if both else units[part]).key[:_SPAN]
        leaks.append(_leak(pool, target, row, number, "equal", part, 1.0, span))
    return leaks


def _part_of(one: Equal, unit: Unit) -> Part:
    return unit.part if one.part == unit.part else "turn"


def contained(found: Scan, pool: Rows, target: Rows, known: set[tuple[int, int]]) -> list[Leak]:
    """Parts of target rows whose telling words stand together in a pool row, in whatever order.

    Args:
        found: What the pass over the pool found.
        pool: The pool.
        target: The target.
        known: Pairs of pool row and target row that need no look.
    """
    wanted = _wanted(found)
    near = sorted(
        {(row, number) for number, parts in wanted.items() for part in parts for row in found.near(part.unit)} - known
    )
    asked = _said(target, sorted({number for _, number in near}))
    leaks, texts = [], (-1, [""], Said((), None))
    for row, number in near:
        if row != texts[0]:
            texts = (row, *_read(pool, row))
        hit = _held(wanted[number], asked[number], texts[1], texts[2], found)
        if hit is not None:
            leaks.append(_leak(pool, target, row, number, "contained", *hit))
    return leaks


def _wanted(found: Scan) -> dict[int, list[Wanted]]:
    """The parts of each target row that has enough telling words."""
    parts: dict[int, list[Wanted]] = {}
    for unit in found.index.units:
        parts.setdefault(unit.row, []).append(wanted_of(unit, found))
    return {row: some for row, some in parts.items() if sum(part.bits for part in some) >= found.needed}


def _said(rows: Rows, numbers: Sequence[int]) -> dict[int, Said]:
    return {number: Said.of(row) for number, row in zip(numbers, rows.examples(numbers), strict=True)}


def _read(pool: Rows, number: int) -> tuple[list[str], Said]:
    row = next(iter(pool.examples([number])))
    return [word for _, text in parts_of(row) for word in words_of(text)], Said.of(row)


def _held(
    parts: Sequence[Wanted], asked: Said, words: list[str], said: Said, found: Scan
) -> tuple[Part, float, str] | None:
    """Which part of a target row a pool row holds, how much of it, and what both share."""
    inside = set(words)
    some = [part for part in parts if may_hold(part, inside)]
    if not some:
        return None
    answers = same_answer(asked, said, found.bits)
    bits = sum(map(found.bits, set(asked.answers or ()) & set(said.answers or ())))
    holds = [(part, held(part, words)) for part in some]
    whole = {part.unit.part: (part, has) for part, has in reversed(holds) if is_leak(part, has, answers, bits)}
    both = "prompt" in whole and "response" in whole
    telling = [name for name, (_, has) in whole.items() if has.bits >= found.needed]
    if both and whole["prompt"][1].bits + whole["response"][1].bits >= found.needed:
        name: Part = "both"
    elif telling:
        name = min(telling, key=PARTS.index)
    else:
        return None
    wanted, has = whole["prompt" if both else name]
    return name, max(has.share, has.unnamed), shared_span(wanted.unit, words)


def settled(leaks: Iterator[Leak] | Sequence[Leak]) -> tuple[Leak, ...]:
    """Each pair of rows once, by the surest test that found it, in the order of pool rows."""
    best: dict[tuple[int, int], Leak] = {}
    for leak in sorted(leaks, key=lambda leak: (leak.pool_row, leak.target_row, TESTS.index(leak.test))):
        best.setdefault((leak.pool_row, leak.target_row), leak)
    return tuple(best.values())


def _leak(pool: Rows, target: Rows, row: int, number: int, test: Test, part: Part, score: float, span: str) -> Leak:
    return Leak(row, pool.ids[row], number, target.ids[number], test, part, round(float(score), 4), span)
