"""Where there is no browser its tests are skipped aloud; where one is required they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiers import quick

pytestmark = pytest.mark.linux  # as the browser's own tests

ROOT = Path(__file__).parents[2]


def outcome(**setting: str) -> subprocess.CompletedProcess[str]:
    """One of the browser's tests, on a path without browser."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "RIGHTTIME_BROWSER")}
    kept = {name: value for name, value in kept.items() if name != "RIGHTTIME_REQUIRE_BROWSER"}
    one = "tests/report/browser/test_page.py::test_every_kind_of_block_is_drawn"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one]
    environment = {**kept, "PATH": "/nowhere", **setting}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_is_said_aloud() -> None:
    done = outcome()
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert done.stdout.count("NO BROWSER: the report page was NOT tested.") == 2  # in the warnings and in the summary


@pytest.mark.parametrize("name", quick(["CI", "RIGHTTIME_REQUIRE_BROWSER"], 1))
def test_it_fails_where_one_is_required(name: str) -> None:
    done = outcome(**{name: "1"})
    assert done.returncode == 1
    assert "NO BROWSER" in done.stdout
