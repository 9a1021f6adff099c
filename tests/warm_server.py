"""A warm Python that runs commands of righttime in forked children, with a fault where it is told to have one.

    python warm_server.py MODULE...     then one job a line on stdin, one answer a line on stdout, both JSON

Starting Python with torch takes seconds; a fork of a process that has imported it takes milliseconds, so hundreds of
real processes can be killed. In the child every opening for writing, renaming, removal, flush to disk, SQL statement
and write of weights below `root` is a seam, counted from 0 by an audit hook. At a seam the child is killed (SIGKILL),
with or without tearing the file that it was writing, or is told by the file system that it cannot go on.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEEDS_ROOM = ("open", "mkdir", "fsync", "write", "weights")
"""What a full disk refuses; renaming and removing it still does."""


class Seams:
    """Counts what a process does to the disk, and strikes where it is told to."""

    def __init__(self, job: dict[str, Any], log: int, counter: mmap.mmap) -> None:
        self._root = os.path.realpath(job["root"])
        self._job, self._log, self._counter = job, log, counter
        self._last, self._busy, self._begun = "", False, False

    def install(self) -> None:
        """Watch from now on."""
        for module, name in (("safetensors.torch", "save_file"), ("torch", "save")):
            if module in sys.modules:
                self._wrap_saving(sys.modules[module], name)
        self._watch_databases()
        self._wrap_handle("fsync")
        self._wrap_handle("write")
        sys.addaudithook(self._heard)

    def _wrap_saving(self, module: Any, name: str) -> None:
        # Weights are written by compiled code, of which no audit hook hears.
        inner: Callable[..., Any] = getattr(module, name)

        def saved(what: Any, where: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(where, str | os.PathLike):
                return inner(what, where, *args, **kwargs)
            self.pass_by("weights", os.fspath(where))
            inner(what, where, *args, **kwargs)
            self.pass_by("written", os.fspath(where))
            return None

        for held in list(sys.modules.values()):
            for alias, value in list(vars(held).items()) if hasattr(held, "__dict__") else ():
                if value is inner:
                    setattr(held, alias, saved)

    def _wrap_handle(self, name: str) -> None:
        inner = getattr(os, name)

        def called(handle: int, *args: Any) -> Any:
            if isinstance(handle, int) and handle > 2 and handle != self._log:
                self.pass_by(name, _path_of(handle))
            return inner(handle, *args)

        setattr(os, name, called)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, str | bytes | os.PathLike) and flags & _WRITES:
                self.pass_by("open", os.fspath(path))
        elif event in ("os.remove", "os.rmdir"):
            self.pass_by(event[3:], args[0], args[1])
        elif event == "os.mkdir":
            self.pass_by("mkdir", args[0], args[2])
        elif event == "os.rename":
            self.pass_by("rename", args[1], args[3])

    def _watch_databases(self) -> None:
        inner = sqlite3.connect

        def connect(database: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
            made: sqlite3.Connection = inner(database, *args, **kwargs)
            made.set_trace_callback(lambda statement: self._statement(statement, os.fspath(database)))
            return made

        sqlite3.connect = connect  # type: ignore[assignment]

    def _statement(self, statement: str, database: str) -> None:
        word = statement.split(maxsplit=1)[0].upper()
        if word == "INSERT":  # one of a batch stands for all
            if self._begun:
                return
            self._begun = True
        elif word == "BEGIN":
            self._begun = False
        if word in ("BEGIN", "INSERT", "COMMIT", "CREATE", "DELETE"):
            self.pass_by(f"sql-{word.lower()}", database)

    def pass_by(self, kind: str, path: Any, folder: int = -1) -> None:
        """A seam, if it is below the root."""
        if self._busy or path is None:
            return
        self._busy = True
        try:
            where = os.path.realpath(os.path.join((folder > 2 and _path_of(folder)) or "", os.fsdecode(path)))
            if where.startswith(self._root + os.sep):
                self._seam(kind, where)
        finally:
            self._busy = False

    def _seam(self, kind: str, where: str) -> None:
        number = int.from_bytes(self._counter[:8], "little")
        self._counter[:8] = (number + 1).to_bytes(8, "little")
        told = json.dumps([kind, os.path.relpath(where, self._root), round(time.monotonic(), 3)])
        _write(self._log, told.encode() + b"\n")
        fault = self._job.get("fault", {})
        if number == fault.get("kill_at", -1):
            if fault.get("torn") and self._last and os.path.isfile(self._last):
                os.truncate(self._last, os.path.getsize(self._last) // 2)
            os.killpg(0, signal.SIGKILL)
        self._last = where if kind in ("open", "written") else ""
        refused = number >= fault["fail_from"] if "fail_from" in fault else number == fault.get("fail_at", -1)
        if refused and (fault.get("all") or kind in _NEEDS_ROOM):
            raise OSError(fault["errno"], os.strerror(fault["errno"]), where)


_write = os.write


def _path_of(handle: int) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    except OSError:
        return None


def _cells_by_fork() -> None:
    """Runs of an experiment are forked as well: the same process but for the seconds of its start."""
    from righttime.experiment import cell, matrix

    def run(self: Any, command: Sequence[str], log: Path, environment: Any) -> int:
        del self, environment
        sys.stdout.flush()
        child = os.fork()
        if not child:
            code = 1
            try:
                with log.open("ab") as output:
                    os.dup2(output.fileno(), 1)
                    os.dup2(output.fileno(), 2)
                code = cell.main(list(command)[-3:])
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    matrix.ThisMachine.run = run  # type: ignore[method-assign]


def _child(job: dict[str, Any], log: int, counter: mmap.mmap) -> None:
    code = 70
    try:
        os.setpgid(0, 0)
        os.environ.update(job.get("env", {}))
        os.chdir(job["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            handle = os.open(f"{job['told']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, number)
            os.close(handle)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        if job["words"][0] == "experiment":
            _cells_by_fork()
        Seams(job, log, counter).install()
        from righttime.cli import main

        code = main(job["words"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 71
        os._exit(code)


def _run(job: dict[str, Any]) -> dict[str, Any]:
    log_path = f"{job['told']}.seams"
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    with mmap.mmap(-1, 8) as counter:
        child = os.fork()
        if not child:
            _child(job, log, counter)
        deadline, killed = time.monotonic() + job.get("limit_s", 120), False
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline and not killed:
                os.killpg(child, signal.SIGKILL)
                killed = True
            time.sleep(0.005)
    os.close(log)
    seams = [json.loads(line)[:2] for line in Path(log_path).read_text().splitlines()]
    texts = {name: Path(f"{job['told']}.{name}").read_text(errors="replace") for name in ("out", "err")}
    return {"code": os.waitstatus_to_exitcode(done[1]), "late": killed, "seams": seams, **texts}


def main() -> None:
    """Import what is named, then answer jobs until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
