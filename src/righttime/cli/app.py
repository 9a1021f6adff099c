"""The Typer application and the options that several commands share."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated

import typer

from righttime.cli.options import Commands
from righttime.errors import SettingsError
from righttime.version import __version__

__all__ = [
    "BadRows",
    "BadRowsOption",
    "Cache",
    "EngineName",
    "Fields",
    "FormatName",
    "GivenSeed",
    "Memory",
    "Out",
    "Overwrite",
    "Pools",
    "PositiveExamples",
    "Seed",
    "Subsample",
    "Target",
    "TargetFields",
    "TaskField",
    "app",
    "bytes_in",
    "fields_in",
]

app = Commands(
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
    list[str],
    typer.Option(
        metavar="TARGET",
        help="Rows that stand for what the model will be judged on, in any format; several are one joint target.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="OUT", help="The folder to write to.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished result in OUT.")]
Seed = Annotated[int, typer.Option(help="Decides everything that is drawn by chance.")]
GivenSeed = Annotated[
    int | None, typer.Option(help="Decides everything that is drawn by chance: what --method draws, --subsample. [0]")
]
Subsample = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE|N",
        help="Draw a part of the pool by --seed before anything else, such as 0.5, 50% or 1000 rows: true replicates.",
    ),
]
FormatName = Annotated[
    str | None, typer.Option("--format", help="The pool's format, where detection is wrong: {formats}.")
]
TaskField = Annotated[
    str | None, typer.Option(help="The field that holds a row's task; @file takes the file's name as the task.")
]
PositiveExamples = Annotated[int, typer.Option(help="Natural Instructions: positive examples put into each prompt.")]
Fields = Annotated[
    str | None,
    typer.Option(
        metavar="PART=FIELD,...",
        help="For files of no known format: which field is what, such as prompt=title,context=body,response=reply; "
        "also system, options, task, id. Columns without a header by number: prompt=1,response=2.",
    ),
]
TargetFields = Annotated[str | None, typer.Option(metavar="PART=FIELD,...", help="As --fields, for the target.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="The folder of cached vectors; default: RIGHTTIME_CACHE, or the user's cache folder."),
]


EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="Where neighbours are looked for: {engines} (many machines: RAY_ADDRESS). Never the result.",
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="What the search may hold above the vectors, such as 512MiB. Vectors that take more are mapped from a "
        "file in the cache folder.",
    ),
]


class BadRows(str, enum.Enum):
    """What happens at a row that cannot be used."""

    stop = "stop"
    skip = "skip"


BadRowsOption = Annotated[BadRows, typer.Option(help="At a row that cannot be used: stop, or skip and list it.")]


def fields_in(given: str | None, option: str = "--fields") -> dict[str, str]:
    """`prompt=title,response=reply` as a mapping; nothing as an empty one.

    Raises:
        SettingsError: If it is not in that form, or names a part twice.

    Example:
        >>> fields_in("prompt=title, response=reply")
        {'prompt': 'title', 'response': 'reply'}
    """
    found: dict[str, str] = {}
    for entry in [] if given is None else given.split(","):
        part, equals, name = (word.strip() for word in entry.partition("="))
        if not (part and equals and name):
            raise SettingsError(f"{option} must be PART=FIELD,..., such as prompt=title,response=reply, got {given!r}.")
        if part in found:
            raise SettingsError(f"{option} must name each part once, got {part} twice in {given!r}.")
        found[part] = name
    return found


def bytes_in(size: str) -> int:
    """`512MiB`, `1GiB`, `2G` or a number of bytes, as a number of bytes.

    Raises:
        SettingsError: If it is none of these.

    Example:
        >>> bytes_in("512MiB")
        536870912
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", size.strip(), re.IGNORECASE)
    if not found:
        raise SettingsError(f"a size must be a number with K, M, G or T, such as 512MiB, got {size!r}.")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


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
