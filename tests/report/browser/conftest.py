from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chromium import Browser, Tab, chromium, running
from made_page import made_data, write_page

MISSING = (
    "NO BROWSER: the report page was NOT tested. Install Chromium (Debian: apt-get install chromium), or name one in "
    "RIGHTTIME_BROWSER."
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; where there is none they are skipped aloud, or fail where one is required."""
    command = chromium()
    if command is None:
        if os.environ.get("RIGHTTIME_REQUIRE_BROWSER") or os.environ.get("CI"):
            pytest.fail(MISSING)
        warnings.warn(MISSING, stacklevel=1)
        pytest.skip(MISSING)
    with running(command) as found:
        yield found


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of made data, on disk."""
    return write_page(tmp_path_factory.mktemp("page") / "page.html", made_data())


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose names and texts try to be more than text."""
    return write_page(tmp_path_factory.mktemp("page") / "hostile.html", made_data(600, 40, hostile=True))


Show = Callable[..., Tab]


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Open a page; afterwards nothing may have gone wrong in it, and nothing may have been asked for but the file."""
    tabs: list[tuple[Tab, Path]] = []

    def opened(path: Path, width: int = 1200, height: int = 900, *, dark: bool = False) -> Tab:
        tab = browser.tab(width, height, dark=dark)
        tabs.append((tab, path))
        tab.open(path)
        return tab

    yield opened
    for tab, path in tabs:
        errors, requests = tab.errors(), tab.requests()
        tab.close()
        assert errors == []
        assert [one for one in requests if not one.startswith("data:")] == [path.resolve().as_uri()]
