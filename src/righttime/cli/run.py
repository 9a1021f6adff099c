"""Run the command: signals, exit codes, and errors as one sentence."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from righttime.cli.app import app
from righttime.cli.text import sentence
from righttime.errors import RighttimeError
from righttime.locks import let_all_go
from righttime.quiet import quiet_process, without_advice

__all__ = ["main"]


_started_in = 0  # the process that listens to signals


class _StoppedError(BaseException):
    """Ctrl-C or a polite kill, by a name that nothing below takes for its own; holds the signal's number."""


def _stop(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _started_in:  # a worker that was forked: there is nobody to tell
        os._exit(128 + number)
    raise _StoppedError(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The words after ``righttime``; None takes the process's own.

    Returns:
        The exit code: 0; 1 where a check failed or data, settings, model or disk are not as they must be; 2 where the
        words make no sense; 130 after Ctrl-C, 143 after SIGTERM.
    """
    global _started_in
    quiet_process()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    if threading.current_thread() is threading.main_thread():
        _started_in = os.getpid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
    try:
        return _shown(_run(argv))
    except (_StoppedError, KeyboardInterrupt) as stopped:
        print("righttime: stopped; run the same command again to go on where it was.", file=sys.stderr)
        return 128 + (stopped.args[0] if isinstance(stopped, _StoppedError) else signal.SIGINT)
    finally:
        let_all_go()


def _run(argv: Sequence[str] | None) -> int:
    try:
        with without_advice():
            app(args=None if argv is None else list(argv), prog_name="righttime")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except RighttimeError as error:
        return _failed(error)
    except OSError as error:  # what the library does not foresee: disks and names
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}the system must be able to read and write it, got {error.strerror or error}.")
    except UnicodeEncodeError:
        return _failed("every word of the command must be UTF-8, got other bytes in a name or a value.")
    except MemoryError:
        return _failed("there must be enough memory, got none. Hint: fewer rows, or a smaller batch.")
    return 0


def _failed(why: object) -> int:
    with contextlib.suppress(OSError):
        print(sentence(f"righttime: error: {why}"), file=sys.stderr)
    return 1


def _shown(code: int) -> int:
    """The exit code once all that was printed has left; output that nobody reads any more does not change it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (what is left has nowhere to go)
        if not isinstance(error, BrokenPipeError):
            return _failed(f"the output must be writable, got {error.strerror or error}.")
    return code
