"""docs/reliability.md shows what was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import reliability


def test_the_page_is_what_was_recorded() -> None:
    before = reliability.PAGE.read_text(encoding="utf-8")
    assert reliability.filled(before) == before


def test_a_suite_that_was_not_recorded_is_said_not_to_be(tmp_path: Path) -> None:
    lines = [{"what": "arrange", "count": 3, "wrong": 1}]
    made = {"date": "2026-01-02T00:00:00", "processor": "some", "cores": 2}
    (tmp_path / "kills.json").write_text(json.dumps({"made_on": made, "rows": lines}), encoding="utf-8")
    page = reliability.filled(reliability.PAGE.read_text(encoding="utf-8"), tmp_path)
    assert "| `arrange` | 3 | 1 |" in page
    assert "| kills by SIGKILL, then run again | 3 | 1 | 2026-01-02 | some, 2 cores |" in page
    assert "Not recorded." in page
