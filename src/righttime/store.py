"""What lies on disk: every file written beside its place and moved there whole, the manifest last."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import platformdirs

from righttime import strict_json
from righttime.errors import StoreError
from righttime.locks import Timeout, alone, hold, let_go, locked, unlocked

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "as_written",
    "cache_folder",
    "clear_partial",
    "file_sha256",
    "files_sha256",
    "ids_sha256",
    "lent_folder",
    "made",
    "make_folder",
    "ordinary_permissions",
    "plain",
    "prepare_folder",
    "read_manifest",
    "read_unchanged",
    "require",
    "sealed",
    "staged",
    "synced",
    "take",
    "take_away",
    "versions_in",
    "write_bytes",
    "write_json",
    "write_lines",
    "write_parquet",
    "write_parts",
]

T = TypeVar("T")

MANIFEST = "manifest.json"
_SEAL = "manifest_sha256"
"""The entry of a manifest that holds the sha256 of all others."""
_LOCKS = "locks"  # in the cache folder
_LENT, _LENT_LOCK = ".lent-", "lock"


def cache_folder() -> Path:
    """Where what can be made anew is kept: ``$RIGHTTIME_CACHE``, or ``righttime`` in the user's cache folder."""
    own = os.environ.get("RIGHTTIME_CACHE")
    if own:
        return Path(own)
    # Earlier releases used this folder on every system; what is cached there is used on.
    earlier = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "righttime"
    return earlier if earlier.is_dir() else platformdirs.user_cache_path("righttime", appauthor=False)


@contextlib.contextmanager
def _atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `path` whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with _told(path):
            # Opened like any file, so that it gets ordinary permissions; `tempfile` would keep it from everybody else.
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def synced(path: Path) -> None:
    """Make sure that a file, or what was moved into a folder, outlives a power failure.

    Raises:
        OSError: If it cannot be opened or written out.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole, atomically.

    Raises:
        StoreError: If it cannot be written.
    """
    with _atomically(path) as file:
        file.write(data)


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file part by part, atomically, for what does not fit in memory at once.

    Raises:
        StoreError: If it cannot be written; the former file is left as it was.
    """
    with _atomically(path) as file:
        file.writelines(parts)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write text lines as UTF-8, each ended by a newline, atomically.

    Raises:
        StoreError: If it cannot be written.
    """
    with _atomically(path) as file:
        for line in lines:
            file.write(line.encode("utf-8") + b"\n")


def plain(value: Any) -> Any:
    """A value as JSON has it: paths as text, arrays as lists, numbers that are none as null.

    Example:
        >>> plain({"a": (1, float("nan"))})
        {'a': [1, None]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):  # NumPy's
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(entry) for entry in value]
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object, indented, atomically. A manifest gets the hash of its entries as one more; see `sealed`.

    Raises:
        StoreError: If it cannot be written.
    """
    if path.name == MANIFEST:
        value = {**value, _SEAL: _entries_sha256(value)}
    write_lines(path, [json.dumps(value, ensure_ascii=False, indent=2)])


def sealed(manifest: Mapping[str, Any]) -> bool | None:
    """Whether a manifest's entries are those that were written, by the hash among them.

    The hash is not signed: it tells of accidents, and of edits by those who do not know it.

    Returns:
        None where it holds no hash, as those of earlier versions.
    """
    return manifest[_SEAL] == _entries_sha256(manifest) if _SEAL in manifest else None


def _entries_sha256(manifest: Mapping[str, Any]) -> str:
    entries = {name: value for name, value in manifest.items() if name != _SEAL}
    return hashlib.sha256(json.dumps(json.loads(json.dumps(entries)), sort_keys=True).encode()).hexdigest()


