"""Run the command: signals, exit codes, and errors as one sentence."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from righttime.cli.app import app
from righttime.errors import RighttimeError

__all__ = ["main"]


def _quiet() -> None:
    """Keep the libraries below from talking over what we print."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for library in ("HF_HUB", "HF_DATASETS"):
        os.environ.setdefault(f"{library}_DISABLE_PROGRESS_BARS", "1")
    for library in ("TRANSFORMERS", "HF_HUB", "DATASETS"):
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # Processes that this one starts read it: workers, and those of Ray on this machine.
    os.environ.setdefault("PYTHONWARNINGS", ",".join(f"ignore::{kind.__name__}" for kind in _FOR_DEVELOPERS))
    for library in ("sentence_transformers", "matplotlib"):
        logging.getLogger(library).setLevel(logging.ERROR)


_FOR_DEVELOPERS = (FutureWarning, DeprecationWarning, PendingDeprecationWarning)
"""What libraries tell those who call them, and what who runs the command can do nothing about."""


@contextmanager
def _no_advice() -> Iterator[None]:
    """Keep that from being printed, unless Python was asked for warnings (-W, PYTHONWARNINGS)."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            for kind in _FOR_DEVELOPERS:
                warnings.simplefilter("ignore", kind)
        yield


class _StoppedError(BaseException):
    """Ctrl-C, by a name that nothing below takes for its own."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _StoppedError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The words after ``righttime``; None takes the process's own.

    Returns:
        The exit code: 0; 1 where a check failed or data, settings, model or disk are not as they must be; 2 where the
        words make no sense; 130 after Ctrl-C.
    """
    _quiet()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter shows a question mark
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop)
    try:
        with _no_advice():
            app(args=None if argv is None else list(argv), prog_name="righttime")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except RighttimeError as error:
        print(f"righttime: error: {error}", file=sys.stderr)
        return 1
    except (_StoppedError, KeyboardInterrupt):
        print("righttime: stopped; run the same command again to go on where it was.", file=sys.stderr)
        return 130
    return 0
