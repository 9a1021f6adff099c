"""Files at an address, such as `s3://bucket/shard.parquet`: fetched once through fsspec, read from the cache folder.

A copy is named by the address and by what the server says of the content (its ETag, generation or date), so a file
that changed is fetched anew. A killed run leaves whole copies only; the next one fetches what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from righttime.errors import DataError, StoreError
from righttime.formats.hub import first_line
from righttime.formats.patterns import PATTERN, outermost
from righttime.progress import Counter, counting
from righttime.store import cache_folder, make_folder, write_parts

__all__ = [
    "Listed",
    "address",
    "fetched",
    "files_at",
    "first_of_each_kind",
    "listed",
    "local_file",
    "times_the_first",
    "without_secrets",
]

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub"}
"""The schemes that can be read, and the package that each needs besides fsspec."""

_ADDRESS = re.compile(r"(\w+):/+(.*)", re.DOTALL)
_CONTENT = ("ETag", "etag", "md5Hash", "crc32c", "generation", "blob_id", "LastModified", "last_modified", "updated")
_PART = 8 << 20  # bytes of one request
_ATTEMPTS = 6
_FIRST_WAIT = 0.25  # seconds; doubled with each attempt
_GONE, _DENIED = (404, 410), (401, 403)
"""HTTP statuses of what is not there, and of what we may not have."""
_PASSING = (408, 425, 429)
"""Of the statuses that refuse a request, those that ask for patience."""
_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "SSOTokenLoadError"),
    *("UnauthorizedSSOTokenError", "DefaultCredentialsError", "LocalTokenNotFoundError"),
}
"""Errors of botocore, google.auth and huggingface_hub that no server was asked for."""
_NO_REPOSITORY = {"RepositoryNotFoundError", "HFValidationError"}
"""Errors of huggingface_hub for names of no repository; to strangers the hub says 401 of these, as of private ones."""
_TOGETHER = 4  # files fetched side by side
_Done = TypeVar("_Done")


def address(path: str) -> str | None:
    """A path as an address that can be read, with the two slashes that `pathlib` makes one; None where it is none.

    Example:
        >>> address("s3:/bucket/pool.jsonl"), address("C:/pool.jsonl")
        ('s3://bucket/pool.jsonl', None)
    """
    found = _ADDRESS.match(path)
    return f"{found[1].lower()}://{found[2]}" if found and found[1].lower() in PACKAGES else None


def without_secrets(path: str) -> str:
    """A path as it may be shown and kept: an address without user, password and query, which may be a signature.

    Example:
        >>> without_secrets("https://me:word@example.org/pool.jsonl?X-Amz-Signature=1f")
        'https://example.org/pool.jsonl'
    """
    url = address(path)
    if url is None:
        return path
    scheme, rest = url.split("://", 1)
    host, slash, file = rest.partition("/")
    if scheme in ("http", "https"):
        file = re.split("[?#]", file, maxsplit=1)[0]
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{file}"


@dataclass(frozen=True)
class Listed:
    """A file at an address.

    Attributes:
        file: Its address, without secrets.
        size: Its bytes; 0 where the server does not tell.
        copied: Whether a copy of what it holds now is on this machine.
    """

    file: str
    size: int
    copied: bool


def listed(path: str, suffixes: tuple[str, ...]) -> list[Listed]:
    """The files at an address, none of which is fetched; arguments and errors are those of `fetched`."""
    system, files = _found(path, suffixes)

    def look(file: str) -> Listed:
        shown = without_secrets(str(system.unstrip_protocol(file)))
        about = _tried(shown, lambda: system.info(file))
        content = _content(about)
        copied = content is not None and _place(shown, content).exists()
        return Listed(without_secrets(_whole(system, file, path)), int(about.get("size") or 0), copied)

    with ThreadPoolExecutor(_TOGETHER) as workers:
        return list(workers.map(look, files))


def first_of_each_kind(files: Sequence[Listed]) -> dict[Listed, float]:
    """The first file of each ending, and how many times as many bytes all of that ending are: a sample of them.

    Example:
        >>> files = [Listed(f"s3://b/{name}", 2, False) for name in ("a.csv", "b.csv", "c.csv", "d.json")]
        >>> {one.file: times for one, times in first_of_each_kind(files).items()}
        {'s3://b/a.csv': 3.0, 's3://b/d.json': 1.0}
    """
    kinds: dict[str, list[Listed]] = {}
    for one in files:
        kinds.setdefault("".join(Path(one.file).suffixes[-2:]).lower(), []).append(one)
    return {some[0]: times_the_first(some) for some in kinds.values()}


def times_the_first(files: Sequence[Listed]) -> float:
    """How many times as many bytes all files are as the first; as many as they are where its size is not told."""
    return sum(one.size for one in files) / files[0].size if files[0].size else len(files)


def fetched(
    path: str, suffixes: tuple[str, ...], only: Callable[[str], bool] = lambda file: True
) -> list[tuple[str, str]]:
    """The files at an address, each as a copy on this machine.

    Args:
        path: Of a file, a folder or, but for http, a pattern with ``*``.
        suffixes: The endings of files that are read of a folder.
        only: Which of the files, by their addresses without secrets.

    Returns:
        The address of each file, without secrets, and where its copy lies; by address.

    Raises:
        DataError: If a package is missing, nothing is there, or a file cannot be fetched after several attempts.
    """
    system, found = _found(path, suffixes)
    files = [file for file in found if only(without_secrets(_whole(system, file, path)))]
    # Not over `files` in a generator: what fails first is raised, and what is fetched by then is kept.
    with ThreadPoolExecutor(_TOGETHER) as workers, counting("fetching", None, "bytes") as tell:
        copies = list(workers.map(partial(_copied, system, tell), files))
    return [(without_secrets(_whole(system, file, path)), str(copy)) for file, copy in zip(files, copies, strict=True)]


def files_at(path: str) -> list[str]:
    """The addresses, without secrets, of the files at an address: of a folder or a pattern all that are not hidden.

    Raises:
        DataError: As `fetched`.
    """
    system, files = _found(path, ("",))
    return [without_secrets(_whole(system, file, path)) for file in files]


def local_file(path: str) -> str:
    """A path on this machine: of an address that of a copy, any other as it is.

    Raises:
        DataError: As `fetched`, or if the address is not that of one file.
    """
    if address(path) is None:
        return path
    found = fetched(path, ("",))
    if len(found) != 1:
        raise DataError(f"{without_secrets(path)} must be one file, got {len(found)}.", file=without_secrets(path))
    return found[0][1]


def _system(path: str) -> tuple[Any, str]:
    """The file system of an address, and the file's name in it."""
    url, shown = str(address(path)), without_secrets(path)
    scheme = url.partition(":")[0]
    try:
        from fsspec.core import url_to_fs

        system, name = url_to_fs(url)
        return system, str(name)
    except ImportError as error:
        raise DataError(
            f"{shown}: reading from {scheme}:// needs the package {PACKAGES[scheme]}. "
            "Hint: pip install 'righttime[remote]'",
            file=shown,
        ) from error
    except Exception as error:  # whatever the packages raise for what they cannot make out
        raise DataError(f"{shown}: the address cannot be read ({first_line(error)}).", file=shown) from error


