"""From what a user names to the sources behind it: a file, a folder of one kind or another, `hf:` on the hub."""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from righttime.errors import DataError, EmptyDataError
from righttime.formats import hub, remote
from righttime.formats.bounds import MAX_ROW_BYTES
from righttime.formats.compression import opened
from righttime.formats.files import SUFFIXES, Source, file_source, stem_of
from righttime.formats.json_text import Record, single
from righttime.formats.patterns import PATTERN, outermost
from righttime.store import file_sha256

__all__ = ["DATA_ENDINGS", "find_sources", "labels", "some_sources"]

_LIKE_A_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DATA_ENDINGS = tuple(suffix + ending for suffix in SUFFIXES for ending in ("", ".gz", ".zst"))
"""The endings of files that are read of a folder."""
_FILES = 16  # that stand for all of a folder or pattern


def find_sources(path: str, role: str, *, numbered: bool = False, most: int = MAX_ROW_BYTES) -> list[Source]:
    """What there is to read at a path.

    Args:
        path: A file, a folder, a pattern such as ``shards/*.parquet``, an address such as ``s3://bucket/pool.jsonl``,
            or ``hf:owner/name[/config][:split]``.
        role: ``pool`` or ``target``, which tells the split where there are several.
        numbered: Whether the user named a table's columns by their numbers, which says that it has no header.
        most: Bytes of the longest row.

    Raises:
        DataError: If there is nothing at the path, or nothing to read.
    """
    if _afar(path):
        _refuse_page(path)
        return _fetched(path, lambda file: True, numbered, most)
    if path.startswith(hub.PREFIX):
        return [hub.hub_source(path, role)]
    if other := re.match(r"(\w+):/", path):
        _refuse_scheme(path, other[1].lower())
    if PATTERN.search(path) and not os.path.exists(path):
        return _matching(path, role, numbered, most)
    if not os.path.exists(path):
        folder = os.path.dirname(path) or "."
        near = (
            difflib.get_close_matches(os.path.basename(path), os.listdir(folder), n=2) if os.path.isdir(folder) else []
        )
        hint = f"did you mean {' or '.join(near)}?" if near else "look for a slip in the path"
        if not near and _LIKE_A_HUB_NAME.fullmatch(path) and not os.path.isdir(folder):
            hint = f"a data set on the hub is named {hub.PREFIX}{path}"
        raise DataError(f"{path}: no such file or folder; {hint}", file=path)
    _require_text(path)
    if not os.path.isdir(path):
        return [file_source(path, numbered=numbered, most=most)]
    found = _in_folder(path, role, numbered, most)
    for source in found:
        _require_text(source.path)
    if not found:
        raise EmptyDataError(f"{path}: the folder must hold data files ({', '.join(SUFFIXES)}), got none", file=path)
    return found


