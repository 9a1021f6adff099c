"""One process at a time: locks that go with their process, however it ends, and leave nothing in a result's folder.

Locks are the file system's own (`flock` and its like, by filelock). Where it has none, nothing is locked.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from righttime.errors import StoreError

__all__ = ["Timeout", "alone", "hold", "let_all_go", "let_go", "locked", "unlocked"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)

_held: dict[Path, tuple[int, FileLock | None]] = {}  # by folder: the process that holds it, and by what
_guard = threading.Lock()


def locked(path: Path, timeout: float = 0) -> FileLock | None:
    """Lock a file.

    Args:
        path: The file; made if missing.
        timeout: Seconds to wait for another process; below 0 for as long as it takes.

    Returns:
        The lock; None where the file system has no locks.

    Raises:
        Timeout: If another process has it.
        StoreError: If the file cannot be written.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=timeout)
    except NotImplementedError:  # what filelock 3 says of such a file system
        return None
    except OSError as error:
        if isinstance(error, Timeout):
            raise
        if error.errno in _NO_LOCKS:
            return None
        raise StoreError(f"{path} must be writable, got {error.strerror or error}.") from error
    if SoftFileLock in type(lock).mro():  # what filelock takes instead is a mere file: it outlives a killed process
        lock.release()
        return None
    return lock


def unlocked(lock: FileLock | None) -> None:
    """Let a lock go."""
    if lock is not None:
        lock.release()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process is inside with the same file; see `locked`."""
    lock = locked(path, -1)
    try:
        yield
    finally:
        unlocked(lock)


def hold(folder: Path, home: Path) -> bool:
    """Keep other processes from writing a result to a folder, until `let_go` or the end of this one.

    A process may hold a folder more than once. The lock lies in `home`, so that the folder itself holds nothing but
    the result; processes with other homes do not see each other's locks.

    Args:
        folder: The folder, which need not be there yet.
        home: The folder of all locks. Where it cannot be written, nothing is locked.

    Returns:
        Whether it is held by this call, and not by an earlier one or by none.

    Raises:
        StoreError: If another process holds the folder; says which, and since when.
    """
    place = Path(os.path.realpath(folder))
    with _guard:
        if _held.get(place, (0, None))[0] == os.getpid():
            return False
        name = hashlib.sha256(os.fsencode(place)).hexdigest()[:24]
        about = home / f"{name}.json"
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = locked(home / f"{name}.lock")
        except Timeout as error:
            raise StoreError(
                f"{folder} must be free, but another process writes there{_holder(about)}. "
                "Hint: wait for it, end it, or choose another folder."
            ) from error
        except (OSError, StoreError):
            return False
        since = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        with contextlib.suppress(OSError):
            about.write_text(json.dumps({"folder": str(place), "pid": os.getpid(), "since": since}), encoding="utf-8")
        _held[place] = (os.getpid(), lock)
        return True


def let_go(folder: Path) -> None:
    """Let other processes write to a folder again."""
    with _guard:
        pid, lock = _held.pop(Path(os.path.realpath(folder)), (0, None))
    if pid == os.getpid():  # a forked child shares what its parent holds, and must not give it away
        unlocked(lock)


def let_all_go() -> None:
    """Let go of every folder that this process holds."""
    for folder in list(_held):
        let_go(folder)


def _holder(about: Path) -> str:
    try:
        found = json.loads(about.read_text(encoding="utf-8"))
        return f" (process {int(found['pid'])}, since {str(found['since'])[:40]})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
