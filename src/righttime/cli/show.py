"""A description of an arrangement as text for a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator

from righttime.arrangement.falloff import Falloff
from righttime.cli.description import Description, Row
from righttime.cli.flags import in_flags
from righttime.cli.text import printable, table
from righttime.formats import InputFile
from righttime.results import Widening

__all__ = ["description_text", "falloff_text", "file_text", "indented", "rounds_text", "score_text", "widening_lines"]

_MOST_NEIGHBOURS = 10
_MOST_ROUNDS = 8  # of more, the first six and the last


def description_text(found: Description, full: bool = False) -> str:
    """A few dozen lines.

    Args:
        found: What `righttime.cli.description.describe` returned.
        full: Show whole texts.
    """
    parts = [_counts(found), _widened(found), _rounds(found)]
    if found.falloff is not None:
        parts.append(falloff_text(found.falloff, alone=10, explain=True))
    parts += [_tasks(found), _first_rows(found, full)]
    return "\n\n".join(part for part in parts if part)


def _counts(found: Description) -> str:
    counts, method = found.counts, found.method + (f" by {found.distance}" if found.distance else "")
    lines = [
        f"{counts.arranged:,} of {counts.pool_read:,} pool rows, arranged by {method} "
        f"around {counts.target_rows:,} target rows"
    ]
    for side, files in (("pool", found.pool), ("target", found.target)):
        lines += [f"  {side:<7} {file.path}  {file.format}, {file.rows:,} rows" for file in files]
    if counts.left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.left_out_by_reason.items())
        lines.append(f"  left out {counts.left_out:,}: {reasons}")
    lines += [f"  note: {in_flags(note)}" for note in found.notes]
    if counts.target_prompts_in_pool:
        lines.append(f"  warning: the pool contains {counts.target_prompts_in_pool:,} target prompts word for word")
    return printable("\n".join(lines))


def file_text(file: InputFile) -> str:
    """A file, what was found in it, and what a person should know of it.

    Args:
        file: As it was read.
    """
    bad = f", {file.left_out:,} bad rows skipped" if file.left_out else ""
    note = f"; {in_flags(file.note, names=False)}" if file.note else ""
    return f"{file.path}: {file.format} ({file.container}), {file.rows:,} rows{bad}{note}"


def widening_lines(widening: Widening) -> list[str]:
    """By what a target was widened, in a line for each file and one for all.

    Args:
        widening: What was taken.
    """
    lines = [f"widened  {file_text(file)}" for file in widening.pool]
    rounds = len({row.round for row in widening.rows})
    lowest = min(row.similarity for row in widening.rows)
    took = f"{widening.own:,} target rows took {len(widening.rows):,} of them in {rounds_text(rounds)}"
    lines.append(f"         {took}, the least similar at {lowest:.3f}")
    if widening.no_part:
        lines.append(f"         {widening.no_part:,} took no part, since they repeat a target row or an earlier one")
    return lines


def _widened(found: Description) -> str:
    """The rows that widened the target, and what brought each."""
    if found.widening is None:
        return ""
    rows = [
        [f"{one.target_row:,}", one.id, str(one.brought_by), str(one.round), f"{one.similarity:.3f}"]
        for one in found.widening.rows[:_MOST_NEIGHBOURS]
    ]
    more = len(found.widening.rows) - len(rows)
    parts = [*widening_lines(found.widening), table(["target row", "id", "brought by", "round", "similarity"], rows)]
    return printable("\n".join(parts + [f"  and {more:,} more, in manifest.json"] * bool(more)))


def rounds_text(count: int) -> str:
    """How many rounds, in words.

    Example:
        >>> rounds_text(1), rounds_text(1200)
        ('1 round', '1,200 rounds')
    """
    return f"{count:,} round{'' if count == 1 else 's'}"


def _rounds(found: Description) -> str:
    if found.rounds is None:
        return ""
    rows = [
        [str(one.round), f"{one.rows:,}", f"{one.mean:.3f}", f"{one.highest:.3f}", f"{one.lowest:.3f}"]
        for one in found.rounds
    ]
    if len(rows) > _MOST_ROUNDS:
        rows = [*rows[:6], ["…", "", "", "", ""], rows[-1]]
    head = ["round", "rows", "mean similarity", "highest", "lowest"]
    return f"{rounds_text(len(found.rounds))}\n{table(head, rows)}"


def _tasks(found: Description) -> str:
    if not found.n_tasks:
        return ""
    rows = [
        [
            one.task,
            f"{one.rows:,}",
            f"{one.first_position:,}",
            f"{one.median_position:,.0f}",
            f"{one.picked_most_by} ({one.picked:,})" if one.picked_most_by else "",
        ]
        for one in found.tasks
    ]
    how = "earliest first" if found.whole else "those with most rows first"
    shown = f" ({len(rows)} of them)" if found.n_tasks > len(rows) else ""
    head = ["task", "rows", "first position", "median position", "picked most by"]
    return f"{found.n_tasks:,} tasks, {how}{shown}\n{table(head, rows)}"


def falloff_text(found: Falloff, alone: int, explain: bool) -> str:
    """Where quality falls: a small table, and what has nothing near it.

    Args:
        found: Of a result.
        alone: How many of the target rows that nothing is near to name.
        explain: Say what the columns are.
    """
    lines = found.lines
    rows = [
        [
            f"{line.rows:,}",
            f"{line.rows / lines[-1].rows:.0%}",
            f"{line.similarity:.3f}",
            f"{line.coverage:.3f}",
            f"{line.found:.0%}",
        ]
        for line in lines
    ]
    text = ["where quality falls", table(["rows", "share", "similarity", "coverage", "nearest found"], rows)]
    text.append(f"  a row drawn blindly has a similarity of {found.middle:.3f}")
    if explain:
        text += [
            "  similarity: mean, of the rows since the line above, to their most similar target row",
            "  coverage: mean, over target rows, of the similarity of their best row so far",
            "  nearest found: target rows whose nearest row of the pool is among the rows",
        ]
    return printable("\n".join([*text, *_falloff_notes(found, alone)]))


def _falloff_notes(found: Falloff, alone: int) -> Iterable[str]:
    """What a person should know: target rows with nothing near them, and the barrel."""
    middle, n = found.middle, found.target_rows
    if found.alone:
        named = ", ".join(f"{one.id} ({one.similarity:.3f})" for one in found.alone[:alone])
        more = ", …" if len(found.alone) > alone else ""
        yield (
            f"note: {len(found.alone):,} of {n:,} target rows have nothing near in the pool "
            f"(even their nearest row is below {middle:.3f}): {named}{more}"
        )
    if found.below_floor:
        yield (
            f"note: {found.below_floor:,} of {n:,} target rows have no row in the pool as similar as {found.floor:g}"
        )
    if found.barrel_round is not None:
        yield (
            f"note: round {found.barrel_round:,} (from position {found.barrel_place:,}) is the first to scrape the "
            f"barrel: most of its rows are below {middle:.3f}"
        )


def _first_rows(found: Description, full: bool) -> str:
    width = sys.maxsize if full else max(40, shutil.get_terminal_size((120, 24)).columns - 12)
    rows = [line for row in found.rows for line in _row(row, full, width, found.scored_by)]
    return "\n".join([f"the first {len(found.rows):,} rows", *rows])


def _row(row: Row, full: bool, width: int, scored_by: str | None) -> Iterator[str]:
    """A row: where it stands and why, what it says, and what picked it."""
    why = "  woven in, drawn at random" if row.woven else ""
    if row.picked_by is not None and row.similarity is not None:
        number = f"round {row.round}, " if row.round is not None else ""
        if row.round is None and row.distance is not None:
            number = f"distance {row.distance:.3f}, "
        why = f"  {number}similarity {row.similarity:.3f}"
    why += score_text(row.score, scored_by, "," if why else " ")
    yield printable(f"{row.position:>6}  {row.id}{f'  {row.task}' if row.task else ''}{why}")
    yield indented(row.text) if full else f"        {_short(row.text, width)}"
    if row.picked_by is not None:
        said, prompt = "", row.picked_by_prompt
        if prompt is not None:
            said = "\n" + indented(prompt) if full else f": {_short(prompt, width - len(row.picked_by) - 14)}"
        how = "picked by" if row.round is not None else "most similar to"
        yield f"        {how} {_short(row.picked_by, 80)}{said}"


def score_text(score: float | None, scored_by: str | None, before: str) -> str:
    """What a shape sorted a row by, behind what else is said; empty where it was no score."""
    if score is None:
        return ""
    return f"{before} {scored_by} {score:,.0f}" if scored_by == "length" else f"{before} {scored_by} {score:.3f}"


def indented(text: str) -> str:
    """Text of any number of lines, whole, set in from the left."""
    return textwrap.indent(printable(text), " " * 8, lambda line: True)


def _short(text: str, width: int) -> str:
    """One line of text; of a long one its beginning and its end, since instructions share their beginnings."""
    width = max(width, 20)
    line = printable(" ".join(text.split()))
    if len(line) <= width:
        return line
    tail = width * 2 // 5
    return f"{line[: width - tail - 3]} … {line[-tail:]}"
