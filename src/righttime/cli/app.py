"""The Typer application and the options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from righttime.cli.options import Commands, Panels
from righttime.errors import SettingsError
from righttime.version import __version__

__all__ = [
    "ARITHMETIC",
    "EMBEDDING",
    "OLD_PRECISIONS",
    "READING",
    "RUNNING",
    "BadRows",
    "BaseName",
    "Cache",
    "Device",
    "EngineName",
    "Fields",
    "FormatName",
    "GivenSeed",
    "MaxRowBytes",
    "Memory",
    "Out",
    "Overwrite",
    "Pools",
    "PositiveExamples",
    "Precision",
    "RepeatedIds",
    "Seed",
    "Subsample",
    "Target",
    "TargetEmbedder",
    "TargetFields",
    "TargetFormat",
    "TaskField",
    "app",
    "bytes_in",
    "fields_in",
]

EMBEDDING = "Embedding"
READING = "Reading"
RUNNING = "Running"
"""Panels of options that several commands share."""
OLD_PRECISIONS = {"bf16": "bfloat16", "fp32": "float32"}
ARITHMETIC = {"float32": "float32", "bfloat16": "bf16"}
"""Number formats, as runs' folders have them."""
BaseName = Literal["float32", "bfloat16", "stored", "nf4", "nf4-double"]

app = Commands(
    name="righttime",
    cls=Panels,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Arrange instruction-tuning data around the data a model will be judged on.",
)

Pools = Annotated[
    list[str],
    typer.Argument(
        metavar="POOL...",
        help="Files, folders, patterns, addresses such as s3://BUCKET/FILE, or hf:OWNER/NAME[/CONFIG][:SPLIT] to "
        "choose rows from.",
    ),
]
Target = Annotated[
    list[str],
    typer.Option(
        metavar="TARGET",
        help="Rows that represent what the model will be judged on, in any format; may be repeated.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write to.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a finished result in --out.")]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn at random.")]
GivenSeed = Annotated[
    int | None,
    typer.Option(
        help="Seed of everything that is drawn at random: by --method, --shape, --weave, --anneal and --subsample.",
        show_default="0",
        rich_help_panel=RUNNING,
    ),
]
Subsample = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE|N",
        help="Draw part of the pool by --seed first: 0.5, 50% or 1000 rows.",
        rich_help_panel=READING,
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="The pool's format: {formats}; preference and text must be named.",
        show_default="detected",
        rich_help_panel=READING,
    ),
]
TargetFormat = Annotated[
    str | None,
    typer.Option(
        help="The target's format; preference and text must be named.", show_default="detected", rich_help_panel=READING
    ),
]
TaskField = Annotated[
    str | None,
    typer.Option(
        help="The field that holds a row's task; @file takes the file's name as the task.", rich_help_panel=READING
    ),
]
PositiveExamples = Annotated[
    int,
    typer.Option(help="Natural Instructions: positive examples put into each prompt.", rich_help_panel=READING),
]
Fields = Annotated[
    str | None,
    typer.Option(
        metavar="PART=FIELD,...",
        help="For files of no known format: which field holds what, such as prompt=title,context=body,response=reply; "
        "also system, options, task, id. Without a header, columns by number: prompt=1,response=2.",
        rich_help_panel=READING,
    ),
]
TargetFields = Annotated[
    str | None,
    typer.Option(metavar="PART=FIELD,...", help="As --fields, for the target.", rich_help_panel=READING),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="The folder of cached vectors.",
        show_default="RIGHTTIME_CACHE, or the user's cache folder",
        rich_help_panel=RUNNING,
    ),
]


EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="Search backend; affects speed only: {engines} (ray: many machines, by RAY_ADDRESS).",
        rich_help_panel=RUNNING,
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="Memory of the search besides the vectors, such as 512MiB. Vectors that take more are mapped from a file "
        "in the cache folder.",
        rich_help_panel=RUNNING,
    ),
]

MaxRowBytes = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="The longest row, decompressed; a longer one is a bad row.",
        rich_help_panel=READING,
    ),
]


Precision = Annotated[
    Literal["float32", "bfloat16", "float16", "int8"],
    typer.Option(
        help="Arithmetic of the model: bfloat16 and float16 for GPUs and CPUs with AMX, int8 for CPUs; faster than "
        "float32, with other vectors.",
        rich_help_panel=EMBEDDING,
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, mps, ...", show_default="the best there is", rich_help_panel=EMBEDDING)
]
TargetEmbedder = Annotated[
    str | None,
    typer.Option(
        metavar="vectors:FILE[#NAME]",
        help="The target's vectors, where the pool's file does not hold them.",
        rich_help_panel=EMBEDDING,
    ),
]
BadRows = Annotated[
    Literal["stop", "skip"],
    typer.Option(help="At a row that cannot be used: stop, or skip and list it.", rich_help_panel=READING),
]
RepeatedIds = Annotated[
    Literal["stop", "number"],
    typer.Option(
        help="At an id that a file gives twice: stop, or number: FILE:ID, FILE:ID-2.", rich_help_panel=READING
    ),
]


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
    bytes_ = float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " ")
    if not bytes_ < 2**63:
        raise SettingsError(f"a size must be less than 8,388,608 TiB, got {size[:40]!r}.")
    return int(bytes_)


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