def write_parquet(path: Path, table: pa.Table | Iterable[pa.Table]) -> None:
    """Write an Arrow table, atomically and with the same bytes every time.

    Args:
        path: The file.
        table: The table, or its parts, at least one; of 1,048,576 rows each but for the last, they give the bytes that
            the whole table gives.

    Raises:
        StoreError: If it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = iter([table] if isinstance(table, pa.Table) else table)
    first = next(parts)
    with _atomically(path) as file, pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        del first
        for part in parts:
            writer.write_table(part)
            del part  # before the next one is made


def read_unchanged(path: Path, written: str | None, hint: str) -> pa.Table:
    """Read a Parquet file, if it is as it was written.

    Args:
        path: The file.
        written: The sha256 that it had then.
        hint: How it is made again.

    Raises:
        StoreError: If it was changed, or is gone.
    """
    import pyarrow.parquet as pq

    if file_sha256(path) != written:
        raise StoreError(f"{path} must be what was written, but it was changed since. Hint: {hint}.")
    return pq.read_table(path)


def make_folder(folder: Path) -> None:
    """Make a folder, and try that files can be written there.

    Raises:
        StoreError: If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"{folder} must be a folder that can be written, got {error.strerror or error}. Hint: choose another."
        ) from error


def lent_folder(home: Path) -> tuple[Path, Callable[[], None]]:
    """A folder for what this process needs for a while; those of processes that were killed are taken away first.

    Args:
        home: The folder that it is made in; made if missing.

    Returns:
        The folder, and what takes it away with all that is in it.

    Raises:
        StoreError: If it cannot be made or written.
    """
    make_folder(home)
    with alone(home / "lent.lock"):  # else one that is just made would pass for a leftover
        _clear_lent(home)
        with _told(home):
            folder = Path(tempfile.mkdtemp(dir=home, prefix=_LENT, suffix=".partial"))
        lock, owner = locked(folder / _LENT_LOCK), os.getpid()

    def give_back() -> None:
        if os.getpid() == owner:  # not a forked child
            unlocked(lock)
            shutil.rmtree(folder, ignore_errors=True)

    return folder, give_back


def _clear_lent(home: Path) -> None:
    """Take away lent folders whose processes have ended; where the file system has no locks, none."""
    for left_over in home.glob(f"{_LENT}*.partial"):
        with contextlib.suppress(Timeout, StoreError):
            lock = locked(left_over / _LENT_LOCK)
            unlocked(lock)
            if lock is not None:
                shutil.rmtree(left_over, ignore_errors=True)


def take(folder: Path) -> bool:
    """Keep other processes from writing a result to a folder until `staged` is done, or this process ends.

    Returns:
        See `righttime.locks.hold`.

    Raises:
        StoreError: If another process writes there.
    """
    return hold(folder, cache_folder() / _LOCKS)


def prepare_folder(folder: Path, ours: Iterable[str], overwrite: bool = False) -> None:
    """Make sure that a result can be written into `folder` before any work is done.

    An unfinished result (our files, no manifest) is written over; a finished one only if asked for. Until `staged` is
    done, or this process ends, no other process can prepare the folder.

    Args:
        folder: Where the result will lie; made if missing.
        ours: The names of the files that the result consists of.
        overwrite: Whether a finished result may be replaced.

    Raises:
        StoreError: If the folder holds a finished result or somebody else's files, another process writes there, or it
            cannot be written.
    """
    take(folder)
    new = not folder.exists()
    make_folder(folder)
    if new:  # only a trial: a run that fails later leaves no empty folder behind
        with _told(folder):
            folder.rmdir()
        return
    names = {entry.name for entry in folder.iterdir() if not entry.name.endswith(".partial")}
    strangers = sorted(names - {*ours, MANIFEST})
    if strangers:
        raise StoreError(
            f"{folder} must be empty or hold a result of righttime, but it holds {strangers[0]!r}"
            f"{f' and {len(strangers) - 1} more' if len(strangers) > 1 else ''}. Hint: choose another folder."
        )
    if MANIFEST in names and not overwrite:
        raise StoreError(f"{folder} holds a finished result already. Hint: choose another folder, or `overwrite=True`.")


def clear_partial(folder: Path) -> None:
    """Take away what a killed run was just writing in a folder.

    Raises:
        StoreError: If it cannot be taken away.
    """
    with _told(folder):
        for left_over in folder.glob(".*.partial"):
            take_away(left_over)


