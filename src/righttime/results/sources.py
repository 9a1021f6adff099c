"""The data that a result was made from, found again by its manifest."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from righttime.arrangement.weaving import what_is_woven
from righttime.errors import RighttimeError
from righttime.formats import InputFile, Reading, read_rows
from righttime.formats.bounds import MAX_ROW_BYTES
from righttime.formats.hub import PREFIX
from righttime.formats.remote import address
from righttime.results.manifest import ResultManifest
from righttime.results.widening import read_widen, with_neighbours

__all__ = ["Sources", "find_sources_of", "inside", "read_again", "widened_again"]


@dataclass(frozen=True)
class Sources:
    """Where pool and target are.

    Attributes:
        folder: The folder that the names are relative to.
        pool: Names of the pool's files and folders.
        target: The same of the target.
        lost: Why they cannot be had, in a sentence; empty where they can.
    """

    folder: Path
    pool: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    lost: str = ""


def find_sources_of(manifest: ResultManifest) -> Sources:
    """The pool and the target of a result: where it was made, else the same names where we are.

    Args:
        manifest: Of a finished result.
    """
    names: dict[str, tuple[str, ...]] = {}
    for side, recorded in (("pool", manifest.given.pool), ("target", manifest.given.target)):
        if not recorded:
            return Sources(Path.cwd(), lost=f"the {side} was not read from files")
        names[side] = recorded
    every = [*names["pool"], *names["target"], *_woven(manifest), *_side(manifest)]
    made_in = Path(manifest.given.folder or Path.cwd())
    for folder in dict.fromkeys((made_in, Path.cwd())):
        if all(_is_there(folder, name) for name in every):
            return Sources(folder, names["pool"], names["target"])
    gone = next(name for name in every if not _is_there(made_in, name))
    return Sources(made_in, lost=f"{made_in / gone} is gone")


def _woven(manifest: ResultManifest) -> list[str]:
    """The other pool whose rows were woven in, where there was one."""
    weave = what_is_woven(manifest.settings.get("weave"), manifest.settings.get("anneal"))
    return [weave.pool] if weave and weave.pool else []


def _side(manifest: ResultManifest) -> list[str]:
    """The side pool that the target was widened from, where it was."""
    widens = read_widen(manifest.settings.get("widen"))
    return [widens.pool] if widens else []


def _is_there(folder: Path, name: str) -> bool:
    return (
        name.startswith(PREFIX)
        or address(name) is not None
        or (folder / name).exists()
        or bool(glob.glob(str(folder / name), recursive=True))
    )


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder for a while, so that every name means what it meant when the result was made."""
    before = Path.cwd()
    if folder != before:
        os.chdir(folder)
    try:
        yield
    finally:
        if folder != before:
            os.chdir(before)


def read_again(manifest: ResultManifest, side: Literal["pool", "target"]) -> tuple[Reading | None, str]:
    """One side's rows, if its files still exist and are unchanged; otherwise nothing, and why."""
    found = find_sources_of(manifest)
    if found.lost:
        return None, found.lost
    names = [*found.pool, *_woven(manifest)] if side == "pool" else found.target
    then = manifest.pool if side == "pool" else manifest.target
    try:
        with inside(found.folder):
            read, lost = _read(manifest, names, side, then, side)
            return (read, lost) if read is None or side == "pool" else widened_again(manifest, read)
    except OSError as error:
        return None, f"the {side} cannot be read any more: {error}"


def widened_again(manifest: ResultManifest, target: Reading) -> tuple[Reading | None, str]:
    """A target with the rows that it was widened by; read where we are.

    Args:
        manifest: Of a finished result.
        target: Its target's own rows.

    Returns:
        The whole target; or nothing, and why.
    """
    if manifest.widening is None:
        return target, ""
    read, lost = _read(manifest, _side(manifest), "pool", manifest.widening.pool, "side pool")
    if read is None:
        return None, lost
    return with_neighbours(target, read, [row.row for row in manifest.widening.rows]), ""


def _read(
    manifest: ResultManifest,
    names: Sequence[str],
    role: Literal["pool", "target"],
    then: Sequence[InputFile],
    told: str,
) -> tuple[Reading | None, str]:
    settings = manifest.settings
    try:
        read = read_rows(
            names,
            role=role,
            format=settings["format" if role == "pool" else "target_format"],
            bad_rows=settings["bad_rows"],
            repeated_ids=settings.get("repeated_ids", "stop"),
            positive_examples=settings["positive_examples"],
            task_field=settings["task_field"],
            fields=settings.get("fields" if role == "pool" else "target_fields"),
            max_row_bytes=settings.get("max_row_bytes", MAX_ROW_BYTES),
        )
    except (RighttimeError, OSError) as error:
        return None, f"the {told} cannot be read any more: {error}"
    if [file.sha256 for file in then] != [file.sha256 for file in read.inputs]:
        return None, f"the {told} was changed since"
    return read, ""
