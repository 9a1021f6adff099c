"""The command: parse, call the library, print. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import enum
import io
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from righttime import __version__
from righttime.errors import RighttimeError, SettingsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="righttime",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Arrange instruction-tuning data around what the model will be judged on: which rows, in what order, and why.",
)

Pools = Annotated[
    list[str],
    typer.Argument(metavar="POOL...", help="Files, folders or hf:owner/name[/config][:split] to choose rows from."),
]
Target = Annotated[
    str, typer.Option(metavar="TARGET", help="Rows that stand for what the model will be judged on, in any format.")
]
Out = Annotated[Path, typer.Option(metavar="OUT", help="The folder to write to.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished result in OUT.")]
Seed = Annotated[int, typer.Option(help="Decides everything that is drawn by chance.")]
FormatName = Annotated[str | None, typer.Option("--format", help="The pool's format, where it is not told right.")]
TaskField = Annotated[
    str | None, typer.Option(help="The field that holds a row's task; @file takes the file's name as the task.")
]
PositiveExamples = Annotated[int, typer.Option(help="Natural Instructions: positive examples put into each prompt.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="The folder of cached vectors; default: RIGHTTIME_CACHE, or the user's cache folder."),
]


class Keep(str, enum.Enum):
    """What happens to pool rows that repeat an earlier row."""

    keep = "keep"
    drop = "drop"


class BadRows(str, enum.Enum):
    """What happens at a row that cannot be used."""

    stop = "stop"
    skip = "skip"


BadRowsOption = Annotated[BadRows, typer.Option(help="At a row that cannot be used: stop, or skip and list it.")]


class Form(str, enum.Enum):
    """What train.jsonl holds."""

    messages = "messages"
    original = "original"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def arrange(
    pool: Pools,
    target: Target,
    out: Out,
    method: Annotated[
        str,
        typer.Option(help="How to choose and order, such as tma, nearest or random; `righttime methods` lists all."),
    ] = "tma",
    distance: Annotated[
        str | None, typer.Option(help="What methods of distance rank by: wsd, ad, md, ot or ot-entropic; default: wsd.")
    ] = None,
    budget: Annotated[int | None, typer.Option(help="The exact number of rows to take; default: all.")] = None,
    rounds: Annotated[
        str | None, typer.Option(metavar="I:J", help="Keep only TMA's rounds I up to, not with, J.")
    ] = None,
    within_round: Annotated[
        str, typer.Option(help="Order inside a round: similarity, index (as the paper's code) or random.")
    ] = "similarity",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the method's own; may be repeated."),
    ] = None,
    seed: Seed = 0,
    text: Annotated[
        str, typer.Option(help="What stands for a row: prompt+response of the first exchange, prompt, or all turns.")
    ] = "prompt+response",
    embedder: Annotated[
        str | None,
        typer.Option(
            help="A sentence-transformers model or folder, lm:MODEL, gradients:MODEL or vectors:FILE[#NAME]; "
            "default: all-MiniLM-L6-v2."
        ),
    ] = None,
    target_embedder: Annotated[
        str | None, typer.Option(help="vectors:FILE[#NAME] of the target, where the pool's file does not hold them.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of a text that the model reads; default: its own.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Put before every text, as some models want.")] = "",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps, ...; default: the best there is.")] = None,
    duplicates: Annotated[Keep, typer.Option(help="Pool rows that repeat an earlier row: keep or drop.")] = Keep.keep,
    bad_rows: BadRowsOption = BadRows.stop,
    format_: FormatName = None,
    target_format: Annotated[str | None, typer.Option(help="The same for the target.")] = None,
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="With --max-tokens: the tokenizer of the model to be trained, a folder or hub name."),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Leave out rows of more tokens than this.")] = None,
    as_: Annotated[
        Form, typer.Option("--as", help="What train.jsonl holds: messages, or each row's original JSON.")
    ] = Form.messages,
    cache: Cache = None,
    overwrite: Overwrite = False,
) -> None:
    """Order a pool of instruction data around a target, and write a training file in that order."""
    from righttime.arranging import Request, arrange_rows
    from righttime.embedding import DEFAULT_MODEL
    from righttime.results import prepare_result, write_result
    from righttime.summary import summary

    request = Request(
        method=method,
        distance=distance,
        budget=budget,
        rounds=_window(rounds),
        within_round=within_round,
        params=_params(param),
        seed=seed,
        text=text,
        embedder=embedder or DEFAULT_MODEL,
        target_embedder=target_embedder,
        max_length=max_length,
        prefix=prefix,
        device=device,
        duplicates=duplicates.value,
        bad_rows=bad_rows.value,
        format=format_,
        target_format=target_format,
        positive_examples=positive_examples,
        task_field=task_field,
        tokenizer=tokenizer,
        max_tokens=max_tokens,
    )
    request.check()
    prepare_result(out, overwrite)
    result = arrange_rows(pool, target, request, cache=cache, progress=True, keep_original=as_ is Form.original)
    write_result(result, out, as_.value)
    typer.echo(summary(result, out))


def _params(given: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` as a mapping; the method reads the values."""
    pairs = [entry.partition("=") for entry in given or []]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise SettingsError(f"--param must be NAME=VALUE, got {name!r}.")
    return {name: value for name, _, value in pairs}


