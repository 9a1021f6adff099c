"""The command: parse, call the library, print. Results go to stdout, progress and errors to stderr.

Commands appear in ``--help`` in the order in which their modules are imported here.
"""

# isort: off
from righttime.cli import (  # noqa: F401 (each registers its commands)
    data,
    guard,
    arrange,
    plan,
    methods,
    inspect,
    verify,
    similarity,
    export,
    pretrain,
    tune,
    evaluate,
    compare,
    experiment,
    pilot,
    report,
)

# isort: on
from righttime.cli.app import app
from righttime.cli.run import main

__all__ = ["app", "main"]
