"""Commands that make data: split, builtin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from righttime import strict_json
from righttime.cli.app import (
    BadRows,
    Fields,
    FormatName,
    MaxRowBytes,
    Out,
    Overwrite,
    Pools,
    PositiveExamples,
    RepeatedIds,
    Seed,
    TaskField,
    app,
    bytes_in,
    fields_in,
)
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit
from righttime.cli.text import sentence
from righttime.errors import SettingsError

__all__ = ["builtin", "split"]


@app.command(rich_help_panel="Data")
def split(
    pool: Pools,
    out: Out,
    tasks: Annotated[str | None, typer.Option(help="Tasks to hold out: a,b,c or @FILE with one in each line.")] = None,
    count: Annotated[int | None, typer.Option(help="Number of tasks (or groups) to hold out.")] = None,
    share: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of tasks (or groups) to hold out: 0.1 or 10%."),
    ] = None,
    by: Annotated[
        Literal["task", "group"],
        typer.Option(help="Hold out single tasks, or whole groups of tasks that share a source data set."),
    ] = "task",
    groups: Annotated[
        Path | None,
        typer.Option(help="A JSON object of task to group; a task it lacks is grouped by its name's first word."),
    ] = None,
    max_per_pool_task: Annotated[int | None, typer.Option(help="Most rows of each training task.")] = None,
    max_per_target_task: Annotated[int | None, typer.Option(help="Most rows of each held-out task.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of everything that is drawn at random.", show_default="0")
    ] = None,
    bad_rows: BadRows = "stop",
    repeated_ids: RepeatedIds = "stop",
    format_: FormatName = None,
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    fields: Fields = None,
    max_row_bytes: MaxRowBytes = "64MiB",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Hold out tasks as the target.

    Writes pool.jsonl to train on and target.jsonl to be judged on to --out.
    """
    from righttime.formats import read_rows
    from righttime.results import prepare_split, write_split
    from righttime.splits import split_rows

    prepare_split(out, overwrite)
    settings: dict[str, Any] = {"count": count, "share": _share_in(share), "by": by, "seed": seed or 0}
    settings |= {"max_per_pool_task": max_per_pool_task, "max_per_target_task": max_per_target_task}
    settings |= {"tasks": _listed(tasks), "groups": _mapping(groups)}
    read = read_rows(
        pool,
        role="pool",
        format=format_,
        bad_rows=bad_rows,
        repeated_ids=repeated_ids,
        positive_examples=positive_examples,
        task_field=task_field,
        fields=fields_in(fields),
        max_row_bytes=bytes_in(max_row_bytes),
        progress=True,
    )
    done = split_rows(read.rows, **settings)
    write_split(done, read, out, settings)
    unused = seed is not None and tasks is not None and all(row.reason != "sampled-away" for row in done.left_out)
    facts = {
        "out": out,
        "pool_rows": len(done.pool),
        "target_rows": len(done.target),
        "left_out": len(read.left_out) + len(done.left_out),
        "held_out": done.held_out,
        "relatives": done.relatives,
        "notes": [
            *(f"{file.path}: {in_flags(file.note, names=False)}" for file in read.inputs if file.note),
            *([f"--seed {seed} changes nothing: the tasks are named, and no task has too many rows."] * unused),
        ],
    }
    emit(as_json, lambda: facts, lambda: _split_text(facts, out))


def _split_text(facts: Mapping[str, Any], out: Path) -> str:
    lines = [f"note: {note}" for note in facts["notes"]]
    lines.append(f"held out {len(facts['held_out'])} tasks: {', '.join(map(sentence, facts['held_out']))}")
    if facts["relatives"]:
        names = ", ".join(map(sentence, facts["relatives"]))
        lines.append(f"left out {len(facts['relatives'])} tasks of the same groups: {names}")
    lines.append(
        f"wrote {facts['pool_rows']:,} rows to {out / 'pool.jsonl'} and {facts['target_rows']:,} to "
        f"{out / 'target.jsonl'}"
    )
    lines.append(f"{facts['left_out']:,} rows left out, each with its reason in {out / 'left_out.parquet'}")
    return "\n".join(lines)


def _share_in(given: str | None) -> float | None:
    """`0.1` or `10%` as a number; the library says which are too small or too large.

    Raises:
        SettingsError: If it is neither.

    Example:
        >>> _share_in("10%"), _share_in("0.1")
        (0.1, 0.1)
    """
    if given is None:
        return None
    try:
        return float(given[:-1]) / 100 if given.endswith("%") else float(given)
    except ValueError:
        raise SettingsError(f"--share must be a share such as 0.1 or 10%, got {given!r}.", setting="share") from None


def _listed(tasks: str | None) -> list[str] | None:
    """`a,b,c`, or `@FILE` with one in each line."""
    if tasks is None:
        return None
    if not tasks.startswith("@"):
        return [task.strip() for task in tasks.split(",") if task.strip()]
    try:
        lines = Path(tasks[1:]).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--tasks {tasks} must name a readable text file: {error}.") from error
    return [line.strip() for line in lines if line.strip()]


def _mapping(groups: Path | None) -> dict[str, str] | None:
    if groups is None:
        return None
    try:
        mapping = strict_json.loads(groups.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"--groups {groups} must be a readable JSON file: {error}.") from error
    if not isinstance(mapping, dict) or not all(isinstance(group, str) for group in mapping.values()):
        raise SettingsError(f'--groups {groups} must hold a JSON object such as {{"task1": "squad"}}.')
    return mapping


@app.command(rich_help_panel="Data")
def builtin(
    out: Out,
    rows: Annotated[int, typer.Option(min=1, help="Rows of each family in the pool.")] = 40,
    target_rows: Annotated[int, typer.Option(min=1, help="Rows of each held-out family in the target.")] = 10,
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pool.jsonl and target.jsonl in --out.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the built-in data set.

    Small tasks in families, to try things on: pool.jsonl and target.jsonl in --out.
    """
    from righttime.demo import Split, builtin_rows
    from righttime.store import make_folder, staged, write_lines

    make_folder(out)
    there = [file for file in (out / "pool.jsonl", out / "target.jsonl") if file.exists()]
    killed = any(out.glob(".*.partial"))  # a run that was killed left one of two files, or both and its staging folder
    if there and not overwrite and not killed:
        raise SettingsError(f"{there[0]} is there already. Hint: choose another --out, or --overwrite.")
    sides: tuple[tuple[Split, int], ...] = (("pool", rows), ("target", target_rows))
    facts: dict[str, Any] = {"out": out}
    lines = []
    with staged(out) as staging:
        for name, count in sides:
            made = builtin_rows(name, rows_per_family=count, seed=seed)
            write_lines(staging / f"{name}.jsonl", (json.dumps(row, ensure_ascii=False) for row in made))
            families = len({row["task"] for row in made})
            facts |= {f"{name}_rows": len(made), f"{name}_families": families}
            lines.append(f"wrote {len(made):,} rows of {families} families to {out / name}.jsonl")
    emit(as_json, lambda: facts, lambda: "\n".join(lines))
