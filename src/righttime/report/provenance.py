"""How a result came to be, and the commands that make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from righttime import strict_json
from righttime.report.arranged import Arranged
from righttime.report.blocks import Block, Cell, Column, Facts, Pre, Section, Table, Text
from righttime.results import FinishedResult
from righttime.results.request import Request
from righttime.store import MANIFEST

__all__ = ["again", "provenance"]


def provenance(arranged: Arranged) -> Section:
    """Inputs and their hashes, versions, manifests, and commands."""
    blocks: list[Block] = []
    for one, name in zip(arranged.finished, arranged.names, strict=True):
        if len(arranged.finished) > 1:
            blocks.append(Text(name))
        manifest = one.manifest
        inputs: list[list[Cell]] = [
            [side, file.path, file.format, file.rows, file.left_out, file.sha256]
            for side, files in (("pool", manifest.pool), ("target", manifest.target))
            for file in files
        ]
        columns = [Column("side"), Column("file"), Column("format"), Column("rows", "right")]
        columns += [Column("unusable", "right"), Column("sha256")]
        blocks.append(Table("Inputs", columns, inputs))
        files = [[name, sha256] for name, sha256 in manifest.files.items()]
        blocks.append(Table("Files", [Column("file"), Column("sha256")], files))
        about = [(key, str(value)) for key, value in manifest.embedding.items() if not isinstance(value, dict)]
        if about:
            blocks.append(Facts(about))
        blocks.append(Facts([(key, str(value)) for key, value in manifest.versions.items()]))
        if command := again(one):
            blocks.append(Text("To make it again:"))
            blocks.append(Pre(command))
        blocks.append(Text("The manifest:"))
        blocks.append(Pre(_manifest(one)))
    return Section("provenance", "Provenance", blocks)


def _manifest(one: FinishedResult) -> str:
    found = strict_json.loads((one.folder / MANIFEST).read_text(encoding="utf-8"))
    return json.dumps(found, indent=1, ensure_ascii=False)


def again(one: FinishedResult) -> str:
    """The shell commands that arrange the same data in the same way; empty where it was not read from files."""
    manifest, given = one.manifest, one.manifest.given
    if not given.pool or not given.target or manifest.own_embedder:
        return ""
    words = ["righttime", "arrange", *given.pool]
    for target in given.target:
        words += ["--target", target]
    words += [word for pair in _options(manifest.settings) for word in pair]
    words += ["--out", one.folder.name]
    into = f"cd {shlex.quote(given.folder)}\n" if given.folder else ""
    return into + shlex.join(words)


def _options(settings: Mapping[str, Any]) -> Iterator[list[str]]:
    """The options of ``righttime arrange`` that decide the result and differ from its defaults."""
    defaults = Request()
    asked = {**settings, "budget": settings.get("budget_asked"), "text": settings.get("text_asked")}
    asked["seed"] = asked.get("seed") or None  # 0 is what it is without one
    for name, value in asked.items():
        if name in _ELSEWHERE or not hasattr(defaults, name) or value in (None, "", {}, getattr(defaults, name)):
            continue
        flag = "--" + name.replace("_", "-")
        if name == "rounds":
            value = f"{value[0]}:{'' if value[1] is None else value[1]}"
        elif isinstance(value, Mapping):
            value = ",".join(f"{key}={one}" for key, one in value.items())
        yield [flag, str(value)]
    for name, flag in _REPEATED.items():
        for key, value in (settings.get(name) or {}).items():
            if value is not None:
                yield [flag, f"{key}={value}"]


_REPEATED = {"params": "--param", "target_weight": "--target-weight"}
_ELSEWHERE = {*_REPEATED, "workers", "device", "memory", "engine"}  # said apart, or no part of a result