def some_sources(
    paths: Sequence[str], role: str, *, numbered: bool = False, most: int = MAX_ROW_BYTES
) -> list[tuple[Source, float]]:
    """Some of what there is to read at paths, and how many times as much there is of its like.

    Of files at addresses no more is fetched than the first of each ending, which stands for the bytes of all of them.
    Arguments and errors are those of `find_sources`.
    """
    afar = [path for path in paths if _afar(path)]
    sources = [
        one for path in paths if not _afar(path) for one in find_sources(path, role, numbered=numbered, most=most)
    ]
    some = sources[:: max(1, -(-len(sources) // _FILES))]
    for path in afar:
        _refuse_page(path)
    files = {path: remote.listed(path, DATA_ENDINGS) for path in afar}
    times = {one.file: n for one, n in remote.first_of_each_kind([one for path in afar for one in files[path]]).items()}
    there = [(path, one.file) for path in afar for one in files[path] if one.file in times]
    copies = {file: _fetched(path, file.__eq__, numbered, most)[0] for path, file in there}
    return [(one, len(sources) / len(some)) for one in some] + [(copy, times[file]) for file, copy in copies.items()]


def _afar(path: str) -> bool:
    return remote.address(path) is not None and not os.path.exists(path)


def _fetched(path: str, only: Callable[[str], bool], numbered: bool, most: int) -> list[Source]:
    files = remote.fetched(path, DATA_ENDINGS, only)
    return [file_source(copy, file, numbered=numbered, most=most) for file, copy in files]


def _require_text(path: str) -> None:
    """Refuse a name that no manifest can hold, before hours of work and not after them."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"a file's name must be UTF-8 text, got {os.fsencode(path)!r}. Hint: rename it.", file=ascii(path)
        ) from error


_OTHERS = ("az", "abfs", "abfss", "hdfs", "r2", "oci", "ftp", "sftp", "ssh")


def _refuse_scheme(path: str, scheme: str) -> None:
    """Say that an address is not read; a drive's letter or a folder with a colon is no address."""
    if scheme not in _OTHERS or os.path.exists(path):
        return
    path = re.sub(r":/+", "://", path, count=1)  # Path("hdfs://x") drops a slash
    known = ", ".join(f"{name}://" for name in remote.PACKAGES)
    raise DataError(
        f"{path}: reading from {scheme}:// is not supported, only {known}, hf: and local files are; copy it here first",
        file=path,
    )


_HUB = re.compile(r"https?:/+(?:huggingface\.co|hf\.co)/datasets/([^/?#]+/[^/?#]+)(?!.*/resolve/)")


def _refuse_page(path: str) -> None:
    """Say of a data set's page on the hub what its data is called."""
    if on_hub := _HUB.match(path):
        shown = remote.without_secrets(path)
        raise DataError(f"{shown}: this is a page; the data set on the hub is named hf:{on_hub[1]}", file=shown)


def _matching(path: str, role: str, numbered: bool, most: int) -> list[Source]:
    """All that a pattern matches, by name, each file once."""
    found = outermost({one: os.path.isdir(one) for one in glob.glob(path, recursive=True)})
    if not found:
        raise DataError(f"{path}: no file matches; look for a slip in the pattern", file=path)
    return [source for one in found for source in find_sources(one, role, numbered=numbered, most=most)]


def _in_folder(path: str, role: str, numbered: bool, most: int) -> list[Source]:
    if hub.is_saved(path):
        return [hub.saved_source(path, role)]
    tasks = os.path.join(path, "tasks")
    if os.path.isdir(tasks) and any(name.endswith(".json") for name in os.listdir(tasks)):
        return [_task_folder(path, role, most)]
    found: list[Source] = []
    for name in sorted(os.listdir(path)):
        entry = os.path.join(path, name)
        if name.startswith("."):
            continue
        if os.path.isdir(entry):
            found += _in_folder(entry, role, numbered, most)
        elif name.lower().endswith(DATA_ENDINGS):
            found.append(file_source(entry, numbered=numbered, most=most))
    return found


def _task_folder(path: str, role: str, most: int) -> Source:
    """A folder of Natural Instructions' task files; the split is the role's, or all tasks where there are no splits."""
    split = os.path.join(path, "splits", "default", "train_tasks.txt" if role == "pool" else "test_tasks.txt")
    there = {name.removesuffix(".json") for name in os.listdir(os.path.join(path, "tasks")) if name.endswith(".json")}
    files, note = sorted(there), None
    used = []
    if os.path.exists(split):
        with open(split, encoding="utf-8") as stream:
            listed = list(dict.fromkeys(stream.read().split()))
        used = [split]
        files = [name for name in listed if name in there]
        if not files:
            raise DataError(
                f"{split}: {len(listed)} tasks are listed, and all of them are missing in {path}/tasks", file=split
            )
        if len(files) < len(listed):
            note = f"{len(listed) - len(files)} of the {len(listed)} tasks in {split} have no file in {path}/tasks"
    used += [os.path.join(path, "tasks", f"{name}.json") for name in files]

    def records() -> Iterator[Record]:
        for file in used:
            if file != split:
                with opened(file, file) as stream:
                    text = stream.read().decode("utf-8-sig", errors="surrogateescape")
                yield from single(text, file, stem_of(file), most)

    return Source(path, "task-folder", records, lambda: _sha256_of_all(path, used), note=note)


def _sha256_of_all(folder: str, files: Sequence[str]) -> str:
    """The sha256 of the sorted lines "path within the folder, sha256 of the file"."""
    lines = sorted(
        f"{os.path.relpath(file, folder).replace(os.sep, '/')} {file_sha256(Path(file))}\n" for file in files
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def labels(paths: Sequence[str]) -> list[str]:
    """A short unique label for each path, such as ``pool`` for ``data/pool.jsonl.gz``.

    Equal names take their folders' names before them, and where that does not tell them apart, a number after them.

    Example:
        >>> labels(["a/x.jsonl", "b/x.jsonl", "y.csv", "y.csv"])
        ['a/x', 'b/x', 'y', 'y-2']
    """
    parts = {path: _parts(path) for path in paths}
    short: dict[str, str] = {}
    for path, names in parts.items():
        same = [other for other in parts.values() if other[-1] == names[-1]]
        depths = range(1, max(map(len, same)) + 1)
        told = (depth for depth in depths if len({tuple(other[-depth:]) for other in same}) == len(same))
        short[path] = "/".join(names[-next(told, 1) :])
    found: list[str] = []
    for path in paths:
        label, number = short[path], 2
        while label in found:
            label, number = f"{short[path]}-{number}", number + 1
        found.append(label)
    return found


def _parts(path: str) -> list[str]:
    if path.startswith(hub.PREFIX):
        return path.removeprefix(hub.PREFIX).partition(":")[0].split("/")
    *folders, _ = os.path.normpath(path).split(os.sep)
    return [*(folder for folder in folders if folder), stem_of(path)]
