"""Commands that make data: split, builtin."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from righttime.cli.app import (
    BadRows,
    BadRowsOption,
    Fields,
    FormatName,
    Out,
    Overwrite,
    Pools,
    PositiveExamples,
    Seed,
    TaskField,
    app,
    fields_in,
)
from righttime.cli.flags import in_flags
from righttime.errors import SettingsError

__all__ = ["builtin", "split"]


class By(str, enum.Enum):
    """What is held out whole."""

    task = "task"
    group = "group"


@app.command()
def split(
    pool: Pools,
    out: Out,
    tasks: Annotated[str | None, typer.Option(help="Tasks to hold out: a,b,c or @FILE with one in each line.")] = None,
    count: Annotated[int | None, typer.Option(help="How many tasks (or groups) to hold out.")] = None,
    share: Annotated[float | None, typer.Option(help="Which share of the tasks (or groups) to hold out.")] = None,
    by: Annotated[
        By, typer.Option(help="Hold out single tasks, or whole groups of tasks that share a source data set.")
    ] = By.task,
    groups: Annotated[
        Path | None, typer.Option(help="JSON object of task to group; tasks not in it go by their name's first word.")
    ] = None,
    max_per_pool_task: Annotated[int | None, typer.Option(help="At most so many rows of each training task.")] = None,
    max_per_target_task: Annotated[int | None, typer.Option(help="At most so many rows of each held-out task.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything that is drawn by chance. [0]")] = None,
    bad_rows: BadRowsOption = BadRows.stop,
    format_: FormatName = None,
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    fields: Fields = None,
    overwrite: Overwrite = False,
) -> None:
    """Hold out tasks: write OUT/pool.jsonl to train on and OUT/target.jsonl to be judged on."""
    from righttime.formats import read_rows
    from righttime.results import prepare_split, write_split
    from righttime.splits import split_rows

    prepare_split(out, overwrite)
    settings: dict[str, Any] = {"count": count, "share": share, "by": by.value, "seed": seed or 0}
    settings |= {"max_per_pool_task": max_per_pool_task, "max_per_target_task": max_per_target_task}
    settings |= {"tasks": _listed(tasks), "groups": _mapping(groups)}
    read = read_rows(
        pool,
        role="pool",
        format=format_,
        bad_rows=bad_rows.value,
        positive_examples=positive_examples,
        task_field=task_field,
        fields=fields_in(fields),
        progress=True,
    )
    for file in read.inputs:
        if file.note:
            typer.echo(f"{file.path}: {in_flags(file.note, names=False)}")
    done = split_rows(read.rows, **settings)
    write_split(done, read, out, settings)
    if seed is not None and tasks is not None and all(row.reason != "sampled-away" for row in done.left_out):
        typer.echo(f"note: --seed {seed} changes nothing: the tasks are named, and no task has too many rows.")
    typer.echo(f"held out {len(done.held_out)} tasks: {', '.join(done.held_out)}")
    if done.relatives:
        typer.echo(f"left out {len(done.relatives)} tasks of the same groups: {', '.join(done.relatives)}")
    n_out = len(read.left_out) + len(done.left_out)
    typer.echo(
        f"wrote {len(done.pool):,} rows to {out / 'pool.jsonl'} and {len(done.target):,} to {out / 'target.jsonl'}"
    )
    typer.echo(f"{n_out:,} rows left out, each with its reason in {out / 'left_out.parquet'}")


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
        mapping = json.loads(groups.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"--groups {groups} must be a readable JSON file: {error}.") from error
    if not isinstance(mapping, dict) or not all(isinstance(group, str) for group in mapping.values()):
        raise SettingsError(f'--groups {groups} must hold a JSON object such as {{"task1": "squad"}}.')
    return mapping


@app.command()
def builtin(
    out: Out,
    rows: Annotated[int, typer.Option(min=1, help="Rows of each family in the pool.")] = 40,
    target_rows: Annotated[int, typer.Option(min=1, help="Rows of each held-out family in the target.")] = 10,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pool.jsonl and target.jsonl in OUT.")] = False,
) -> None:
    """Write the built-in data set: OUT/pool.jsonl and OUT/target.jsonl, small tasks in families, to try things on."""
    from righttime.demo import Split, builtin_rows
    from righttime.store import make_folder, write_lines

    make_folder(out)
    there = [file for file in (out / "pool.jsonl", out / "target.jsonl") if file.exists()]
    if there and not overwrite:
        raise SettingsError(f"{there[0]} is there already. Hint: choose another --out, or --overwrite.")
    sides: tuple[tuple[Split, int], ...] = (("pool", rows), ("target", target_rows))
    for name, count in sides:
        made = builtin_rows(name, rows_per_family=count, seed=seed)
        write_lines(out / f"{name}.jsonl", (json.dumps(row, ensure_ascii=False) for row in made))
        typer.echo(f"wrote {len(made):,} rows of {len({row['task'] for row in made})} families to {out / name}.jsonl")
