"""The command: parse, call the library, print. Results go to stdout, progress and errors to stderr.

Commands appear in ``--help`` in the order in which their modules are imported here.
"""

from righttime.cli import (  # noqa: F401 (each registers its commands)
    arrange,
    compare,
    data,
    evaluate,
    export,
    inspect,
    plan,
    train,
)
from righttime.cli.app import app
from righttime.cli.run import main

__all__ = ["app", "main"]
