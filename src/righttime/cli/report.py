"""``righttime report``."""

from __future__ import annotations

import shlex
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from righttime.cli.app import Cache, Overwrite, app
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit
from righttime.cli.text import printable

if TYPE_CHECKING:
    from righttime.report import Report

__all__ = ["report"]

_DEFAULTS: Mapping[str, Any] = {"max_rows": 50_000, "projection": "auto"}


@app.command(rich_help_panel="Inspect")
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUT|RUN|EXP...",
            help="What `righttime arrange`, `tune`, `evaluate`, `experiment`, `compare`, `similarity` or `guard` "
            "wrote, in any mix; arrangements must be of one pool and one target.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="PAGE", help="The HTML file to write.")] = Path("page.html"),
    open_it: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    max_rows: Annotated[
        int, typer.Option(metavar="N", help="Rows of both sides on the page; of more, a stated part is chosen.")
    ] = _DEFAULTS["max_rows"],
    projection: Annotated[
        Literal["auto", "umap", "tsne", "pca"],
        typer.Option(help="How the map is made; auto: umap where installed, else tsne of few rows, else pca."),
    ] = _DEFAULTS["projection"],
    pool: Annotated[
        list[str] | None, typer.Option(metavar="POOL", help="The pool, where it has moved; may be repeated.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="TARGET", help="The target, where it has moved; may be repeated.")
    ] = None,
    cache: Cache = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a page to look at.

    What was chosen, why, and what it did, in one HTML file that opens from disk and fetches nothing.
    """
    from righttime.report import write_report

    settings: dict[str, Any] = {"pool": pool, "target": target, "max_rows": max_rows}
    settings |= {"projection": projection, "cache": cache}
    made = write_report(
        folders,
        out,
        overwrite=overwrite,
        **settings,
        command=_command(folders, out, settings, overwrite),
        progress=not as_json,
    )
    emit(as_json, lambda: _facts(made, out), lambda: _text(made, out))
    if open_it:
        webbrowser.open(out.resolve().as_uri())


def _command(folders: list[Path], out: Path, settings: Mapping[str, Any], overwrite: bool) -> str:
    """The command that makes the page again, as a shell takes it."""
    words = ["righttime", "report", *(f"./{one}" if str(one).startswith("-") else str(one) for one in folders)]
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            if one not in (None, _DEFAULTS.get(name)):
                words += [flag, str(one)]
    return shlex.join([*words, "--out", str(out), *(["--overwrite"] if overwrite else [])])


def _facts(made: Report, out: Path) -> dict[str, Any]:
    return {
        "page": out,
        "bytes": out.stat().st_size,
        "shown": made.shown,
        "rows": made.total,
        "missing": [{"part": one.part, "why": one.why} for one in made.missing],
    }


def _text(made: Report, out: Path) -> str:
    lines = [f"not shown: {one.part}: {in_flags(one.why)}" for one in made.missing]
    if made.shown is not None and made.total is not None and made.shown != made.total:
        lines.append(f"shown: {sum(made.shown):,} of {sum(made.total):,} rows; more with --max-rows")
    lines.append(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return printable("\n".join(lines))
