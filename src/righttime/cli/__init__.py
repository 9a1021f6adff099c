"""The command: parse, call the library, print. Results go to stdout, progress and errors to stderr.

Commands appear in ``--help`` in the order in which their modules are imported here.
"""

from righttime.cli import arranging, evaluating, exporting, looking, making  # noqa: F401 (each registers its commands)
from righttime.cli.app import app
from righttime.cli.running import main

__all__ = ["app", "main"]