def take_away(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it; of a link never what it leads to.

    Raises:
        StoreError: If it cannot be removed.
    """
    with _told(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def staged(folder: Path, ours: Iterable[str] = ()) -> Iterator[Path]:
    """A place to write a result to; when all of it is there, it takes the place of what is in `folder`.

    Whatever fails before, the earlier result stays as it was. Files are moved in with the manifest last and the old
    manifest taken away first, so that old and new files never pass for one result.

    Args:
        folder: A folder that `prepare_folder` has made ready.
        ours: The names of files that such a result may have. Those that this one lacks and an earlier one had are
            taken away while there is no manifest, so that they never pass for its own.

    Yields:
        A folder inside it, gone afterwards.

    Raises:
        StoreError: If files cannot be moved into place.
    """
    take(folder)
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        clear_partial(folder)
        staging = Path(tempfile.mkdtemp(dir=folder, prefix=".", suffix=".partial"))
    try:
        yield staging
        with _told(folder):
            (folder / MANIFEST).unlink(missing_ok=True)
            files = sorted(staging.iterdir(), key=lambda file: (file.name == MANIFEST, file.name))
            for name in sorted({*ours} - {file.name for file in files}):
                (folder / name).unlink(missing_ok=True)
            for file in files:
                os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        let_go(folder)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the file system says into one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} must be writable, got {error.strerror or error}. "
            "Hint: check free space and permissions of that folder, or choose another folder."
        ) from error


def ordinary_permissions(folder: Path) -> None:
    """Give every file in a folder the permissions of a new file; some libraries keep theirs from everybody else."""
    with _told(folder):
        probe = folder / f".{secrets.token_hex(8)}.partial"
        probe.touch(exist_ok=False)
        mode = probe.stat().st_mode & 0o777
        probe.unlink()
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.chmod(mode)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished result.

    Raises:
        StoreError: If the folder is missing, holds no manifest, or the manifest is broken.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise StoreError(f"{folder} must be a folder that righttime wrote, but there is no such folder.")
    try:
        manifest = strict_json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        inside = sorted(one.parent.name for one in folder.glob(f"*/{MANIFEST}"))
        hint = f" Hint: it holds results, such as {folder / inside[0]}." if inside else ""
        raise StoreError(
            f"{folder} must hold {MANIFEST}, but there is none: it is not a result of righttime, or not a finished "
            f"one.{hint}"
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} must be readable JSON, got: {error}.") from error
    if not isinstance(manifest, dict):
        raise StoreError(f"{path} must hold a JSON object, got {type(manifest).__name__}.")
    return manifest


def require(manifest: Mapping[str, Any], kinds: Mapping[str, type], path: Path) -> None:
    """Check that a manifest has what is about to be read from it.

    Raises:
        StoreError: If an entry is missing or of another kind; names it.
    """
    for name, kind in kinds.items():
        if not isinstance(manifest.get(name), kind):
            raise StoreError(
                f"{path / MANIFEST} must hold {name!r}, which it does not: it is not the manifest of "
                "`righttime arrange`, or it was changed."
            )


def made(kind: type[T], entry: Mapping[str, Any]) -> T:
    """A dataclass of the entries that it knows; later versions may have written more."""
    known = {one.name for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in entry.items() if name in known})


@contextlib.contextmanager
def as_written(path: Path, by: str) -> Iterator[None]:
    """Say of a file whose entries are not what they must be that it was changed.

    Args:
        path: The file.
        by: What wrote it.

    Raises:
        StoreError: If an entry is missing or of another kind.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{path} must be as {by} wrote it, but it was changed: {type(error).__name__}: {error}."
        ) from error


def versions_in(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Of righttime, Python and the libraries that a manifest names."""
    return {"righttime": str(manifest.get("righttime")), **(manifest.get("versions") or {})}


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex.

    Raises:
        StoreError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise StoreError(f"{path} must be readable, got {error.strerror or error}.") from error
    return digest.hexdigest()


def files_sha256(folder: Path, files: Iterable[Path]) -> str:
    """The sha256 of files and of their paths in a folder, in the order given.

    Raises:
        StoreError: If one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def ids_sha256(ids: Iterable[str]) -> str:
    """The sha256 of ids in their order, each ended by a newline: the fingerprint of an order.

    Example:
        >>> ids_sha256(["a", "b"])[:16]
        '911169ddaaf146af'
    """
    digest = hashlib.sha256()
    for name in ids:
        digest.update(name.encode("utf-8") + b"\n")
    return digest.hexdigest()
