"""What was arranged, for a person: counts, rounds, which tasks came first and which target rows brought them."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from righttime.arrangement import METHODS, Arrangement, Method, Param, method_named
from righttime.arrangement.falloff import Falloff
from righttime.cli.flags import in_flags
from righttime.cli.text import printable, table
from righttime.results import FinishedResult, ResultManifest, open_result
from righttime.rows import ExampleRows, Rows

__all__ = ["falloff_text", "indented", "methods", "show"]


def show(out: Path, first: int = 10, tasks: int = 20, full: bool = False) -> str:
    """Describe a result in a few dozen lines.

    Args:
        out: A folder that ``righttime arrange`` wrote.
        first: How many places of the order to show.
        tasks: How many tasks to show.
        full: Show whole texts.

    Raises:
        StoreError: If the folder is not a finished result.
    """
    finished = open_result(out)
    manifest, arrangement = finished.manifest, finished.arrangement
    read, _ = finished.read_again("target")
    target = read.rows if read is not None else ExampleRows(())
    parts = [_counts(manifest), _rounds(arrangement)]
    if manifest.falloff is not None:
        parts.append(falloff_text(manifest.falloff, alone=10, explain=True))
    parts += [_tasks(arrangement, target, tasks), _first_rows(finished, target, first, full)]
    return "\n\n".join(part for part in parts if part)


def _counts(manifest: ResultManifest) -> str:
    counts, method = manifest.counts, manifest.method
    if "distance" in method_named(method).needs:
        method += f" by {manifest.settings['distance']}"
    lines = [
        f"{counts.arranged:,} of {counts.pool_read:,} pool rows, arranged by {method} "
        f"around {counts.target_rows:,} target rows"
    ]
    for side, files in (("pool", manifest.pool), ("target", manifest.target)):
        lines += [f"  {side:<7} {file.path}  {file.format}, {file.rows:,} rows" for file in files]
    if counts.left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.left_out_by_reason.items())
        lines.append(f"  left out {counts.left_out:,}: {reasons}")
    lines += [f"  note: {in_flags(note)}" for note in manifest.notes]
    if counts.target_prompts_in_pool:
        lines.append(f"  warning: the pool contains {counts.target_prompts_in_pool:,} target prompts word for word")
    return printable("\n".join(lines))


def _rounds(arrangement: Arrangement) -> str:
    if arrangement.round is None or arrangement.similarity is None:
        return ""
    rows = []
    numbers = np.unique(arrangement.round)
    shown = numbers if len(numbers) <= 8 else np.concatenate([numbers[:6], numbers[-1:]])
    for number in shown:
        inside = arrangement.similarity[arrangement.round == number]
        rows.append(
            [str(number), f"{len(inside):,}", f"{inside.mean():.3f}", f"{inside.max():.3f}", f"{inside.min():.3f}"]
        )
        if len(numbers) > 8 and number == numbers[5]:
            rows.append(["…", "", "", "", ""])
    return f"{len(numbers):,} rounds\n" + table(["round", "rows", "mean similarity", "highest", "lowest"], rows)


def _tasks(arrangement: Arrangement, target: Rows, most: int) -> str:
    """Tasks by how many or how early their rows are, with the target tasks that picked their rows."""
    labels = arrangement.labels
    if labels is None or not any(labels.task):
        return ""
    target_task = dict(zip(target.ids, target.tasks, strict=True))
    places: dict[str, list[int]] = {}
    pickers: dict[str, Counter[str]] = {}
    for place, (task, picked_by) in enumerate(zip(labels.task, labels.picked_by, strict=True)):
        places.setdefault(task or "(none)", []).append(place)
        if picker := target_task.get(picked_by or ""):
            pickers.setdefault(task or "(none)", Counter())[picker] += 1
    if len(arrangement) < arrangement.n_pool:  # a task with one row in front did not "come first"
        ranked, how = sorted(places, key=lambda task: (-len(places[task]), task)), "those with most rows first"
    else:
        ranked, how = sorted(places, key=lambda task: (float(np.median(places[task])), task)), "earliest first"
    rows = []
    for task in ranked[:most]:
        common = pickers.get(task, Counter()).most_common(1)
        why = f"{common[0][0]} ({common[0][1]:,})" if common else ""
        first, middle = places[task][0], float(np.median(places[task]))
        rows.append([task, f"{len(places[task]):,}", f"{first:,}", f"{middle:,.0f}", why])
    title = f"{len(ranked):,} tasks, {how}" + (f" ({most} of them)" if len(ranked) > most else "")
    return title + "\n" + table(["task", "rows", "first place", "median place", "picked most by"], rows)


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
            f"note: round {found.barrel_round:,} (from place {found.barrel_place:,}) is the first to scrape the "
            f"barrel: most of its rows are below {middle:.3f}"
        )


def _first_rows(finished: FinishedResult, target: Rows, first: int, full: bool) -> str:
    arrangement, labels = finished.arrangement, finished.arrangement.labels
    if labels is None:
        return ""
    width = sys.maxsize if full else max(40, shutil.get_terminal_size((120, 24)).columns - 12)
    numbers = {name: number for number, name in enumerate(target.ids)}
    lines = [f"the first {min(first, len(arrangement)):,} rows"]
    for place, text in enumerate(_texts(finished, first)):
        why = ""
        if labels.picked_by[place] is not None and arrangement.similarity is not None:
            number = f"round {arrangement.round[place]}, " if arrangement.round is not None else ""
            if arrangement.round is None and arrangement.distance is not None:
                number = f"distance {arrangement.distance[place]:.3f}, "
            why = f"  {number}similarity {arrangement.similarity[place]:.3f}"
        task = f"  {labels.task[place]}" if labels.task[place] else ""
        lines.append(printable(f"{place:>6}  {labels.id[place]}{task}{why}"))
        lines.append(indented(text) if full else f"        {_short(text, width)}")
        picker = labels.picked_by[place]
        if picker is not None:
            said = ""
            if picker in numbers:
                prompt = next(target.texts("prompt", [numbers[picker]]))
                said = "\n" + indented(prompt) if full else f": {_short(prompt, width - len(picker) - 14)}"
            how = "picked by" if arrangement.round is not None else "most similar to"
            lines.append(f"        {how} {_short(picker, 80)}{said}")
    return "\n".join(lines)


def _texts(finished: FinishedResult, first: int) -> Iterable[str]:
    """What the first rows say, whatever their form."""
    for row in finished.lines(first):
        messages = row.get("messages") if isinstance(row, dict) else None
        if isinstance(messages, list):
            yield next((str(turn.get("content", "")) for turn in messages if turn.get("role") == "user"), "")
        else:
            yield json.dumps(row, ensure_ascii=False)


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


def methods(name: str | None = None) -> str:
    """The table of methods, or one method with its own parameters.

    Args:
        name: A name of `righttime.arrangement.METHODS`, or None for all.

    Raises:
        SettingsError: If there is no such method.
    """
    if name is not None:
        return _method(name, method_named(name))
    rows = [
        [each, entry.does, _needs(entry), entry.cost or "?", ", ".join(entry.params) or "-", entry.source or "?"]
        for each, entry in METHODS.items()
    ]
    note = "cost: n pool rows, m target rows, d dimensions, b budget, g groups. --method NAME tells a method's params."
    return table(["method", "what it does", "needs", "cost", "params", "source"], rows) + "\n\n" + note


def _needs(method: Method) -> str:
    """What the user must bring: rounds and distance are not brought, they are what can be set."""
    return ", ".join(sorted(method.needs - {"rounds", "distance"})) or "nothing"


def _method(name: str, method: Method) -> str:
    lines = [f"{name}: {method.does}", f"  source: {method.source or '?'}", f"  needs:  {_needs(method)}"]
    lines.append(f"  cost:   {method.cost or '?'}")
    lines.append(f"  a smaller budget gives the first rows of a larger one: {'yes' if method.nested else 'no'}")
    options = [f"--{option}" for option in ("distance", "rounds") if option in method.needs]
    if "rounds" in method.needs:
        options.append("--within-round")
    if options:
        lines.append(f"  options: {', '.join(options)}")
    if not method.params:
        return "\n".join([*lines, "  no parameters of its own"])
    rows = [
        [each, _kind(param), "none" if param.default is None else str(param.default), param.does]
        for each, param in method.params.items()
    ]
    return "\n".join([*lines, "", table(["--param", "kind", "default", "what it does"], rows)])


def _kind(param: Param) -> str:
    """What a parameter must be, with its range."""
    kind = {int: "whole number", float: "number", str: "text"}[param.kind]
    return param.range if param.choices else f"{kind} {param.range}".strip()