def _window(rounds: str | None) -> tuple[int, int | None] | None:
    """`I:J`, `I:` or `:J` as a window of rounds."""
    if rounds is None:
        return None
    start, colon, stop = rounds.partition(":")
    if not colon or not all(part.isdecimal() or not part for part in (start, stop)):
        raise SettingsError(f"--rounds must be I:J, for example 0:5, got {rounds!r}.")
    return int(start or 0), int(stop) if stop else None


@app.command()
def show(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `righttime arrange` wrote.")],
    first: Annotated[int, typer.Option(min=0, help="Places of the order to show.")] = 10,
    tasks: Annotated[int, typer.Option(min=0, help="Tasks to show.")] = 20,
) -> None:
    """Say what was arranged: counts, rounds, tasks, the first rows and the target row that picked each."""
    from righttime.showing import show as describe

    typer.echo(describe(out, first, tasks))


@app.command()
def check(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that `righttime arrange` wrote.")],
    pool: Annotated[
        list[str] | None, typer.Option(metavar="POOL", help="The pool it was made from; may be repeated.")
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="TARGET", help="The target it was made around.")] = None,
    cache: Cache = None,
) -> None:
    """Verify a result: hashes, permutation, counts; with the data also every similarity and round."""
    from righttime.checking import check as verify

    findings = verify(out, pool or None, target, cache=cache, progress=True)
    marks: Mapping[bool | None, str] = {True: "ok     ", False: "FAILED ", None: "unsure "}
    for finding in findings:
        typer.echo(marks[finding.ok] + finding.what + (f": {finding.detail}" if finding.detail else ""))
    failed = sum(finding.ok is False for finding in findings)
    if failed:
        typer.echo(f"{failed} of {len(findings)} checks failed: {out} is not what was written.", err=True)
        raise typer.Exit(1)
    if pool is None:
        typer.echo("similarities and rounds not checked: that takes --pool and --target")


