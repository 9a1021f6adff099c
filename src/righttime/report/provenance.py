"""How arrangements came to be: their inputs, files, versions, manifests, and the commands that make them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from righttime import strict_json
from righttime.errors import StoreError
from righttime.formats import InputFile
from righttime.report.arranged import Arranged
from righttime.report.blocks import Block, Cell, Column, Facts, Heading, Pre, Table, Text
from righttime.report.commands import arrange_again
from righttime.store import MANIFEST

__all__ = ["command_blocks", "files_table", "inputs_table", "provenance", "versions", "written"]


def provenance(arranged: Arranged) -> list[Block]:
    """Inputs and their hashes, versions, manifests, and commands of arrangements."""
    blocks: list[Block] = []
    for one, name in zip(arranged.finished, arranged.names, strict=True):
        manifest = one.manifest
        blocks.append(Heading(f"Arrangement: {name}"))
        side = {"side pool": manifest.widening.pool} if manifest.widening else {}
        blocks.append(inputs_table({"pool": manifest.pool, "target": manifest.target, **side}))
        blocks.append(files_table({**manifest.files, "ids in order": manifest.ids_sha256}))
        told = {key: value for key, value in manifest.embedding.items() if value not in (None, "")}
        about = [(key, str(value)) for key, value in told.items() if not isinstance(value, dict)]
        if about:
            blocks.append(Facts(about))
        blocks.append(versions(manifest.versions))
        blocks += command_blocks(arrange_again(one))
        blocks.append(written(one.folder / MANIFEST))
    return blocks


def inputs_table(sides: Mapping[str, Iterable[InputFile]]) -> Table:
    """The files of each side, as they were named, with the sha256 of each."""
    rows: list[list[Cell]] = [
        [side, file.path, file.format, file.rows, file.left_out, file.sha256]
        for side, files in sides.items()
        for file in files
    ]
    columns = [Column("side"), Column("file"), Column("format"), Column("rows", "right")]
    return Table("Inputs", [*columns, Column("unusable", "right"), Column("sha256")], rows)


def files_table(files: Mapping[str, str]) -> Table:
    """What was written, with the sha256 of each."""
    return Table("Files", [Column("file"), Column("sha256")], [[name, sha256] for name, sha256 in files.items()])


def versions(found: Mapping[str, str]) -> Facts:
    """Of righttime, Python and the libraries that took part."""
    return Facts([(key, str(value)) for key, value in found.items()])


def command_blocks(command: str) -> list[Block]:
    """A command to be copied; nothing where there is none."""
    return [Text("To make it again:"), Pre(command)] if command else []


def written(path: Path) -> Pre:
    """A file of JSON as it lies there, to be opened.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} must be readable JSON, got: {error}.") from error
    return Pre(json.dumps(found, indent=1, ensure_ascii=False), "The manifest" if path.name == MANIFEST else path.name)