def _found(path: str, suffixes: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The file system, and the names of the files at an address."""
    system, name = _system(path)
    shown, web = without_secrets(path), str(address(path)).startswith("http")
    if not web and PATTERN.search(name):
        about = _tried(shown, lambda: system.glob(name, detail=True))
        folders = {str(one): facts["type"] == "directory" for one, facts in about.items() if not _hidden(str(one))}
        matched = outermost(folders)
        if not matched:
            raise DataError(f"{shown}: no file there matches; look for a slip in the pattern", file=shown)
        return system, [
            file for one in matched for file in (_in_folder(system, one, path, suffixes) if folders[one] else [one])
        ]
    if not web and _tried(shown, lambda: system.isdir(name)):
        return system, _in_folder(system, name, path, suffixes)
    return system, [name]


def _in_folder(system: Any, name: str, path: str, suffixes: tuple[str, ...]) -> list[str]:
    """The data files in a folder, which was found at `path`, and in those below it, by name."""
    shown = without_secrets(_whole(system, name, path))
    found = sorted(map(str, _tried(shown, lambda: system.find(name))))
    files = [file for file in found if file.lower().endswith(suffixes) and not _hidden(file)]
    if not files:
        kinds = f" ({', '.join(suffixes)})" if any(suffixes) else ""
        raise DataError(f"{shown}: the folder must hold data files{kinds}, got none", file=shown)
    return files


def _hidden(file: str) -> bool:
    return any(part.startswith(".") for part in file.split("/"))


def _whole(system: Any, file: str, path: str) -> str:
    """The address of a file that was found at an address."""
    return file if _ADDRESS.match(file) else f"{str(address(path)).partition(':')[0]}://{file}"


def _copied(system: Any, tell: Counter, file: str) -> Path:
    """Fetch one file, if its copy is not there yet."""
    shown = without_secrets(str(system.unstrip_protocol(file)))
    about = _tried(shown, lambda: system.info(file))
    content = _content(about)
    if content is not None:
        copy = _place(shown, content)
        if copy.exists():
            return copy
    else:  # nothing tells whether it changed
        copy = _place(shown, time.time_ns())
    make_folder(copy.parent)
    with _disk_told(copy):
        write_parts(copy, _parts(system, file, shown, about.get("size"), tell))
    if content is not None and _content(_tried(shown, lambda: system.info(file))) != content:
        copy.unlink()
        raise DataError(f"{shown}: the file changed while it was fetched; run the command again", file=shown)
    return copy


def _content(about: Any) -> tuple[str, ...] | None:
    """What a server says of a file's content; None where it says nothing that changes with it."""
    said = tuple(f"{key}={about[key]}" for key in _CONTENT if about.get(key))
    return (*said, f"size={about.get('size')}") if said else None


def _place(shown: str, content: object) -> Path:
    """Where the copy lies: its name, which tells its kind, in a folder named by address and content."""
    key = hashlib.sha256(repr((shown, content)).encode()).hexdigest()[:32]
    name = re.sub(r"[^\w.-]+", "-", shown.rstrip("/").rpartition("/")[2])[-100:].lstrip(".")
    return cache_folder() / "remote" / key / (name or "file")


def _parts(system: Any, file: str, shown: str, size: int | None, tell: Counter) -> Iterator[bytes]:
    """The bytes of a file, request by request; each is tried several times."""
    if size is None:  # no ranges can be asked for
        data = _tried(shown, lambda: system.cat_file(file))
        tell(len(data))
        yield data
        return
    for start in range(0, size, _PART):
        stop = min(start + _PART, size)
        yield _tried(shown, partial(_range, system, file, start, stop))
        tell(stop - start)


def _range(system: Any, file: str, start: int, stop: int) -> bytes:
    data = bytes(system.cat_file(file, start=start, end=stop))
    if len(data) != stop - start:
        raise OSError(f"{stop - start} bytes from {start} on were asked for, {len(data)} came")
    return data


def _tried(shown: str, ask: Callable[[], _Done]) -> _Done:
    """What a server answers; asked again, after a while, where it fails in a way that may pass."""
    for attempt in range(_ATTEMPTS):
        try:
            return ask()
        except Exception as error:  # each package has its own errors for what a network does
            why, status = _reason(error), _status(error)
            if type(why).__name__ in _NO_REPOSITORY:
                raise DataError(
                    f"{shown}: no such repository, or it is private. Hint: look for a slip in the address, or log in: "
                    "hf auth login.",
                    file=shown,
                ) from error
            if status in _GONE or (isinstance(why, FileNotFoundError) and not status):
                raise DataError(f"{shown}: no such file; look for a slip in the address", file=shown) from error
            if isinstance(why, PermissionError) or status in _DENIED:
                raise DataError(f"{shown}: access is denied ({first_line(why)}).", file=shown) from error
            if _final(why, status):
                raise DataError(
                    f"{shown}: cannot be fetched ({first_line(why)}). Hint: look at the address and the credentials.",
                    file=shown,
                ) from error
            if attempt == _ATTEMPTS - 1:
                raise DataError(
                    f"{shown}: cannot be fetched ({first_line(why)}), {_ATTEMPTS} attempts failed. Hint: see that "
                    "the server can be reached and the credentials are right; what was fetched is kept.",
                    file=shown,
                ) from error
            time.sleep(_FIRST_WAIT * 2**attempt)
    raise AssertionError("unreachable")


def _reason(error: BaseException) -> BaseException:
    """What is behind an error: fsspec says of a web server that there is no file, whatever went wrong."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _status(error: BaseException | None) -> int:
    """The HTTP status that an error, or what caused it, carries; 0 where none does."""
    if error is None:
        return 0
    reply = getattr(error, "response", None)
    if isinstance(reply, dict):  # botocore's
        return int(reply.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or _status(error.__cause__)
    if str(error).startswith("Forbidden: "):  # gcsfs's
        return 403
    said = (str(getattr(one, name, "")) for one in (error, reply) for name in ("status", "status_code", "code"))
    return next((int(code) for code in said if code.isdecimal()), 0) or _status(error.__cause__)


def _final(error: BaseException, status: int) -> bool:
    """Whether asking again would bring the same answer: a refusal by the server, or credentials that are not there."""
    if isinstance(error, TimeoutError):  # which S3 says with status 400
        return False
    return type(error).__name__ in _CREDENTIALS or (400 <= status < 500 and status not in _PASSING)


@contextlib.contextmanager
def _disk_told(copy: Path) -> Iterator[None]:
    """Say of a copy that cannot be kept what to do."""
    try:
        yield
    except StoreError as error:
        raise StoreError(f"{error} Hint: RIGHTTIME_CACHE names a folder with more room.") from error
