"""``righttime verify``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from righttime.cli.app import Cache, Memory, app, bytes_in
from righttime.cli.output import Json, emit, say
from righttime.errors import SettingsError

if TYPE_CHECKING:
    from righttime.verification.finding import Finding

__all__ = ["verify"]

_MARKS: Mapping[bool | None, str] = {True: "ok     ", False: "FAILED ", None: "unsure "}


@app.command(rich_help_panel="Inspect")
def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What `righttime arrange` or `righttime tune` wrote.")
    ],
    arrangement: Annotated[
        Path | None, typer.Argument(metavar="ARRANGEMENT", help="For a run: the arrangement it was to follow.")
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(metavar="POOL", help="For an arrangement: its pool, where it has moved; may be repeated."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="For an arrangement: its target, where it has moved; may be repeated."),
    ] = None,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="For an arrangement: verify the files alone, without the data.")
    ] = False,
    cache: Cache = None,
    memory: Memory = "1GiB",
    as_json: Json = False,
) -> None:
    """Verify an arrangement, or a run against one.

    An arrangement: files, counts, and with its data every similarity and round. Its manifest says where the data is.

    A run: whether the model was fed the rows of ARRANGEMENT, in that order.

    The exit code is 1 where something differs.
    """
    if arrangement is None and (folder / "run.json").exists():
        raise SettingsError(
            f"a run is verified against its arrangement, but only the run was given: {folder}. "
            f"Hint: righttime verify {folder} ARRANGEMENT."
        )
    if arrangement is not None:
        if pool or target or no_data or cache is not None:
            raise SettingsError(
                "--pool, --target, --no-data and --cache are for verifying an arrangement alone, got a run as well."
            )
        _run(folder, arrangement, as_json)
    else:
        how = {"files_only": no_data, "cache": cache, "memory": bytes_in(memory)}
        _arrangement(folder, pool or None, target or None, how, as_json)


app.renamed("check", "verify", verify)


def _run(run: Path, arrangement: Path, as_json: bool) -> None:
    from righttime.verification.run import verify as verified

    findings = verified(run, arrangement)
    _tell(findings, as_json, f"it is not proven that {run} trained in {arrangement}'s order")


def _arrangement(
    folder: Path, pool: list[str] | None, target: list[str] | None, how: Mapping[str, Any], as_json: bool
) -> None:
    from righttime.verification.result import DATA, check

    findings = check(folder, pool, target, **how, progress=True)
    _tell(findings, as_json, f"{folder} is not what was written")
    if as_json:
        return
    if how["files_only"]:
        say("similarities and rounds not verified: that takes the data")
    elif findings[-1].what == DATA:
        say("similarities and rounds not verified: that takes the data it was made from. Hint: --pool and --target.")


def _tell(findings: Sequence[Finding], as_json: bool, meaning: str) -> None:
    """A line for each finding; exit code 1 where one failed."""
    failed = sum(finding.ok is False for finding in findings)
    lines = (
        _MARKS[finding.ok] + finding.what + (f": {finding.detail}" if finding.detail else "") for finding in findings
    )
    emit(as_json, lambda: {"ok": not failed, "findings": findings}, lambda: "\n".join(lines))
    if failed:
        say(f"{failed} of {len(findings)} checks failed: {meaning}.", err=True)
        raise typer.Exit(1)