@app.command()
def measure(
    arrangements: Annotated[
        list[Path], typer.Argument(metavar="ARRANGEMENT...", help="Folders that `righttime arrange` wrote.")
    ],
    target: Target,
    out: Out,
    every: Annotated[int, typer.Option(min=1, help="Measure the first so many rows, twice as many, ..., all.")] = 160,
    per_task: Annotated[bool, typer.Option("--per-task", help="Also one curve for each target task.")] = False,
    embedder: Annotated[
        str | None, typer.Option(help="As for arrange; default: what the arrangements were made with.")
    ] = None,
    target_embedder: Annotated[
        str | None, typer.Option(help="vectors:FILE[#NAME] of the target, where the pool's file does not hold them.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="As for arrange; default: what the arrangements were made with.")
    ] = None,
    kl_over_occurrences: Annotated[
        bool,
        typer.Option(
            "--kl-over-occurrences", help="For comparison only: KL as the paper's code has it, weighted by counts."
        ),
    ] = False,
    cache: Cache = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how near the first n rows of each order are to the target: the paper's nine measures, for growing n."""
    from righttime.measuring import measure_folders
    from righttime.summary import measured_summary

    measured = measure_folders(
        arrangements,
        target,
        out=out,
        every=every,
        per_task=per_task,
        kl_over_occurrences=kl_over_occurrences,
        embedder=embedder,
        target_embedder=target_embedder,
        text=text,
        overwrite=overwrite,
        cache=cache,
        progress=True,
    )
    typer.echo(measured_summary(measured, out))


@app.command()
def methods(
    method: Annotated[str | None, typer.Option(help="Tell all about this one, with its parameters.")] = None,
) -> None:
    """List every method: what it does, what it needs, what it costs, where it comes from."""
    from righttime.showing import methods as listed

    typer.echo(listed(method))


class Rank(str, enum.Enum):
    """How orders are compared."""

    spearman = "spearman"
    kendall = "kendall"


@app.command()
def agreement(
    arrangements: Annotated[
        list[Path], typer.Argument(metavar="ARRANGEMENT...", help="Folders of `righttime arrange`, or .parquet files.")
    ],
    at: Annotated[
        str | None,
        typer.Option(
            help="Compare the first rows: shares of the pool (0.01) or counts (500), with commas; default: all."
        ),
    ] = None,
    rank: Annotated[Rank, typer.Option(help="The rank correlation of the rows in common.")] = Rank.spearman,
) -> None:
    """Say how far arrangements of one pool agree: which rows they share, and in which order."""
    from righttime.agreeing import agreement as compare
    from righttime.agreeing import agreement_table, read_at

    typer.echo(agreement_table(compare(arrangements, at=read_at(at), rank=rank.value)))


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
    seed: Seed = 0,
    bad_rows: BadRowsOption = BadRows.stop,
    format_: FormatName = None,
    positive_examples: PositiveExamples = 0,
    task_field: TaskField = None,
    overwrite: Overwrite = False,
) -> None:
    """Hold out tasks: write OUT/pool.jsonl to train on and OUT/target.jsonl to be judged on."""
    from righttime.formats import read_rows
    from righttime.results import prepare_split, write_split
    from righttime.splits import split_rows

    prepare_split(out, overwrite)
    settings: dict[str, Any] = {"count": count, "share": share, "by": by.value, "seed": seed}
    settings |= {"max_per_pool_task": max_per_pool_task, "max_per_target_task": max_per_target_task}
    settings |= {"tasks": _listed(tasks), "groups": _mapping(groups)}
    read = read_rows(
        pool,
        role="pool",
        format=format_,
        bad_rows=bad_rows.value,
        positive_examples=positive_examples,
        task_field=task_field,
    )
    done = split_rows(read.examples, **settings)
    write_split(done, read, out, settings)
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
    from righttime.builtin import Split, builtin_rows
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


def _quiet() -> None:
    """Keep the libraries below from talking over what we print."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


class _StoppedError(BaseException):
    """Ctrl-C, by a name that nothing below takes for its own."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StoppedError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The words after ``righttime``; None takes the process's own.

    Returns:
        The exit code: 0; 1 where a check failed or data, settings, model or disk are not as they must be; 2 where the
        words make no sense; 130 after Ctrl-C.
    """
    _quiet()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)
    try:
        app(args=None if argv is None else list(argv), prog_name="righttime")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except RighttimeError as error:
        print(f"righttime: error: {error}", file=sys.stderr)
        return 1
    except (_StoppedError, KeyboardInterrupt):
        print("righttime: stopped; run the same command again to go on where embedding was.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
