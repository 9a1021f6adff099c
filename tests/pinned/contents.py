"""What is pinned of the files that commands write, and of what they print."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SPARE = "distance"
"""The one column of an arrangement that may round as the processor does: anywhere else it is compared as numbers."""

Read = Callable[[str], Mapping[str, Any]]
"""From what a command printed to what is pinned of what it did."""


def told(*words: str) -> str:
    """What a command prints.

    Raises:
        RuntimeError: If its exit code is not 0.
    """
    from righttime.cli import main

    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(list(words))
    if code:
        raise RuntimeError(f"righttime {' '.join(words)}: exit code {code}: {errors.getvalue().strip()[-300:]}")
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(folder: str, *names: str) -> Read:
    """A reader of whole files."""
    return lambda _: {name: sha256(Path(folder, name).read_bytes()) for name in names}


def of(path: Path, read: Callable[[Path], Mapping[str, Any]]) -> Read:
    """A reader of a file or folder that a command wrote."""
    return lambda _: read(path)


def failures(printed: str) -> dict[str, int]:
    """How many checks failed."""
    return {"failed": printed.count("FAILED")}


def column_hashes(path: Path, without: Sequence[str] = ()) -> dict[str, str]:
    """The first 16 digits of the sha256 of each column's values, whatever the writer's version put around them."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in without]
    return {f"{path.name}: {name}": sha256(repr(table[name].to_pylist()).encode())[:16] for name in names}


def column_sums(path: Path, names: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Of each column of numbers how many there are, their sum, and their sum weighted by their places."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, sums = pq.read_table(path), {}
    for name in table.column_names if names is None else names:
        if pa.types.is_floating(table[name].type):
            values = np.asarray(table[name].drop_null().to_pylist(), dtype=np.float64)
            values = values[np.isfinite(values)]
            weighted = float(values @ np.arange(1, len(values) + 1))
            sums[f"{path.name}: {name}, sums"] = [float(len(values)), math.fsum(values), weighted]
    return sums


def arrangement(folder: str, anywhere: bool) -> Read:
    """A reader of what ``righttime arrange`` wrote."""

    def read(_: str) -> dict[str, Any]:
        path = Path(folder)
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        places = path / "arrangement.parquet"
        numbers = column_sums(places, [SPARE]) if anywhere else {}
        return {
            "train.jsonl": sha256((path / "train.jsonl").read_bytes()),
            "ids_sha256": manifest["ids_sha256"],
            "counts": json.dumps(manifest["counts"], sort_keys=True),
            **column_hashes(places, [SPARE] if anywhere else []),
            **column_hashes(path / "left_out.parquet", ["detail"]),  # prose
            **numbers,
        }

    return read


def exported(folder: str) -> Read:
    """A reader of what ``righttime export`` wrote: data by their bytes, configs by what they hold, not by comments."""

    def read(_: str) -> dict[str, Any]:
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name != "manifest.json")
        return {path.relative_to(folder).as_posix(): sha256(content(path)) for path in files}

    return read


def content(path: Path) -> bytes:
    """What a file says, without comments, docstrings and our version."""
    if path.suffix == ".jsonl":
        return path.read_bytes()
    text = path.read_text(encoding="utf-8").replace(told("--version").strip(), "VERSION")
    if path.suffix == ".json":
        return json.dumps(json.loads(text), sort_keys=True).encode()
    if path.suffix in (".yaml", ".yml"):
        import yaml

        return json.dumps(yaml.safe_load(text), sort_keys=True).encode()
    if path.suffix == ".py":
        tree = ast.parse(text)
        if ast.get_docstring(tree) is not None:
            tree.body.pop(0)
        return ast.dump(tree).encode()
    return text.encode()


def numbers(printed: str) -> dict[str, list[float]]:
    """The decimal numbers of a printed table, in order."""
    return {"printed": [float(word) for word in re.findall(r"-?\d+\.\d+(?![\d%])", printed)]}


def losses(path: Path) -> dict[str, Any]:
    """The losses of a training log, to four decimals."""
    steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {f"{path.name}: losses": [round(step["loss"], 4) for step in steps if "loss" in step]}


def rounded(path: Path) -> dict[str, Any]:
    """A table's numbers to four decimals, and its other columns, without those of times and paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, found = pq.read_table(path), {}
    for name in table.column_names:
        values = table[name].to_pylist()
        if pa.types.is_floating(table[name].type):
            values = [None if value is None else round(value, 4) for value in values]
        found[f"{path.parent.name}/{path.name}: {name}"] = sha256(repr(values).encode())[:16]
    return found
