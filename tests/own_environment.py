"""A package in an environment of its own, for tests that set righttime beside it."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["own_environment"]


def own_environment(folder: Path, *installs: Sequence[str]) -> Path:
    """Make a fresh environment and install packages into it, one `pip install` after the other.

    Without a package index the test is skipped.

    Returns:
        Its Python.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    for packages in installs:
        got = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True)
        if got.returncode:
            pytest.skip(f"{packages} could not be installed: {got.stderr.strip().splitlines()[-1]}")
    return python
